import { describe, expect, test } from 'bun:test';
import { buildConsentCall, buildDeleteCall, buildWriteCall } from '../../src/audience/apiCalls.ts';
import type { ContactWrite } from '../../src/audience/apiWrite.ts';
import type { By } from '../../src/audience/findContact.ts';
import { callPeople } from '../../src/audience/personCall.ts';
import type { ContactChange } from '../../src/changes.ts';
import { lists } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { eachBackend } from '../support/backends.ts';
import { audience, NOW, peopleOf, type Told, tell } from '../support/facts.ts';
import { failure } from '../support/failure.ts';

let writes = 0;
type Mode = 'create' | 'update' | 'upsert';
const origin = () => ({ key: `req_${++writes}`, source: 'API' });

/** A store with what a test does to it; `now` moves a second on with each call. */
async function scene(open: () => Promise<Store>) {
  const store = await open();
  await store.write(async tx => {
    for (const id of ['l1', 'l2'])
      await tx.insert(lists).values({ id, name: id, description: null, isPublic: false, createdAt: 0 });
  });
  let now = NOW;
  const clock = () => {
    now += 1000;
    return now;
  };
  return {
    store,
    clock,
    api: async (write: ContactWrite, mode: Mode = 'upsert', more: { aliases?: string[]; source?: string } = {}) =>
      callPeople(peopleOf(store, now), buildWriteCall(mode, write, { ...origin(), ...more })).finally(clock),
    hook: (provider: Told['provider'], parts: Told['fact'], more: Partial<Told> = {}) =>
      tell(store, { provider, id: `w${++writes}`, fact: { at: now, ...parts }, ...more }, now).finally(clock),
    erase: async (by: By) => callPeople(peopleOf(store, now), buildDeleteCall(by, origin())).finally(clock),
    /** By the link in a mail. */
    subscribe: (email: string, on: boolean) =>
      callPeople(peopleOf(store, now), buildConsentCall(email, on, 'link', origin())).finally(clock),
    all: () => audience(store),
  };
}

const user = (id: string) => ({ personId: id, userId: id });

eachBackend('API writes', open => {
  describe('creating and updating', () => {
    test('create makes a contact, refuses it a second time by address and by user id', async () => {
      const s = await scene(open);
      const made = await s.api({ email: ' Ada@X.co ', userId: 'u1', firstName: 'Ada' }, 'create');
      expect(made).toMatchObject({ created: true, effects: [{ kind: 'contact.created' }] });
      expect(await s.all()).toMatchObject([
        { email: 'ada@x.co', userId: 'u1', firstName: 'Ada', source: 'API', userGroup: '', subscribed: true },
      ]);
      const again = `Email or userId is already on list: contact ${made.contactId}`;
      expect(await failure(s.api({ email: 'ada@x.co' }, 'create'))).toMatchObject({ code: 'conflict', message: again });
      expect(await failure(s.api({ email: 'b@x.co', userId: 'u1' }, 'create'))).toMatchObject({ code: 'conflict' });
      expect(await s.all()).toHaveLength(1);
    });
    test('update wants a contact, upsert wants an address for a new one, both want a person', async () => {
      const s = await scene(open);
      expect(await failure(s.api({ email: 'a@x.co' }, 'update'))).toMatchObject({
        code: 'notFound',
        message: 'Contact not found.',
      });
      expect(await failure(s.api({ userId: 'u1' }))).toMatchObject({ code: 'invalid', message: 'Contact not found.' });
      expect(await failure(s.api({}))).toMatchObject({ code: 'invalid' });
      expect(await failure(s.api({ email: 'no address' }))).toMatchObject({ message: 'Invalid email address.' });
      expect(await s.all()).toEqual([]);
    });
    test('user id and new address move the contact; its former address still names it, but moves nothing', async () => {
      const s = await scene(open);
      const { contactId } = await s.api({ email: 'a@x.co', userId: 'u1' });
      expect((await s.api({ email: 'b@x.co', userId: 'u1' })).contactId).toBe(contactId);
      expect(await s.api({ email: 'a@x.co', firstName: 'Ada' })).toMatchObject({ contactId, created: false });
      expect(await s.all()).toMatchObject([{ email: 'b@x.co', userId: 'u1', firstName: 'Ada' }]);
    });
    test('address and a new user id give the contact that user id, the former one finds it still', async () => {
      const s = await scene(open);
      const { contactId } = await s.api({ email: 'a@x.co' });
      await s.api({ email: 'a@x.co', userId: 'u1' });
      await s.api({ email: 'a@x.co', userId: 'u2' });
      expect(await s.all()).toMatchObject([{ email: 'a@x.co', userId: 'u2' }]);
      expect((await s.api({ userId: 'u1', lastName: 'L' })).contactId).toBe(contactId);
      expect(await s.all()).toMatchObject([{ userId: 'u2', lastName: 'L' }]);
    });
    test('a former address goes to the next user who comes with it, and both stay two contacts', async () => {
      const s = await scene(open);
      const first = await s.api({ email: 'a@x.co', userId: 'u1', firstName: 'One' });
      await s.api({ email: 'b@x.co', userId: 'u1' });
      const next = { email: 'a@x.co', userId: 'u2', firstName: 'Two' };
      expect(await failure(s.api(next, 'create'))).toMatchObject({ code: 'conflict' }); // it finds whose it was
      const second = await s.api(next);
      expect(second).toMatchObject({ created: true });
      expect((await s.api({ email: 'a@x.co', lastName: 'L2' })).contactId).toBe(second.contactId);
      expect((await s.api({ userId: 'u1', lastName: 'L1' })).contactId).toBe(first.contactId);
      await s.hook('stripe', { personId: 'cus_1', email: 'b@x.co', former: { email: 'a@x.co' } });
      expect(await s.all()).toMatchObject([
        { email: 'a@x.co', userId: 'u2', firstName: 'Two', lastName: 'L2' },
        { email: 'b@x.co', userId: 'u1', firstName: 'One', lastName: 'L1' },
      ]);
    });
    test('one user may have had any number of addresses', async () => {
      const s = await scene(open);
      for (let i = 0; i < 120; i++) await s.api({ email: `a${i}@x.co`, userId: 'u1' });
      await s.api({ userId: 'u1', firstName: 'A' });
      expect(await s.all()).toMatchObject([{ email: 'a119@x.co', firstName: 'A' }]);
    });
    test('an address and a user id of two contacts are refused, and nothing changes', async () => {
      const s = await scene(open);
      await s.api({ email: 'a@x.co' });
      await s.api({ email: 'b@x.co', userId: 'u1' });
      const before = await s.all();
      expect(await failure(s.api({ email: 'a@x.co', userId: 'u1' }))).toMatchObject({
        code: 'invalid',
        message: 'Multiple contacts found for the given criteria',
      });
      expect(await s.all()).toEqual(before);
    });
    test('null clears a name and removes a property; what is absent stays', async () => {
      const s = await scene(open);
      await s.api({ email: 'a@x.co', firstName: 'Ada', lastName: 'L', properties: { plan: 'pro', seats: 5 } });
      await s.api({ email: 'a@x.co', firstName: null, properties: { plan: null } });
      expect(await s.all()).toMatchObject([{ firstName: null, lastName: 'L', properties: { seats: 5 } }]);
    });
    test('properties are coerced where nothing is lost, else refused by name', async () => {
      const s = await scene(open);
      await s.api({ email: 'a@x.co', properties: { seats: 5, admin: true, plan: 'pro' } });
      await s.api({ email: 'a@x.co', properties: { seats: '6', admin: 'false', plan: 7 } });
      expect(await s.all()).toMatchObject([{ properties: { seats: 6, admin: false, plan: '7' } }]);
      expect(await failure(s.api({ email: 'a@x.co', properties: { seats: 'many' } }))).toMatchObject({
        message: 'seats: must be a number, as the property is.',
      });
      expect(await failure(s.api({ email: 'a@x.co', properties: { constructor$: 1 } }))).toMatchObject({
        code: 'invalid',
      });
      expect(await failure(s.api({ email: 'a@x.co', properties: { updatedAt: 1 } }))).toMatchObject({
        code: 'invalid',
      });
    });
    test('a write wins over what is known, even where a provider’s clock is ahead', async () => {
      const s = await scene(open);
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co', firstName: 'Clerk', at: NOW + 600_000 });
      await s.api({ email: 'a@x.co', firstName: 'Api' });
      expect(await s.all()).toMatchObject([{ firstName: 'Api' }]);
    });
  });

  describe('beside webhooks', () => {
    test('the API outranks payment; API and auth compete by time', async () => {
      const s = await scene(open);
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', firstName: 'Stripe' });
      await s.api({ email: 'a@x.co', firstName: 'Api' });
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', firstName: 'Later', rank: 1 });
      expect(await s.all()).toMatchObject([{ firstName: 'Api' }]);
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co', firstName: 'Clerk' });
      expect(await s.all()).toMatchObject([{ firstName: 'Clerk', userId: 'u1' }]);
      await s.api({ userId: 'u1', firstName: 'Again' });
      expect(await s.all()).toMatchObject([{ firstName: 'Again' }]);
    });
    test('a payer who moves on leaves a contact that the API made; what the API only wrote to the payer moves along', async () => {
      const s = await scene(open);
      await s.api({ email: 'set@x.co' }, 'create');
      await s.hook('stripe', { personId: 'cus_1', email: 'set@x.co' });
      await s.hook('stripe', { personId: 'cus_1', email: 'new1@x.co', former: { email: 'set@x.co' }, rank: 1 });
      await s.hook('stripe', { personId: 'cus_2', email: 'named@x.co' });
      await s.api({ email: 'named@x.co', properties: { plan: 'pro' } });
      await s.hook('stripe', { personId: 'cus_2', email: 'new2@x.co', former: { email: 'named@x.co' }, rank: 1 });
      expect(await s.all()).toMatchObject([
        { email: 'new1@x.co', source: 'stripe webhook', properties: {} },
        { email: 'new2@x.co', properties: { plan: 'pro' } },
        { email: 'set@x.co', source: 'API' },
      ]);
    });
    test('API and auth set the address by turns', async () => {
      const s = await scene(open);
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co' });
      await s.api({ userId: 'u1', email: 'b@x.co' });
      expect(await s.all()).toMatchObject([{ email: 'b@x.co' }]);
      await s.hook('clerk', { ...user('u1'), email: 'c@x.co', rank: 1 });
      expect(await s.all()).toMatchObject([{ email: 'c@x.co' }]);
    });
    test('source and group are of the earliest fact, until the API sets them: that stays', async () => {
      const s = await scene(open);
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co' }, { settings: { userGroup: 'Customers' } });
      await s.api({ email: 'a@x.co' });
      expect(await s.all()).toMatchObject([{ source: 'stripe webhook', userGroup: 'Customers' }]);
      await s.api({ email: 'a@x.co', source: 'Form', userGroup: 'VIP' });
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co', at: NOW - 5000 }, { settings: { userGroup: 'Users' } });
      expect(await s.all()).toMatchObject([{ source: 'Form', userGroup: 'VIP' }]);
    });
    test('the link, the API or a bounce unsubscribes for good; only an explicit true undoes it', async () => {
      const s = await scene(open);
      await s.api({ email: 'a@x.co' });
      expect((await s.subscribe('a@x.co', false))?.effects).toMatchObject([{ kind: 'contact.unsubscribed' }]);
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co' });
      await s.api({ email: 'a@x.co', firstName: 'A' });
      expect(await s.all()).toMatchObject([{ subscribed: false, userId: 'u1' }]);
      await s.api({ email: 'a@x.co', subscribed: true });
      expect(await s.all()).toMatchObject([{ subscribed: true }]);
      await s.api({ userId: 'u1', subscribed: false });
      expect(await s.all()).toMatchObject([{ subscribed: false }]);
    });
    test('who unsubscribed stays so when a provider deletes and sends them again', async () => {
      const s = await scene(open);
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co' });
      await s.api({ email: 'a@x.co', properties: { plan: 'pro' } });
      await s.subscribe('a@x.co', false);
      await s.hook('stripe', { personId: 'cus_1', deletion: true, rank: 3 }, { settings: { onDelete: 'delete' } });
      expect(await s.all()).toEqual([]);
      await s.hook('stripe', { personId: 'cus_2', email: 'a@x.co' });
      expect(await s.all()).toMatchObject([{ email: 'a@x.co', subscribed: false, properties: {} }]);
    });
    test('lists: a webhook never re-adds one that was left; the API adds it again; nothing is added while unsubscribed', async () => {
      const s = await scene(open);
      const joins = { settings: { mailingLists: ['l1', 'l2'] } };
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co' }, joins);
      await s.api({ email: 'a@x.co', mailingLists: { l1: false } });
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', rank: 1 }, joins);
      expect(await s.all()).toMatchObject([{ lists: ['l2'] }]);
      await s.api({ email: 'a@x.co', subscribed: false });
      await s.api({ email: 'a@x.co', mailingLists: { l1: true } });
      expect(await s.all()).toMatchObject([{ lists: ['l2'], subscribed: false }]);
      await s.api({ email: 'a@x.co', subscribed: true, mailingLists: { l1: true } });
      expect(await s.all()).toMatchObject([{ lists: ['l1', 'l2'], subscribed: true }]);
      expect(await failure(s.api({ email: 'a@x.co', mailingLists: { list_nope: true } }))).toMatchObject({
        code: 'invalid',
      });
    });
    test('a list that a webhook named while unsubscribed is joined by one that names it after', async () => {
      const s = await scene(open);
      const joins = { settings: { mailingLists: ['l1'] } };
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co' });
      await s.api({ email: 'a@x.co', subscribed: false });
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', rank: 1 }, joins);
      await s.api({ email: 'a@x.co', subscribed: true });
      expect(await s.all()).toMatchObject([{ lists: [] }]);
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', rank: 1 }, joins);
      expect(await s.all()).toMatchObject([{ lists: ['l1'] }]);
    });
    test('a provider’s deletion spares a contact that the API made, not one that it only wrote to', async () => {
      const s = await scene(open);
      const gone = { deletion: true, rank: 3 as const };
      await s.api({ email: 'made@x.co' }, 'create');
      await s.hook('stripe', { personId: 'cus_1', email: 'made@x.co' });
      await s.hook('stripe', { personId: 'cus_1', ...gone }, { settings: { onDelete: 'delete' } });
      await s.hook('stripe', { personId: 'cus_2', email: 'written@x.co' });
      await s.api({ email: 'written@x.co', firstName: 'A' });
      await s.hook('stripe', { personId: 'cus_2', ...gone });
      expect(await s.all()).toMatchObject([
        { email: 'made@x.co', subscribed: true },
        { email: 'written@x.co', subscribed: false },
      ]);
    });
    test('ids of an import tie a provider’s person to the contact before anything comes from the provider', async () => {
      const s = await scene(open);
      expect(await s.hook('stripe', { authority: 'copy', personId: 'cus_9', at: NOW })).toMatchObject({
        status: 'waiting',
      });
      const { contactId } = await s.api({ email: 'a@x.co' }, 'upsert', {
        aliases: ['stripe:cus_9'],
        source: 'CSV import',
      });
      const taken = await s.hook('stripe', { authority: 'copy', personId: 'cus_9', firstName: 'Ada' });
      expect(taken).toMatchObject({ contactId });
      expect(await s.all()).toMatchObject([{ email: 'a@x.co', firstName: 'Ada', source: 'CSV import' }]);
      const kept = await s.hook(
        'stripe',
        { personId: 'cus_9', deletion: true, rank: 3 },
        { settings: { onDelete: 'delete' } },
      );
      expect(kept.effects).toMatchObject([{ kind: 'contact.kept' }]); // the import made it
      expect(await s.all()).toMatchObject([{ email: 'a@x.co', subscribed: true }]);
      expect(await failure(s.api({ email: 'a@x.co' }, 'upsert', { aliases: ['nobody:1'] }))).toMatchObject({
        code: 'invalid',
      });
    });
  });

  describe('deleting', () => {
    test('the persons behind it are dead for good: later facts of theirs revive nothing', async () => {
      const s = await scene(open);
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co' });
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co' });
      const { contactId } = await s.api({ email: 'a@x.co' });
      expect(await s.erase({ email: 'A@x.co' })).toMatchObject({ id: contactId, email: 'a@x.co', userId: 'u1' });
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', firstName: 'Late', rank: 1 });
      await s.hook('clerk', { ...user('u1'), email: 'b@x.co', rank: 1 });
      expect(await s.all()).toEqual([]);
      expect(await failure(s.erase({ email: 'a@x.co' }))).toMatchObject({
        code: 'notFound',
        message: 'Contact not found.',
      });
      // A removal is of whom it finds: somebody it did not know is somebody new, however late.
      await s.hook('polar', { personId: 'pol_1', email: 'a@x.co', at: NOW - 60_000 });
      expect(await s.all()).toMatchObject([
        { email: 'a@x.co', userId: null, firstName: null, source: 'polar webhook' },
      ]);
    });
    test('a later create or a new identity makes a new contact with nothing of the old', async () => {
      const s = await scene(open);
      const old = await s.api({
        email: 'a@x.co',
        userId: 'u1',
        firstName: 'Old',
        properties: { plan: 'pro' },
        mailingLists: { l1: true },
      });
      await s.erase({ userId: 'u1' });
      const made = await s.api({ email: 'a@x.co', userId: 'u1' }, 'create');
      expect(made.created).toBe(true);
      expect(made.contactId).not.toBe(old.contactId);
      expect(await s.all()).toMatchObject([{ firstName: null, properties: {}, lists: [], source: 'API' }]);
      await s.erase({ id: made.contactId });
      await s.hook('stripe', { personId: 'cus_7', email: 'a@x.co' });
      expect(await s.all()).toMatchObject([{ email: 'a@x.co', userId: null, source: 'stripe webhook' }]);
    });
    test('the next user of the API with a deleted one’s address starts afresh, whoever had it', async () => {
      const s = await scene(open);
      await s.api({ email: 'a@x.co', userId: 'u1', properties: { plan: 'pro' } });
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', lastName: 'Old' });
      await s.hook('polar', { authority: 'copy', email: 'a@x.co', lastName: 'Guest' });
      await s.erase({ userId: 'u1' });
      await s.api({ email: 'a@x.co', userId: 'u2' }, 'create');
      await s.hook('stripe', { personId: 'cus_1', email: 'a@x.co', lastName: 'Old', rank: 1 });
      expect(await s.all()).toMatchObject([{ userId: 'u2', lastName: null, properties: {} }]);
    });
    test('the next person with a deleted user’s address is not touched by that deletion', async () => {
      const s = await scene(open);
      await s.hook('clerk', { ...user('u1'), email: 'a@x.co' });
      await s.erase({ userId: 'u1' });
      await s.hook('clerk', { ...user('u2'), email: 'a@x.co' });
      await s.hook('clerk', { ...user('u1'), email: 'c@x.co', rank: 1 });
      expect(await s.all()).toMatchObject([{ email: 'a@x.co', userId: 'u2' }]);
    });
  });

  test('what happened is told in the same transaction, with the key of the write', async () => {
    const s = await scene(open);
    const heard: { kinds: ContactChange['kind'][]; key: string }[] = [];
    const people = peopleOf(s.store, NOW, async (_, changes, cause) => {
      heard.push({ kinds: changes.map(each => each.kind), key: cause.key });
      return [{ kind: 'workflow.started' }];
    });
    const call = buildWriteCall(
      'upsert',
      { email: 'a@x.co', mailingLists: { l1: true } },
      { key: 'req_told', source: 'API' },
    );
    let effects: { kind: string }[] = [];
    await callPeople(people, {
      ...call,
      apply(all, now) {
        const outcome = call.apply(all, now);
        effects = outcome.effects;
        return outcome;
      },
    });
    expect(effects.map(each => each.kind)).toEqual(['contact.created', 'list.subscribed', 'workflow.started']);
    expect(heard).toEqual([{ kinds: ['contact.created', 'list.subscribed'], key: 'req_told' }]);
  });

  test('many writes to one contact leave registers of a bounded size', async () => {
    const s = await scene(open);
    for (let i = 0; i < 60; i++)
      await s.api({
        email: 'a@x.co',
        userId: 'u1',
        firstName: `n${i}`,
        subscribed: i % 2 === 0,
        mailingLists: { l1: i % 3 === 0 },
        properties: { plan: `p${i}` },
      });
    const rows = await s.store.read(tx => tx.query.identities.findMany());
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(rows[0]?.registers).length).toBeLessThan(10_000);
    expect(await s.all()).toMatchObject([{ firstName: 'n59', subscribed: false, properties: { plan: 'p59' } }]);
  });
});
