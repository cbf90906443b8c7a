import { afterEach, beforeEach, expect, test } from 'bun:test';
import { query } from '../../src/db/sets.ts';
import { applyDelivery, applying } from '../../src/inbound/applyDelivery.ts';
import { decide } from '../../src/inbound/decide.ts';
import { claim, deliveryQueue } from '../../src/inbound/leases.ts';
import { buildOrigin, describeSeen } from '../../src/inbound/origin.ts';
import { NEVER } from '../../src/inbound/pause.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
}, 60_000);
afterEach(() => app?.stop());

// The usual outcome of the worker: whoever holds the lease applies, and nobody else, beside neighbours who do.
test('a delivery whose lease another worker took over is left alone, and its neighbour is applied', async () => {
  const { ctx } = app.app;
  const endpoint = await app.endpoint('stripe', {});
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: true });
  const bodies = ['lost', 'held'].map(name =>
    stripeEvent('customer.created', { id: `cus_${name}`, email: `${name}@x.co` }),
  );
  for (const body of bodies) await app.post(endpoint, 'stripe', body);
  const live = (await ctx.live.get(endpoint))!;
  // Due, and taken at once, before the app's own worker wakes.
  const now = ctx.now();
  const rows = await ctx.store.write(async tx => {
    await query(tx, 'update deliveries set due_at = 0 where endpoint_id = ? returning id', [endpoint]);
    const taken = await claim(tx, now, 10);
    const lost = taken.find(row => row.externalId === bodies[0]!.id)!;
    await query(tx, 'update deliveries set fence = fence + 1 where id = ? returning id', [lost.id]);
    return taken;
  });
  const apply = (body: (typeof bodies)[number]) => {
    const row = rows.find(each => each.externalId === body.id)!;
    const decided = decide(live, body, describeSeen(row));
    if (decided.status !== 'queued') throw new Error(decided.message);
    return ctx.people.write(applying, {
      row,
      ready: { fact: decided.fact, origin: buildOrigin(live, row, body, decided.fact) },
    });
  };
  expect(await Promise.all(bodies.map(apply))).toEqual([undefined, 'done']);
  expect((await app.contacts()).map(each => each.email)).toEqual(['held@x.co']);
  const lost = rows.find(each => each.externalId === bodies[0]!.id)!;
  const end = ctx.store.write(tx => deliveryQueue.complete(tx, lost, { status: 'dead' }));
  await expect(end).rejects.toThrow('is gone');
});

test('what arrives at a paused endpoint is taken by no worker; one leased before the pause is put back', async () => {
  const { ctx } = app.app;
  const endpoint = await app.endpoint('stripe', {});
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: true });
  const body = stripeEvent('customer.created', { id: 'cus_1', email: 'a@x.co' });
  await app.post(endpoint, 'stripe', body);
  await app.drain();
  const look = async () => {
    const columns = 'due_at, leased, attempts, fence';
    const [row = []] = await ctx.store.read(tx => query(tx, `select ${columns} from deliveries`, []));
    return row.map(Number);
  };
  expect(await look()).toEqual([NEVER, 0, 0, 0]);
  const [row] = await ctx.store.write(async tx => {
    await query(tx, 'update deliveries set due_at = 0 where endpoint_id = ? returning id', [endpoint]);
    return claim(tx, ctx.now(), 1);
  });
  expect(await applyDelivery(ctx, row!, JSON.stringify(body), ctx.now())).toBe('done');
  expect(await look()).toEqual([NEVER, 0, 0, 1]);
  expect(await app.contacts()).toEqual([]);
});
