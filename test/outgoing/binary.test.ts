import { afterAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { emptyFolder, freePort, type Running, start } from '../support/binary.ts';
import { seeded } from '../support/crash.ts';
import { closeReceivers, receiver, verified } from './receiver.ts';

const KEY = 'outgoing-key-0123456789abcdef';
const ENV = {
  INLET_API_KEY: KEY,
  INLET_RATE_LIMIT: '0',
  INLET_LOG_LEVEL: 'error',
  INLET_ALLOW_PRIVATE_TARGETS: 'true',
  INLET_LOG_FORMAT: 'json',
};
const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
afterAll(closeReceivers);

async function api(port: number, method: string, path: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field in assertions
  return (await response.json()) as any;
}

/** Waits until something is true; the test's own time limit ends it. */
async function until<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look().catch(() => null);
    if (found) return found;
    await Bun.sleep(20);
  }
}

test('killed before the answer, and after it before it is noted: the call is made once more, with the same webhook-id', async () => {
  const cwd = emptyFolder();
  const port = await freePort();
  let server: Running = await start({ cwd, env: ENV, port });
  const hook = await receiver();
  let killed: Promise<void> | null = null;
  for (const answerFirst of [false, true]) {
    hook.got.length = 0;
    hook.answer = (_, response) => {
      if (hook.got.length > 1) return void response.end();
      if (answerFirst) response.end();
      killed = server.kill9();
    };
    const { id, secret } = await api(port, 'POST', '/webhook-subscriptions', { url: hook.url });
    await api(port, 'POST', `/webhook-subscriptions/${id}/test`);
    await until(async () => killed !== null);
    await killed;
    killed = null;
    server = await start({ cwd, env: ENV, port });
    await until(async () => (await api(port, 'GET', `/webhook-subscriptions/${id}`)).queued === 0);
    const { data } = await api(port, 'GET', `/webhook-subscriptions/${id}/calls`);
    expect(data).toMatchObject([{ state: 'delivered', lastStatus: 200 }]);
    expect(hook.got.length).toBeWithin(answerFirst ? 1 : 2, 3); // the note of the answer may have been quicker than the kill
    for (const got of hook.got) {
      expect(got.headers['webhook-id']).toBe(data[0].id);
      verified(secret, got);
    }
  }
  await server.stop();
}, 60_000);

test('12 kills at random moments: every happening arrives, and repeats are only those under way', async () => {
  console.log(`outgoing crash: SEED=${SEED}`);
  const random = seeded(SEED);
  const cwd = emptyFolder();
  const port = await freePort();
  let server: Running = await start({ cwd, env: ENV, port });
  const hook = await receiver();
  hook.answer = (_, response) => void setTimeout(() => response.end(), random() * 20);
  const { secret, id } = await api(port, 'POST', '/webhook-subscriptions', { url: hook.url });
  const endpoint = await api(port, 'POST', '/endpoints', {
    provider: 'polar',
    secret: 'polar_whs_0123456789abcdef01234567',
  });
  let running = true;
  let next = 0;
  const acknowledged: string[] = [];
  const client = async () => {
    while (running) {
      const email = `p${next++}@example.com`;
      const tested = await api(port, 'POST', `/endpoints/${endpoint.id}/test`, {
        type: 'customer.created',
        email,
      }).catch(() => null);
      if (tested?.body?.result === 'accepted') acknowledged.push(email);
      else if (tested === null) await Bun.sleep(5);
    }
  };
  const clients = [client(), client()];
  for (let kill = 0; kill < 12; kill++) {
    await Bun.sleep(50 + random() * 250);
    await server.kill9();
    server = await start({ cwd, env: ENV, port });
  }
  running = false;
  await Promise.all(clients);
  for (const status of ['queued', 'failed'])
    await until(
      async () => (await api(port, 'GET', `/deliveries?status=${status}`)).pagination.totalResults === 0, // applied
    );
  await until(async () => (await api(port, 'GET', `/webhook-subscriptions/${id}`)).queued === 0);
  const ids = new Map<string, Set<string>>();
  for (const got of hook.got) {
    const payload = verified(secret, got);
    if (payload.eventName !== 'contact.created') continue;
    const { email } = payload.contactIdentity as { email: string };
    ids.set(email, (ids.get(email) ?? new Set()).add(got.headers['webhook-id'] ?? ''));
  }
  expect(acknowledged.length).toBeGreaterThan(20);
  expect(acknowledged.filter(email => ids.get(email)?.size !== 1)).toEqual([]);
  const repeats = hook.got.length - new Set(hook.got.map(got => got.headers['webhook-id'])).size;
  expect(repeats).toBeLessThanOrEqual(12 * 4);
  await server.stop();
}, 120_000);

test('TLS: the certificate must be that of the host; proxies in the environment are passed by', async () => {
  const pem = join(import.meta.dir, 'localhost.pem');
  const text = readFileSync(pem, 'utf8');
  const seen: string[] = [];
  const https = createServer({ key: text, cert: text }, (request, response) => {
    seen.push(request.headers.host ?? '');
    response.end('ok');
  });
  const at = await new Promise<number>(resolve => {
    https.listen(0, '127.0.0.1', () => resolve((https.address() as AddressInfo).port));
  });
  const call = async (port: number, url: string) => {
    const { id } = await api(port, 'POST', '/webhook-subscriptions', { url });
    const { id: callId } = await api(port, 'POST', `/webhook-subscriptions/${id}/test`);
    return until(async () => {
      const shown = await api(port, 'GET', `/webhook-calls/${callId}`);
      return shown.attempts.length > 0 && shown;
    });
  };
  const proxy = 'http://127.0.0.1:9';
  const env = { ...ENV, HTTPS_PROXY: proxy, HTTP_PROXY: proxy, https_proxy: proxy, http_proxy: proxy };
  const trusting = await start({ cwd: emptyFolder(), env: { ...env, NODE_EXTRA_CA_CERTS: pem } });
  expect(await call(trusting.port, `https://localhost:${at}/`)).toMatchObject({ state: 'delivered', lastStatus: 200 });
  expect(seen).toEqual([`localhost:${at}`]);
  const wrongName = await call(trusting.port, `https://127.0.0.1:${at}/`);
  expect(wrongName.error).toContain('TLS certificate is not valid for its host');
  await trusting.stop();
  const strict = await start({ cwd: emptyFolder(), env });
  const unknown = await call(strict.port, `https://localhost:${at}/`);
  expect(unknown.error).toContain('TLS certificate is not valid');
  expect(seen.length).toBe(1);
  await strict.stop();
  https.closeAllConnections();
  https.close();
}, 60_000);
