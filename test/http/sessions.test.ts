import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { createLink, pruneSessions } from '../../src/access/sessions.ts';
import { sessions } from '../../src/db/schema.ts';
import { listApiRoutes } from '../../src/http/v1/index.ts';
import { API_KEY, stripeEvent, TestApp } from '../support/app.ts';

const DAY_MS = 86_400_000;
const PAGE = { 'sec-fetch-site': 'same-origin' };

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const signIn = (given: unknown, headers: Record<string, string> = PAGE) =>
  app.fetch('/api/v1/session', { method: 'POST', headers, body: JSON.stringify(given) });

/** Name and value of the cookie that an answer sets. */
const cookieOf = ({ headers }: { headers: Headers }) => headers.get('set-cookie')?.split(';')[0] ?? '';

const withCookie = (
  cookie: string,
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: unknown,
) =>
  app.fetch(`/api/v1${path}`, {
    method,
    headers: { cookie, ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

/** A peer's request, past the helper that has none. */
const askFrom = (peer: string, path: string, init: RequestInit) =>
  app.app.fetch(new Request(`http://localhost${path}`, init), peer);

describe('signing in', () => {
  test('by a key: a cookie that scripts of the page can not read, kept as a hash only', async () => {
    const made = (await app.api('POST', '/keys', { name: 'mine' })).body;
    const answer = await signIn({ key: ` ${made.key} ` });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ keyId: made.id, scope: 'all', current: true });
    expect(answer.headers.get('set-cookie')).toMatch(
      /^inlet=[0-9a-z]{50}; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Strict$/,
    );
    const cookie = cookieOf(answer);
    expect(JSON.stringify(await app.app.ctx.store.read(tx => tx.select().from(sessions)))).not.toContain(
      cookie.slice('inlet='.length),
    );
    const self = await withCookie(cookie, 'GET', '/session');
    expect(self.body).toMatchObject({ keyId: made.id, scope: 'all', session: { id: answer.body.id, current: true } });
    expect(cookieOf(self)).toBe(cookie);
    expect((await withCookie('inlet=x', 'GET', '/session')).status).toBe(401);
    expect((await app.api('GET', '/session', undefined, cookie.slice('inlet='.length))).status).toBe(401);
    expect((await withCookie(`inlet=${made.key}`, 'GET', '/session')).status).toBe(401);
  });

  test('where the public URL is https, the cookie is of this host alone and never goes over http', async () => {
    await app.stop();
    app = await TestApp.open({}, { publicUrl: 'https://inlet.example.com' });
    const answer = await signIn({ key: API_KEY });
    expect(answer.headers.get('set-cookie')).toMatch(
      /^__Host-inlet=\w+; Path=\/; Max-Age=2592000; HttpOnly; SameSite=Strict; Secure$/,
    );
    expect((await withCookie(cookieOf(answer).replace('__Host-', ''), 'GET', '/session')).status).toBe(401);
  });

  test('by a link: once, and for 15 minutes', async () => {
    app.time = Date.now();
    const { store } = app.app.ctx;
    const token = await store.write(tx => createLink(tx, app.now()));
    expect((await withCookie(`inlet=${token}`, 'GET', '/session')).status).toBe(401);
    const tries = await Promise.all(Array.from({ length: 5 }, () => signIn({ token })));
    expect(tries.map(each => each.status).sort()).toEqual([201, 401, 401, 401, 401]);
    expect(tries.find(each => each.status === 401)?.body.message).toContain('inlet login');
    const late = await store.write(tx => createLink(tx, app.now()));
    app.time += 15 * 60_000;
    expect((await signIn({ token: late })).status).toBe(401);
    expect((await signIn({ token: late, key: API_KEY })).status).toBe(400);
    expect((await signIn({})).status).toBe(400);
  });

  test('a foreign page signs nobody in', async () => {
    const foreign: Record<string, string>[] = [{ 'sec-fetch-site': 'cross-site' }, { origin: 'https://evil.example' }];
    for (const headers of foreign) expect((await signIn({ key: API_KEY }, headers)).status).toBe(403);
    expect((await signIn({ key: API_KEY }, {})).status).toBe(201);
  });

  test('is no place to guess at', async () => {
    const guess = () => askFrom('9.9.9.9', '/api/v1/session', { method: 'POST', body: '{"key":"inlet_wrong"}' });
    const statuses = [];
    for (let n = 0; n < 25; n++) statuses.push((await guess()).status);
    expect(statuses).toEqual([...Array(20).fill(401), ...Array(5).fill(429)]);
    const cookie = { headers: { cookie: 'inlet=wrong' } };
    expect((await askFrom('9.9.9.9', '/api/v1/session', cookie)).status).toBe(429);
    expect((await askFrom('8.8.8.8', '/api/v1/session', cookie)).status).toBe(401);
  });
});

describe('what a cookie changes comes from the page itself', () => {
  const cases: [string, Record<string, string>, number][] = [
    ['no word of a browser', {}, 403],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['another port of this host', { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:8484' }, 403],
    ['typed in', { 'sec-fetch-site': 'none' }, 403],
    ['this page', { 'sec-fetch-site': 'same-origin' }, 201],
    ['an old browser, another origin', { origin: 'https://evil.example' }, 403],
    ['an old browser, another port', { origin: 'http://127.0.0.1:9999', host: '127.0.0.1:8484' }, 403],
    ['an old browser, a sandboxed frame', { origin: 'null' }, 403],
    ['an old browser, the public URL', { origin: 'http://127.0.0.1:8484' }, 201],
    ['an old browser, the address it was called by', { origin: 'http://lan:8484', host: 'lan:8484' }, 201],
  ];
  test.each(cases)('%s', async (_, headers, status) => {
    const cookie = cookieOf(await signIn({ key: API_KEY }));
    expect((await withCookie(cookie, 'POST', '/lists', headers, { name: 'l' })).status).toBe(status);
    expect((await withCookie(cookie, 'DELETE', '/session', headers)).status).toBe(status === 201 ? 200 : 403);
    expect((await app.api('GET', '/lists')).body).toHaveLength(status === 201 ? 1 : 0);
  });

  test('a key needs none of that, also beside a cookie', async () => {
    const cookie = cookieOf(await signIn({ key: API_KEY }));
    const headers = { authorization: `Bearer ${API_KEY}`, 'sec-fetch-site': 'cross-site' };
    expect((await withCookie(cookie, 'POST', '/lists', headers, { name: 'l' })).status).toBe(201);
    expect((await withCookie(cookie, 'GET', '/lists', { authorization: 'Bearer wrong' })).status).toBe(401);
  });
});

describe('the end of a session', () => {
  test('with its key, at once; others go on', async () => {
    const key = (await app.api('POST', '/keys', { name: 'k' })).body;
    const ended = cookieOf(await signIn({ key: key.key }));
    const own = cookieOf(await signIn({ key: API_KEY }));
    expect((await withCookie(ended, 'GET', '/lists')).status).toBe(200);
    await app.api('DELETE', `/keys/${key.id}`);
    expect((await withCookie(ended, 'GET', '/lists')).status).toBe(401);
    expect((await withCookie(own, 'GET', '/sessions')).body).toHaveLength(1);
  });

  test('by signing out, or by the list', async () => {
    const [here, there] = [await signIn({ key: API_KEY }), await signIn({ key: API_KEY })];
    const list = (await withCookie(cookieOf(here), 'GET', '/sessions')).body;
    expect(list.map((each: { id: string; current: boolean }) => [each.id, each.current])).toEqual([
      [there.body.id, false],
      [here.body.id, true],
    ]);
    expect((await withCookie(cookieOf(here), 'DELETE', `/sessions/${there.body.id}`, PAGE)).status).toBe(200);
    expect((await withCookie(cookieOf(there), 'GET', '/lists')).status).toBe(401);
    const out = await withCookie(cookieOf(here), 'DELETE', '/session', PAGE);
    expect(out.headers.get('set-cookie')).toContain('inlet=; Path=/; Max-Age=0');
    expect((await withCookie(cookieOf(here), 'GET', '/lists')).status).toBe(401);
    expect((await app.api('DELETE', `/sessions/${here.body.id}`)).status).toBe(404);
  });

  test('30 days after it was last used; then its row goes', async () => {
    const start = Date.now();
    app.time = start;
    const { store } = app.app.ctx;
    const used = cookieOf(await signIn({ key: API_KEY }));
    const left = cookieOf(await signIn({ key: API_KEY }));
    await store.write(tx => createLink(tx, start));
    app.time = start + 29 * DAY_MS;
    expect((await withCookie(used, 'GET', '/lists')).status).toBe(200);
    await Bun.sleep(550); // it is asked anew, and the note of its use is written
    app.time = start + 31 * DAY_MS;
    expect((await withCookie(used, 'GET', '/lists')).status).toBe(200);
    expect((await withCookie(left, 'GET', '/lists')).status).toBe(401);
    expect(await store.write(tx => pruneSessions(tx, app.now(), 10))).toBe(2);
    expect(await store.read(tx => tx.select().from(sessions))).toHaveLength(1);
  });
});

describe('what may only read', () => {
  const MARK = 'only-for-full-eyes';
  const ids: Record<string, string> = {};

  async function fill(): Promise<void> {
    const endpoint = await app.endpoint('stripe');
    const body = stripeEvent('customer.created', { email: 'a@x.co', metadata: { note: MARK } });
    const sent = await app.post(endpoint, 'stripe', body, { headers: { 'user-agent': MARK } });
    ids.deliveries = sent.body.deliveryId;
    ids.endpoints = endpoint;
    const subscription = (await app.api('POST', '/webhook-subscriptions', { url: 'https://example.com/' })).body;
    ids['webhook-subscriptions'] = subscription.id;
    ids['email-messages'] = (await app.api('POST', '/email-messages', { subject: 's', html: 'h' })).body.id;
    await app.drain();
    const contact = (await app.contacts())[0];
    ids.contacts = String(contact?.id);
    ids['webhook-calls'] = (await app.api('POST', `/webhook-subscriptions/${subscription.id}/test`)).body.id;
    const transactional = (await app.api('POST', '/transactional-emails', { name: 't' })).body;
    const draft = `/email-messages/${transactional.draftEmailMessageId}`;
    await app.api('POST', draft, { subject: 's', html: '{{ data.url }}' });
    await app.api('POST', `/transactional-emails/${transactional.id}/publish`, {});
    const mail = { transactionalId: transactional.id, email: 'a@x.co', dataVariables: { url: MARK } };
    ids.mails = (await app.api('POST', '/transactional', mail)).body.mailId;
    ids['transactional-emails'] = transactional.id;
    await app.drain();
  }

  test('every route, with every scope: a reader changes nothing and sees no bodies', async () => {
    await app.stop();
    app = await TestApp.open({ resolve: async () => [] }); // no call leaves this machine
    await fill();
    const full = (await app.api('POST', '/keys', { name: 'all' })).body.key;
    const read = (await app.api('POST', '/keys', { name: 'eyes', scope: 'read' })).body;
    expect(read.scope).toBe('read');
    let cookie = cookieOf(await signIn({ key: read.key }));
    const shownToAll: string[] = [];
    const routes = listApiRoutes(
      async () => new Response(),
      () => {},
      async () => new Response(),
    );
    const before = (await app.api('GET', '/keys')).body.length;
    for (const { method, path } of routes) {
      const where = `${method} ${path}`;
      const resource = /\/api\/v1\/([\w-]+)/.exec(path)?.[1] ?? '';
      const real = path.replace(':id', ids[resource] ?? 'none').replace(/:\w+/, 'none');
      const init = { method, ...(method !== 'GET' && { body: '{}' }) };
      const stranger = await askFrom(where, real, init);
      const answers = [
        await app.fetch(real, { ...init, headers: { authorization: `Bearer ${read.key}` } }),
        await app.fetch(real, { ...init, headers: { cookie, ...PAGE } }),
      ];
      if (where === 'POST /api/v1/session') {
        expect([stranger, ...answers].map(each => each.status)).toEqual([400, 400, 400]);
        continue;
      }
      expect({ where, status: stranger.status }).toEqual({ where, status: 401 });
      if (where === 'DELETE /api/v1/session') cookie = cookieOf(await signIn({ key: read.key }));
      const isRefused = method !== 'GET' && where !== 'DELETE /api/v1/session';
      for (const answer of answers) {
        const refused = answer.status === 403;
        const report = where === 'GET /api/v1/imports/:id/report';
        expect({ where, refused }).toEqual({ where, refused: isRefused || report });
        expect({ where, told: JSON.stringify(answer.body).includes(MARK) }).toEqual({ where, told: false });
      }
      if (method !== 'GET') continue;
      const whole = await app.fetch(real, { headers: { authorization: `Bearer ${full}` } });
      expect({ where, isAllowed: whole.status !== 403 }).toEqual({ where, isAllowed: true });
      if (JSON.stringify(whole.body).includes(MARK)) shownToAll.push(path.slice('/api/v1'.length));
    }
    expect(shownToAll.sort()).toEqual(['/deliveries', '/deliveries/:id', '/endpoints/:id/samples', '/mails/:id']);
    expect((await app.api('GET', '/keys')).body).toHaveLength(before);
    const one = (await app.api('GET', `/deliveries/${ids.deliveries}`, undefined, read.key)).body;
    expect(one).toMatchObject({ payload: null, payloadOmitted: true, headers: {}, type: 'customer.created' });
    const call = `/webhook-calls/${ids['webhook-calls']}`;
    expect((await app.api('GET', call)).body.payload).toMatchObject({ eventName: expect.any(String) });
    expect((await app.api('GET', call, undefined, read.key)).body.payload).toBeNull();
  });
});

test('a session sees what /health says to keys, until it ends', async () => {
  const cookie = cookieOf(await signIn({ key: API_KEY }));
  const ask = () => app.fetch('/health', { headers: { cookie } });
  expect((await ask()).body).toMatchObject({ status: 'ok', version: expect.any(String) });
  await withCookie(cookie, 'DELETE', '/session', PAGE);
  expect((await ask()).body).toEqual({ status: 'ok' });
});
