import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { sql } from 'drizzle-orm';
import { askServer } from '../../src/cli/health.ts';
import { makeAuthorization } from '../../src/http/auth.ts';
import { makeSealer } from '../../src/sealing.ts';
import { API_KEY, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const auth = { authorization: `Bearer ${API_KEY}` };

const guarded = ({ headers }: { headers: Headers }) => {
  expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  expect(headers.get('x-content-type-options')).toBe('nosniff');
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'");
  expect(headers.get('cache-control')).toBe('no-store');
  expect([...headers.keys()].filter(name => name.startsWith('access-control'))).toEqual([]);
};

test('every answer is guarded and has a request id of our own', async () => {
  const id = await app.endpoint('stripe');
  const answers = [
    await app.api('GET', '/endpoints'),
    await app.api('POST', '/endpoints', { nope: 1 }),
    await app.fetch('/api/v1/endpoints'),
    await app.fetch('/nowhere'),
    await app.api('PUT', '/endpoints'),
    await app.fetch('/api/v1/lists', { method: 'POST', headers: auth, body: `{"name":"${'x'.repeat(1_100_000)}"}` }),
    await app.fetch('/api/v1/lists', { method: 'POST', headers: { ...auth, 'content-encoding': 'gzip' }, body: 'x' }),
    await app.fetch('/health', { headers: { 'x-request-id': 'forged' } }),
    await app.fetch(`/webhooks/${id}`, { method: 'POST', body: '{}' }),
    await app.fetch('/webhooks/ep_unknown', { method: 'POST', body: '{}' }),
    await app.fetch('/swagger'),
  ];
  expect(answers.map(a => a.status)).toEqual([200, 400, 401, 404, 405, 413, 415, 200, 401, 404, 200]);
  for (const answer of answers) guarded(answer);
  expect(new Set(answers.map(a => a.headers.get('x-request-id'))).size).toBe(answers.length);
  expect(answers[4]?.headers.get('allow')).toBe('POST, GET');
});

describe('/health', () => {
  const mailTrouble = '535 5.7.8 Login of user postmaster@corp.internal from 10.1.2.3 refused';
  test('tells strangers whether it is well, and nothing else', async () => {
    app.app.ctx.health.mailTrouble = mailTrouble;
    expect((await app.fetch('/health')).body).toEqual({ status: 'ok' });
    app.app.ctx.health.storeTrouble = 'The database cannot commit.';
    const stranger = await app.fetch('/health', { headers: { 'x-inlet-key-id': 'INLET_API_KEY' } });
    expect([stranger.status, stranger.body]).toEqual([503, { status: 'trouble' }]);
    const known = await app.health();
    expect(known.status).toBe(503);
    expect(known.body).toEqual({
      status: 'trouble',
      version: expect.any(String),
      storeTrouble: 'The database cannot commit.',
      clockSkewSeconds: null,
      mailTrouble,
      backlog: 0,
      deadJobs: 0,
    });
  });

  test('is no place to guess keys at, and knows who has the sealing key', async () => {
    const ask = (authorization: string) =>
      app.app.fetch(new Request('http://localhost/health', { headers: { authorization } }), '9.9.9.9');
    const statuses = [];
    for (let n = 0; n < 25; n++) statuses.push((await ask(`Bearer wrong${n}`)).status);
    expect(statuses).toEqual([...Array(20).fill(401), ...Array(5).fill(429)]);
    const sealed = await ask(makeAuthorization(app.app.ctx.sealer));
    expect(await sealed.json()).toMatchObject({ status: 'ok', mailTrouble: null });
    const other = makeSealer(new Uint8Array(32).fill(9));
    expect((await ask(makeAuthorization(other))).status).toBe(429);
  });
});

test('the command line sees the details of the server on this host by its sealing key, and only with the right one', async () => {
  await app.stop();
  app = await TestApp.open({}, { port: 0 });
  const port = Number(new URL((await app.app.start()).url).port);
  const config = { ...app.app.ctx.config, port };
  app.app.ctx.health.mailTrouble = 'no';
  expect(await askServer(config)).toMatchObject({ status: 200, body: { mailTrouble: 'no' } });
  const other = { ...config, secretKey: new Uint8Array(32).fill(9) };
  expect(await askServer(other)).toEqual({ status: 200, body: { status: 'ok' } });
});

describe('nothing foreign leaks', () => {
  const clean = (body: unknown) => {
    const text = JSON.stringify(body);
    for (const word of ['select', 'SQL', 'no such table', '/src/', app.folder, 'Error:'])
      expect(text).not.toContain(word);
  };
  test('of a broken database', async () => {
    const id = await app.endpoint('stripe');
    await app.app.ctx.store.write(tx => tx.run(sql`drop table events`));
    const answer = await app.api('GET', '/events');
    guarded(answer);
    expect(answer).toMatchObject({ status: 500, body: { success: false } });
    expect(answer.body.message).toContain(answer.headers.get('x-request-id') ?? 'none');
    clean(answer.body);
    await app.app.ctx.store.write(tx => tx.run(sql`drop table payloads`));
    const hook = await app.post(id, 'stripe', stripeEvent('customer.created'));
    expect(hook.status).toBe(500);
    clean(hook.body);
    expect(app.lines.some(line => line.includes(answer.headers.get('x-request-id') ?? 'none'))).toBe(true);
  });
});

test('hostile hosts, paths and forwarding headers change nothing', async () => {
  const made = await app.fetch('/api/v1/endpoints', {
    method: 'POST',
    headers: {
      ...auth,
      host: 'evil.com',
      'x-forwarded-host': 'evil.com',
      'x-forwarded-for': '1.2.3.4',
      'x-forwarded-proto': 'gopher',
    },
    body: '{"provider":"stripe"}',
  });
  expect(JSON.stringify(made.body)).not.toContain('evil');
  for (const path of [
    '/api/v1/endpoints/%2e%2e%2fkeys',
    '/api/v1/endpoints/%00%0d%0a',
    '/webhooks/%2e%2e',
    '//evil.com/api/v1/keys',
    '/api/v1/../v1/keys/..',
    '/api/v1/keys#',
    '/swagger/../../etc/passwd',
    '/swagger/%2e%2e%2fpackage.json',
    `/api/v1/endpoints/${'x'.repeat(200)}`,
    '/api/v1/endpoints/__proto__',
  ]) {
    const answer = await app.fetch(path, { headers: auth });
    const isHome = answer.status === 302 && answer.headers.get('location') === '_/'; // Request made "/" of it
    expect({ path, fine: isHome || [200, 400, 404, 405].includes(answer.status) }).toEqual({ path, fine: true });
    expect(JSON.stringify(answer.body)).not.toContain('root:');
  }
  const bare = await app.app.fetch(Object.assign(new Request('http://localhost/health'), {}), null);
  expect(bare.status).toBe(200);
});

test('a wrong key is refused at most twenty times a minute per address, whatever it claims to be forwarded for', async () => {
  const attempt = (peer: string, n: number) =>
    app.app.fetch(
      new Request('http://localhost/api/v1/keys', {
        headers: { authorization: `Bearer wrong${n}`, 'x-forwarded-for': `10.0.0.${n}` },
      }),
      peer,
    );
  const statuses = [];
  for (let n = 0; n < 25; n++) statuses.push((await attempt('9.9.9.9', n)).status);
  expect(statuses).toEqual([...Array(20).fill(401), ...Array(5).fill(429)]);
  expect((await attempt('8.8.8.8', 1)).status).toBe(401);
  guarded(await attempt('9.9.9.9', 26));
  const right = await app.app.fetch(new Request('http://localhost/api/v1/keys', { headers: auth }), '9.9.9.9');
  expect(right.status).toBe(200); // someone else's wrong keys behind the same proxy lock nobody out
});

test('no origin is ever let in, not even when it asks first', async () => {
  const origin = { origin: 'https://evil.com', 'access-control-request-method': 'POST' };
  const asked = await app.fetch('/api/v1/endpoints', { method: 'OPTIONS', headers: { ...auth, ...origin } });
  expect(asked.status).toBe(405);
  guarded(asked);
  guarded(await app.fetch('/api/v1/endpoints', { headers: { ...auth, ...origin } }));
});

test('the rate limit counts per key, says what is left, and never stops webhooks', async () => {
  await app.stop();
  app = await TestApp.open({}, { rateLimit: 5 });
  const id = await app.endpoint('stripe');
  const answers = [];
  for (let i = 0; i < 8; i++) answers.push(await app.api('GET', '/lists'));
  expect(answers.at(-1)?.status).toBe(429);
  guarded(answers.at(-1) ?? { headers: new Headers() });
  for (const { headers } of answers) {
    expect(headers.get('x-ratelimit-limit')).toBe('5');
    expect(Number(headers.get('x-ratelimit-remaining'))).toBeGreaterThanOrEqual(0);
  }
  for (let i = 0; i < 20; i++) expect((await app.post(id, 'stripe', stripeEvent('customer.created'))).status).toBe(200);
});

test('a key that is through leaves the other keys theirs', async () => {
  await app.stop();
  app = await TestApp.open({}, { rateLimit: 3 });
  const other = (await app.api('POST', '/keys', { name: 'other' })).body.key;
  const statuses = [];
  for (let i = 0; i < 6; i++) statuses.push((await app.api('GET', '/lists')).status);
  expect(statuses).toContain(429);
  const theirs = await app.api('GET', '/lists', undefined, other);
  expect([theirs.status, theirs.headers.get('x-ratelimit-remaining')]).toEqual([200, '2']);
});

test('a rate limit of 0 is none', async () => {
  for (let i = 0; i < 300; i++) {
    const { status, headers } = await app.api('GET', '/api-key');
    expect([status, headers.get('x-ratelimit-limit')]).toEqual([200, null]);
  }
});

/** Sends bytes as they stand, as no client library would, and gives the whole answer. */
async function raw(port: number, text: string): Promise<string> {
  let answer = '';
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: {
      data(_, bytes) {
        answer += bytes;
      },
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  socket.write(text);
  await Promise.race([promise, Bun.sleep(2000)]);
  socket.end();
  return answer;
}

test('on the wire: hostile Host headers and targets get an answer, never a 500, a redirect or an echo', async () => {
  await app.stop();
  app = await TestApp.open({}, { port: 0 });
  const port = Number(new URL((await app.app.start()).url).port);
  const made = await app.endpoint('stripe');
  const targets = [
    '/api/v1/endpoints',
    `/api/v1/endpoints/${made}`,
    '/swagger',
    '/swagger/',
    '/swagger/json',
    '/health',
    '//evil.com/api/v1/keys',
    '///evil.com',
    '/\\evil.com',
    '/api/v1/endpoints/',
    '/api/v1//endpoints',
    '/api/v1/endpoints/%2e%2e%2fkeys',
    '/api/v1/endpoints/..%2f..%2f..%2fetc%2fpasswd',
    '/api/v1/endpoints/%00',
    '/api/v1/endpoints/%0d%0aSet-Cookie:%20a=1',
    '/api/v1/endpoints/%ff%fe',
    '/api/v1/endpoints/%',
    '/api/v1/contacts?q=%',
    '/api/v1/contacts?q=%00',
    '/webhooks/%0d%0a',
    'http://evil.com/api/v1/endpoints',
  ];
  const hosts = [
    'localhost',
    'evil.com/x?',
    'evil.com#',
    'evil.com:99999',
    'a@evil.com',
    '[::1',
    ' ',
    '%00',
    'e_vil..com',
  ];
  for (const host of hosts) {
    for (const target of targets) {
      const answer = await raw(
        port,
        `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${API_KEY}\r\nConnection: close\r\n\r\n`,
      );
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
      const head = answer.slice(0, answer.indexOf('\r\n\r\n')).toLowerCase();
      expect({ host, target, fine: [200, 400, 404, 405].includes(status), status }).toEqual({
        host,
        target,
        fine: true,
        status,
      });
      expect(head).not.toMatch(/^(location|set-cookie):/m);
      if (target.startsWith('/api/v1/endpoints')) expect(answer).not.toContain('evil');
    }
  }
}, 60_000);

test('bodies are JSON objects within bounds, and prototype keys are plain unknown fields', async () => {
  const post = (body: string) => app.fetch('/api/v1/lists', { method: 'POST', headers: auth, body });
  for (const body of [
    '[]',
    'null',
    '"x"',
    '{',
    `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`,
    '{"name":1}',
    '{"name":""}',
    '{"name":"x","extra":1}',
    '{"name":"x","__proto__":{"a":1}}',
    '{"constructor":{}}',
  ]) {
    const answer = await post(body);
    expect({ body: body.slice(0, 40), status: answer.status }).toEqual({ body: body.slice(0, 40), status: 400 });
    expect(answer.body.message.length).toBeGreaterThan(10);
  }
  expect(({} as Record<string, unknown>).a).toBeUndefined();
});
