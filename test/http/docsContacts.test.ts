import { afterEach, beforeEach, expect, test } from 'bun:test';
import { clerk } from '../../src/providers/clerk.ts';
import { supabase } from '../../src/providers/supabase.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

// What docs/contacts.md says under "How contacts come about", example by example.

let app: TestApp;
let stripe: string;
let users: string;
const begin = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
beforeEach(async () => {
  app = await TestApp.open();
  stripe = await app.endpoint('stripe');
  users = await app.endpoint('clerk', { events: { 'user.deleted': { onDelete: 'delete' } } });
});
afterEach(() => app.stop());

const effectsOfLast = async () => (await app.latest()).effects.map((each: { kind: string }) => each.kind);
/** Minutes after the beginning. */
async function pays(id: string, email: string, minute: number, type = 'customer.created') {
  await app.post(stripe, 'stripe', stripeEvent(type, { id, email }, { created: (begin + minute * 60_000) / 1000 }));
  await app.drain();
}
async function signsUp(id: string, email: string, minute: number, isProven = true, type = 'user.created') {
  const at = begin + minute * 60_000;
  const body = clerk.sample(type, email, at) as {
    timestamp: number;
    data: Record<string, unknown> & { email_addresses: { verification: unknown }[] };
  };
  Object.assign(body.data, { id, first_name: `User ${id}`, updated_at: at, created_at: at });
  for (const each of body.data.email_addresses) each.verification = { status: isProven ? 'verified' : 'unverified' };
  await app.post(users, 'clerk', body);
  await app.drain();
}
const find = async (email: string) => (await app.api('GET', `/contacts/find?email=${email}`)).body[0];
const contact = async (email: string) => (await app.api('GET', `/contacts/${(await find(email)).id}`)).body;

test('two sign-ins: a Clerk and a Supabase user who proved one address are one contact', async () => {
  await signsUp('user_a', 'ada@x.co', 0);
  const rows = await app.endpoint('supabase');
  await app.post(rows, 'supabase', supabase.sample('INSERT', 'ada@x.co', Date.now()));
  await app.drain();
  expect((await app.contacts()).length).toBe(1);
  expect(await contact('ada@x.co')).toMatchObject({
    userId: 'user_a',
    identities: [{ provider: 'clerk' }, { provider: 'supabase' }],
  });
});

test('payer and user: one contact, which follows the user to another address', async () => {
  await pays('cus_1', 'ada@x.co', 0);
  await signsUp('user_a', 'ada@x.co', 5);
  expect(await contact('ada@x.co')).toMatchObject({ firstName: 'User user_a', identities: [{}, {}] });
  await signsUp('user_a', 'ada@new.co', 10, true, 'user.updated');
  expect((await app.contacts()).map(each => each.email)).toEqual(['ada@new.co']);
  expect((await find('ada@x.co')).email).toBe('ada@new.co');
});

test("an unconfirmed sign-up takes nothing of a payer's contact until the moment of proof", async () => {
  await pays('cus_1', 'victim@x.co', 0);
  await signsUp('user_m', 'victim@x.co', 5, false);
  expect(await effectsOfLast()).toContain('link.withheld');
  expect(await contact('victim@x.co')).toMatchObject({ firstName: 'Ada', userId: null, identities: [{}] });
  await signsUp('user_m', 'victim@x.co', 10, true, 'user.updated');
  expect(await contact('victim@x.co')).toMatchObject({ firstName: 'User user_m', userId: 'user_m' });
});

test('an opt-out outlives the account', async () => {
  await signsUp('user_a', 'ada@x.co', 0);
  await app.api('PUT', '/contacts/update', { email: 'ada@x.co', subscribed: false });
  await app.post(users, 'clerk', { type: 'user.deleted', data: { id: 'user_a', deleted: true }, object: 'event' });
  await app.drain();
  expect(await app.contacts()).toEqual([]);
  await signsUp('user_b', 'ada@x.co', 20);
  expect(await find('ada@x.co')).toMatchObject({ userId: 'user_b', subscribed: false });
  await app.api('PUT', '/contacts/update', { email: 'ada@x.co', subscribed: true });
  expect(await find('ada@x.co')).toMatchObject({ subscribed: true });
});

test('a contact that is made anew stays opted out, unless the call says otherwise', async () => {
  await app.api('POST', '/contacts/create', { email: 'ada@x.co', subscribed: false });
  for (const [more, subscribed] of [
    [{}, false],
    [{ subscribed: true }, true],
  ] as const) {
    await app.api('POST', '/contacts/delete', { email: 'ada@x.co' });
    await app.api('POST', '/contacts/create', { email: 'ada@x.co', ...more });
    expect(await find('ada@x.co')).toMatchObject({ subscribed });
  }
});

test('who loses an address to another user is parked, and the same contact again with the next one', async () => {
  await signsUp('user_a', 'desk@x.co', 0);
  const { id } = await find('desk@x.co');
  await signsUp('user_b', 'desk@x.co', 5);
  expect(await app.contacts()).toMatchObject([{ userId: 'user_b' }]);
  expect((await find('desk@x.co')).id).not.toBe(id);
  await signsUp('user_a', 'ada@x.co', 10, true, 'user.updated');
  expect(await effectsOfLast()).toContain('contact.unparked');
  expect((await find('ada@x.co')).id).toBe(id);
});

test('a payer who moves on is split off', async () => {
  await pays('cus_1', 'team@x.co', 0);
  await pays('cus_2', 'team@x.co', 5);
  expect((await app.contacts()).length).toBe(1);
  await pays('cus_2', 'bob@x.co', 10, 'customer.updated');
  expect(await effectsOfLast()).toContain('contact.split');
  expect((await app.contacts()).map(each => each.email).sort()).toEqual(['bob@x.co', 'team@x.co']);
});

test('of one address fifty persons of a provider are tied', async () => {
  for (let n = 0; n < 51; n++) await pays(`cus_${n}`, 'shop@x.co', n / 10);
  expect(await effectsOfLast()).toContain('person.untied');
  expect(await contact('shop@x.co')).toMatchObject({ sharedAddress: true });
});
