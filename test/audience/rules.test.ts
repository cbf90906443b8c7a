import { describe, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { events, lists } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { eachBackend } from '../support/backends.ts';
import { audience, NOW, type Told, tell } from '../support/facts.ts';

const t = (n: number) => NOW - 10_000 + n;
const stripe = (id: string, fact: Told['fact'], more: Partial<Told> = {}): Told => ({
  provider: 'stripe',
  id,
  fact,
  ...more,
});
const clerk = (id: string, fact: Told['fact'], more: Partial<Told> = {}): Told => ({
  provider: 'clerk',
  id,
  fact,
  ...more,
});
const polar = (id: string, fact: Told['fact'], more: Partial<Told> = {}): Told => ({
  provider: 'polar',
  id,
  fact,
  ...more,
});
const user = (who: string) => ({ personId: who, userId: who });

async function story(store: Store, ...told: Told[]) {
  const taken = [];
  for (const each of told) taken.push(await tell(store, each));
  return taken;
}
const kinds = (taken: { effects: { kind: string }[] } | null | undefined) => taken?.effects.map(e => e.kind) ?? [];

// Each test is one sentence of the contact rules.
eachBackend('contact rules', open => {
  describe('link', () => {
    test('a guest checkout and a customer with one address are one contact', async () => {
      const store = await open();
      await story(
        store,
        stripe('1', { authority: 'copy', email: 'a@x.co', at: t(1) }),
        stripe('2', { personId: 'cus_1', email: 'a@x.co', at: t(2), rank: 0 }),
      );
      expect(await audience(store)).toHaveLength(1);
    });
    test('two contacts that turn out to be one are merged, the older row survives and the effects say so', async () => {
      const store = await open();
      // The older row is that which was made first, whatever its id and the time of its fact.
      const first = await tell(store, stripe('1', { personId: 'cus_1', email: 'a@x.co', at: t(2) }), NOW);
      await tell(store, clerk('2', { ...user('u1'), email: 'b@x.co', at: t(1) }), NOW + 1000);
      const [merge] = await story(
        store,
        stripe('3', { personId: 'cus_1', email: 'b@x.co', former: { email: 'a@x.co' }, at: t(3), rank: 1 }),
      );
      expect(kinds(merge)).toContain('contact.merged');
      expect(merge?.contactId).toBe(first.contactId);
      expect(await audience(store)).toMatchObject([{ email: 'b@x.co', userId: 'u1' }]);
    });
    test('two users of the same auth provider stay two contacts; an address both had goes to the one that claims it now', async () => {
      const store = await open();
      await story(
        store,
        clerk('1', { ...user('u1'), email: 'a@x.co', at: t(1) }),
        clerk('2', { ...user('u1'), email: 'new@x.co', at: t(2), rank: 1 }),
        clerk('3', { ...user('u2'), email: 'a@x.co', at: t(3) }),
      );
      expect(await audience(store)).toMatchObject([
        { email: 'a@x.co', userId: 'u2' },
        { email: 'new@x.co', userId: 'u1' },
      ]);
    });
    test('two users can swap their addresses', async () => {
      const store = await open();
      await story(
        store,
        clerk('1', { ...user('u1'), email: 'a@x.co', at: t(1) }),
        clerk('2', { ...user('u2'), email: 'b@x.co', at: t(1) }),
        clerk('3', { ...user('u1'), email: 'tmp@x.co', at: t(2), rank: 1 }),
        clerk('4', { ...user('u2'), email: 'a@x.co', at: t(3), rank: 1 }),
        clerk('5', { ...user('u1'), email: 'b@x.co', at: t(4), rank: 1 }),
      );
      expect(await audience(store)).toMatchObject([
        { email: 'a@x.co', userId: 'u2' },
        { email: 'b@x.co', userId: 'u1' },
      ]);
    });
    test("Polar's external id joins the auth user of that id", async () => {
      const store = await open();
      await story(
        store,
        clerk('1', { ...user('u1'), email: 'a@x.co', at: t(1) }),
        polar('2', { personId: 'p1', userId: 'u1', email: 'pay@x.co', at: t(2) }),
      );
      expect(await audience(store)).toMatchObject([{ email: 'a@x.co', userId: 'u1' }]);
    });
  });

  describe('fields', () => {
    test('an old invoice never overwrites the address of the customer object', async () => {
      const store = await open();
      await story(
        store,
        stripe('1', { personId: 'cus_1', email: 'new@x.co', at: t(1) }),
        stripe('2', { authority: 'copy', personId: 'cus_1', email: 'old@x.co', at: t(9) }),
      );
      expect(await audience(store)).toMatchObject([{ email: 'new@x.co' }]);
    });
    test('names come from the auth provider before the payment provider, and null never blanks', async () => {
      const store = await open();
      await story(
        store,
        clerk('1', { ...user('u1'), email: 'a@x.co', firstName: 'Ada', at: t(1) }),
        stripe('2', { personId: 'cus_1', email: 'a@x.co', firstName: 'Company', lastName: 'Ltd', at: t(5) }),
        clerk('3', { ...user('u1'), email: 'a@x.co', firstName: null, at: t(6), rank: 1 }),
      );
      expect(await audience(store)).toMatchObject([{ firstName: 'Ada', lastName: 'Ltd' }]);
    });
    test('names are left alone where syncNames is off', async () => {
      const store = await open();
      await story(
        store,
        clerk('1', { ...user('u1'), email: 'a@x.co', firstName: 'Ada', at: t(1) }, { settings: { syncNames: false } }),
      );
      expect(await audience(store)).toMatchObject([{ firstName: null }]);
    });
    test('source and group are those of the earliest fact with an address, even when it arrives last', async () => {
      const store = await open();
      await story(
        store,
        stripe('2', { personId: 'cus_1', email: 'a@x.co', at: t(5) }, { settings: { userGroup: 'Customers' } }),
        clerk('1', { ...user('u1'), email: 'a@x.co', at: t(1) }, { settings: { userGroup: 'Users' } }),
      );
      expect(await audience(store)).toMatchObject([{ source: 'clerk webhook', userGroup: 'Users' }]);
    });
    test('a property keeps the newest value; a value of another type is dropped and noted', async () => {
      const store = await open();
      const [, , third] = await story(
        store,
        stripe('1', { personId: 'cus_1', email: 'a@x.co', at: t(5) }, { properties: { seats: 5 } }),
        stripe('2', { personId: 'cus_1', email: 'a@x.co', at: t(4) }, { properties: { seats: 4 } }),
        stripe('3', { personId: 'cus_1', email: 'a@x.co', at: t(6) }, { properties: { seats: 'six' } }),
      );
      expect(await audience(store)).toMatchObject([{ properties: { seats: 5 } }]);
      expect(kinds(third)).toContain('property.dropped');
    });
  });

  describe('deletion', () => {
    const created = clerk('1', { ...user('u1'), email: 'a@x.co', firstName: 'Ada', at: t(1), rank: 0 });
    const deleted = (onDelete: 'unsubscribe' | 'delete' | 'ignore') =>
      clerk('9', { personId: 'u1', deletion: true, at: t(9), rank: 3 }, { settings: { onDelete } });
    test('unsubscribes by default and stays so for later facts, which only link', async () => {
      const store = await open();
      await story(
        store,
        created,
        deleted('unsubscribe'),
        clerk('10', { ...user('u1'), email: 'z@x.co', firstName: 'Zed', at: t(10), rank: 1 }),
      );
      expect(await audience(store)).toMatchObject([{ email: 'a@x.co', firstName: 'Ada', subscribed: false }]);
    });
    test('removes the contact where onDelete is "delete", and a late update does not bring it back', async () => {
      const store = await open();
      const taken = await story(
        store,
        created,
        deleted('delete'),
        clerk('2', { ...user('u1'), email: 'a@x.co', at: t(2), rank: 1 }),
      );
      expect(kinds(taken[1])).toContain('contact.deleted');
      expect(taken[2]?.status).toBe('processed');
      expect(await audience(store)).toEqual([]);
    });
    test('that arrives first takes effect as soon as the person is known', async () => {
      const store = await open();
      const [first] = await story(store, deleted('unsubscribe'), created);
      expect(first).toMatchObject({ status: 'processed', contactId: null });
      expect(first?.message).toBe('Nobody here: u1 was never known, nothing to apply');
      expect(await audience(store)).toMatchObject([{ email: 'a@x.co', subscribed: false }]);
    });
    test('does nothing where onDelete is "ignore"', async () => {
      const store = await open();
      const [, taken] = await story(store, created, deleted('ignore'));
      expect(await audience(store)).toMatchObject([{ subscribed: true }]);
      expect(kinds(taken)).toEqual(['contact.kept']);
    });
    test('keeps the contact while another identity is live, and says why', async () => {
      const store = await open();
      const taken = await story(
        store,
        created,
        stripe('2', { personId: 'cus_1', email: 'a@x.co', at: t(2) }),
        deleted('delete'),
      );
      expect(kinds(taken[2])).toContain('contact.kept');
      expect(await audience(store)).toMatchObject([{ email: 'a@x.co', subscribed: true }]);
    });
    test('ends with a new identity: the contact is subscribed again', async () => {
      const store = await open();
      await story(
        store,
        stripe('1', { personId: 'cus_1', email: 'a@x.co', at: t(1) }),
        stripe('2', { personId: 'cus_1', email: 'a@x.co', deletion: true, at: t(2), rank: 3 }),
        stripe('3', { personId: 'cus_2', email: 'a@x.co', at: t(3) }),
      );
      expect(await audience(store)).toMatchObject([{ subscribed: true }]);
    });
  });

  describe('lists and events', () => {
    const onList = (id: string) => ({ settings: { mailingLists: [id] } });
    test('lists are a union, and nothing is added while unsubscribed', async () => {
      const store = await open();
      await store.write(async tx => {
        for (const id of ['l1', 'l2', 'l3'])
          await tx.insert(lists).values({ id, name: id, description: null, isPublic: false, createdAt: 0 });
      });
      await story(
        store,
        stripe('1', { personId: 'cus_1', email: 'a@x.co', at: t(1) }, onList('l1')),
        stripe('2', { personId: 'cus_1', email: 'a@x.co', at: t(2) }, onList('l2')),
        stripe('3', { personId: 'cus_1', deletion: true, at: t(3), rank: 3 }),
        stripe('4', { authority: 'copy', email: 'a@x.co', at: t(4) }, onList('l3')),
        stripe('5', { personId: 'cus_1', email: 'a@x.co', at: t(5) }, onList('gone')),
      );
      expect(await audience(store)).toMatchObject([{ lists: ['l1', 'l2'], subscribed: false }]);
    });
    test('an event fires once per delivery, and not when the fact is too old', async () => {
      const store = await open();
      const fires = { settings: { triggerEvent: 'signup', triggerMaxAgeHours: 1 } };
      const told = clerk('1', { ...user('u1'), email: 'a@x.co', at: t(1) }, fires);
      const taken = await story(
        store,
        told,
        told,
        clerk('2', { ...user('u1'), email: 'a@x.co', at: NOW - 3_700_000, rank: 1 }, fires),
      );
      expect(kinds(taken[0])).toContain('event.triggered');
      expect(kinds(taken[1])).toEqual(['event.repeated']);
      expect(kinds(taken[2])).toEqual(['event.tooOld']);
      const rows = await store.read(tx => tx.select().from(events).where(eq(events.eventName, 'signup')));
      expect(rows).toMatchObject([{ email: 'a@x.co', contactId: taken[0]!.contactId }]);
    });
    test('who is known only by an id waits', async () => {
      const store = await open();
      const [taken] = await story(store, stripe('1', { authority: 'copy', personId: 'cus_1', at: t(1) }));
      expect(taken).toMatchObject({ status: 'waiting', contactId: null, identityId: 'stripe:cus_1' });
      expect(await audience(store)).toEqual([]);
    });
  });
});
