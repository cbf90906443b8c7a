import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, SECRETS, stripeEvent } from '../support/app.ts';
import { emptyFolder, type Running, start } from '../support/binary.ts';

let server: Running;
let path = '';
beforeAll(async () => {
  server = await start({ cwd: emptyFolder(), env: { INLET_API_KEY: API_KEY } });
  const made = await fetch(`${server.url}/api/v1/endpoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ provider: 'stripe', secret: SECRETS.stripe }),
  });
  path = `/webhooks/${((await made.json()) as { id: string }).id}`;
});
afterAll(async () => void (await server.stop()));

interface Raw {
  /** What came back, once `until` is in it or the connection closed. */
  answer: Promise<string>;
  close(): void;
}

/** Writes bytes to a socket as they are. */
async function raw(text: string | Uint8Array, until = '\r\n\r\n'): Promise<Raw> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let seen = '';
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: server.port,
    socket: {
      data(_, chunk) {
        seen += chunk.toString('latin1');
        if (seen.includes(until)) resolve(seen);
      },
      close: () => resolve(seen),
      error: () => resolve(seen),
    },
  });
  socket.write(text);
  return { answer: promise, close: () => socket.end() };
}

const head = (headers: string) => `POST ${path} HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`;
const good = async () => {
  const body = JSON.stringify(stripeEvent('customer.created'));
  const headers = findProvider('stripe')?.sign(body, SECRETS.stripe ?? '', {}, Date.now()) ?? {};
  return (await fetch(server.url + path, { method: 'POST', body, headers })).status;
};
const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024;

test('a body over the limit is 413 by its declared length, before it is sent', async () => {
  const { answer, close } = await raw(head('content-length: 2000000'));
  expect(await answer).toMatch(/^HTTP\/1\.1 413/);
  close();
});

test('a chunked body over the limit is 413 before it is read whole', async () => {
  const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
  const { answer, close } = await raw(head('transfer-encoding: chunked') + chunk.repeat(20));
  expect(await answer).toMatch(/^HTTP\/1\.1 413/);
  close();
});

test('a compressed body is 415, and nothing is inflated', async () => {
  const body = Bun.gzipSync(new Uint8Array(10_000_000));
  const response = await fetch(server.url + path, { method: 'POST', body, headers: { 'content-encoding': 'gzip' } });
  expect(response.status).toBe(415);
});

test('a hundred half-sent bodies of 1 MB cost bounded memory, and others are served meanwhile', async () => {
  const before = rss();
  const half = await Promise.all(
    Array.from({ length: 100 }, () => raw(head('content-length: 1000000') + 'x'.repeat(200_000))),
  );
  expect(await good()).toBe(200);
  expect(rss() - before).toBeLessThan(150);
  for (const each of half) each.close();
  expect(await good()).toBe(200);
}, 20_000);

test('bodies in flight are bounded: beyond 64 MiB the answer is 503 with Retry-After, and it passes', async () => {
  const limit = await fetch(`${server.url}/api/v1${path.replace('/webhooks', '/endpoints')}`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ settings: { maxBodyBytes: 26_214_400 } }),
  });
  expect(limit.status).toBe(200);
  const part = Buffer.concat([Buffer.from(head('content-length: 20000000')), Buffer.alloc(15_000_000, 120)]);
  const connections: Raw[] = [];
  const answers: string[] = [];
  for (let i = 0; i < 8; i++) {
    const each = await slowly(part);
    connections.push(each);
    void each.answer.then(text => answers.push(text));
  }
  for (let i = 0; i < 200 && !answers.some(text => text.includes(' 503 ')); i++) await Bun.sleep(25);
  expect(answers.some(text => /^HTTP\/1\.1 503/.test(text) && /retry-after/i.test(text))).toBe(true);
  for (const each of connections) each.close();
  let status = 0;
  for (let i = 0; i < 100 && status !== 200; i++) {
    status = await good();
    if (status !== 200) await Bun.sleep(50);
  }
  expect(status).toBe(200);
}, 30_000);

/** Like `raw`, for more bytes than a socket takes at once. */
async function slowly(bytes: Uint8Array): Promise<Raw> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let rest = bytes;
  let seen = '';
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
        if (seen.includes('\r\n\r\n')) resolve(seen);
      },
      close: () => resolve(seen),
      error: () => resolve(seen),
    },
  });
  return { answer: promise, close: () => socket.end() };
}

test('a body that drips is cut, and the rest is served', async () => {
  const { answer } = await raw(`${head('content-length: 1000')}x`);
  expect(await good()).toBe(200);
  const text = await Promise.race([answer, Bun.sleep(45_000).then(() => 'still open')]);
  expect(text).not.toBe('still open');
  expect(text).not.toMatch(/^HTTP\/1\.1 200/);
}, 60_000);

test('smuggling shapes are refused', async () => {
  for (const headers of [
    'content-length: 5\r\ntransfer-encoding: chunked',
    'content-length: 5\r\ncontent-length: 6',
    'content-length: -1',
    'transfer-encoding: xchunked',
  ]) {
    const { answer, close } = await raw(`${head(headers)}hello`);
    const text = await Promise.race([answer, Bun.sleep(3000).then(() => 'open')]);
    expect(text).not.toMatch(/^HTTP\/1\.1 200/);
    close();
  }
});
