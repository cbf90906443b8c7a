import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, SECRETS, stripeEvent } from '../support/app.ts';
import { withPostgres } from '../support/backends.ts';
import { emptyFolder, type Running, start } from '../support/binary.ts';
import { Postgres } from '../support/postgres.ts';

const HELD = 59;
const STATEMENT_MS = 5000; // what a statement may take; usually 30 s
const STALLED_MS = 8000;
const SOON_MS = 5000;

let postgres: Postgres;
let server: Running;
let endpoint = '';

async function post(n: number): Promise<{ status: number; at: number }> {
  const body = JSON.stringify(stripeEvent('customer.created', { id: `cus_${n}`, email: `held${n}@x.co` }));
  const headers = findProvider('stripe')?.sign(body, SECRETS.stripe ?? '', {}, Date.now()) ?? {};
  const answer = await fetch(`${server.url}/webhooks/${endpoint}`, { method: 'POST', body, headers });
  await answer.text();
  return { status: answer.status, at: performance.now() };
}

/** All of the server's processes stand still, as when its machine swaps, its disk hangs or its VM is paused. */
function signalAll(signal: 'SIGSTOP' | 'SIGCONT', pids: number[]): void {
  for (const pid of pids) process.kill(pid, signal);
}

describe.skipIf(!withPostgres)('a database that stands still for longer than a statement may take', () => {
  beforeAll(async () => {
    postgres = await Postgres.start(['max_connections=60']);
    await postgres.query('postgres', 'create database stall');
    const env = {
      INLET_DATABASE_URL: `${postgres.url('stall')}?statement_timeout=${STATEMENT_MS}`,
      INLET_SECRET_KEY: Buffer.alloc(32, 9).toString('base64'),
      INLET_API_KEY: API_KEY,
      INLET_LOG_FORMAT: 'json',
    };
    server = await start({ cwd: emptyFolder(), env });
    const made = await fetch(`${server.url}/api/v1/endpoints`, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}` },
      body: JSON.stringify({ provider: 'stripe', secret: SECRETS.stripe }),
    });
    endpoint = ((await made.json()) as { id: string }).id;
    expect((await post(-1)).status).toBe(200);
  }, 240_000);
  afterAll(async () => {
    await server?.stop();
    await postgres?.remove();
  });

  test('answers 200 soon after to everybody who waited', async () => {
    const rows = await postgres.query('postgres', `select pid from pg_stat_activity where datname = 'stall'`);
    const pids = (rows as { pid: number }[]).map(row => row.pid);
    // Busy when it happens, so that transactions are cut in the middle.
    let running = true;
    let n = 0;
    const sending = Array.from({ length: HELD }, async () => {
      let answer = await post(n++);
      while (running) answer = await post(n++);
      return answer;
    });
    await Bun.sleep(1000);
    signalAll('SIGSTOP', pids);
    running = false;
    await Bun.sleep(STALLED_MS);
    signalAll('SIGCONT', pids);
    const released = performance.now();
    const answers = await Promise.all(sending);
    expect(new Set(answers.map(each => each.status))).toEqual(new Set([200]));
    expect(Math.max(...answers.map(each => each.at)) - released).toBeLessThan(SOON_MS);
  }, 30_000);
});
