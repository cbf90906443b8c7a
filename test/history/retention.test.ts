import { afterEach, beforeEach, expect, test } from 'bun:test';
import { query } from '../../src/db/sets.ts';
import { retain } from '../../src/history/retention.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

const DAY = 86_400_000;
const START = Date.parse('2040-01-01T00:00:00Z'); // ids never step back while the process lives
let app: TestApp;
let stripe: string;
let start = START;
beforeEach(async () => {
  app = await TestApp.open();
  start += 2000 * DAY;
  app.time = start;
  stripe = await app.endpoint('stripe', {
    events: {
      'customer.subscription.created': { enabled: false },
      'customer.subscription.paused': { enabled: true },
      'invoice.paid': { enabled: true },
    },
  });
}, 60_000);
afterEach(() => app?.stop());

const send = async (type: string, object: Record<string, unknown>) => {
  const body = stripeEvent(type, object, { created: Math.floor(app.now() / 1000) });
  const answer = await app.post(stripe, 'stripe', body);
  return { body, id: answer.body.deliveryId as string };
};
const after = async (days: number) => {
  app.time = start + days * DAY;
  await retain(app.app.ctx);
};
const rows = (text: string) => app.app.ctx.store.read(tx => query(tx, text, []));
const payloadsOf = async () => (await rows('select delivery_id from payloads order by 1')).map(row => row[0] as string);
const statusOf = async (id: string) => (await app.api('GET', `/deliveries/${id}`)).body.status as string | undefined;

test('payloads go after INLET_RETENTION_DAYS, not before; log rows and dedupe keys after 400 days', async () => {
  const processed = await send('customer.created', { id: 'cus_1', email: 'a@x.co' });
  const ignored = await send('customer.subscription.created', { id: 'sub_1', customer: 'cus_1' });
  await after(29.9);
  expect(await payloadsOf()).toEqual([processed.id, ignored.id]);
  await after(30.1);
  expect(await payloadsOf()).toEqual([]);
  await after(399.9);
  expect(await statusOf(processed.id)).toBe('processed');
  const again = () => app.post(stripe, 'stripe', processed.body, { at: app.now() });
  expect((await again()).body.result).toBe('duplicate');
  await after(400.1);
  expect((await app.api('GET', `/deliveries/${processed.id}`)).status).toBe(404);
  expect((await app.api('GET', `/deliveries/${ignored.id}`)).status).toBe(404);
  expect((await again()).body.result).toBe('accepted');
});

test('who waits too long is buried, and can still be replayed for as long again', async () => {
  const waiting = await send('customer.subscription.paused', { id: 'sub_1', customer: 'cus_late', status: 'active' });
  expect(await statusOf(waiting.id)).toBe('waiting');
  await after(29.9);
  expect(await statusOf(waiting.id)).toBe('waiting');
  await after(30.1);
  expect(await statusOf(waiting.id)).toBe('dead');
  await after(50);
  expect(await payloadsOf()).toEqual([waiting.id]);
  const known = await send('customer.created', { id: 'cus_late', email: 'late@x.co' });
  expect((await app.api('POST', `/deliveries/${waiting.id}/replay`, {})).status).toBe(200);
  await app.drain();
  expect(await statusOf(waiting.id)).toBe('processed');
  const other = await send('customer.subscription.paused', { id: 'sub_2', customer: 'cus_never' });
  await after(50 + 30.1);
  expect(await statusOf(other.id)).toBe('dead');
  await after(50 + 60);
  expect(await payloadsOf()).toEqual([other.id]);
  await after(50 + 60.3);
  expect(await payloadsOf()).toEqual([]);
  expect(await statusOf(other.id)).toBe('dead');
  expect(await statusOf(known.id)).toBe('processed');
});

test('never the payload of one that is queued, waiting or failed', async () => {
  await app.api('PATCH', `/endpoints/${stripe}`, { paused: true });
  const queued = await send('customer.created', { id: 'cus_q', email: 'q@x.co' });
  const failed = await send('customer.created', { id: 'cus_f', email: 'f@x.co' });
  const { store } = app.app.ctx;
  await store.write(tx =>
    query(tx, `update deliveries set status = 'failed', due_at = 0 where id = ? returning id`, [failed.id]),
  );
  for (const days of [31, 401, 1000]) {
    await after(days);
    expect(await payloadsOf()).toEqual([queued.id, failed.id]);
    expect([await statusOf(queued.id), await statusOf(failed.id)]).toEqual(['queued', 'failed']);
  }
  await app.api('PATCH', `/endpoints/${stripe}`, { paused: false });
  await app.drain();
  expect((await app.contacts()).map(each => each.email).sort()).toEqual(['f@x.co', 'q@x.co']);
});

test('payments are forgotten after 400 days, changes by the API after INLET_RETENTION_DAYS', async () => {
  await send('customer.created', { id: 'cus_1', email: 'a@x.co' });
  await send('invoice.paid', { id: 'in_1', object: 'invoice', customer: 'cus_1', customer_email: 'a@x.co' });
  await app.api('POST', '/contacts/create', { email: 'b@x.co' });
  const count = async (table: string) => Number((await rows(`select count(*) from ${table}`))[0]?.[0]);
  expect(await count('payments')).toBeGreaterThan(0);
  expect(await count('contact_changes')).toBe(1);
  await after(29.9);
  expect(await count('contact_changes')).toBe(1);
  await after(30.1);
  expect(await count('contact_changes')).toBe(0);
  await after(399.9);
  expect(await count('payments')).toBeGreaterThan(0);
  await after(400.1);
  expect(await count('payments')).toBe(0);
});

test('the first start empties stored bodies of types that are not applied, once, and no others', async () => {
  const other = await send('customer.subscription.created', { id: 'sub_1', customer: 'cus_1' });
  const code = await send('payment_method.attached', { id: 'pm_1', note: '424242' });
  const { store } = app.app.ctx;
  const put = () =>
    store.write(async tx => {
      await query(tx, `update payloads set body = '{"otp":"424242"}' where delivery_id = ? returning 1`, [code.id]);
      await query(tx, `delete from meta where key = 'unappliedBodiesEmptied' returning key`, []);
    });
  await put();
  const { folder } = app;
  await app.stop(true);
  app = await TestApp.open({}, {}, folder);
  await app.drain();
  const bodies = await rows('select delivery_id, body from payloads order by delivery_id');
  expect(bodies).toEqual([
    [other.id, expect.stringContaining('cus_1')],
    [code.id, null],
  ]);
  expect(await rows(`select key from meta where key = 'unappliedBodiesEmptied'`)).toHaveLength(1);
  await app.stop(true);
  app = await TestApp.open({}, {}, folder);
  expect(await rows(`select id from jobs where status = 'queued'`)).toEqual([]);
});
