import { afterEach, beforeEach, expect, test } from 'bun:test';
import { Counters } from '../../src/counters.ts';
import { stats } from '../../src/db/schema.ts';
import { countContacts, flushCounters, pruneStats } from '../../src/history/stats.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const HOUR_MS = 3_600_000;
const ask = async (query = '') => {
  const { status, body } = await app.api('GET', `/stats${query}`);
  expect(status).toBe(200);
  return body;
};

test('webhooks are counted by outcome, answers by how long they took, and several instances add up', async () => {
  const endpoint = await app.endpoint('stripe');
  const event = stripeEvent('customer.created');
  await app.post(endpoint, 'stripe', event);
  await app.post(endpoint, 'stripe', event);
  await app.post(endpoint, 'stripe', stripeEvent('product.created'));
  await app.post(endpoint, 'stripe', event, { secret: 'whsec_another0123456789abcdef01234' });
  await app.fetch(`/webhooks/${endpoint}`, { method: 'POST', body: '{}', headers: { 'content-encoding': 'gzip' } });
  await flushCounters(app.app.ctx);
  const first = await ask();
  expect(first.totals).toMatchObject({ accepted: 1, duplicate: 1, ignored: 1, rejected: 1, refused: 1 });
  expect(first.totals.p99Ms).toBeGreaterThan(0);
  expect(first.totals.p50Ms).toBeLessThanOrEqual(first.totals.p99Ms);
  expect(first.resolution).toBe('minute');
  expect(first.slots.length).toBeGreaterThanOrEqual(60);
  // Another instance, which counted while this one did.
  const other = { ...app.app.ctx, counters: new Counters() };
  other.counters.note(app.now(), 'webhook', 'accepted');
  await Promise.all([flushCounters(other), flushCounters(app.app.ctx)]);
  expect((await ask()).totals.accepted).toBe(2);
  const byHour = await ask('?resolution=hour');
  expect(byHour.totals.accepted).toBe(2);
  expect(byHour.slots.some((slot: { accepted: number }) => slot.accepted === 2)).toBe(true);
});

test('what could not be written down is written down later', async () => {
  const { ctx } = app.app;
  ctx.counters.note(app.now(), 'webhook', 'accepted');
  const away = { ...ctx.store, write: () => Promise.reject(new Error('away')) } as typeof ctx.store;
  await flushCounters({ ...ctx, store: away });
  await flushCounters(ctx);
  expect((await ask()).totals.accepted).toBe(1);
});

test('a span that would be too much is refused with what to do', async () => {
  const cases: [string, string][] = [
    ['?since=2026-11-01&until=2026-10-01', 'before until'],
    ['?since=2026-10-01&until=2026-11-01&resolution=minute', 'resolution=hour'],
    ['?since=2026-01-01&until=2026-11-01', '62 days'],
  ];
  for (const [query, says] of cases) {
    const answer = await app.api('GET', `/stats${query}`);
    expect([answer.status, answer.body.message]).toEqual([400, expect.stringContaining(says)]);
  }
});

test('set-up, step by step; an endpoint wants attention until it lives', async () => {
  const done = async () => {
    await Bun.sleep(1001); // one look serves all for a second
    const { setup, attention } = await ask();
    return [
      setup.steps.filter((step: { done: boolean }) => step.done).map((step: { name: string }) => step.name),
      attention,
    ];
  };
  expect(await done()).toEqual([[], []]);
  const bare = (await app.api('POST', '/endpoints', { provider: 'stripe' })).body.id;
  const [steps, attention] = await done();
  expect(steps).toEqual(['endpoint']);
  expect(attention).toMatchObject([
    { id: bare, state: 'needsSecret', nextStep: expect.stringContaining('set-secret') },
  ]);
  await app.api('DELETE', `/endpoints/${bare}`);
  const endpoint = await app.endpoint('stripe');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.api('POST', '/workflows', { name: 'w' });
  for (let n = 0; n < 50 && (await app.api('GET', `/endpoints/${endpoint}`)).body.lastReceivedAt === null; n++)
    await Bun.sleep(20);
  expect(await done()).toEqual([['endpoint', 'secret', 'webhook', 'workflow'], []]);
}, 20_000);

test('contacts are exact while they are few, and counted once an hour for the time line', async () => {
  for (const n of [1, 2, 3])
    await app.api('POST', '/contacts/create', { email: `p${n}@x.co`, ...(n === 3 && { subscribed: false }) });
  await countContacts(app.app.ctx);
  await app.api('POST', '/contacts/create', { email: 'p4@x.co' });
  await countContacts(app.app.ctx);
  const told = await ask('?resolution=hour');
  expect(told.contacts).toEqual({ total: 4, subscribed: 3, isExact: true, asOf: null });
  expect(told.slots.findLast((slot: { contacts: number | null }) => slot.contacts !== null)).toMatchObject({
    contacts: 3,
    subscribed: 2,
  });
});

test('the delivery that waits longest; mails by state', async () => {
  const endpoint = await app.endpoint('stripe');
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: true });
  const { deliveryId } = (await app.post(endpoint, 'stripe', stripeEvent('customer.created'))).body;
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  expect((await ask()).waiting.oldestQueued).toMatchObject({ id: deliveryId });
  expect((await ask()).mails).toMatchObject({ queued: { count: 0, isCapped: false } });
});

test('minutes go after two days, hours after 400', async () => {
  const { ctx } = app.app;
  const now = app.now();
  for (const age of [1, 50, 24 * 401]) ctx.counters.note(now - age * HOUR_MS, 'webhook', 'accepted');
  await flushCounters(ctx);
  await pruneStats(ctx.store, now);
  const left = await ctx.store.read(tx => tx.select().from(stats));
  expect(left.map(row => row.resolution).sort()).toEqual(['hour', 'hour', 'minute']);
});
