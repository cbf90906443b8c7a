import { afterEach, describe, expect, test } from 'bun:test';
import { getTableName, isTable, sql } from 'drizzle-orm';
import * as schema from '../../src/db/schema.ts';
import { StoreUnavailable } from '../../src/db/store.ts';
import { type Answer, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
afterEach(() => app.stop());

const FOREIGN =
  /select |insert |update |delete from|no such table|does not exist|sqlite|drizzle|failed query|MARKED|\/src\/|\.ts\b|node_modules/i;

/** Flat, with a request id, and nothing in it that is not our own sentence. */
function decent(where: string, { status, headers, body }: Answer, allowed: number[]): void {
  expect({ where, status, allowed: allowed.includes(status) }).toEqual({ where, status, allowed: true });
  expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  if (status < 400) return;
  expect({ where, foreign: FOREIGN.exec(JSON.stringify(body))?.[0] }).toEqual({ where, foreign: undefined });
  expect(JSON.stringify(body)).not.toContain(app.folder);
  if (where !== 'GET /health') expect(body).toMatchObject({ success: false, message: expect.any(String) });
  if (status === 503 && where !== 'GET /health') expect(headers.get('retry-after')).toMatch(/^\d+$/);
}

const failing = (error: Error) => () => Promise.reject(error);
const marked = () => Object.assign(new Error('MARKED select * from secrets at /src/db.ts'), { code: 'MARKED' });

describe('whatever throws on the way of a webhook, the answer is flat and the next one goes through', () => {
  const seams: [string, number, (id: string) => () => void][] = [
    ['writing fails in a way nobody thought of', 500, () => swap(app.app.ctx.store, 'writePeople', failing(marked()))],
    ['the store is away', 503, () => swap(app.app.ctx.store, 'writePeople', failing(new StoreUnavailable('MARKED')))],
    ['reading endpoints fails', 500, () => swap(app.app.ctx.live, 'get', failing(marked()))],
    ['reading the version fails', 503, () => swap(app.app.ctx.live, 'get', failing(new StoreUnavailable('MARKED')))],
    ['waking the worker fails', 200, () => swap(app.app.ctx, 'wake', () => { throw marked(); })],
    ['the clock fails', 500, () => swap(app.app.ctx, 'now', () => { throw marked(); })],
  ]; // biome-ignore format: a table
  test.each(seams)('%s', async (name, expected, breakIt) => {
    app = await TestApp.open();
    const id = await app.endpoint('stripe');
    const event = stripeEvent('customer.created', { email: 'seam@x.co' });
    const at = Date.now();
    const mend = breakIt(id);
    decent(name, await app.post(id, 'stripe', event, { at }), [expected]);
    mend();
    const again = await app.post(id, 'stripe', event);
    expect(again).toMatchObject({ status: 200, body: { result: expected === 200 ? 'duplicate' : 'accepted' } });
    await app.drain();
    expect(await app.contacts()).toMatchObject([{ email: 'seam@x.co' }]);
  });

  test('each part of a provider that throws', async () => {
    app = await TestApp.open();
    const id = await app.endpoint('stripe');
    const live = await app.app.ctx.live.get(id);
    if (!live) throw new Error('no endpoint');
    for (const part of ['verify', 'redact', 'read'] as const) {
      const event = stripeEvent('customer.created', { email: `${part}@x.co` });
      const mend = swap(live.provider, part, () => {
        throw marked();
      });
      const answer = await app.post(id, 'stripe', event);
      mend();
      decent(part, answer, [500]);
      expect((await app.post(id, 'stripe', event)).body).toMatchObject({ result: 'accepted' });
    }
  });
});

/** Puts something else in the place of a member; call the result to put it back. */
function swap<T extends object, K extends keyof T>(on: T, name: K, value: unknown): () => void {
  const own = Object.getOwnPropertyDescriptor(on, name);
  Object.defineProperty(on, name, { value, configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(on, name, own);
    else Reflect.deleteProperty(on, name);
  };
}

const PATHS = [
  '/endpoints', '/endpoints/ID', '/providers', '/deliveries', '/deliveries?email=a@x.co', '/deliveries/dlv_1', '/contacts',
  '/contacts?q=a', '/contacts/con_1', '/contacts/con_1/activity', '/contacts/find?email=a@x.co', '/contacts/properties', '/lists', '/events', '/keys',
  '/api-key', '/workflows', '/mails', '/email-messages/em_1', '/transactional', '/contacts/export',
]; // biome-ignore format: one glance

describe('each table gone under a running server', () => {
  const tables = Object.values(schema as Record<string, unknown>)
    .filter(isTable)
    .map(getTableName);
  test('there are tables to take away', () => expect(tables.length).toBeGreaterThan(10));
  test.each(tables)('%s', async table => {
    app = await TestApp.open();
    const id = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
    const { deliveryId } = (await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'a@x.co' }))).body;
    await app.drain();
    await app.app.ctx.store.write(tx => tx.run(sql.raw(`alter table ${table} rename to gone_away`)));
    const fine = [200, 404, 500, 503];
    const hook = await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'b@x.co' }));
    decent('POST /webhooks', hook, [200, 500, 503]);
    decent('unsigned', await app.fetch(`/webhooks/${id}`, { method: 'POST', body: '{}' }), [401, 500, 503]);
    for (const path of PATHS)
      decent(path, await app.api('GET', path.replace('ID', id).replace('dlv_1', deliveryId)), fine);
    decent('wrong key', await app.api('GET', '/lists', undefined, 'inlet_wrong_key_0123456789'), [401, 500, 503]);
    decent('GET /health', await app.fetch('/health'), fine);
    decent('GET /swagger', await app.fetch('/swagger'), [200]);
    const made = await app.api('POST', '/contacts/create', { email: 'made@x.co' });
    decent('create', made, [200, 409, 500, 503]);
    await app.app.ctx.store.write(tx => tx.run(sql.raw(`alter table gone_away rename to ${table}`)));
    const late = await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'c@x.co' }));
    expect({ table, result: late.body.result }).toEqual({ table, result: 'accepted' });
    if (hook.status === 200) expect((await app.api('GET', `/deliveries/${hook.body.deliveryId}`)).status).toBe(200);
  });
});
