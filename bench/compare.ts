// Two servers in turn under the same loads: what is received and applied, answer times at a fixed rate, and CPU.
import type { Postgres } from '../test/support/postgres.ts';
import { type Kind, knownOf } from './events.ts';
import { cpuMs } from './machine.ts';
import { count, type Load, load, median, ms, newRun, per, table } from './measure.ts';
import { serverCpuMs, type Target } from './servers.ts';

export interface Contestant {
  name: string;
  start(): Promise<Target>;
}

export interface Size {
  /** Alternating runs. */
  runs: number;
  /** Webhooks that are measured, and those before. */
  count: number;
  warmup: number;
  /** How long the fixed rate lasts. */
  seconds: number;
}

interface Result {
  perSecond: number;
  p50: number;
  p99: number;
  /** ms for each webhook. */
  cpu: number;
  serverCpu: number;
}

const RATE = 1000;

/** Received and applied: `sent` webhooks up to the moment when the last of them is applied. */
export const appliedPerSecond = ({ begunAt, endedAt }: Load, sent: number, appliedAt: number | null): number =>
  sent / ((Math.max(endedAt, appliedAt ?? 0) - begunAt) / 1000);

async function measure(contestant: Contestant, kind: Kind, size: Size, server: Postgres | null): Promise<Result> {
  const target = await contestant.start();
  const [port = 0] = target.ports;
  const { path } = target;
  const full = { kind, strict: true, run: newRun(), count: size.count, warmup: size.warmup };
  const paced = { kind, strict: true, run: newRun(), count: size.seconds * RATE, warmup: RATE / 2, rate: RATE };
  const webhooks = full.count + full.warmup + paced.count + paced.warmup;
  let sent = webhooks;
  if (kind === 'bursts') {
    for (const { run, count, warmup } of [full, paced]) {
      const known = knownOf(count + warmup);
      await load(port, path, { kind: 'known', run, count: known });
      sent += known;
    }
  }
  await server?.query('postgres', 'checkpoint'); // nothing is left over from the run before
  const cpu = async () => [cpuMs(target.pid), server ? await serverCpuMs(server) : 0] as const;
  const [own, servers] = await cpu();
  const fast = await load(port, path, full);
  const appliedAt = await target.applied();
  const [ownThen, serversThen] = await cpu();
  const slow = await load(port, path, paced);
  await target.applied();
  await target.check(sent, webhooks);
  await target.stop();
  return {
    perSecond: appliedPerSecond(fast, size.count, appliedAt),
    p50: slow.p50,
    p99: slow.p99,
    cpu: (ownThen - own) / fast.count,
    serverCpu: (serversThen - servers) / fast.count,
  };
}

const NAMES: Partial<Record<Kind, string>> = { new: 'new people', bursts: 'bursts' };

/** Runs both loads against each in turn; a table whose numbers are medians, with the least and the most of a rate. */
export async function compare(contestants: Contestant[], size: Size, server: Postgres | null): Promise<string> {
  const lines: string[][] = [];
  for (const kind of ['new', 'bursts'] as const) {
    const results: Result[][] = contestants.map(() => []);
    for (let i = 0; i < size.runs; i++) {
      for (const [n, contestant] of contestants.entries()) {
        const result = await measure(contestant, kind, size, server);
        results[n]?.push(result);
        const p99 = `p99 ${ms(result.p99)} at ${count(RATE)}/s`;
        console.error(`  ${NAMES[kind]}, run ${i + 1}, ${contestant.name}: ${per(result.perSecond)}, ${p99}`);
      }
    }
    const of = (pick: (result: Result) => number) => results.map(each => median(each.map(pick)));
    const rates = of(result => result.perSecond);
    const range = (each: Result[]) => {
      const all = each.map(result => result.perSecond);
      return all.length > 1 ? ` (${count(Math.min(...all))}–${count(Math.max(...all))})` : '';
    };
    const share = `${((rates[1] ?? 0) / (rates[0] ?? 1)).toFixed(2)} ×`;
    lines.push([
      `${NAMES[kind]}: received and applied`,
      ...rates.map((rate, n) => per(rate) + range(results[n]!)),
      share,
    ]);
    const p50 = of(result => result.p50);
    const p99 = of(result => result.p99).map((value, n) => `${ms(p50[n] ?? 0)}, ${ms(value)}`);
    lines.push([`${NAMES[kind]}: answer at ${count(RATE)}/s: p50, p99`, ...p99, '']);
    lines.push([`${NAMES[kind]}: CPU a webhook`, ...of(result => result.cpu).map(micros), '']);
    if (server) lines.push([`${NAMES[kind]}: … of PostgreSQL`, ...of(result => result.serverCpu).map(micros), '']);
  }
  return table(['', ...contestants.map(each => each.name), 'ratio'], lines);
}

const micros = (value: number) => `${value.toFixed(3)} ms`;
