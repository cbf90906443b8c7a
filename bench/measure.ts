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
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Running } from '../test/support/binary.ts';

export const KEY = 'bench-key-0123456789abcdefghij';
/** Gone with this process. */
export const folder = mkdtempSync(join(tmpdir(), 'inlet-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** What one load saw; latencies in ms, times in ms since 1970. */
export interface Load {
  perSecond: number;
  statuses: Record<string, number>;
  p50: number;
  p99: number;
  p999: number;
  begunAt: number;
}
let runs = 0;

/** Sends `count` unique webhooks to a port of this machine, all at once or `rate` a second, from a process of its own. */
export async function load(
  port: number,
  path: string,
  options: { count: number; warmup?: number | undefined; rate?: number | undefined; connections?: number },
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
  else if (options.connections) args.push('--connections', String(options.connections));
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

/** The same from several processes, one for each port: rates added up, the worst of the latencies. */
export async function loadAll(
  ports: number[],
  path: string,
  options: { count: number; warmup?: number; rate?: number },
): Promise<Load> {
  const share = (n: number | undefined) => (n === undefined ? undefined : Math.ceil(n / ports.length));
  const all = await Promise.all(
    ports.map(port =>
      load(port, path, {
        count: share(options.count) ?? 0,
        warmup: share(options.warmup),
        rate: share(options.rate),
        connections: Math.ceil(64 / ports.length),
      }),
    ),
  );
  const worst = (pick: (each: Load) => number) => Math.max(...all.map(pick));
  return {
    perSecond: all.reduce((sum, each) => sum + each.perSecond, 0),
    statuses: all[0]?.statuses ?? {},
    p50: worst(each => each.p50),
    p99: worst(each => each.p99),
    p999: worst(each => each.p999),
    begunAt: Math.min(...all.map(each => each.begunAt)),
  };
}

export async function api<T>(server: Running, method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(`${server.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

/** MB. */
export const rss = (pid: number, field: 'VmRSS' | 'VmHWM') =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

/** A library that makes every fsync slower by so many ms, or null where there is no C compiler. */
export function slowSync(): string | null {
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

/** ms that an fsync of 4 KB takes here: the median of a hundred. */
export function syncMs(): number {
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

export const rows: [string, string][] = [];
export const row = (name: string, value: string) => {
  rows.push([name, value]);
  console.error(`  ${name}: ${value}`);
};
export const per = (n: number) => `${Math.round(n).toLocaleString('en')}/s`;
export const ms = (n: number) => `${n.toFixed(n < 10 ? 1 : 0)} ms`;
export const spread = ({ p50, p99, p999 }: Load) => `p50 ${ms(p50)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}`;
