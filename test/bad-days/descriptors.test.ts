import { afterAll, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, SECRETS, stripeEvent } from '../support/app.ts';
import { binary, emptyFolder, freePort } from '../support/binary.ts';

const LIMIT = 120; // file descriptors of the server
let child: Bun.Subprocess | undefined;
afterAll(async () => {
  child?.kill('SIGKILL');
  await child?.exited;
});

/** A connection that is taken, since something came, and then says nothing. */
async function stall(port: number): Promise<{ end(): void }> {
  const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {}, error() {} } });
  socket.write('GET /health HTTP/1.1\r\n');
  return socket;
}

test('where strangers took all file descriptors, who is connected is served, nothing is lost, and it heals by itself', async () => {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  child = Bun.spawn(['sh', '-c', `ulimit -Hn ${LIMIT}; ulimit -Sn ${LIMIT}; exec ${binary()} --port ${port}`], {
    cwd: emptyFolder(),
    env: { PATH: process.env.PATH ?? '', INLET_API_KEY: API_KEY },
    stdout: 'ignore',
    stderr: 'ignore',
  });
  for (let i = 0; i < 200 && !(await fetch(`${url}/health`).catch(() => null)); i++) await Bun.sleep(50);
  const made = await fetch(`${url}/api/v1/endpoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ provider: 'stripe', secret: SECRETS.stripe }),
  });
  const { id } = (await made.json()) as { id: string };
  const send = async () => {
    const body = JSON.stringify(stripeEvent('customer.created'));
    const headers = findProvider('stripe')?.sign(body, SECRETS.stripe ?? '', {}, Date.now()) ?? {};
    const request = { method: 'POST', body, headers, signal: AbortSignal.timeout(5000) };
    return fetch(`${url}/webhooks/${id}`, request).then(answer => answer.text().then(() => answer.status));
  };
  expect(await send()).toBe(200); // over a connection that fetch keeps

  const idle: { end(): void }[] = [];
  for (let i = 0; i < 2 * LIMIT; i++) idle.push(await stall(port));
  await Bun.sleep(500);
  expect(readdirSync(`/proc/${child.pid}/fd`).length).toBeGreaterThan(LIMIT - 10);
  let sent = 1;
  for (let i = 0; i < 5; i++) if ((await send().catch(() => 0)) === 200) sent++;
  expect(sent).toBe(6);

  const begin = performance.now();
  let well = false;
  while (!well && performance.now() - begin < 40_000) {
    const fresh = { keepalive: false, signal: AbortSignal.timeout(2000) }; // over a connection of its own
    well = await fetch(`${url}/health`, fresh).then(
      answer => answer.ok,
      () => false,
    );
  }
  for (const each of idle) each.end();
  expect(well).toBe(true);
  const list = await fetch(`${url}/api/v1/deliveries`, { headers: { authorization: `Bearer ${API_KEY}` } });
  const { pagination } = (await list.json()) as { pagination: { totalResults: number } };
  expect(pagination.totalResults).toBe(sent);
}, 90_000);
