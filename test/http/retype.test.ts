import { afterEach, beforeEach, expect, test } from 'bun:test';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
let id: string;
beforeEach(async () => {
  app = await TestApp.open();
  app.time = Date.now();
  const contactProperties = { seats: 'data.object.metadata.seats' };
  id = await app.endpoint('stripe', {
    events: { 'customer.created': { contactProperties }, 'customer.updated': { contactProperties } },
  });
});
afterEach(() => app.stop());

const first = Math.floor(Date.now() / 1000);
async function tell(type: string, customer: string, seats: unknown, seconds: number) {
  const object = { id: customer, email: `${customer}@x.co`, metadata: { seats } };
  await app.post(id, 'stripe', stripeEvent(type, object, { created: first + seconds }));
  await app.drain();
}
const seatsOf = async (customer: string) =>
  (await app.api('GET', `/contacts/find?email=${customer}@x.co`)).body[0].seats;
const retype = (key: string, type: string) => app.api('PATCH', `/contacts/properties/${key}`, { type });
const settle = async () => {
  app.time = (app.time ?? 0) + 2000;
  await app.drain();
};

test('a property with another type shows the newest of the values, kept as they came, that fits it', async () => {
  await tell('customer.created', 'cus_a', '5', 0);
  await tell('customer.updated', 'cus_a', 7, 1);
  await tell('customer.created', 'cus_b', '5', 0);
  await tell('customer.updated', 'cus_b', 'many', 1);
  await tell('customer.created', 'cus_c', 'none', 0);
  expect(await Promise.all(['cus_a', 'cus_b', 'cus_c'].map(seatsOf))).toEqual(['7', 'many', 'none']);
  const subscription = { url: 'https://example.com/', events: ['contact.property.changed'] };
  await app.api('POST', '/webhook-subscriptions', subscription);
  expect(await retype('seats', 'number')).toMatchObject({ status: 200, body: { success: true } });
  await settle();
  expect(await Promise.all(['cus_a', 'cus_b', 'cus_c'].map(seatsOf))).toEqual([7, 5, undefined]);
  expect((await app.api('GET', '/contacts/properties?list=custom')).body).toMatchObject([
    { key: 'seats', type: 'number' },
  ]);
  await retype('seats', 'string');
  await settle();
  expect(await Promise.all(['cus_a', 'cus_b', 'cus_c'].map(seatsOf))).toEqual(['7', 'many', 'none']);
});

test('goes through everybody in steps, and touches nobody else', async () => {
  const made = 450;
  const create = (n: number) =>
    app.api('POST', '/contacts/create', { email: `p${n}@x.co`, ...(n % 2 && { level: `${n}` }) });
  await Promise.all(Array.from({ length: made }, (_, n) => create(n)));
  await retype('level', 'number');
  await settle();
  for (const n of [1, 201, made - 1])
    expect((await app.api('GET', `/contacts/find?email=p${n}@x.co`)).body).toMatchObject([{ level: n }]);
  expect((await app.api('GET', '/contacts/find?email=p2@x.co')).body[0].level).toBeUndefined();
});

test('is a 404 for one that is not there, a 400 for what every contact has and for no type', async () => {
  await tell('customer.created', 'cus_a', '5', 0);
  expect((await retype('nope', 'number')).status).toBe(404);
  for (const key of ['email', 'subscribed', 'mailingLists'])
    expect(await retype(key, 'string')).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining(`${key}: every contact has it`) },
    });
  expect((await retype('seats', 'colour')).body.message).toStartWith('type: ');
  expect((await app.api('PATCH', '/contacts/properties/seats', {})).status).toBe(400);
  expect(await seatsOf('cus_a')).toBe('5');
});
