import { afterAll, beforeAll, expect, test } from 'bun:test';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, SECRETS, stripeEvent } from '../support/app.ts';
import { emptyFolder, type Running, start } from '../support/binary.ts';

let server: Running;
let stalled = '';
let other = '';
const auth = { authorization: `Bearer ${API_KEY}` };

async function makeEndpoint(): Promise<string> {
  const body = JSON.stringify({ provider: 'stripe', secret: SECRETS.stripe });
  const made = await fetch(`${server.url}/api/v1/endpoints`, { method: 'POST', headers: auth, body });
  return ((await made.json()) as { id: string }).id;
}
beforeAll(async () => {
  server = await start({ cwd: emptyFolder(), env: { INLET_API_KEY: API_KEY, INLET_RATE_LIMIT: '0' } });
  stalled = await makeEndpoint();
  other = await makeEndpoint();
});
afterAll(async () => void (await server.stop()));

interface Connection {
  /** What came back until it was closed, by whomever. */
  closed: Promise<string>;
  close(): void;
}

/** Sends the head of a request that declares `length` bytes and the first `sent` of them, and then nothing. */
async function stall(length: number, sent: number): Promise<Connection> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let seen = '';
  const head = `POST /webhooks/${stalled} HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`;
  let rest: Uint8Array = Buffer.concat([Buffer.from(head), Buffer.alloc(sent, 120)]);
  const push = (socket: { write(data: Uint8Array): number }) => {
    while (rest.length) {
      const written = socket.write(rest);
      if (written <= 0) return;
      rest = rest.subarray(written);
    }
  };
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: server.port,
    socket: {
      open: push,
      drain: push,
      data(_, chunk) {
        seen += chunk.toString('latin1');
      },
      close: () => resolve(seen),
      error: () => resolve(seen),
    },
  });
  return { closed: promise, close: () => socket.end() };
}

async function hook(endpoint: string, filler = 0): Promise<number> {
  const body = JSON.stringify(stripeEvent('customer.created', { metadata: { note: 'x'.repeat(filler) } }));
  const headers = findProvider('stripe')?.sign(body, SECRETS.stripe ?? '', {}, Date.now()) ?? {};
  const answer = await fetch(`${server.url}/webhooks/${endpoint}`, { method: 'POST', body, headers });
  await answer.text();
  return answer.status;
}
let lists = 0;
async function call(): Promise<number> {
  const body = JSON.stringify({ name: `list ${lists++}` });
  const answer = await fetch(`${server.url}/api/v1/lists`, { method: 'POST', headers: auth, body });
  await answer.text();
  return answer.status;
}

/** Statuses of `ask`, every 10 ms, 100 times, and their p99 in ms. */
async function measure(ask: () => Promise<number>): Promise<{ statuses: number[]; p99: number }> {
  const statuses = new Set<number>();
  const times: number[] = [];
  for (let i = 0; i < 100; i++) {
    const start = performance.now();
    statuses.add(await ask());
    times.push(performance.now() - start);
    await Bun.sleep(10);
  }
  return { statuses: [...statuses], p99: times.sort((a, b) => a - b)[98] ?? 0 };
}

/** What others see: the statuses of their small and large webhooks and of API calls, and the slowest p99 of the three. */
async function measureOthers() {
  const asked = [() => hook(other), () => hook(other, 100_000), call];
  const [hooks, large, calls] = await Promise.all(asked.map(measure));
  const p99 = Math.max(hooks?.p99 ?? 0, large?.p99 ?? 0, calls?.p99 ?? 0);
  return { statuses: [hooks?.statuses, large?.statuses, calls?.statuses], p99 };
}

const SHAPES: [string, number, number, number][] = [
  ['1,030 small bodies of which one byte came', 1030, 65_536, 1],
  ['1,030 small bodies of which all but one byte came', 1030, 65_536, 65_535],
  ['65 large bodies of which nearly all came', 65, 1_048_500, 1_048_000],
];

for (const [name, count, length, sent] of SHAPES) {
  test(`${name}, on one endpoint: every other endpoint and the API answer as ever`, async () => {
    const quiet = await measureOthers();
    const open = await Promise.all(Array.from({ length: count }, () => stall(length, sent)));
    await Bun.sleep(1000); // what was sent is there
    const found = await measureOthers();
    for (const each of open) each.close();
    expect(found.statuses).toEqual([[200], [200], [201]]);
    expect(found.p99).toBeLessThanOrEqual(Math.max(100, 2.5 * quiet.p99)); // ms; a busy machine is slow without them too
  }, 90_000);
}

test('bytes that were declared and did not come take nothing, from the same endpoint either', async () => {
  const open = await Promise.all(Array.from({ length: 1030 }, () => stall(65_536, 1)));
  expect(await hook(stalled)).toBe(200);
  for (const each of open) each.close();
}, 20_000);

test('ten seconds in which next to nothing comes end a request, however far it is and though it drips', async () => {
  const begin = performance.now();
  const half = await stall(1_000_000, 500_000);
  const answer = await Promise.race([half.closed, Bun.sleep(14_000).then(() => 'still open')]);
  expect(answer).not.toBe('still open');
  expect(performance.now() - begin).toBeGreaterThan(7000);
}, 20_000);
