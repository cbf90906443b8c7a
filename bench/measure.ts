// Loads from processes of their own, calls to the API, and how numbers are written.
import { join } from 'node:path';
import type { Running } from '../test/support/binary.ts';
import type { Kind } from './events.ts';

export { folder, rss } from './machine.ts';

export const KEY = 'bench-key-0123456789abcdefghij';

/** What one load saw; latencies in ms, times in ms since 1970. */
export interface Load {
  /** Webhooks sent, warm-up and all. */
  count: number;
  perSecond: number;
  statuses: Record<string, number>;
  p50: number;
  p99: number;
  p999: number;
  max: number;
  begunAt: number;
  endedAt: number;
}

export interface LoadOptions {
  count: number;
  warmup?: number | undefined;
  /** Per second; absent: as fast as answers come. */
  rate?: number | undefined;
  connections?: number;
  kind?: Kind;
  /** Part of every id; a new one when absent. */
  run?: string;
  /** Fail on an answer that is not 200, instead of telling it. */
  strict?: boolean;
}

let runs = 0;
/** A name that no other load of this process has. */
export const newRun = () => `${Date.now() % 1e8}x${runs++}x`;

/** Begins to send unique webhooks from a process of its own: `warm` after the warm-up, `stop` to end it before `count` is reached. */
export function startLoad(port: number, path: string, options: LoadOptions) {
  const { count, warmup = 0, rate, kind = 'new', run = newRun(), strict = false } = options;
  // A slow disk must show in the latency, not in senders that wait for a free connection.
  const connections = rate ? Math.min(512, 4 * rate) : (options.connections ?? 64); // one that rests for ten seconds is closed
  const given = { port, path, kind, run, count, warmup, connections, ...(rate && { rate }) };
  const args = Object.entries(given).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'load.ts'), ...args], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const warm = Promise.withResolvers<void>();
  const done = (async () => {
    let out = '';
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
      out += chunk;
      if (out.includes('\n')) warm.resolve();
    }
    warm.resolve(); // it failed, as `done` tells
    if ((await child.exited) !== 0) throw new Error('the load generator failed');
    const result = JSON.parse(out.slice(out.indexOf('\n'))) as Load;
    const other = Object.keys(result.statuses).filter(status => status !== '200');
    if (other.length && strict) throw new Error(`answers other than 200: ${JSON.stringify(result.statuses)}`);
    if (other.length) console.error(`  answers other than 200: ${JSON.stringify(result.statuses)}`);
    return result;
  })();
  return { done, warm: warm.promise, stop: () => child.kill('SIGTERM'), kill: () => child.kill('SIGKILL') };
}

export const load = (port: number, path: string, options: LoadOptions): Promise<Load> =>
  startLoad(port, path, options).done;

/** The same from several processes, one for each port: rates added up, the worst of the latencies. */
export async function loadAll(ports: number[], path: string, options: LoadOptions): Promise<Load> {
  if (ports.length === 1) return load(ports[0]!, path, options);
  const share = (n: number | undefined) => (n === undefined ? undefined : Math.ceil(n / ports.length));
  const all = await Promise.all(
    ports.map(port =>
      load(port, path, {
        ...options,
        count: share(options.count) ?? 0,
        warmup: share(options.warmup),
        rate: share(options.rate),
        connections: Math.ceil(64 / ports.length),
      }),
    ),
  );
  const worst = (pick: (each: Load) => number) => Math.max(...all.map(pick));
  const sum = (pick: (each: Load) => number) => all.reduce((total, each) => total + pick(each), 0);
  return {
    count: sum(each => each.count),
    perSecond: sum(each => each.perSecond),
    statuses: all[0]?.statuses ?? {},
    p50: worst(each => each.p50),
    p99: worst(each => each.p99),
    p999: worst(each => each.p999),
    max: worst(each => each.max),
    begunAt: Math.min(...all.map(each => each.begunAt)),
    endedAt: worst(each => each.endedAt),
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

export const median = (values: number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

export const rows: [string, string][] = [];
export const row = (name: string, value: string) => {
  rows.push([name, value]);
  console.error(`  ${name}: ${value}`);
};
export const count = (n: number) => Math.round(n).toLocaleString('en');
export const per = (n: number) => `${count(n)}/s`;
export const ms = (n: number) => `${n.toFixed(n < 10 ? 1 : 0)} ms`;
export const spread = ({ p50, p99, p999 }: Load) => `p50 ${ms(p50)}, p99 ${ms(p99)}, p99.9 ${ms(p999)}`;

/** A table in Markdown. */
export function table(head: string[], lines: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...lines.map(line)].join('\n');
}
