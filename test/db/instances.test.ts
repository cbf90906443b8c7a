// databases: sqlite
import { afterEach, describe, expect, test } from 'bun:test';
import { count, eq, like } from 'drizzle-orm';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { deliveries, events, keys, meta } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { claim, deliveryQueue, recover } from '../../src/inbound/leases.ts';
import { SafeMode } from '../../src/inbound/safeMode.ts';
import { stripeEvent, TestApp } from '../support/app.ts';
import { postgresDatabase, withPostgres } from '../support/backends.ts';

const secretKey = new Uint8Array(32).fill(7);
const SEEN_WITHIN_MS = 1000;
const FASTER = 10;

const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});

/** Instances on one database, none of them working until told. */
async function instances(n: number, databaseUrl: string, overrides = {}): Promise<TestApp[]> {
  const all = await Promise.all(
    Array.from({ length: n }, () => TestApp.open({}, { databaseUrl, secretKey, port: 0, ...overrides })),
  );
  open.push(...all);
  return all;
}

async function pair(): Promise<[TestApp, TestApp]> {
  const [a, b] = await instances(2, await postgresDatabase());
  if (!a || !b) throw new Error('no pair');
  return [a, b];
}

/** Waits until `look` gives something else than undefined, and for how long it did not, in ms. */
async function within(limit: number, look: () => Promise<boolean>): Promise<void> {
  const begin = performance.now();
  while (!(await look())) {
    if (performance.now() - begin > limit) throw new Error(`not so after ${limit} ms`);
    await Bun.sleep(20);
  }
}

const storeOf = (app: TestApp) => app.app.ctx.store;

/** The monotonic clock and intervals ten times as fast for as long as `fn` runs. */
async function hurried(fn: () => Promise<void>): Promise<void> {
  const { now } = performance;
  const interval = globalThis.setInterval;
  performance.now = () => now.call(performance) * FASTER;
  const short = (run: () => void, ms: number) => interval(run, ms / FASTER);
  globalThis.setInterval = short as unknown as typeof setInterval;
  try {
    await fn();
  } finally {
    performance.now = now;
    globalThis.setInterval = interval;
  }
}

describe.skipIf(!withPostgres)('several instances on one PostgreSQL database', () => {
  test('8 started at once on an empty database make one API key and show it once', async () => {
    const all = await instances(8, await postgresDatabase(false), { apiKey: null });
    const started = await Promise.all(all.map(app => app.app.start()));
    const shown = started.flatMap(({ newApiKey }) => (newApiKey === null ? [] : [newApiKey]));
    expect(shown).toHaveLength(1);
    for (const app of all) {
      expect(await storeOf(app).read(tx => tx.select({ n: count() }).from(keys))).toEqual([{ n: 1 }]);
      expect((await app.api('GET', '/lists', undefined, shown[0])).status).toBe(200);
    }
  }, 30_000);
  test('an instance with another secret key is refused, the others go on', async () => {
    const databaseUrl = await postgresDatabase();
    const [first] = await instances(1, databaseUrl);
    const other = await TestApp.open({}, { databaseUrl, secretKey: new Uint8Array(32).fill(8) }).catch(e => e);
    expect(other.message).toContain('is not the key that sealed the secrets');
    expect((await first?.api('GET', '/lists'))?.status).toBe(200);
  });
  test('what is changed at one is seen by the other within a second: pause, secret, key, removal', async () => {
    const [a, b] = await pair();
    const id = await a.endpoint('stripe');
    const post = () => b.post(id, 'stripe', stripeEvent('customer.created'));
    expect((await post()).body.result).toBe('accepted');
    await a.api('PATCH', `/endpoints/${id}`, { paused: true });
    await within(SEEN_WITHIN_MS, async () => (await post()).body.message.startsWith('Stored. The endpoint is paused'));
    await a.api('PATCH', `/endpoints/${id}`, { paused: false });
    await within(SEEN_WITHIN_MS, async () => (await post()).body.message.startsWith('Created contact'));

    const secret = 'whsec_another_0123456789abcdef012345';
    const { secrets } = (await a.api('GET', `/endpoints/${id}`)).body;
    await a.api('POST', `/endpoints/${id}/secrets`, { secret });
    const signed = () => b.post(id, 'stripe', stripeEvent('customer.created'), { secret });
    await within(SEEN_WITHIN_MS, async () => (await signed()).status === 200);
    await a.api('DELETE', `/endpoints/${id}/secrets/${secrets[0].id}`);
    await within(SEEN_WITHIN_MS, async () => (await post()).status === 401);

    const made = (await a.api('POST', '/keys', { name: 'short-lived' })).body;
    const asked = async () => (await b.api('GET', '/lists', undefined, made.key)).status;
    expect(await asked()).toBe(200);
    await a.api('DELETE', `/keys/${made.id}`);
    await within(SEEN_WITHIN_MS, async () => (await asked()) === 401);

    await a.api('DELETE', `/endpoints/${id}`);
    await within(SEEN_WITHIN_MS, async () => (await signed()).status === 404);
  }, 20_000);
  test('what was paused at one and queued at the other meanwhile is not forgotten when it is resumed', async () => {
    const [a, b] = await pair();
    const id = await a.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
    let sent = 0;
    let running = true;
    const load = [a, b, b].map(async app => {
      while (running) {
        const answer = await app.post(id, 'stripe', stripeEvent('customer.created'));
        if (answer.status === 200) sent++;
      }
    });
    for (let i = 0; i < 6; i++) {
      await a.api('PATCH', `/endpoints/${id}`, { paused: i % 2 === 0 });
      await Promise.all([a.drain(), b.drain(), Bun.sleep(150)]);
    }
    running = false;
    await Promise.all(load);
    await Promise.all([a.drain(), b.drain()]);
    const states = await storeOf(a).read(tx =>
      tx.select({ status: deliveries.status, n: count() }).from(deliveries).groupBy(deliveries.status),
    );
    expect(states).toEqual([{ status: 'processed', n: sent }]);
    expect(await storeOf(a).read(tx => tx.select({ n: count() }).from(events))).toEqual([{ n: sent }]);
  }, 30_000);
  test('one webhook sent to four instances at once is accepted by one and a duplicate for the others', async () => {
    const all = await instances(4, await postgresDatabase());
    const id = (await all[0]?.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } })) ?? '';
    const count = 40;
    for (let i = 0; i < count; i++) {
      const event = stripeEvent('customer.created', { email: `person${i % 7}@example.com` });
      const answers = await Promise.all(all.map(app => app.post(id, 'stripe', event)));
      const results = answers.map(answer => answer.body.result).sort();
      expect(results).toEqual(['accepted', 'duplicate', 'duplicate', 'duplicate']);
      expect(new Set(answers.map(answer => answer.body.deliveryId)).size).toBe(1);
    }
    const fired = await all[1]?.api('GET', '/events?perPage=100');
    expect(fired?.body.pagination.totalResults).toBe(count);
    expect(await all[2]?.contacts()).toHaveLength(7);
  }, 30_000);
  test('of a person of whom 200 webhooks a second come to three instances nobody waits for long', async () => {
    const all = await instances(3, await postgresDatabase());
    const id = (await all[0]?.endpoint('stripe')) ?? '';
    await Bun.sleep(SEEN_WITHIN_MS);
    const waits: number[] = [];
    const sending: Promise<void>[] = [];
    for (let i = 0; i < 400; i++) {
      const event = stripeEvent('customer.updated', { id: 'cus_hot', email: 'hot@example.com', name: `Ada ${i}` });
      const send = async () => {
        const begin = performance.now();
        expect((await all[i % 3]?.post(id, 'stripe', event))?.status).toBe(200);
        waits.push(performance.now() - begin);
      };
      sending.push(send());
      await Bun.sleep(5);
    }
    await Promise.all(sending);
    const sorted = waits.sort((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length * 0.99)]).toBeLessThan(1000); // some 100 ms on a quiet machine; seconds before
  }, 30_000);
  test('8 workers over two stores lease 200 deliveries once each', async () => {
    const [a, b] = await pair();
    const id = await a.endpoint('stripe');
    a.app.ctx.careful.begin(); // queued first
    for (let i = 0; i < 200; i += 20)
      await Promise.all(Array.from({ length: 20 }, () => a.post(id, 'stripe', stripeEvent('customer.created'))));
    const leased: string[] = [];
    const work = async (store: Store) => {
      for (;;) {
        const rows = await store.write(tx => claim(tx, Date.now(), 5));
        leased.push(...rows.map(row => row.id));
        if (!rows.length && leased.length >= 200) return;
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, i) => work(storeOf(i % 2 ? a : b))));
    expect(leased).toHaveLength(200);
    expect(new Set(leased).size).toBe(200);
  }, 30_000);
  test('the leases of an instance that died are taken over when they end, and its late outcome changes nothing', async () => {
    const [a, b] = await pair();
    const id = await a.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
    a.app.ctx.careful.begin();
    for (let i = 0; i < 5; i++) await a.post(id, 'stripe', stripeEvent('customer.created'));
    const lost = await storeOf(a).write(tx => claim(tx, Date.now(), 64)); // and the process is gone
    expect(lost).toHaveLength(5);
    await b.drain();
    const processed = async () =>
      (await storeOf(b).read(tx => tx.select().from(deliveries).where(eq(deliveries.status, 'processed')))).length;
    expect(await processed()).toBe(0);
    await storeOf(b).write(tx => recover(tx, Date.now(), Date.now()));
    await b.drain();
    expect(await processed()).toBe(0); // not yet: the lease holds
    b.time = Date.now() + 61_000;
    await storeOf(b).write(tx => recover(tx, b.now(), b.now()));
    await b.drain();
    expect(await processed()).toBe(5);
    const late = await storeOf(a)
      .write(tx => deliveryQueue.complete(tx, lost[0]!, { status: 'failed' }))
      .catch(error => error);
    expect(String(late)).toContain('is gone');
    expect(await processed()).toBe(5);
    expect(await storeOf(b).read(tx => tx.select({ n: count() }).from(events))).toEqual([{ n: 5 }]);
  }, 30_000);
  test('an instance that falls silent makes the others careful, and those that start after it', async () => {
    const store = await openPostgres(await postgresDatabase());
    const fail = (error: unknown) => {
      throw error;
    };
    await hurried(async () => {
      const living = new SafeMode();
      const leaving = new SafeMode();
      await living.start(store, Date.now, fail);
      await leaving.start(store, Date.now, fail);
      await leaving.stop(store);
      await Bun.sleep(3500); // 35 s of theirs
      expect(living.isActive()).toBe(false); // neither the living nor who left in order is taken for dead
      await store.write(tx => tx.insert(meta).values({ key: 'serving:dead', value: '17' }));
      await within(40_000, async () => living.isActive());
      const next = new SafeMode();
      await next.start(store, Date.now, fail);
      expect(next.isActive()).toBe(true);
      await next.stop(store);
      await living.stop(store);
    });
    expect(await store.read(tx => tx.select().from(meta).where(like(meta.key, 'serving:%')))).toEqual([]);
    await store.close();
  }, 30_000);
  test('a database that was away for a while makes nobody careful: nobody could be heard', async () => {
    const url = await postgresDatabase();
    const [store, other] = [await openPostgres(url), await openPostgres(url)];
    const name = new URL(url).pathname.slice(1);
    const admin = new Bun.SQL(Object.assign(new URL(url), { pathname: '/postgres' }).href, { max: 1 });
    let failures = 0;
    const failed = () => void failures++;
    await hurried(async () => {
      const [first, second] = [new SafeMode(), new SafeMode()];
      const begin = Date.now();
      const until = (ms: number) => Bun.sleep(Math.max(0, begin + ms - Date.now()));
      await first.start(store, Date.now, failed); // beats at 500, 1000, …
      await until(250);
      await second.start(other, Date.now, failed); // beats at 750, 1250, …
      await until(1600); // the first has heard of the second's last but one beat only
      await admin.unsafe(`alter database ${name} allow_connections false`);
      await admin.unsafe(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`);
      await until(4900); // 33 s of theirs; the first is the first to beat again
      await admin.unsafe(`alter database ${name} allow_connections true`);
      await until(6400);
      expect(failures).toBeGreaterThan(5);
      expect([first.isActive(), second.isActive()]).toEqual([false, false]);
      await first.stop(store);
      await second.stop(other);
    });
    await store.close();
    await other.close();
    await admin.close();
  }, 30_000);
});
