// What the machine is, and what processes take of it (Linux: /proc).
import { Database } from 'bun:sqlite';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Postgres } from '../test/support/postgres.ts';

/** Gone with this process. */
export const folder = mkdtempSync(join(tmpdir(), 'inlet-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const fieldsOf = (pid: number): string[] => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' '); // after the name, from field 3 on
  } catch {
    return []; // it has ended
  }
};
let tick = 0; // ms of one unit of /proc/<pid>/stat

/** ms of CPU that a process took so far, with all processes below it, ended ones too. */
export function cpuMs(root: number): number {
  tick ||= 1000 / Number(Bun.spawnSync(['getconf', 'CLK_TCK']).stdout.toString());
  const parents = new Map<number, { parent: number; ticks: number }>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const fields = fieldsOf(Number(name));
    if (!fields.length) continue;
    const ticks = [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0); // own: user, system; of ended children: the same
    parents.set(Number(name), { parent: Number(fields[1]), ticks });
  }
  const below = (pid: number | undefined): boolean =>
    pid !== undefined && (pid === root || below(parents.get(pid)?.parent));
  return [...parents].reduce((sum, [pid, { ticks }]) => sum + (below(pid) ? ticks : 0), 0) * tick;
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

const [busy = 0] = loadavg(); // before anything is measured

/** What every number is printed with; SQLite where there is no server. */
export async function machine(server: Postgres | null): Promise<string> {
  const cpu = cpus();
  const ram = `${Math.round(totalmem() / 2 ** 30)} GB`;
  const what = `${cpu.length} × ${cpu[0]?.model.trim()}, ${ram}, Linux ${release()}, fsync ${syncMs().toFixed(2)} ms (p50)`;
  const date = new Date().toISOString().slice(0, 10);
  return `${date}, ${what}; Bun ${Bun.version}, ${await versionOf(server)}; everything on the same cores, where ${busy.toFixed(1)} others ran before (load average).`;
}

async function versionOf(server: Postgres | null): Promise<string> {
  const sqlite = new Database(':memory:').query<{ v: string }, []>('select sqlite_version() as v').get()?.v;
  if (!server) return `SQLite ${sqlite}`;
  const [row] = (await server.query('postgres', 'show server_version')) as { server_version: string }[];
  return `PostgreSQL ${row?.server_version}`;
}
