import { afterEach, beforeEach, expect, test } from 'bun:test';
import { clerk } from '../../src/providers/clerk.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

// The examples of docs/contacts.md, explained.

let app: TestApp;
let stripe: string;
let users: string;
const begin = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
beforeEach(async () => {
  app = await TestApp.open();
  stripe = await app.endpoint('stripe', { name: 'Shop' });
  users = await app.endpoint('clerk', { events: { 'user.deleted': { onDelete: 'delete' } } });
});
afterEach(() => app.stop());

/** Minutes after the beginning. Gives the delivery's id. */
async function pays(id: string, email: string, minute: number, type = 'customer.created', more = {}): Promise<string> {
  const event = stripeEvent(type, { id, email, ...more }, { created: (begin + minute * 60_000) / 1000 });
  const { deliveryId } = (await app.post(stripe, 'stripe', event)).body;
  await app.drain();
  return deliveryId;
}
async function signsUp(id: string, email: string, minute: number, isProven = true, type = 'user.created') {
  const at = begin + minute * 60_000;
  const body = clerk.sample(type, email, at) as {
    timestamp: number;
    data: Record<string, unknown> & { email_addresses: { verification: unknown }[] };
  };
  Object.assign(body.data, { id, first_name: `User ${id}`, updated_at: at, created_at: at });
  for (const each of body.data.email_addresses) each.verification = { status: isProven ? 'verified' : 'unverified' };
  const { deliveryId } = (await app.post(users, 'clerk', body)).body;
  await app.drain();
  return deliveryId as string;
}
const find = async (email: string) => (await app.api('GET', `/contacts/find?email=${email}`)).body[0];
const explain = async (of: string, id: string) => {
  const { status, body } = await app.api('GET', `/${of}/${id}/explain`);
  expect(status).toBe(200);
  return body;
};
interface Field {
  field: string;
  [more: string]: unknown;
}
const fieldOf = (explained: { fields: Field[] }, name: string) => explained.fields.find(each => each.field === name);

test("a payer's delivery: verified with which secret, what it says, and that a proven user's name goes first", async () => {
  const paid = await pays('cus_1', 'ada@x.co', 0);
  const signed = await signsUp('user_a', 'ada@x.co', 5);
  const { id: contactId } = await find('ada@x.co');
  const told = await explain('deliveries', paid);
  expect(told).toMatchObject({
    ...{ id: paid, type: 'customer.created', status: 'processed' },
    received: { endpointId: stripe, endpointName: 'Shop', provider: 'stripe' },
    verified: { verified: true, secretId: expect.stringMatching(/^sec_/), sentence: expect.stringContaining('whsec_') },
    fact: {
      ...{ identityId: 'stripe:cus_1', personId: 'cus_1', kind: 'payer', state: 'live' },
      ...{ at: new Date(begin).toISOString(), rank: 0, rankName: 'created', authority: 'person' },
      says: { email: 'ada@x.co', proven: false, firstName: 'Ada', lastName: 'Lovelace' },
    },
    contact: { contactId, state: 'shown', email: 'ada@x.co' },
  });
  expect(fieldOf(told.contact, 'firstName')).toMatchObject({
    ...{ value: 'User user_a', rule: 'classOrder', sentence: expect.stringContaining('proven users go before payers') },
    won: { identityId: 'clerk:user_a', deliveryId: signed, type: 'user.created', own: false, rule: null },
    lost: [{ value: 'Ada', identityId: 'stripe:cus_1', deliveryId: paid, own: true, rule: 'classOrder' }],
  });
  expect(fieldOf(told.contact, 'source')).toMatchObject({ value: 'Stripe webhook', rule: 'earliestSource' });
  expect(fieldOf(told.contact, 'userId')).toMatchObject({ value: 'user_a', won: { deliveryId: signed } });
  expect(told.effects.map((each: { kind: string }) => each.kind)).toContain('contact.created');
  expect(told.events).toEqual([]);
});

test('the API set it later, a list was left, an opt-out counts: the contact says so', async () => {
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  await app.api('PATCH', `/endpoints/${stripe}`, {
    events: { 'customer.created': { mailingLists: [list], contactProperties: { plan: 'data.object.metadata.plan' } } },
  });
  const paid = await pays('cus_1', 'ada@x.co', 0, 'customer.created', { metadata: { plan: 'pro' } });
  const write = {
    email: 'ada@x.co',
    firstName: 'Countess',
    plan: 'gold',
    mailingLists: { [list]: false },
    subscribed: false,
  };
  expect((await app.api('PUT', '/contacts/update', write)).status).toBe(200);
  const told = await explain('contacts', (await find('ada@x.co')).id);
  expect(told).toMatchObject({ state: 'shown', mergedFrom: null, email: 'ada@x.co', sharedAddress: false });
  expect(fieldOf(told, 'firstName')).toMatchObject({
    value: 'Countess',
    won: { via: 'api', kind: 'api', deliveryId: null },
  });
  expect(fieldOf(told, 'properties.plan')).toMatchObject({
    ...{ value: 'gold', rule: 'apiLater', sentence: 'The API set it later.' },
    lost: [{ value: 'pro', deliveryId: paid, rule: 'apiLater' }],
  });
  expect(fieldOf(told, `lists.${list}`)).toMatchObject({
    ...{ value: false, rule: 'listApi' },
    lost: [{ value: true, deliveryId: paid, rule: 'listLeft' }],
  });
  expect(told.consent).toMatchObject({ subscribed: false, rule: 'addressOut' });
  expect(told.consent.history).toContainEqual(
    expect.objectContaining({ email: 'ada@x.co', subscribed: false, reason: 'api' }),
  );
  expect(told.identities).toMatchObject([
    { identityId: 'stripe:cus_1', state: 'live', saidOfMail: { subscribed: false, reason: 'api' } },
  ]);
});

test('who is withheld, who is unproven, who is gone', async () => {
  await pays('cus_1', 'victim@x.co', 0);
  const typed = await signsUp('user_m', 'victim@x.co', 5, false);
  const told = await explain('deliveries', typed);
  expect(told.fact).toMatchObject({ identityId: 'clerk:user_m', personId: 'user_m', state: 'withheld' });
  expect(told.contact).toMatchObject({ state: 'unknown', contactId: null });
  expect(fieldOf(told.contact, 'email')).toMatchObject({
    value: null,
    lost: [{ value: 'victim@x.co', rule: 'withheld', own: true }],
  });
  await signsUp('user_n', 'new@x.co', 6, false);
  expect((await explain('contacts', (await find('new@x.co')).id)).identities).toMatchObject([
    { state: 'unproven', proven: false },
  ]);
  await pays('cus_9', 'two@x.co', 0);
  await signsUp('user_b', 'two@x.co', 7);
  await app.post(stripe, 'stripe', stripeEvent('customer.deleted', { id: 'cus_9', email: 'two@x.co' }));
  const { identities } = await explain('contacts', (await find('two@x.co')).id);
  expect(identities.map((each: { state: string }) => each.state).sort()).toEqual(['gone', 'live']);
});

test('parked, removed, merged: each by the id it had', async () => {
  await signsUp('user_a', 'desk@x.co', 0);
  const parked = (await find('desk@x.co')).id;
  await signsUp('user_b', 'desk@x.co', 5);
  const told = await explain('contacts', parked);
  expect(told).toMatchObject({ contactId: parked, state: 'parked', identities: [{ identityId: 'clerk:user_a' }] });
  expect(fieldOf(told, 'email')).toMatchObject({ rule: 'parked', lost: [{ value: 'desk@x.co', rule: 'taken' }] });

  const removed = (await find('desk@x.co')).id;
  await app.post(users, 'clerk', { type: 'user.deleted', data: { id: 'user_b', deleted: true }, object: 'event' });
  await app.drain();
  const gone = await explain('contacts', removed);
  expect(gone).toMatchObject({ contactId: removed, state: 'removed', email: null, identities: [{ state: 'gone' }] });
  expect(fieldOf(gone, 'email')).toMatchObject({ value: null, rule: 'removed', lost: [{ rule: 'forgotten' }] });

  await pays('cus_1', 'one@x.co', 10);
  await signsUp('user_c', 'three@x.co', 11);
  const [older, newer] = [(await find('one@x.co')).id, (await find('three@x.co')).id];
  await signsUp('user_c', 'one@x.co', 12, true, 'user.updated');
  const survivor = (await find('one@x.co')).id;
  const other = survivor === older ? newer : older;
  expect(await explain('contacts', other)).toMatchObject({ contactId: survivor, mergedFrom: other, state: 'shown' });
  expect((await app.api('GET', '/contacts/con_none/explain')).status).toBe(404);
  expect((await app.api('GET', '/deliveries/dlv_none/explain')).status).toBe(404);
});

test('a till: the fifty-first person counts as the address alone', async () => {
  for (let n = 0; n < 51; n++) await pays(`cus_${n}`, 'shop@x.co', n / 10);
  const { id } = await app.latest();
  const told = await explain('deliveries', id);
  expect(told.fact).toMatchObject({ personId: 'cus_50', identityId: 'stripe:cus_50', state: 'untied' });
  expect(await explain('contacts', (await find('shop@x.co')).id)).toMatchObject({ sharedAddress: true });
}, 30_000);

test('rejected, ignored and pruned ones are explained as far as is known; a reader may ask, and sees no payload', async () => {
  const event = stripeEvent('customer.created', { id: 'cus_1', email: 'ada@x.co', description: 'SECRET-PAYLOAD' });
  await app.post(stripe, 'stripe', event, { secret: 'whsec_another0123456789abcdef01234' });
  const rejected = await explain('deliveries', (await app.latest()).id);
  expect(rejected).toMatchObject({ verified: { verified: false, secretId: null }, fact: null, contact: null });
  await app.post(stripe, 'stripe', stripeEvent('product.created', {}));
  expect(await explain('deliveries', (await app.latest()).id)).toMatchObject({
    status: 'ignored',
    fact: null,
    contact: null,
  });
  const { deliveryId } = (await app.post(stripe, 'stripe', event)).body;
  const { key } = (await app.api('POST', '/keys', { name: 'reader', scope: 'read' })).body;
  const read = await app.api('GET', `/deliveries/${deliveryId}/explain`, undefined, key);
  expect(read.body).toMatchObject({ fact: { says: { email: 'ada@x.co' } }, contact: { state: 'shown' } });
  expect(JSON.stringify(read.body)).not.toContain('SECRET-PAYLOAD');
});
