import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import { deliveries, identities, payloads } from '../../src/db/schema.ts';
import { claim, recover } from '../../src/inbound/leases.ts';
import { stripeEvent, TestApp } from '../support/app.ts';
import { onSqlite } from '../support/onSqlite.ts';

const statusOf = async (app: TestApp, id: string) => (await app.api('GET', `/deliveries/${id}`)).body;

test('a delivery that can not be applied fails five times with growing delays, then is dead; its neighbours are not kept waiting', async () => {
  const app = await TestApp.open();
  app.app.ctx.careful.begin(); // as after a crash: queued first
  const id = await app.endpoint('stripe');
  const poison = (await app.post(id, 'stripe', stripeEvent('customer.created'))).body.deliveryId;
  await app.app.ctx.store.write(tx =>
    tx.update(payloads).set({ body: '{broken' }).where(eq(payloads.deliveryId, poison)),
  );
  const neighbour = (await app.post(id, 'stripe', stripeEvent('customer.created'))).body.deliveryId;
  app.time = Date.now();
  const dues: number[] = [];
  for (let i = 1; i <= 5; i++) {
    await app.drain();
    const state = await statusOf(app, poison);
    expect(state).toMatchObject({ attempts: i, status: i < 5 ? 'failed' : 'dead' });
    const [row] = await app.app.ctx.store.read(tx => tx.select().from(deliveries).where(eq(deliveries.id, poison)));
    if (i < 5) dues.push((row?.dueAt ?? 0) - app.now());
    app.time = Math.max(app.now(), row?.dueAt ?? 0) + 1;
  }
  for (const [i, due] of dues.entries()) {
    expect(due).toBeGreaterThanOrEqual(1000 * 2 ** i);
    expect(due).toBeLessThanOrEqual(2000 * 2 ** i);
  }
  expect(await statusOf(app, neighbour)).toMatchObject({ status: 'processed', attempts: 1 });
  const dead = await statusOf(app, poison);
  expect(dead.error).toContain('Failed 5 times');
  expect(dead.error).not.toContain('JSON');
  await app.stop();
});

test('a delivery under way in three crashes is buried; its neighbours are applied and it can be replayed', async () => {
  const app = await TestApp.open();
  app.app.ctx.careful.begin(); // as after a crash: queued first
  const { store } = app.app.ctx;
  const id = await app.endpoint('stripe');
  const killer = (await app.post(id, 'stripe', stripeEvent('customer.created'))).body.deliveryId;
  const others = [];
  for (let i = 0; i < 5; i++)
    others.push((await app.post(id, 'stripe', stripeEvent('customer.created'))).body.deliveryId);
  const claimed = await store.write(tx => claim(tx, app.now(), 64));
  expect(claimed).toHaveLength(6);
  await store.write(tx => recover(tx, null, app.now())); // the process died with all of them under way
  for (let crash = 2; crash <= 3; crash++) {
    if (crash === 3) {
      await app.drain(); // the neighbours, one by one; the last try waits for a quieter moment
      const restarted = app.now() + 12_000;
      await store.write(tx => recover(tx, null, restarted)); // killed by somebody else before that moment came
      expect(await store.write(tx => claim(tx, restarted + 4000, 64))).toEqual([]);
    }
    const later = app.now() + (crash === 3 ? 25_000 : 0);
    const alone = await store.write(tx => claim(tx, later, 64));
    expect(alone.map(row => row.id)).toEqual([killer]); // suspects go one by one
    await store.write(tx => recover(tx, null, app.now()));
  }
  expect(await statusOf(app, killer)).toMatchObject({ status: 'dead', attempts: 3 });
  await app.drain();
  for (const other of others) expect(await statusOf(app, other)).toMatchObject({ status: 'processed' });
  await app.api('POST', `/deliveries/${killer}/replay`, {});
  await app.drain();
  expect(await statusOf(app, killer)).toMatchObject({ status: 'processed' });
  await app.stop();
});

onSqlite(
  'a delivery that kills the process, again and again, is buried after three times; nobody else is',
  async () => {
    const app = await TestApp.open();
    const id = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_of_the_killer' } });
    const send = async (type: string, object: Record<string, unknown> = {}) =>
      (await app.post(id, 'stripe', stripeEvent(type, object))).body.deliveryId as string;
    const others = [await send('customer.created')];
    const killer = await send('customer.subscription.created', { customer: 'cus_killer', email: undefined }); // looked up
    for (let i = 0; i < 20; i++) others.push(await send('customer.created'));
    await app.stop(true);
    const ends: number[] = [];
    while (ends.length < 10 && ends.at(-1) !== 0) {
      const script = join(import.meta.dir, '../support/killer.ts');
      ends.push(
        await Bun.spawn([process.execPath, script, app.folder], { stdio: ['ignore', 'ignore', 'ignore'] }).exited,
      );
    }
    expect(ends).toEqual([9, 9, 9, 0]);
    const after = await TestApp.open({}, {}, app.folder);
    expect(await statusOf(after, killer)).toMatchObject({ status: 'dead', attempts: 3, contactId: null });
    for (const other of others) expect(await statusOf(after, other)).toMatchObject({ status: 'processed' });
    expect(await after.contacts()).toHaveLength(others.length);
    await after.stop();
  },
  30_000,
);

test('what can not be applied as it comes is acknowledged, queued and mended later; its neighbours go on', async () => {
  const app = await TestApp.open();
  const { store } = app.app.ctx;
  const id = await app.endpoint('stripe');
  const known = stripeEvent('customer.created', { id: 'cus_broken' });
  expect((await app.post(id, 'stripe', known)).body.message).toContain('Created contact');
  const broken = eq(identities.id, 'stripe:cus_broken');
  const [{ registers } = {}] = await store.read(tx => tx.select().from(identities).where(broken));
  await store.write(tx =>
    tx
      .update(identities)
      .set({ registers: 7 as never })
      .where(broken),
  );
  const [answer, neighbour] = await Promise.all([
    app.post(id, 'stripe', stripeEvent('customer.updated', { id: 'cus_broken', name: 'Grace Hopper' })),
    app.post(id, 'stripe', stripeEvent('customer.created')),
  ]);
  expect(answer).toMatchObject({ status: 200, body: { result: 'accepted' } });
  expect(await statusOf(app, answer.body.deliveryId)).toMatchObject({ status: 'queued', attempts: 0, effects: [] });
  expect(await statusOf(app, neighbour.body.deliveryId)).toMatchObject({ status: 'processed', attempts: 1 });
  await app.drain();
  expect(await statusOf(app, answer.body.deliveryId)).toMatchObject({ status: 'failed', attempts: 1 });
  await store.write(tx => tx.update(identities).set({ registers }).where(broken));
  app.time = Date.now() + 60_000;
  await app.drain();
  expect(await statusOf(app, answer.body.deliveryId)).toMatchObject({ status: 'processed', attempts: 2 });
  await app.stop();
});

onSqlite(
  'after a stop that was no clean one deliveries are queued before they are applied; after a clean one not',
  async () => {
    const app = await TestApp.open({}, { port: 0 });
    await app.app.start();
    expect(app.app.ctx.careful.isActive()).toBe(false);
    const id = await app.endpoint('stripe');
    await app.app.ctx.careful.start(app.app.ctx.store, Date.now, () => {}); // finds the mark of the one that serves
    expect(app.app.ctx.careful.isActive()).toBe(true);
    const { deliveryId } = (await app.post(id, 'stripe', stripeEvent('customer.created'))).body;
    for (let i = 0; i < 400 && (await statusOf(app, deliveryId)).status !== 'processed'; i++) await Bun.sleep(5);
    expect(await statusOf(app, deliveryId)).toMatchObject({ status: 'processed', attempts: 1 });
    await app.stop(true);
    const again = await TestApp.open({}, { port: 0 }, app.folder);
    await again.app.start();
    expect(again.app.ctx.careful.isActive()).toBe(false);
    await again.stop();
  },
);
