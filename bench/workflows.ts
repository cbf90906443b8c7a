// `bun bench/workflows.ts [--quick] [--database postgres]`: events that start runs against events that start none, 100,000 sleeping
// runs at idle and waking, and the answer time of webhooks meanwhile. Built binary, load from a process of its own.
import { Database as Sqlite } from 'bun:sqlite';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Running, start } from '../test/support/binary.ts';
import { Postgres } from '../test/support/postgres.ts';
import { SECRET } from './events.ts';
import { cpuMs, machine } from './machine.ts';
import { api, folder, KEY, load, ms, per, row, rows, spread } from './measure.ts';
import { type Database, postgres, sqlite } from './target.ts';

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, database: { type: 'string', default: 'sqlite' } },
});
const COUNT = values.quick ? 4_000 : 20_000;
const SLEEPING = values.quick ? 10_000 : 100_000;
const IDLE_MS = values.quick ? 3_000 : 15_000;
const RATE = 1000; // webhooks a second while runs start and wake
const SECONDS = values.quick ? 4 : 15;
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn', INLET_LOG_FORMAT: 'json' };
const server = values.database === 'postgres' ? await Postgres.start() : null;

/** A server with a Stripe endpoint that triggers `paid`, and something that runs SQL beside it. */
async function installed() {
  const cwd = mkdtempSync(join(folder, 'workflows-'));
  const database: Database = server ? await postgres(server) : sqlite(cwd);
  const running = await start({ cwd, env: { ...ENV, ...database.env } });
  const set = { triggerEvent: 'paid' };
  const events = { 'customer.created': set, 'checkout.session.completed': set, 'invoice.paid': set };
  const { id } = await api<{ id: string }>(running, 'POST', '/endpoints', {
    provider: 'stripe',
    secret: SECRET,
    events,
  });
  const name = new URL(database.env.INLET_DATABASE_URL ?? 'x:/none').pathname.slice(1);
  const query = async (text: string): Promise<Record<string, unknown>[]> => {
    if (server) return (await server.query(name, text)) as Record<string, unknown>[];
    const db = new Sqlite(join(cwd, 'inlet-data/inlet.db'));
    db.run('pragma busy_timeout = 10000');
    const found = db.query<Record<string, unknown>, []>(text).all();
    db.close();
    return found;
  };
  return { running, database, path: `/webhooks/${id}`, query };
}

const exit = { typeName: 'ExitAction', nextNodeIds: [] };
async function workflow(running: Running, nodes: Record<string, unknown>): Promise<string> {
  const { id } = await api<{ id: string }>(running, 'POST', '/workflows', { name: 'bench' });
  await api(running, 'PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes });
  await api(running, 'POST', `/workflows/${id}/start`);
  return id;
}
const trigger = (next: string) => ({
  typeName: 'EventTrigger',
  eventName: 'paid',
  reEligible: true,
  nextNodeIds: [next],
});
const timer = { typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: ['x'] };

type Installed = Awaited<ReturnType<typeof installed>>;

/** Per second from the first webhook until it is applied and all of its runs stand where they rest. */
async function startsPerSecond({ running, database, path, query }: Installed): Promise<number> {
  const { begunAt, endedAt } = await load(running.port, path, { count: COUNT });
  let at = Math.max(endedAt, await database.applied());
  while ((await query(`select 1 from runs where status = 'active' and waiting = 0 limit 1`)).length) {
    await Bun.sleep(5);
    at = Date.now();
  }
  return COUNT / ((at - begunAt) / 1000);
}

/** CPU at idle: ms of each second. */
async function idle({ running }: Installed): Promise<number> {
  await Bun.sleep(2000);
  const before = cpuMs(running.pid);
  await Bun.sleep(IDLE_MS);
  return (cpuMs(running.pid) - before) / (IDLE_MS / 1000);
}

/** Runs that sleep in the timer `w`, in bulk; they wake at `dueAt` and later, by `apart` ms each. */
async function sleepers({ query }: Installed, id: string, dueAt: number, apart: number): Promise<void> {
  const now = Date.now();
  await query(`insert into contacts (id, email, source, user_group, subscribed, properties, created_at, updated_at)
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${SLEEPING}) select 'con_sleeper' || i,
    'sleeper' || i || '@example.com', 'API', '', 1, '{}', ${now}, ${now} from n`);
  await query(`insert into runs (id, workflow_id, contact_id, entry, status, node_id, waiting, visits, guards, due_at, since, attempts,
    created_at) with recursive n(i) as (select 1 union all select i + 1 from n where i < ${SLEEPING}) select 'run_0000' || i, '${id}',
    'con_sleeper' || i, 'e', 'active', 'w', 1, 2, '[]', ${dueAt} + i * ${apart}, ${now}, 0, ${now} from n`);
}

const plain = await installed();
await load(plain.running.port, plain.path, { count: 2000 }); // warm
const none = await startsPerSecond(plain);
row('webhooks that trigger an event, no workflow', per(none));
await plain.running.stop();

const busy = await installed();
await workflow(busy.running, { t: trigger('w'), w: timer, x: exit });
await load(busy.running.port, busy.path, { count: 2000 });
const some = await startsPerSecond(busy);
row('… that each start a run into a timer', `${per(some)}, ${(none / some).toFixed(2)} × the work`);
const starting = await load(busy.running.port, busy.path, { count: SECONDS * RATE, warmup: 500, rate: RATE });
row(`acknowledgement at ${RATE}/s, each starts a run`, spread(starting));
await busy.database.applied();
await busy.running.stop();

const many = await installed();
const id = await workflow(many.running, { t: { ...trigger('w'), eventName: 'other' }, w: timer, x: exit });
const quiet = await idle(many);
await sleepers(many, id, Date.now() + 3_000_000, 0);
row(
  `CPU at idle, no runs / ${SLEEPING} sleeping`,
  `${quiet.toFixed(1)} / ${(await idle(many)).toFixed(1)} ms of a second`,
);
const took = async (path: string) => {
  const at = performance.now();
  await api(many.running, 'GET', path);
  return performance.now() - at;
};
row(`counts of ${SLEEPING} runs`, ms(await took(`/workflows/${id}/counts`)));
const from = Date.now() + 2000;
const apart = (SECONDS * 1000) / 5000; // 5000 wake during the load
await many.query(
  `update runs set due_at = ${from} + cast(substr(id, 9) as integer) * ${apart} where cast(substr(id, 9) as integer) <= 5000`,
);
await Bun.sleep(from - Date.now());
const waking = await load(many.running.port, many.path, { count: SECONDS * RATE, warmup: 500, rate: RATE });
row(`acknowledgement at ${RATE}/s while ${Math.round(1000 / apart)} runs a second wake`, spread(waking));
await many.database.applied();
while (
  (await many.query(`select 1 from runs where status = 'active' and due_at < ${Date.now() + 60_000} limit 1`)).length
)
  await Bun.sleep(50);
const dueAt = `(${from} + cast(substr(id, 9) as integer) * ${apart})`;
const [late] = await many.query(
  `select max(ended_at - ${dueAt}) as worst, avg(ended_at - ${dueAt}) as mean from runs where ended_at is not null`,
);
row('woken after its time', `mean ${ms(Number(late?.mean))}, worst ${ms(Number(late?.worst))}`);
await many.query(`update runs set due_at = ${Date.now()} where status = 'active'`);
const at = performance.now();
const flood = await load(many.running.port, many.path, { count: SECONDS * RATE, warmup: 500, rate: RATE });
row(`acknowledgement at ${RATE}/s while ${SLEEPING} overdue runs wake`, spread(flood));
while ((await many.query(`select 1 from runs where status = 'active' limit 1`)).length) await Bun.sleep(100);
row('all of them woken after', `${((performance.now() - at) / 1000).toFixed(1)} s`);
await many.running.stop();
console.log(`\n${await machine(server)}\n`);
await server?.stop();
console.log(`| what | result |\n|---|---|\n${rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n')}`);
process.exit(0);
