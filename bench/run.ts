// `bun run bench`: load from a process of its own against the built binary, and two references, in one run and one table.
import { Database } from 'bun:sqlite';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Running, start } from '../test/support/binary.ts';
import { SECRET } from './events.ts';
import { fill } from './fill.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const quick = values.quick;
const COUNT = quick ? 6_000 : 30_000;
const WARMUP = quick ? 1_000 : 5_000;
const SECONDS = quick ? 4 : 15;
const MANY = quick ? 50_000 : 1_000_000;
const KEY = 'bench-key-0123456789abcdefghij';
const folder = mkdtempSync(join(tmpdir(), 'inlet-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

interface Load {
  perSecond: number;
  statuses: Record<string, number>;
  p50: number;
  p99: number;
  p999: number;
  begunAt: number;
}
let runs = 0;

async function load(
  port: number,
  path: string,
  options: { count: number; warmup?: number; rate?: number },
): Promise<Load> {
  const args = [
    '--port',
    String(port),
    '--path',
    path,
    '--run',
    `${Date.now() % 1e8}x${runs++}x`,
    '--count',
    String(options.count),
  ];
  if (options.warmup) args.push('--warmup', String(options.warmup));
  // A slow disk must show in the latency, not in senders that wait for a free connection.
  if (options.rate) args.push('--rate', String(options.rate), '--connections', '512');
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'load.ts'), ...args], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const out = await child.stdout.text();
  if ((await child.exited) !== 0) throw new Error('the load generator failed');
  const result = JSON.parse(out) as Load;
  const other = Object.keys(result.statuses).filter(status => status !== '200');
  if (other.length) console.error(`  answers other than 200: ${JSON.stringify(result.statuses)}`);
  return result;
}

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
  server: Running;
  path: string;
  endpointId: string;
  file: string;
  cwd: string;
}
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn', INLET_LOG_FORMAT: 'json' };

async function api<T>(server: Running, method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${server.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** Starts the binary in a folder of its own with one Stripe endpoint: a list and a trigger on each of the three types. */
async function inlet(env: Record<string, string> = {}): Promise<Inlet> {
  const cwd = mkdtempSync(join(folder, 'inlet-'));
  const server = await start({ cwd, env: { ...ENV, ...env } });
  const { id: listId } = await api<{ id: string }>(server, 'POST', '/lists', { name: 'bench' });
  const set = { mailingLists: [listId], triggerEvent: 'paid' };
  const events = { 'customer.created': set, 'checkout.session.completed': set, 'invoice.paid': set };
  const { id } = await api<{ id: string }>(server, 'POST', '/endpoints', {
    provider: 'stripe',
    secret: SECRET,
    events,
  });
  return { server, path: `/webhooks/${id}`, endpointId: id, file: join(cwd, 'inlet-data/inlet.db'), cwd };
}

/** Waits until nothing is queued; ms since 1970 of that moment. */
async function applied(file: string): Promise<number> {
  const db = new Database(file, { readonly: true });
  const left = db.prepare(
    `select 1 from deliveries where status <> 'processed' and status in ('queued', 'failed') limit 1`,
  );
  while (left.get()) await Bun.sleep(3);
  const at = Date.now();
  const dead = db
    .query<{ n: number }, []>(`select count(*) as n from deliveries where status in ('dead', 'waiting', 'ignored')`)
    .get()?.n;
  db.close();
  if (dead) throw new Error(`${dead} deliveries were not applied`);
  return at;
}

/** Received and applied: the load's rate, and the rate up to the moment when the last one is applied. */
async function throughput(target: Inlet): Promise<Load & { appliedPerSecond: number; lagMs: number }> {
  const result = await load(target.server.port, target.path, { count: COUNT, warmup: WARMUP });
  const lastAck = result.begunAt + (COUNT / result.perSecond) * 1000;
  const at = await applied(target.file);
  return { ...result, appliedPerSecond: COUNT / ((at - result.begunAt) / 1000), lagMs: at - lastAck };
}

const rss = (pid: number, field: 'VmRSS' | 'VmHWM') =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
const openLoop = (target: Inlet) =>
  load(target.server.port, target.path, { count: SECONDS * 1000, warmup: 1000, rate: 1000 });

/** A library that makes every fsync slower by so many ms, or null where there is no C compiler. */
function slowSync(): string | null {
  if (!existsSync('/usr/bin/gcc')) return null;
  const source = join(folder, 'slow.c');
  writeFileSync(
    source,
    `#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void slow(void) { const char *ms = getenv("SLOW_FSYNC_MS"); if (ms) usleep(atoi(ms) * 1000); }
int fsync(int fd) { slow(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { slow(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
`,
  );
  const library = join(folder, 'slow.so');
  const built = Bun.spawnSync(['gcc', '-shared', '-fPIC', '-o', library, source, '-ldl']);
  return built.exitCode === 0 ? library : null;
}

function syncMs(): number {
  const fd = openSync(join(folder, 'sync'), 'w');
  const times = Array.from({ length: 100 }, () => {
    writeSync(fd, 'x'.repeat(4096));
    const at = performance.now();
    fsyncSync(fd);
    return performance.now() - at;
  }).sort((a, b) => a - b);
  closeSync(fd);
  return times[50] ?? 0;
}

/** From exec to the first answer of /health, in ms: the best of five. */
async function firstAnswer(cwd: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const at = performance.now();
    const server = await start({ cwd, env: ENV });
    await fetch(`${server.url}/health`);
    times.push(performance.now() - at);
    await server.stop();
  }
  return Math.min(...times);
}

const rows: [string, string][] = [];
const row = (name: string, value: string) => {
  rows.push([name, value]);
  console.error(`  ${name}: ${value}`);
};
const per = (n: number) => `${Math.round(n).toLocaleString('en')}/s`;
const ms = (n: number) => `${n.toFixed(n < 10 ? 1 : 0)} ms`;
const spread = ({ p50, p99, p999 }: Load) => `p50 ${ms(p50)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}`;

console.error('references …');
const bare = await reference('reference-bare.ts');
row('bare Bun.serve, reads the body and answers', per(bare.perSecond));
const hand = await reference('reference-handler.ts', [join(folder, 'hand.db')]);
row('hand-written handler (stripe, bun:sqlite, one synced transaction each)', per(hand.perSecond));

console.error('Inlet …');
const first = await inlet();
const small = await throughput(first);
row('Inlet: acknowledged', per(small.perSecond));
row(
  'Inlet: received and applied',
  `${per(small.appliedPerSecond)} (${(small.appliedPerSecond / hand.perSecond).toFixed(1)} × the handler; the last one applied ${Math.round(small.lagMs)} ms after its answer)`,
);
row('Inlet: answer at 1,000/s, open loop', spread(await openLoop(first)));
await applied(first.file);
row('Inlet: peak memory', `${rss(first.server.pid, 'VmHWM').toFixed(0)} MB`);
await first.server.stop();

const library = slowSync();
for (const delay of [5, 50]) {
  if (!library) {
    row(`Inlet: answer at 1,000/s, fsync + ${delay} ms`, 'not measured: no C compiler here');
    continue;
  }
  const slow = await inlet({ LD_PRELOAD: library, SLOW_FSYNC_MS: String(delay) });
  row(`Inlet: answer at 1,000/s, fsync + ${delay} ms`, spread(await openLoop(slow)));
  await slow.server.stop();
}

console.error(`filling ${MANY} log rows and 100,000 contacts …`);
const big = await inlet();
await big.server.stop();
fill(big.file, big.endpointId, MANY, 100_000);
row('Inlet: exec to first answer, 100,000 contacts', ms(await firstAnswer(big.cwd)));
big.server = await start({ cwd: big.cwd, env: ENV });
await Bun.sleep(3000);
row('Inlet: idle memory', `${rss(big.server.pid, 'VmRSS').toFixed(0)} MB`);
let reading = true;
let pages = 0;
const reader = (async () => {
  for (let cursor = ''; reading; pages++) {
    const filter = pages % 2 ? '' : '&type=customer.deleted'; // rare: counting it walks the whole log
    const page = await api<{ pagination: { nextCursor: string | null } }>(
      big.server,
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
await applied(big.file);
const large = await throughput(big);
row(
  `Inlet: received and applied with ${MANY.toLocaleString('en')} log rows`,
  `${per(large.appliedPerSecond)} (${(large.appliedPerSecond / small.appliedPerSecond).toFixed(2)} × the empty log)`,
);
await big.server.stop();

const cpu = cpus();
console.log(
  `${cpu.length} × ${cpu[0]?.model.trim()}, Linux ${release()}, Bun ${Bun.version}, fsync ${syncMs().toFixed(2)} ms (p50); load generator on the same cores.\n`,
);
console.log('| | |\n|---|---|');
for (const [name, value] of rows) console.log(`| ${name} | ${value} |`);
