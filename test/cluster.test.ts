// databases: sqlite
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { findDifferences } from '../src/audience/selfCheck.ts';
import { openPostgres } from '../src/db/postgres/connect.ts';
import { deliveries, events } from '../src/db/schema.ts';
import type { Store } from '../src/db/store.ts';
import { TestApp } from './support/app.ts';
import { withPostgres } from './support/backends.ts';
import { binary } from './support/binary.ts';
import { Cluster, SECRET, SETTINGS, type Sent, type StripeEvent } from './support/cluster.ts';
import { audience } from './support/facts.ts';
import { Postgres } from './support/postgres.ts';

const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
const KILLS = 8;
const SETTLED_WITHIN_MS = 100_000; // a lease lasts 60 s

let postgres: Postgres;

/** What an observer compares: lists by number, their ids differ between databases. */
const contactsOf = async (store: Store) => (await audience(store)).map(row => ({ ...row, lists: row.lists.length }));

/** The contacts that the same events give one after the other, in the order of their facts, in one process. */
async function inOrder(sent: StripeEvent[]) {
  const app = await TestApp.open();
  const list = (await app.api('POST', '/lists', { name: 'cluster' })).body.id;
  const id = await app.endpoint('stripe', { secret: SECRET, events: withList(list) });
  const rank = (event: StripeEvent) => ['customer.created', 'customer.updated'].indexOf(event.type) + 0.5;
  for (const event of [...sent].sort((a, b) => a.created - b.created || rank(a) - rank(b))) {
    const answer = await app.post(id, 'stripe', event, { secret: SECRET });
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  }
  await app.drain();
  const contacts = await contactsOf(app.app.ctx.store);
  await app.stop();
  return contacts;
}

const withList = (list: string) => ({
  ...SETTINGS,
  'customer.created': { ...SETTINGS['customer.created'], mailingLists: [list] },
});

async function settled(store: Store): Promise<void> {
  const begin = performance.now();
  const open = async () => {
    const rows = await store.read(tx => tx.select({ status: deliveries.status }).from(deliveries));
    return rows.filter(row => row.status === 'queued' || row.status === 'failed').length;
  };
  for (let left = await open(); left > 0; left = await open()) {
    if (performance.now() - begin > SETTLED_WITHIN_MS) throw new Error(`${left} deliveries are still open`);
    await Bun.sleep(250);
  }
}

/** What is wrong with the log and the events, given what was acknowledged. */
async function wrongs(store: Store, { events: sent, accepted }: Sent): Promise<string[]> {
  const rows = await store.read(tx =>
    tx.select({ id: deliveries.id, externalId: deliveries.externalId, status: deliveries.status }).from(deliveries),
  );
  const fired = await store.read(tx =>
    tx.select({ of: events.deliveryId, name: events.eventName, email: events.email }).from(events),
  );
  const wrong: string[] = [];
  for (const event of sent) {
    const logged = rows.filter(row => row.externalId === event.id);
    const [row] = logged;
    if (logged.length !== 1 || row?.status !== 'processed')
      wrong.push(`${event.id} ${event.type}: ${logged.map(each => each.status).join(', ') || 'lost'}`);
    if ((accepted.get(event.id) ?? 0) > 1) wrong.push(`${event.id}: accepted ${accepted.get(event.id)} times`);
    const { triggerEvent = null } = { ...SETTINGS[event.type as keyof typeof SETTINGS] } as { triggerEvent?: string };
    const names = fired.filter(each => each.of === row?.id).map(each => each.name);
    if (names.join() !== (triggerEvent ?? ''))
      wrong.push(`${event.id} ${event.type}: fired ${names.join() || 'nothing'}`);
  }
  if (rows.length !== sent.length) wrong.push(`${rows.length} deliveries of ${sent.length} events`);
  return wrong;
}

describe.skipIf(!withPostgres)('three instances of the binary on one PostgreSQL', () => {
  beforeAll(async () => {
    binary();
    postgres = await Postgres.start(['max_connections=60']); // with fsync
    await postgres.query('postgres', 'create database cluster');
    await postgres.query('postgres', 'create database frozen');
    await postgres.query('postgres', 'create database roles');
  }, 240_000);
  afterAll(() => postgres?.remove());

  // The guarantee: whatever was answered 200 is in the log once and applied once, whoever dies.
  test(`${KILLS} kills and an immediate stop of the server under load lose nothing and double nothing`, async () => {
    console.log(`cluster: SEED=${SEED}`);
    const cluster = await Cluster.start(postgres, 'cluster', SEED);
    const list = (await cluster.api(0, 'POST', '/lists', { name: 'cluster' })).body.id;
    const made = { provider: 'stripe', secret: SECRET, events: withList(list) };
    const endpoint = (await cluster.api(1, 'POST', '/endpoints', made)).body.id;
    const load = cluster.load(endpoint);
    for (let kill = 0; kill < KILLS; kill++) {
      await Bun.sleep(400 + ((SEED >> kill) % 7) * 60);
      await cluster.replace(kill % 3);
      if (kill !== 3) continue;
      await postgres.stop('QUIT');
      await Bun.sleep(300);
      await postgres.run();
      // As an instance does that finds another one silent: from the next beat on everything is queued first.
      await postgres.query(
        'cluster',
        `insert into meta values ('crashedAt', '${Date.now()}') on conflict (key) do update set value = excluded.value`,
      );
    }
    await load.stop();
    const store = await openPostgres(`${postgres.url('cluster')}?pool=3`);
    await settled(store);
    const codes = await Promise.all(cluster.instances.map(instance => instance.stop()));
    const leased = await postgres.query('cluster', 'select id from deliveries where leased = 1');
    const { sent } = cluster;
    const wrong = await wrongs(store, sent);
    const [there, expected] = [await contactsOf(store), await inOrder(sent.events)];
    const differences = await findDifferences(store, Date.now());
    await store.close();
    console.log(`cluster: ${sent.events.length} events`);
    expect(wrong.slice(0, 10)).toEqual([]);
    expect(sent.odd.slice(0, 5)).toEqual([]);
    expect(leased).toEqual([]);
    expect(there).toEqual(expected);
    expect(differences).toEqual([]);
    expect(codes).toEqual([0, 0, 0]);
    expect(sent.events.length).toBeGreaterThan(500);
  }, 240_000);
  test('an instance that stands still holds up nobody but whom it holds, and those for a moment', async () => {
    const cluster = await Cluster.start(postgres, 'frozen', SEED);
    const endpoint = (await cluster.api(1, 'POST', '/endpoints', { provider: 'stripe', secret: SECRET })).body.id;
    let running = true;
    let n = 0;
    const others: number[] = [];
    const shared: number[] = []; // about people of whom the one that stands still writes, too
    const odd: unknown[] = [];
    const timed = async (at: number, work: () => Promise<{ status: number }>, times = others) => {
      const begin = performance.now();
      const { status } = await work().catch(error => ({ status: String(error) }));
      if (at > 0) times.push(performance.now() - begin);
      if (at > 0 && status !== 200 && status !== 201) odd.push(status);
    };
    const sides = Array.from({ length: 24 }, async (_, side) => {
      const at = side % 3;
      while (running) {
        const customer = { id: `cus_f${n}`, email: `f${n++}@example.com` };
        await timed(at, () => cluster.send(endpoint, 'customer.created', customer, at));
        const one = { id: `cus_shared${n % 4}`, email: `shared${n++ % 4}@example.com` };
        if (side >= 18) await timed(at, () => cluster.send(endpoint, 'customer.updated', one, at), shared);
        if (side < 6) await timed(at, () => cluster.api(at, 'POST', '/lists', { name: `list ${n++}` }));
      }
    });
    const { pid } = cluster.instances[0]!;
    for (let i = 0; i < 4; i++) {
      await Bun.sleep(300 + i * 70);
      process.kill(pid, 'SIGSTOP');
      await Bun.sleep(2000);
      process.kill(pid, 'SIGCONT');
    }
    running = false;
    await Promise.all(sides);
    expect(await Promise.all(cluster.instances.map(instance => instance.stop()))).toEqual([0, 0, 0]);
    const [slowest, held] = [Math.max(...others), Math.max(...shared)];
    console.log(
      `cluster: ${others.length} answers beside one that stood still, the slowest after ${slowest.toFixed(0)} ms, of people it held ${held.toFixed(0)} ms`,
    );
    expect(odd).toEqual([]);
    expect(slowest).toBeLessThan(1500);
    expect(held).toBeLessThan(1500);
  }, 60_000);
  test('INLET_ROLE=web takes and applies but leaves queued work; worker works and answers /health only', async () => {
    const cluster = await Cluster.start(postgres, 'roles', SEED);
    const made = { provider: 'stripe', secret: SECRET, events: SETTINGS };
    const endpoint = (await cluster.api(0, 'POST', '/endpoints', made)).body.id;
    await Promise.all(cluster.instances.map(instance => instance.stop()));
    const web = await cluster.another({ INLET_ROLE: 'web' });
    cluster.instances.splice(0, 3, web);
    const known = await cluster.send(endpoint, 'customer.created', { id: 'cus_1', email: 'one@example.com' });
    expect(known).toMatchObject({ status: 200, body: { message: 'Created contact one@example.com' } });
    // Waits for its person, who comes: due, and nobody works.
    const early = await cluster.send(endpoint, 'customer.subscription.created', { id: 'sub_2', customer: 'cus_2' });
    await cluster.send(endpoint, 'customer.created', { id: 'cus_2', email: 'two@example.com' });
    const statusOf = async () => (await cluster.api(0, 'GET', `/deliveries/${early.body.deliveryId}`)).body.status;
    await Bun.sleep(2500);
    expect(await statusOf()).toBe('queued');
    const worker = await cluster.another({ INLET_ROLE: 'worker' });
    for (let i = 0; i < 100 && (await statusOf()) !== 'processed'; i++) await Bun.sleep(50);
    expect(await statusOf()).toBe('processed');
    expect((await fetch(`${worker.url}/health`)).status).toBe(200);
    for (const path of ['/api/v1/lists', '/swagger', `/webhooks/${endpoint}`, '/'])
      expect((await fetch(worker.url + path, { method: path.startsWith('/webhooks') ? 'POST' : 'GET' })).status).toBe(
        503,
      );
    expect([await web.stop(), await worker.stop()]).toEqual([0, 0]);
    expect(await postgres.query('roles', `select key from meta where key like 'serving:%'`)).toEqual([]);
  }, 60_000);
});
