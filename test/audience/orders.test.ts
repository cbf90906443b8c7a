import { describe, expect, test } from 'bun:test';
import { findDifferences } from '../../src/audience/selfCheck.ts';
import {
  consents,
  contacts,
  events,
  identities,
  lists,
  memberships,
  mergedContacts,
  parkedContacts,
  properties,
  ties,
} from '../../src/db/schema.ts';
import { eachBackend } from '../support/backends.ts';
import { audience, NOW, type Told, tell } from '../support/facts.ts';

type Provider = Told['provider'];
let n = 0;
const fact = (provider: Provider, at: number, parts: Told['fact'], more: Partial<Told> = {}): Told => ({
  provider,
  id: more.id ?? `${provider}_${++n}`,
  fact: { at: NOW - 100_000 + at, ...parts },
  ...more,
});
const person = (id: string, email: string | null, more: Told['fact'] = {}) => ({ personId: id, userId: null, email, ...more }); // biome-ignore format: one glance
const user = (id: string, email: string | null, more: Told['fact'] = {}) => ({ personId: id, userId: id, email, ...more }); // biome-ignore format: one glance
const gone = (id: string) => ({ personId: id, deletion: true, rank: 3 as const });

function* orders<T>(all: T[]): Generator<T[]> {
  if (all.length < 2) return yield all;
  for (let i = 0; i < all.length; i++) for (const rest of orders(all.toSpliced(i, 1))) yield [all[i] as T, ...rest];
}

interface Rule {
  rule: string;
  told: Told[];
  expect: Record<string, unknown>[];
}

// One sentence of the contact rules each; it must come out the same in every order of arrival.
const rules: Rule[] = [
  { rule: 'of one moment, an update comes after the creation', told: [fact('stripe', 5, person('c', 'made@x.co'), {}), fact('stripe', 5, person('c', 'updated@x.co', { rank: 1 }))].map((each, i) => ({ ...each, fact: { ...each.fact, rank: i as 0 | 1 } })), expect: [{ email: 'updated@x.co' }] },
  { rule: 'of one moment and rank, the external id decides', told: [fact('stripe', 5, person('c', 'a@x.co'), { id: 'evt_b' }), fact('stripe', 5, person('c', 'b@x.co'), { id: 'evt_c' }), fact('stripe', 5, person('c', 'c@x.co'), { id: 'evt_a' })], expect: [{ email: 'b@x.co' }] },
  { rule: 'of one moment, a deletion comes last', told: [fact('stripe', 5, person('c', 'a@x.co', { rank: 1 })), fact('stripe', 5, gone('c'))], expect: [{ email: 'a@x.co', subscribed: false }] },
  { rule: 'auth shows its address before payment, however new that is', told: [fact('clerk', 1, user('u', 'auth@x.co')), fact('polar', 2, person('p', 'auth@x.co', { userId: 'u' })), fact('polar', 9, person('p', 'pay@x.co', { userId: 'u' }))], expect: [{ email: 'auth@x.co', userId: 'u' }] },
  { rule: 'a payer who moves on leaves the user whose address it showed', told: [fact('clerk', 1, user('u', 'auth@x.co')), fact('stripe', 2, person('c', 'auth@x.co')), fact('stripe', 9, person('c', 'pay@x.co', { former: { email: 'auth@x.co' } }))], expect: [{ email: 'auth@x.co', userId: 'u' }, { email: 'pay@x.co', userId: null }] },
  { rule: 'a payer stays with the user who moves on', told: [fact('clerk', 1, user('u', 'old@x.co')), fact('stripe', 2, person('c', 'old@x.co', { lastName: 'L' })), fact('clerk', 9, user('u', 'new@x.co', { rank: 1 }))], expect: [{ email: 'new@x.co', userId: 'u', lastName: 'L' }] },
  { rule: 'a guest stays at its address when the payer there moves on', told: [fact('stripe', 9, { authority: 'copy', email: 'old@x.co', firstName: 'Guest' }), fact('stripe', 1, person('c', 'old@x.co')), fact('stripe', 5, person('c', 'new@x.co', { rank: 1 }))], expect: [{ email: 'new@x.co', firstName: null }, { email: 'old@x.co', firstName: 'Guest' }] },
  { rule: 'of two payers that are one, the longest known shows its address', told: [fact('polar', 1, person('p1', 'first@x.co', { userId: 'app_7' })), fact('polar', 2, person('p2', 'second@x.co', { userId: 'app_7' })), fact('polar', 3, person('p2', 'third@x.co', { userId: 'app_7', rank: 1 }))], expect: [{ email: 'first@x.co', userId: 'app_7' }] },
  { rule: 'a live payer shows its address before a dead user, whose id no longer shows', told: [fact('clerk', 1, user('u', 'auth@x.co')), fact('polar', 2, person('p', 'pay@x.co', { userId: 'u' })), fact('clerk', 3, gone('u'))], expect: [{ email: 'pay@x.co', userId: null, subscribed: true }] },
  { rule: 'a copy never beats the person object, even when newer', told: [fact('stripe', 1, person('c', 'real@x.co', { firstName: 'Real' })), fact('stripe', 9, { ...person('c', 'copy@x.co', { firstName: 'Copy' }), authority: 'copy' })], expect: [{ email: 'real@x.co', firstName: 'Real' }] },
  { rule: 'of copies the newest counts', told: [fact('stripe', 1, { ...person('c', 'one@x.co'), authority: 'copy' }), fact('stripe', 2, { ...person('c', 'two@x.co'), authority: 'copy' })], expect: [{ email: 'two@x.co' }] },
  { rule: 'a former address of a payer ties nobody', told: [fact('stripe', 1, person('c1', 'former@x.co')), fact('stripe', 2, person('c1', 'now@x.co', { rank: 1 })), fact('polar', 3, person('p1', 'former@x.co'))], expect: [{ email: 'former@x.co' }, { email: 'now@x.co' }] },
  { rule: 'the same user id joins what has no address in common', told: [fact('clerk', 1, user('u', 'a@x.co')), fact('polar', 2, person('p', 'b@x.co', { userId: 'u' }))], expect: [{ email: 'a@x.co', userId: 'u' }] },
  { rule: "Polar's external id is the user id where no auth user is known", told: [fact('polar', 1, person('p', 'b@x.co', { userId: 'app_7' })), fact('stripe', 2, person('c', 'b@x.co'))], expect: [{ userId: 'app_7' }] },
  { rule: 'the earliest auth id is the user id', told: [fact('supabase', 5, user('s', 'a@x.co')), fact('clerk', 2, user('k', 'a@x.co')), fact('polar', 1, person('p', 'a@x.co', { userId: 'zz' }))], expect: [{ userId: 'k' }] },
  { rule: 'users of two auth providers with one address are one contact', told: [fact('supabase', 5, user('s', 'a@x.co')), fact('clerk', 2, user('k', 'a@x.co'))], expect: [{ email: 'a@x.co', source: 'clerk webhook' }] },
  { rule: 'an address of two users of one auth provider belongs to the one that claims it now', told: [fact('supabase', 1, user('s1', 'a@x.co')), fact('supabase', 5, user('s2', 'a@x.co'))], expect: [{ email: 'a@x.co', userId: 's2' }] },
  { rule: 'names by field: class, then authority, then time', told: [fact('stripe', 9, person('c', 'a@x.co', { firstName: 'Pay', lastName: 'Pay' })), fact('clerk', 1, user('u', 'a@x.co', { firstName: 'Auth' })), fact('stripe', 10, { authority: 'copy', email: 'a@x.co', firstName: 'Guest', lastName: 'Guest' })], expect: [{ firstName: 'Auth', lastName: 'Pay' }] },
  { rule: 'a name that is synced from one type and not from the other', told: [fact('stripe', 1, person('c', 'a@x.co', { firstName: 'Kept' })), fact('stripe', 2, person('c', 'a@x.co', { firstName: 'Not' }), { settings: { syncNames: false } })], expect: [{ firstName: 'Kept' }] },
  { rule: 'a property keeps its newest value, whoever gave it', told: [fact('clerk', 1, user('u', 'a@x.co'), { properties: { plan: 'old', seats: 1 } }), fact('stripe', 2, person('c', 'a@x.co'), { properties: { plan: 'new' } })], expect: [{ properties: { plan: 'new', seats: 1 } }] },
  { rule: 'source is of the earliest fact with an address, the group of the earliest that has one', told: [fact('supabase', 1, user('s', null), { settings: { userGroup: 'Anonymous' } }), fact('stripe', 2, person('c', 'a@x.co'), { settings: { userGroup: 'Payers' } }), fact('supabase', 3, user('s', 'a@x.co'), { settings: { userGroup: 'Users' } })], expect: [{ source: 'stripe webhook', userGroup: 'Anonymous' }] },
  { rule: 'a fact without a group says nothing of it', told: [fact('stripe', 1, person('c', 'a@x.co')), fact('clerk', 2, user('u', 'a@x.co'), { settings: { userGroup: 'Users' } })], expect: [{ source: 'stripe webhook', userGroup: 'Users' }] },
  { rule: 'the last of two deletions decides: delete', told: [fact('stripe', 1, person('c', 'a@x.co')), fact('clerk', 2, user('u', 'a@x.co')), fact('clerk', 3, gone('u'), { settings: { onDelete: 'unsubscribe' } }), fact('stripe', 4, gone('c'), { settings: { onDelete: 'delete' } })], expect: [] },
  { rule: 'the last of two deletions decides: unsubscribe', told: [fact('stripe', 1, person('c', 'a@x.co')), fact('clerk', 2, user('u', 'a@x.co')), fact('stripe', 3, gone('c'), { settings: { onDelete: 'unsubscribe' } }), fact('clerk', 4, gone('u'), { settings: { onDelete: 'unsubscribe' } })], expect: [{ email: 'a@x.co', subscribed: false }] },
  { rule: 'ignore does nothing, even beside another deletion', told: [fact('stripe', 1, person('c', 'a@x.co')), fact('clerk', 2, user('u', 'a@x.co')), fact('clerk', 3, gone('u'), { settings: { onDelete: 'ignore' } }), fact('stripe', 4, gone('c'))], expect: [{ subscribed: true }] },
  { rule: 'after a removal a new identity makes a new contact with nothing of the old', told: [fact('stripe', 1, person('c1', 'a@x.co', { firstName: 'Old' }), { properties: { plan: 'old' } }), fact('stripe', 2, gone('c1'), { settings: { onDelete: 'delete' } }), fact('stripe', 3, person('c2', 'a@x.co', { lastName: 'New' }))], expect: [{ email: 'a@x.co', firstName: null, lastName: 'New', subscribed: true, properties: {} }] },
  { rule: 'a dead identity comes back for nothing', told: [fact('stripe', 1, person('c', 'a@x.co')), fact('stripe', 2, gone('c'), { settings: { onDelete: 'delete' } }), fact('stripe', 3, person('c', 'b@x.co', { rank: 1 })), fact('stripe', 4, { ...person('c', 'c@x.co'), authority: 'copy' })], expect: [] },
  { rule: 'lists are a union over identities', told: [fact('stripe', 1, person('c', 'a@x.co'), { settings: { mailingLists: ['l1'] } }), fact('clerk', 2, user('u', 'a@x.co'), { settings: { mailingLists: ['l2'] } })], expect: [{ lists: ['l1', 'l2'] }] },
  { rule: 'a list named after the deletion is not joined', told: [fact('stripe', 1, person('c', 'a@x.co'), { settings: { mailingLists: ['l1'] } }), fact('stripe', 2, gone('c')), fact('stripe', 3, { authority: 'copy', email: 'a@x.co' }, { settings: { mailingLists: ['l2'] } })], expect: [{ lists: ['l1'], subscribed: false }] },
]; // biome-ignore format: a table

eachBackend('contact rules in every order of arrival, duplicates included', open => {
  describe.each(rules.map(each => [each.rule, each] as const))('%s', (_, { told, expect: wanted }) => {
    const all = [...orders(told)];
    test(`${all.length} orders`, async () => {
      const store = await open();
      for (const order of all) {
        await store.write(async tx => {
          for (const table of [
            memberships,
            ties,
            identities,
            contacts,
            parkedContacts,
            mergedContacts,
            consents,
            events,
            properties,
            lists,
          ])
            await tx.delete(table);
          for (const id of ['l1', 'l2'])
            await tx.insert(lists).values({ id, name: id, description: null, isPublic: false, createdAt: 0 });
        });
        for (const each of [...order, order[0] as Told]) await tell(store, each);
        const got = await audience(store);
        expect({ order: order.map(each => each.id), got }).toMatchObject({ got: wanted });
        expect(got).toHaveLength(wanted.length);
      }
      expect(await findDifferences(store, NOW)).toEqual([]);
    });
  });
});
