import { afterEach, beforeEach, expect, test } from 'bun:test';
import { TestApp } from '../support/app.ts';

// What the providers really send, on the whole way through: each test is one of their oddities.
let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

type Json = Record<string, unknown>;
const eventNames = async () =>
  (await app.api('GET', '/events')).body.data.map((each: { eventName: string }) => each.eventName).sort();
const iso = (ago: number) => new Date(Date.now() - ago).toISOString();
const DAY = 86_400_000;

/** Confirmed by a mail: proven. */
const SIGNED_UP = {
  created_at: iso(61 * DAY),
  confirmation_sent_at: iso(61 * DAY),
  email_confirmed_at: iso(60 * DAY),
};
const row = (more: Json = {}) => ({
  id: '6f1c2a7e-0000-4000-8000-000000000001', email: 'ada@x.co', ...SIGNED_UP, raw_user_meta_data: { first_name: 'Ada' },
  deleted_at: null, updated_at: iso(5000), ...more,
}); // biome-ignore format: one glance
const hook = (type: string, record: unknown, old_record: unknown = null) => ({ type, schema: 'auth', table: 'users', record, old_record }); // biome-ignore format: one glance

test('Supabase: deleting somebody who was idle for a month still fires what a deletion triggers', async () => {
  const id = await app.endpoint('supabase', { events: { DELETE: { triggerEvent: 'gone' } } });
  const idle = row({ updated_at: iso(30 * DAY) });
  await app.post(id, 'supabase', hook('INSERT', idle));
  await app.post(id, 'supabase', hook('DELETE', null, idle));
  await app.drain();
  expect(await eventNames()).toEqual(['gone']);
  const { occurredAt, receivedAt } = await app.latest();
  expect(occurredAt).toBe(receivedAt); // a DELETE does not say when
  expect(await app.contacts()).toMatchObject([{ subscribed: false }]);
});

test('Supabase: a late UPDATE or INSERT after the DELETE resurrects nobody', async () => {
  const id = await app.endpoint('supabase', { events: { DELETE: { onDelete: 'delete' } } });
  await app.post(id, 'supabase', hook('DELETE', null, row()));
  await app.post(id, 'supabase', hook('UPDATE', row(), row({ updated_at: iso(9000) })));
  await app.post(id, 'supabase', hook('INSERT', row({ updated_at: iso(9000) })));
  await app.drain();
  expect(await app.contacts()).toEqual([]);
});

test('Supabase: two hooks on one table, with a type switched off between, are no second sign-up', async () => {
  const id = await app.endpoint('supabase', { events: { INSERT: { triggerEvent: 'signup' }, UPDATE: { enabled: false } } });
  const insert = hook('INSERT', row({ updated_at: iso(9000) }));
  const update = hook('UPDATE', row(), row({ updated_at: iso(9000) }));
  const results = [];
  for (const body of [insert, update, insert, update]) results.push((await app.post(id, 'supabase', body)).body.result);
  await app.drain();
  expect(results).toEqual(['accepted', 'ignored', 'duplicate', 'ignored']);
  expect(await eventNames()).toEqual(['signup']);
}); // biome-ignore format: one glance

test('Supabase: the keys of a row may come in any order, it is the same fact', async () => {
  const id = await app.endpoint('supabase');
  const body = row();
  const turned = Object.fromEntries(Object.entries(body).reverse());
  expect((await app.post(id, 'supabase', hook('INSERT', body))).body.result).toBe('accepted');
  expect((await app.post(id, 'supabase', hook('INSERT', turned))).body.result).toBe('duplicate');
});

test('Supabase: an anonymous user becomes a contact with the UPDATE that brings an address, which is no silent one', async () => {
  const id = await app.endpoint('supabase', {
    events: { INSERT: { triggerEvent: 'signup' }, UPDATE: { triggerEvent: 'changed' } },
  });
  const anonymous = row({ email: null, is_anonymous: true, updated_at: iso(9000) });
  await app.post(id, 'supabase', hook('INSERT', anonymous));
  await app.drain();
  expect(await app.contacts()).toEqual([]);
  await app.post(id, 'supabase', hook('UPDATE', row({ is_anonymous: false }), anonymous));
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ email: 'ada@x.co', firstName: 'Ada' }]);
  expect(await eventNames()).toEqual(['changed', 'signup']);
});

test('Supabase: a sign-up and its hourly token refreshes, in any order, are one contact and one event', async () => {
  const id = await app.endpoint('supabase', { events: { INSERT: { triggerEvent: 'signup' }, UPDATE: { triggerEvent: 'changed' } } });
  const states = [9000, 8000, 7000, 6000].map(ago => row({ updated_at: iso(ago), last_sign_in_at: iso(ago) }));
  const [first, ...later] = states;
  const bodies = [hook('INSERT', first), ...later.map((state, i) => hook('UPDATE', state, states[i]))];
  await Promise.all(bodies.toReversed().map(body => app.post(id, 'supabase', body)));
  await app.drain();
  expect(await app.contacts()).toHaveLength(1);
  expect(await eventNames()).toEqual(['signup']);
}); // biome-ignore format: one glance

const buyer = { id: 'pc_1', type: 'individual', email: 'Buyer@x.co', name: 'Bo Yer', external_id: null };
const polar = (type: string, data: Json, ago = 1000) => ({ type, timestamp: iso(ago), data });
const bought = (type: string, ago = 1000) =>
  polar(type, { id: `o_${type}`, customer_id: 'pc_1', customer: buyer }, ago);

test('Polar: the four events of one purchase at once are one contact, and each fires once', async () => {
  const types = ['customer.created', 'order.paid', 'subscription.created', 'subscription.active'];
  const id = await app.endpoint('polar', {
    events: Object.fromEntries(types.map(type => [type, { triggerEvent: type.replace('.', '_') }])),
  });
  const bodies = types.map(type => (type === 'customer.created' ? polar(type, buyer) : bought(type)));
  await Promise.all([...bodies, ...bodies].map(body => app.post(id, 'polar', body)));
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ email: 'buyer@x.co', firstName: 'Bo', source: 'Polar webhook' }]);
  expect(new Set(await eventNames())).toEqual(new Set(types.map(type => type.replace('.', '_'))));
});

test('Polar: what follows a deletion resurrects nobody, and an anonymised address makes nobody', async () => {
  const id = await app.endpoint('polar', { events: { 'customer.deleted': { onDelete: 'delete' } } });
  await app.post(id, 'polar', polar('customer.created', buyer, 9000));
  const gone = { ...buyer, email: `${'0'.repeat(64)}@anonymized.polar.sh`, name: 'f00d' };
  await app.post(id, 'polar', polar('customer.deleted', gone, 5000));
  await app.post(id, 'polar', bought('subscription.canceled', 4000));
  await app.post(id, 'polar', bought('subscription.revoked', 3000));
  await app.drain();
  expect(await app.contacts()).toEqual([]);
  await app.post(id, 'polar', polar('customer.created', { ...gone, id: 'pc_2' }));
  await app.drain();
  expect(await app.contacts()).toEqual([]);
});

test('Polar: a deletion goes by the customer, not by the address', async () => {
  const id = await app.endpoint('polar');
  await app.post(id, 'polar', polar('customer.created', buyer, 9000));
  await app.post(id, 'polar', polar('customer.deleted', { ...buyer, id: 'pc_old' }, 5000));
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ email: 'buyer@x.co', subscribed: true }]);
});

const user = (type: string, more: Json, ago = 1000) => ({
  type, object: 'event', timestamp: Date.now() - ago, data: { id: 'user_1', updated_at: Date.now() - ago, primary_email_address_id: 'i',
    email_addresses: [{ id: 'i', email_address: 'wait@x.co', verification: { status: 'verified' } }], first_name: 'Wai', ...more },
}); // biome-ignore format: one glance

test('Clerk: who was on the waitlist becomes the user, who keeps group and source', async () => {
  const id = await app.endpoint('clerk', {
    events: { 'waitlistEntry.created': { userGroup: 'Waitlist' }, 'user.created': { userGroup: 'Users' } },
  });
  const entry = { type: 'waitlistEntry.created', timestamp: Date.now() - 9000, data: { id: 'wle_1', email_address: 'Wait@x.co', status: 'pending', updated_at: Date.now() - 9000 } }; // biome-ignore format: one glance
  await app.post(id, 'clerk', entry);
  await app.post(id, 'clerk', user('user.created', {}));
  await app.drain();
  expect(await app.contacts()).toMatchObject([
    { email: 'wait@x.co', userId: 'user_1', firstName: 'Wai', userGroup: 'Waitlist', source: 'Clerk webhook' },
  ]);
});

test('Clerk: user.updated before user.created, and both again: one contact with the newest state', async () => {
  const id = await app.endpoint('clerk');
  const created = user('user.created', { first_name: 'Old' }, 5000);
  const updated = user('user.updated', { first_name: 'New' }, 1000);
  for (const body of [updated, created, updated, created]) await app.post(id, 'clerk', body);
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ firstName: 'New' }]);
});

test('Clerk: a deletion that comes first holds, private metadata is not kept, a bad name never blanks', async () => {
  const id = await app.endpoint('clerk', { events: { 'user.deleted': { onDelete: 'delete' } } });
  await app.post(id, 'clerk', { type: 'user.deleted', timestamp: Date.now(), data: { id: 'user_1', deleted: true } });
  const { deliveryId } = (await app.post(id, 'clerk', user('user.created', { private_metadata: { plan: 'hidden-plan' } }))).body; // biome-ignore format: one glance
  await app.drain();
  expect(await app.contacts()).toEqual([]);
  expect(JSON.stringify((await app.api('GET', `/deliveries/${deliveryId}`)).body)).not.toContain('hidden-plan');
});

const stripe = (type: string, object: Json, created: number, more: Json = {}) => ({
  id: `evt_${Bun.hash(type + JSON.stringify(object) + created)}`, object: 'event', type, created: Math.floor(created / 1000), livemode: true, data: { object }, ...more,
}); // biome-ignore format: one glance

test('Stripe: guests who pay again and again with one address are one contact, under many customers', async () => {
  const id = await app.endpoint('stripe');
  const now = Date.now();
  for (const n of [1, 2, 3])
    await app.post(id, 'stripe', stripe('customer.created', { id: `cus_${n}`, email: ' Same@X.co ' }, now - n * 1000));
  await app.post(id, 'stripe', stripe('customer.deleted', { id: 'cus_2', deleted: true }, now));
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ email: 'same@x.co', subscribed: true }]);
});

test('Stripe: the retry of an old invoice does not bring back the address of weeks ago', async () => {
  const id = await app.endpoint('stripe');
  const now = Date.now();
  const moved = stripe('customer.updated', { id: 'cus_1', email: 'new@x.co' }, now - 5000, {
    data: { object: { id: 'cus_1', email: 'new@x.co' }, previous_attributes: { email: 'old@x.co' } },
  });
  await app.post(id, 'stripe', moved);
  await app.post(id, 'stripe', stripe('invoice.paid', { customer: 'cus_1', customer_email: 'old@x.co' }, now));
  await app.drain();
  expect(await app.contacts()).toMatchObject([{ email: 'new@x.co' }]);
});

test('Stripe: the same ids of a connected account and of ours are two persons', async () => {
  const id = await app.endpoint('stripe', { settings: { connect: true } });
  const now = Date.now();
  await app.post(id, 'stripe', stripe('customer.created', { id: 'cus_1', email: 'ours@x.co' }, now));
  const theirs = stripe('customer.created', { id: 'cus_1', email: 'theirs@x.co' }, now, { account: 'acct_1' });
  await app.post(id, 'stripe', { ...theirs, id: 'evt_theirs' });
  await app.drain();
  expect((await app.contacts()).map(each => each.email).sort()).toEqual(['ours@x.co', 'theirs@x.co']);
});

test('Stripe: an endpoint may hold the secrets of two destinations, live and test', async () => {
  const id = await app.endpoint('stripe');
  const test_ = 'whsec_of_the_test_destination_0123456789';
  await app.api('POST', `/endpoints/${id}/secrets`, { secret: ` ${test_}\n` });
  const now = Date.now();
  const live = await app.post(id, 'stripe', stripe('customer.created', { id: 'cus_1', email: 'a@x.co' }, now));
  const tested = await app.post(id, 'stripe', stripe('customer.created', { id: 'cus_2', email: 'b@x.co' }, now), { secret: test_ }); // biome-ignore format: one glance
  expect([live.status, tested.status]).toEqual([200, 200]);
});

test('Clerk: an update is loud when a path changed that only the event maps, and silent again after', async () => {
  const id = await app.endpoint('clerk', {
    events: { 'user.updated': { triggerEvent: 'changed', eventProperties: { plan: 'data.public_metadata.plan' } } },
  });
  const plans = ['free', 'free', 'pro', 'pro'];
  for (const [i, plan] of plans.entries())
    await app.post(id, 'clerk', user(i ? 'user.updated' : 'user.created', { public_metadata: { plan } }, 9000 - i * 1000)); // biome-ignore format: one glance
  await app.drain();
  const events = (await app.api('GET', '/events')).body.data;
  expect(events).toMatchObject([{ eventName: 'changed', eventProperties: { plan: 'pro' } }]);
});

test('Clerk: names alone are no change where they are not synced', async () => {
  const id = await app.endpoint('clerk', { events: { 'user.updated': { triggerEvent: 'changed', syncNames: false } } });
  await app.post(id, 'clerk', user('user.created', { first_name: 'A' }, 9000));
  await app.post(id, 'clerk', user('user.updated', { first_name: 'B' }, 8000));
  await app.drain();
  expect(await eventNames()).toEqual([]);
});
