import { afterEach, beforeEach, expect, test } from 'bun:test';
import { join } from 'node:path';
import { run } from '../../src/cli/run.ts';
import { audits } from '../../src/db/schema.ts';
import { listApiRoutes } from '../../src/http/v1/index.ts';
import { makeId } from '../../src/id.ts';
import { API_KEY, onPostgres, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open({ resolve: async () => [], fetch: async () => new Response() });
});
afterEach(() => app.stop());

/** What runs at run time, asks, or tries: no configuration changes by it. */
const RUN_TIME = [
  'POST /api/v1/contacts/create',
  'PUT /api/v1/contacts/update',
  'POST /api/v1/contacts/delete',
  'POST /api/v1/events/send',
  'POST /api/v1/transactional',
  'POST /api/v1/endpoints/:id/test',
  'POST /api/v1/endpoints/:id/preview',
  'POST /api/v1/email-messages/:id/render',
  'POST /api/v1/email-messages/:id/preview',
  'POST /api/v1/workflows/:id/dry-run',
];

interface Row {
  action: string;
  actor: { kind: string; id: string | null; name: string | null };
  target: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  detail: Record<string, unknown> | null;
}
const rows = async (query = '') => (await app.api('GET', `/audit?perPage=100${query}`)).body.data as Row[];

test('every route that writes says what it notes, or is one of the few of run time', () => {
  const routes = listApiRoutes(
    async () => new Response(),
    () => {},
    async () => new Response(),
  );
  const silent = routes.filter(each => each.method !== 'GET' && each.action === null);
  expect(silent.map(each => `${each.method} ${each.path}`).sort()).toEqual([...RUN_TIME].sort());
  const noted = routes.filter(each => each.action !== null);
  expect(noted.every(each => each.method !== 'GET')).toBe(true);
  expect(noted.length).toBeGreaterThan(40);
});

test('who, what, before and after, without secrets; a refused change leaves nothing', async () => {
  const { id: keyId, key } = (await app.api('POST', '/keys', { name: 'deploy' })).body;
  const secret = 'whsec_audit0123456789abcdef0123456789';
  const made = (await app.api('POST', '/endpoints', { provider: 'stripe', name: 'Shop', secret }, key)).body;
  await app.api(
    'PATCH',
    `/endpoints/${made.id}`,
    { paused: true, settings: { apiKey: 'rk_test_123456789012345678901234' } },
    key,
  );
  await app.api('PATCH', `/endpoints/${made.id}`, { events: { nonsense: {} } }, key);
  await app.api('PATCH', '/endpoints/ep_none', { paused: true }, key);
  await app.api('DELETE', `/endpoints/${made.id}`, undefined, key);
  const all = await rows(`&actor=${keyId}`);
  expect(all.map(each => each.action)).toEqual(['endpoint.delete', 'endpoint.update', 'endpoint.create']);
  const [deleted, updated, created] = all as [Row, Row, Row];
  expect(created).toMatchObject({
    actor: { kind: 'key', id: keyId, name: 'deploy' },
    ...{
      target: made.id,
      before: null,
      after: { name: 'Shop', paused: false, secrets: [{ hint: expect.any(String) }] },
    },
  });
  expect(updated).toMatchObject({
    before: { paused: false, apiKeySet: false },
    after: { paused: true, apiKeySet: true },
  });
  expect(updated.before).not.toHaveProperty('name');
  expect(deleted).toMatchObject({ before: { name: 'Shop' }, after: null });
  expect((await rows('&action=key.create'))[0]).toMatchObject({ target: keyId, actor: { id: 'INLET_API_KEY' } });
  const stored = JSON.stringify(await app.app.ctx.store.read(tx => tx.select().from(audits)));
  for (const text of [secret, key, 'rk_test_123456789012345678901234']) expect(stored).not.toContain(text);
});

test('each kind of change is noted, once', async () => {
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await app.api(method, path, body);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const expected: string[] = [];
  const noted = async (action: string, method: string, path: string, body?: unknown) => {
    const answer = await call(method, path, body);
    expected.push(action);
    return answer;
  };
  const list = await noted('list.create', 'POST', '/lists', { name: 'News' });
  await noted('list.update', 'PATCH', `/lists/${list.id}`, { name: 'Other' });
  await noted('list.delete', 'DELETE', `/lists/${list.id}`);
  await noted('property.create', 'POST', '/contacts/properties', { name: 'size', type: 'number' });
  await noted('property.retype', 'PATCH', '/contacts/properties/size', { type: 'string' });
  const message = await noted('message.create', 'POST', '/email-messages', { subject: 'Hi', html: '<p>Hello</p>' });
  await noted('message.update', 'POST', `/email-messages/${message.id}`, { subject: 'Hello' });
  const { id: workflow } = await noted('workflow.create', 'POST', '/workflows', { name: 'w' });
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'signup', reEligible: true, nextNodeIds: ['m'] },
    m: { typeName: 'SendEmailAction', emailMessageId: message.id, nextNodeIds: ['x'] },
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  await noted('workflow.graph', 'PUT', `/workflows/${workflow}/graph`, {
    expectedRevisionId: null,
    rootNodeId: 't',
    nodes,
  });
  for (const verb of ['start', 'pause', 'resume', 'stop'])
    await noted(`workflow.${verb}`, 'POST', `/workflows/${workflow}/${verb}`);
  const subscription = await noted('subscription.create', 'POST', '/webhook-subscriptions', {
    url: 'https://example.com/hook?token=SECRET-IN-URL',
    eventNames: ['contact.created'],
  });
  await noted('subscription.update', 'PATCH', `/webhook-subscriptions/${subscription.id}`, { paused: true });
  await noted('subscription.rotateSecret', 'POST', `/webhook-subscriptions/${subscription.id}/rotate-secret`, {});
  await noted('subscription.delete', 'DELETE', `/webhook-subscriptions/${subscription.id}`);
  const mailing = await noted('transactional.create', 'POST', '/transactional-emails', { name: 't' });
  await noted('transactional.rename', 'POST', `/transactional-emails/${mailing.id}`, { name: 'u' });
  await noted('mail.settings', 'PATCH', '/mail', { paused: true });
  await noted('mail.settings', 'PATCH', '/mail', { paused: false });
  await noted('suppression.add', 'POST', '/contacts/suppression', { email: 'gone@x.co', reason: 'bounce' });
  await noted('deliveries.replay', 'POST', '/deliveries/replay', { status: 'dead' });
  const upload = await app.upload('/contacts/import', 'email\nnew@x.co\n');
  expect(upload.status).toBe(201);
  expected.push('import.start');
  await app.drain();
  await noted('import.delete', 'DELETE', `/imports/${upload.body.id}`);
  expect((await rows()).map(each => each.action).reverse()).toEqual(expected);
  expect((await rows(`&target=${workflow}`)).length).toBe(6);
  expect((await rows('&action=workflow.stop'))[0]).toMatchObject({
    before: { state: 'running' },
    after: { state: 'stopped' },
  });
  expect(JSON.stringify(await rows())).not.toContain('SECRET-IN-URL');
  expect((await rows(`&since=${new Date(app.now() + 60_000).toISOString()}`)).length).toBe(0);
}, 20_000);

test('sessions by their own name; contacts, events and test deliveries are not in it', async () => {
  const opened = await app.fetch('/api/v1/session', { method: 'POST', body: JSON.stringify({ key: API_KEY }) });
  const cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? '';
  const headers = { cookie, 'sec-fetch-site': 'same-origin' };
  await app.fetch('/api/v1/lists', { method: 'POST', headers, body: JSON.stringify({ name: 'l' }) });
  await app.api('POST', '/contacts/create', { email: 'ada@x.co' });
  await app.api('POST', '/events/send', { email: 'ada@x.co', eventName: 'e' });
  await app.fetch('/api/v1/session', { method: 'DELETE', headers });
  const all = await rows();
  expect(all.map(each => each.action)).toEqual(['session.end', 'list.create', 'session.open']);
  expect(all.slice(0, 2).map(each => each.actor)).toMatchObject([
    { kind: 'session', id: opened.body.id },
    { kind: 'session', id: opened.body.id },
  ]);
});

test("an erasure leaves no address in it, nor do a suppression and a replay of somebody's deliveries", async () => {
  const email = 'erased.person@x.co';
  const endpoint = await app.endpoint('stripe');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created', { id: 'cus_erased_1', email }));
  await app.api('POST', '/contacts/suppression', { email, reason: 'complaint' });
  await app.api('POST', '/deliveries/replay', { email });
  const { id } = (await app.api('GET', `/contacts/find?email=${email}`)).body[0];
  expect((await app.api('DELETE', `/contacts/${id}?erase=true`)).status).toBe(200);
  await app.drain();
  await app.api('POST', '/contacts/create', { email });
  expect((await app.api('DELETE', `/contacts?erase=true&email=${email}`)).status).toBe(200);
  await app.drain();
  const all = await rows();
  expect(all.filter(each => each.action === 'person.erase').map(each => each.target)).toEqual([
    expect.stringMatching(/^hash:[0-9a-f]{64}$/),
    expect.stringMatching(/^hash:[0-9a-f]{64}$/),
  ]);
  // The same person is recognised by the same hash, which tells nobody who it is.
  const ofAddress = all.filter((_, i) => [0, 2, 3].includes(i)); // erased by address, replayed, suppressed
  expect(new Set(ofAddress.map(each => each.target)).size).toBe(1);
  const stored = JSON.stringify(await app.app.ctx.store.read(tx => tx.select().from(audits)));
  expect(stored).not.toContain('erased.person');
  expect(stored).not.toContain('cus_erased_1');
  expect(stored).not.toContain(id);
  await app.api('DELETE', `/contacts/${id}`);
  expect((await rows('&action=person.erase')).length).toBe(2);
});

test('rows go after 400 days', async () => {
  await app.api('POST', '/lists', { name: 'l' });
  const { store } = app.app.ctx;
  const old = app.now() - 401 * 86_400_000;
  const row = { actorKind: 'cli' as const, actorId: null, actorName: null, action: 'x', target: null };
  await store.write(tx =>
    tx.insert(audits).values({ ...row, id: makeId('aud', old), at: old, before: null, after: null, detail: null }),
  );
  const { retain } = await import('../../src/history/retention.ts');
  await retain(app.app.ctx);
  expect((await rows()).map(each => each.action)).toEqual(['list.create']);
});

test.skipIf(onPostgres)('the command line is noted as such', async () => {
  const env = { INLET_DATA_DIR: join(app.folder, 'data') };
  const cli = (...words: string[]) => run(words, { env, out: () => {}, err: () => {} });
  expect(await cli('endpoints', 'add', 'stripe', '--name', 'Till')).toBe(0);
  expect(await cli('keys', 'create', 'robot')).toBe(0);
  expect(await cli('login')).toBe(0);
  const [link, key, endpoint] = await rows();
  expect(endpoint).toMatchObject({
    action: 'endpoint.create',
    actor: { kind: 'cli', id: null },
    after: { name: 'Till' },
  });
  expect(await cli('keys', 'revoke', key?.target ?? '')).toBe(0);
  expect(await cli('endpoints', 'remove', endpoint?.target ?? '')).toBe(0);
  expect(link).toMatchObject({ action: 'session.link', target: null });
  expect((await rows()).slice(0, 2)).toMatchObject([
    { action: 'endpoint.delete', after: null },
    { action: 'key.revoke', before: { name: 'robot', scope: 'all' }, after: null },
  ]);
});
