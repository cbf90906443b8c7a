// `bun run bench [--quick] [--database postgres]`: load from processes of their own against the built binary, and two references, in
// one run and one table.
import { mkdtempSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inlet as command, type Running, start } from '../test/support/binary.ts';
import { Postgres } from '../test/support/postgres.ts';
import { SECRET } from './events.ts';
import { fill } from './fill.ts';
import {
  api,
  folder,
  KEY,
  type Load,
  load,
  loadAll,
  ms,
  per,
  row,
  rows,
  rss,
  slowSync,
  spread,
  syncMs,
} from './measure.ts';
import { type Database, postgres, sqlite } from './target.ts';

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, database: { type: 'string', default: 'sqlite' } },
});
const quick = values.quick;
const COUNT = quick ? 6_000 : 30_000;
const WARMUP = quick ? 1_000 : 5_000;
const SECONDS = quick ? 4 : 15;
const MANY = quick ? 50_000 : 1_000_000;
const shared = values.database === 'postgres';
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn', INLET_LOG_FORMAT: 'json' };

async function reference(file: string, args: string[] = []): Promise<Load> {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, file), ...args], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const { port } = JSON.parse(new TextDecoder().decode(value)) as { port: number };
  const result = await load(port, '/', { count: COUNT, warmup: WARMUP });
  child.kill();
  await child.exited;
  return result;
}

interface Inlet {
  servers: Running[];
  path: string;
  endpointId: string;
  cwd: string;
  database: Database;
}

/** Starts instances of the binary on a new database with one Stripe endpoint: a list and a trigger on each of the three types. */
async function inlet(
  options: { instances?: number; env?: Record<string, string>; server?: Postgres } = {},
): Promise<Inlet> {
  const cwd = mkdtempSync(join(folder, 'inlet-'));
  const server = options.server ?? serverOfAll;
  const database = server ? await postgres(server) : sqlite(cwd);
  const servers = [await start({ cwd, env: { ...ENV, ...database.env, ...options.env } })];
  const first = servers[0]!;
  while (servers.length < (options.instances ?? 1))
    servers.push(await start({ cwd, env: { ...ENV, ...database.env } }));
  const { id: listId } = await api<{ id: string }>(first, 'POST', '/lists', { name: 'bench' });
  const set = { mailingLists: [listId], triggerEvent: 'paid' };
  const events = { 'customer.created': set, 'checkout.session.completed': set, 'invoice.paid': set };
  const { id } = await api<{ id: string }>(first, 'POST', '/endpoints', { provider: 'stripe', secret: SECRET, events });
  if (servers.length > 1) await Bun.sleep(1000); // the others see it within a second
  return { servers, path: `/webhooks/${id}`, endpointId: id, cwd, database };
}

const stop = (target: Inlet) => Promise.all(target.servers.map(server => server.stop()));
const ports = (target: Inlet) => target.servers.map(server => server.port);

/** Received and applied: the load's rate, and the rate up to the moment when the last one is applied. */
async function throughput(target: Inlet): Promise<Load & { appliedPerSecond: number; lagMs: number }> {
  const result = await loadAll(ports(target), target.path, { count: COUNT, warmup: WARMUP });
  const lastAck = result.begunAt + (COUNT / result.perSecond) * 1000;
  const at = await target.database.applied();
  return { ...result, appliedPerSecond: COUNT / ((at - result.begunAt) / 1000), lagMs: Math.max(0, at - lastAck) };
}

const openLoop = (target: Inlet) =>
  loadAll(ports(target), target.path, { count: SECONDS * 1000, warmup: 1000, rate: 1000 });

/** From exec to the first answer of /health, in ms: the best of five. */
async function firstAnswer(target: Inlet): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const at = performance.now();
    const server = await start({ cwd: target.cwd, env: { ...ENV, ...target.database.env } });
    await fetch(`${server.url}/health`);
    times.push(performance.now() - at);
    await server.stop();
  }
  return Math.min(...times);
}

/** A stopped installation with many log rows and contacts. */
async function filled(): Promise<Inlet> {
  const target = await inlet();
  await stop(target);
  if (!shared) {
    fill(join(target.cwd, 'inlet-data/inlet.db'), target.endpointId, MANY, 100_000);
    return target;
  }
  const own = await inletOnFile();
  fill(own.file, own.endpointId, MANY, 100_000);
  const database = await postgres(serverOfAll!);
  const moved = await command(['migrate-data', '--from', own.file, '--to', 'postgres'], {
    cwd: own.cwd,
    env: database.env,
  });
  if (moved.code !== 0) throw new Error(moved.err);
  return { ...target, database: { ...database, env: { ...database.env, INLET_SECRET_KEY: own.key } }, ...own };
}

async function inletOnFile() {
  const cwd = mkdtempSync(join(folder, 'file-'));
  const key = Buffer.alloc(32, 7).toString('base64');
  const server = await start({ cwd, env: { ...ENV, INLET_SECRET_KEY: key } });
  const { id } = await api<{ id: string }>(server, 'POST', '/endpoints', { provider: 'stripe', secret: SECRET });
  await server.stop();
  return { cwd, key, endpointId: id, path: `/webhooks/${id}`, file: join(cwd, 'inlet-data/inlet.db') };
}

const serverOfAll = shared ? await Postgres.start(['shared_buffers=256MB', 'max_connections=200']) : null;
console.error('references …');
const bare = await reference('reference-bare.ts');
row('bare Bun.serve, reads the body and answers', per(bare.perSecond));
const hand = await reference('reference-handler.ts', [join(folder, 'hand.db')]);
row('hand-written handler (stripe, bun:sqlite, one synced transaction each)', per(hand.perSecond));

let one: Awaited<ReturnType<typeof throughput>> | undefined;
for (const instances of shared ? [1, 3] : [1]) {
  const name = instances === 1 ? 'Inlet' : `${instances} instances`;
  console.error(`${name} …`);
  const target = await inlet({ instances });
  const result = await throughput(target);
  one ??= result;
  row(`${name}: acknowledged`, per(result.perSecond));
  row(
    `${name}: received and applied`,
    `${per(result.appliedPerSecond)} (${(result.appliedPerSecond / hand.perSecond).toFixed(1)} × the handler; the last one applied ${Math.round(result.lagMs)} ms after its answer)`,
  );
  row(`${name}: answer at 1,000/s, open loop`, spread(await openLoop(target)));
  await target.database.applied();
  row(`${name}: peak memory`, `${Math.max(...target.servers.map(each => rss(each.pid, 'VmHWM'))).toFixed(0)} MB`);
  await stop(target);
}

const library = slowSync();
for (const delay of [5, 50]) {
  const name = `Inlet: answer at 1,000/s, fsync + ${delay} ms`;
  if (!library) {
    row(name, 'not measured: no C compiler here');
    continue;
  }
  const env = { LD_PRELOAD: library, SLOW_FSYNC_MS: String(delay) };
  const server = shared ? await Postgres.start(['shared_buffers=256MB'], env) : undefined;
  const slow = await inlet(server ? { server } : { env });
  row(name, spread(await openLoop(slow)));
  await stop(slow);
  await server?.remove();
}

console.error(`filling ${MANY} log rows and 100,000 contacts …`);
const big = await filled();
row('Inlet: exec to first answer, 100,000 contacts', ms(await firstAnswer(big)));
const server = await start({ cwd: big.cwd, env: { ...ENV, ...big.database.env } });
big.servers = [server];
await Bun.sleep(3000);
row('Inlet: idle memory', `${rss(server.pid, 'VmRSS').toFixed(0)} MB`);
let reading = true;
let pages = 0;
const reader = (async () => {
  for (let cursor = ''; reading; pages++) {
    const filter = pages % 2 ? '' : '&type=customer.deleted'; // rare: counting it walks the whole log
    const page = await api<{ pagination: { nextCursor: string | null } }>(
      server,
      'GET',
      `/deliveries?perPage=100&cursor=${cursor}${filter}`,
    );
    cursor = page.pagination.nextCursor ?? '';
  }
})();
const whileReading = await openLoop(big);
reading = false;
await reader;
row(
  `Inlet: answer at 1,000/s while ${pages} pages of ${MANY.toLocaleString('en')} rows are read and counted`,
  spread(whileReading),
);
await big.database.applied();
const large = await throughput(big);
row(
  `Inlet: received and applied with ${MANY.toLocaleString('en')} log rows`,
  `${per(large.appliedPerSecond)} (${(large.appliedPerSecond / one!.appliedPerSecond).toFixed(2)} × the empty log)`,
);
await stop(big);
await serverOfAll?.remove();

const cpu = cpus();
const where = shared ? 'PostgreSQL 18 and load generator on the same cores' : 'load generator on the same cores';
console.log(
  `${cpu.length} × ${cpu[0]?.model.trim()}, Linux ${release()}, Bun ${Bun.version}, fsync ${syncMs().toFixed(2)} ms (p50); ${where}.\n`,
);
console.log('| | |\n|---|---|');
for (const [name, value] of rows) console.log(`| ${name} | ${value} |`);
process.exit(0);
