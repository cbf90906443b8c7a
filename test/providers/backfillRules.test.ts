import { afterEach, describe, expect, test } from 'bun:test';
import type { ContactChange } from '../../src/changes.ts';
import { claimBackfill } from '../../src/inbound/backfill/backfills.ts';
import { retryAfterMs } from '../../src/inbound/backfill/run.ts';
import { makeGuardedFetch } from '../../src/net/fetch.ts';
import { onPostgres, stripeEvent, TestApp } from '../support/app.ts';
import { crowd, FakeApi, KEYS } from '../support/fakeApi.ts';

const fetch = makeGuardedFetch({ anywhere: true, deadlineMs: 2000 });

let api: FakeApi;
let app: TestApp;
let endpoint: string;

async function open(provider: string, more: Record<string, unknown> = {}, seams = { fetch }) {
  api = new FakeApi(provider);
  app = await TestApp.open(seams);
  endpoint = await app.endpoint(provider, { settings: api.settings, ...more });
}
afterEach(async () => {
  api.stop();
  await app.stop();
});

const post = (options: Record<string, unknown> = {}) =>
  app.api('POST', `/endpoints/${endpoint}/backfill`, { requestsPerSecond: 25, ...options });
const report = async (id: string) => (await app.api('GET', `/backfills/${id}`)).body;
async function run(options: Record<string, unknown> = {}) {
  const started = await post(options);
  expect(started).toMatchObject({ status: 202, body: { state: 'queued', read: 0 } });
  await app.drain();
  return report(started.body.id);
}
const patch = (body: object) => app.api('PATCH', `/endpoints/${endpoint}`, body);
const find = async (email: string) => (await app.api('GET', `/contacts/find?email=${email}`)).body[0];
const events = async () =>
  (await app.api('GET', '/events?perPage=100')).body.data as { email: string; deliveryId: null }[];

describe('why it does not start', () => {
  const refused = async (because: string) => {
    const answer = await post();
    expect(answer.status).toBe(409);
    expect(answer.body.message).toContain(because);
  };

  test('no key, no project, paused, switched off, one under way, no such endpoint', async () => {
    await open('supabase');
    await patch({ settings: { apiKey: null } });
    await refused('settings.apiKey: is needed. Set it with PATCH to the secret (sb_secret_…) or service_role key');
    await patch({ settings: { projectUrl: null, apiKey: KEYS.supabase } });
    await refused('settings.projectUrl: is needed');
    await patch({ settings: api.settings });
    await patch({ paused: true });
    await refused('paused');
    await patch({ paused: false, events: { INSERT: { enabled: false } } });
    await refused('events.INSERT: is switched off');
    await patch({ events: { INSERT: null } });
    const first = await post();
    expect(first.status).toBe(202);
    await refused(`Back-fill ${first.body.id} of this endpoint is under way`);
    endpoint = 'ep_none';
    expect((await post()).status).toBe(404);
  });

  test('two asked for at the same moment: one', async () => {
    await open('stripe');
    const answers = await Promise.all([post(), post(), post()]);
    expect(answers.map(each => each.status).sort()).toEqual([202, 409, 409]);
  });

  test('an option that is none, and a rate that is too high', async () => {
    await open('stripe');
    expect((await post({ apiKey: 'rk_x' })).body.message).toContain('apiKey: no such field');
    expect((await post({ requestsPerSecond: 100 })).body.message).toContain('requestsPerSecond');
  });
});

describe('the key', () => {
  test('is sealed, never shown, and forgotten when it would be sent elsewhere', async () => {
    await open('clerk');
    const shown = (await app.api('GET', `/endpoints/${endpoint}`)).body;
    expect(shown.settings).toMatchObject({ apiKeySet: true, apiBase: api.url });
    expect(JSON.stringify(shown)).not.toContain(KEYS.clerk);
    expect((await patch({ settings: shown.settings })).body.settings.apiKeySet).toBe(true);
    const moved = await patch({ settings: { apiBase: 'https://evil.example' } });
    expect(moved.body.settings.apiKeySet).toBe(false);
    const brought = await patch({ settings: { apiBase: null, apiKey: 'sk_live_0123456789' } });
    expect(brought.body.settings.apiKeySet).toBe(true);
    expect((await patch({ settings: { apiBase: 'file:///etc/passwd' } })).body.message).toContain(
      'settings.apiBase: must look like',
    );
  });

  test('goes to the provider only, unless the installation allows other hosts', async () => {
    await open('stripe', {}, { fetch: makeGuardedFetch() });
    const failed = await run();
    expect(failed).toMatchObject({ state: 'failed' });
    expect(failed.error).toContain('INLET_ALLOW_PRIVATE_TARGETS=true');
    expect(api.urls).toEqual([]);
  });

  test('does not follow a redirect', async () => {
    await open('polar');
    const other = new FakeApi('polar');
    api.mishaps = [() => Response.redirect(`${other.url}/v1/customers/`, 302)];
    expect((await run()).error).toContain('Polar answered 302');
    expect(other.urls).toEqual([]);
    other.stop();
  });
});

test('an answer without end is cut, and the memory with it', async () => {
  await open('clerk');
  let sent = 0;
  api.mishaps = [
    () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += 1_000_000;
            controller.enqueue(new Uint8Array(1_000_000).fill(32));
          },
        }),
      ),
  ];
  expect((await run()).error).toContain('answered more than 8388608 bytes');
  expect(sent).toBeLessThan(40_000_000);
});

test('who is passed over, and why', async () => {
  await open('stripe', { settings: {} });
  await patch({ settings: { ...api.settings, mode: 'live' } });
  api.people = crowd('stripe', 5);
  api.people[1]!.more = { livemode: true };
  api.people[2]!.more = { livemode: true, email: null };
  api.people[3]!.more = { id: null, livemode: true };
  expect(await run()).toMatchObject({
    read: 5,
    created: 1,
    waiting: 1,
    skipped: 3,
    skippedBecause: {
      'Ignored: a test event, and this endpoint takes live events only (settings.mode).': 2,
      'It has no id.': 1,
    },
  });
});

test('what waited for these people is applied', async () => {
  await open('stripe', { settings: {}, events: { 'customer.subscription.created': { triggerEvent: 'subscribed' } } });
  api.people = crowd('stripe', 3);
  const subscription = { id: 'sub_1', object: 'subscription', customer: 'cus_000001', email: undefined };
  await app.post(endpoint, 'stripe', stripeEvent('customer.subscription.created', subscription));
  await app.drain();
  expect((await app.latest()).status).toBe('waiting');
  await patch({ settings: api.settings });
  expect(await run()).toMatchObject({ created: 3, released: 1 });
  expect(await app.latest()).toMatchObject({ status: 'processed' });
  expect((await events()).map(each => each.email)).toEqual(['p000001@example.com']);
});

test('lists, properties and names as the type is set; a path never reaches what is left out', async () => {
  await open('clerk');
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const contactProperties = { hidden: 'data.private_metadata.hidden', plan: 'data.public_metadata.plan' };
  await patch({ events: { 'user.created': { mailingLists: [list], syncNames: false, contactProperties } } });
  api.people = crowd('clerk', 1);
  api.people[0]!.more = { public_metadata: { plan: 'pro' } };
  await run();
  const found = await find('p000000@example.com');
  expect(found).toMatchObject({ plan: 'pro', firstName: null, mailingLists: { [list]: true }, userId: 'user_000000' });
  expect(found.hidden).toBeUndefined();
});

test('Clerk: unverified addresses, test users and people without an address, as the settings say', async () => {
  await open('clerk');
  await patch({ settings: { verifiedOnly: true, skipTestUsers: true } });
  api.people = crowd('clerk', 4);
  const address = (email: string, status: string) => ({
    email_addresses: [{ id: 'idn_1', email_address: email, verification: { status } }],
    primary_email_address_id: 'idn_1',
  });
  api.people[0]!.more = address('a@example.com', 'verified');
  api.people[1]!.more = address('b@example.com', 'unverified');
  api.people[2]!.more = address('c+clerk_test@example.com', 'verified');
  api.people[3]!.email = null;
  expect(await run()).toMatchObject({ created: 1, waiting: 2, skipped: 1 });
  expect((await app.contacts()).map(each => each.email)).toEqual(['a@example.com']);
});

test('Supabase: anonymous, unconfirmed and softly deleted users make no contact; what is known stays', async () => {
  await open('supabase');
  await patch({ settings: { confirmedOnly: true, trustAutoConfirmed: true } });
  api.people = crowd('supabase', 4);
  api.people[1]!.more = { email: '', is_anonymous: true };
  api.people[2]!.more = { email_confirmed_at: undefined };
  expect(await run()).toMatchObject({ created: 2, waiting: 2 });
  const gone = { email: 'Zm9vYmFyYmF6', deleted_at: new Date().toISOString(), user_metadata: {} };
  Object.assign(api.people[3]!, { more: gone, changed: Date.now() });
  expect(await run()).toMatchObject({ created: 0, updated: 0, known: 2, waiting: 2 });
  expect(await find('p000003@example.com')).toMatchObject({ firstName: 'N000003', subscribed: true });
});

describe('events', () => {
  test('fire when asked: for whom the provider never told of, once, however long ago', async () => {
    await open('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
    const told: ContactChange[] = [];
    app.app.ctx.tell = async (_, changes) => {
      told.push(...changes);
      return [];
    };
    api.people = crowd('stripe', 4);
    const known = { id: 'cus_000001', email: 'p000001@example.com', name: 'N000001 Customer' };
    const created = Math.floor(api.people[1]!.created / 1000);
    app.time = created * 1000;
    await app.post(endpoint, 'stripe', stripeEvent('customer.created', known, { created }));
    app.time = null;
    told.length = 0;
    expect(await run()).toMatchObject({ created: 3, known: 1 });
    expect(told).toEqual([]);
    expect(await events()).toHaveLength(1);

    api.people.push(...crowd('stripe', 2, 50));
    await run({ triggerEvents: true });
    expect((await events()).map(each => each.email).sort()).toEqual([
      'p000001@example.com',
      'p000050@example.com',
      'p000051@example.com',
    ]);
    expect((await events())[0]?.deliveryId).toBeNull();
    expect(told.filter(each => each.kind === 'event')).toHaveLength(2);
    await run({ triggerEvents: true });
    expect(await events()).toHaveLength(3);
  });
});

test('an older webhook that comes late changes nothing, a newer one wins', async () => {
  await open('stripe');
  api.people = crowd('stripe', 1);
  const [person] = api.people;
  const created = Math.floor(person!.created / 1000);
  const customer = (email: string) => ({ id: person!.id, email, name: 'N000000 Customer', created });
  await run();
  await app.post(endpoint, 'stripe', stripeEvent('customer.created', customer('typo@example.com'), { created }));
  expect(await find('p000000@example.com')).toMatchObject({ source: 'Stripe webhook' });
  const now = Math.floor(Date.now() / 1000);
  await app.post(
    endpoint,
    'stripe',
    stripeEvent('customer.updated', customer('new@example.com'), { created: now - 100 }),
  );
  expect(await find('new@example.com')).toBeDefined();
  expect(await run()).toMatchObject({ updated: 1 }); // the list says otherwise, and is newer
  expect(await find('p000000@example.com')).toBeDefined();
  await app.post(
    endpoint,
    'stripe',
    stripeEvent('customer.updated', customer('newest@example.com'), { created: now + 5 }),
  );
  expect(await find('newest@example.com')).toBeDefined();
});

test('nobody who unsubscribed or was deleted comes back', async () => {
  await open('stripe', { events: { 'customer.deleted': { onDelete: 'delete' } } });
  api.people = crowd('stripe', 3);
  await run();
  await app.post(
    endpoint,
    'stripe',
    stripeEvent('customer.deleted', { id: 'cus_000001', email: 'p000001@example.com' }),
  );
  expect(await run()).toMatchObject({ created: 0, updated: 0, known: 3 });
  expect(await find('p000001@example.com')).toBeUndefined();
});

describe('ended from outside', () => {
  test('cancelled: nothing more is applied, and a new one starts at the beginning', async () => {
    await open('polar');
    api.people = crowd('polar', 250);
    const { body } = await post();
    let pages = 0;
    api.afterPage = () => {
      if (++pages === 2) void app.api('POST', `/backfills/${body.id}/cancel`);
    };
    await app.drain();
    const ended = await report(body.id);
    expect(ended).toMatchObject({ state: 'cancelled', finishedAt: expect.any(String) });
    expect(ended.read).toBeLessThan(250);
    expect((await app.api('POST', `/backfills/${body.id}/cancel`)).body).toEqual(ended);
    const next = await run();
    expect(next).toMatchObject({ state: 'done', read: 250, known: ended.created });
    expect(next.id).not.toBe(body.id);
    const listed = await app.api('GET', `/endpoints/${endpoint}/backfills?perPage=1`);
    expect(listed.body.data.map((each: { id: string }) => each.id)).toEqual([next.id]);
    expect(listed.body.pagination.totalResults).toBe(2);
  });

  test('a failed one that is given up is not gone on with', async () => {
    await open('polar');
    api.people = crowd('polar', 150);
    api.mishaps = [() => 'pass', () => new Response('', { status: 403 })];
    const failed = await run();
    expect(failed).toMatchObject({ state: 'failed', read: 100 });
    expect(failed.error).toContain('an organization access token with the scope customers:read');
    await app.api('POST', `/backfills/${failed.id}/cancel`);
    const next = await run();
    expect(next).toMatchObject({ state: 'done', read: 150, known: 100 });
    expect(next.id).not.toBe(failed.id);
  });

  test('the server stops although the provider is silent, and goes on at its next start', async () => {
    await open('clerk');
    api.people = crowd('clerk', 120);
    const asked = Promise.withResolvers<void>();
    api.mishaps = [
      () => {
        asked.resolve();
        return new Promise(() => {});
      },
    ];
    const { body } = await post();
    await app.app.worker.start();
    await asked.promise;
    const begun = performance.now();
    await app.stop(true);
    expect(performance.now() - begun).toBeLessThan(1000);
    app = await TestApp.open({ fetch }, {}, app.folder);
    expect(await report(body.id)).toMatchObject({ state: 'running', read: 0, error: null });
    await app.drain();
    expect(await report(body.id)).toMatchObject({ state: 'done', created: 120 });
  });

  test('paused or removed in the middle: it says so', async () => {
    await open('polar');
    api.people = crowd('polar', 250);
    const { body } = await post();
    api.afterPage = () => void patch({ paused: true });
    await app.drain();
    expect((await report(body.id)).error).toContain('The endpoint is paused');
    await patch({ paused: false });
    expect((await post()).body.id).toBe(body.id);
    api.afterPage = () => void app.api('DELETE', `/endpoints/${endpoint}`);
    await app.drain();
    expect(await report(body.id)).toMatchObject({ state: 'failed', error: 'The endpoint was removed.' });
  });
});

test('requests keep to their rate, and webhooks are answered meanwhile', async () => {
  await open('stripe');
  api.people = crowd('stripe', 500);
  const at: number[] = [];
  api.afterPage = () => void at.push(performance.now());
  const started = await post({ requestsPerSecond: 8 });
  const drained = app.drain();
  const slowest: number[] = [];
  while (at.length < 4) {
    const begun = performance.now();
    expect((await app.post(endpoint, 'stripe', stripeEvent('invoice.paid'))).status).toBe(200);
    slowest.push(performance.now() - begun);
    await Bun.sleep(10);
  }
  await drained;
  expect(await report(started.body.id)).toMatchObject({ state: 'done', created: 500 });
  expect(Math.min(...at.slice(1).map((time, i) => time - at[i]!))).toBeGreaterThan(115);
  expect(slowest.toSorted((a, b) => a - b)[Math.floor(slowest.length / 2)]).toBeLessThan(50);
});

test('what a dead process had in work goes on: at once where nobody else can have it, else when its lease has run out', async () => {
  await open('polar');
  api.people = crowd('polar', 120);
  const { body } = await post();
  const { now, store } = app.app.ctx;
  await store.write(tx => claimBackfill(tx, now(), false));
  await app.drain();
  expect((await report(body.id)).state).toBe(onPostgres ? 'running' : 'done');
  app.time = Date.now() + 31_000;
  await app.drain();
  expect(await report(body.id)).toMatchObject({ state: 'done', created: 120 });
});

test('a page is bound to its lease: who lost it applies nothing', async () => {
  await open('stripe');
  api.people = crowd('stripe', 150);
  const { body } = await post();
  const second = onPostgres ? await TestApp.open({ fetch }, {}, app.folder) : null;
  await Promise.all([app.drain(), second?.drain()]);
  expect(await report(body.id)).toMatchObject({ state: 'done', read: 150, created: 150, pages: 2 });
  expect(api.urls).toHaveLength(2);
  await second?.stop(true);
});

test('one who can not be applied is passed over and counted, the others are not', async () => {
  await open('stripe');
  app.app.ctx.tell = async (_, changes) => {
    if (changes.some(each => each.contact.email === 'p000060@example.com')) throw new Error('a bug');
    return [];
  };
  api.people = crowd('stripe', 120);
  const skippedBecause = { 'It could not be applied; the log has the cause.': 1 };
  expect(await run({ triggerEvents: true })).toMatchObject({
    state: 'done',
    read: 120,
    created: 119,
    skipped: 1,
    skippedBecause,
  });
  expect(app.lines.filter(line => line.includes('could not apply a person'))).toHaveLength(1);
});

describe.each(['stripe', 'clerk', 'supabase', 'polar'])('%s', provider => {
  test('a list of anything is read to its end', async () => {
    await open(provider);
    const nested = (depth: number): unknown => (depth ? { a: nested(depth - 1), private_metadata: 1 } : 1);
    const strange: unknown[] = [null, 1, 'x', [], {}, { id: 5 }, { id: 'a b' }, { id: 'x'.repeat(300) }];
    const fields = { created: 1e300, created_at: 1e300, updated_at: 'never', modified_at: -1, user_metadata: 7 };
    strange.push({ id: 'odd_1', email: {}, email_addresses: 'none', name: ['x'], ...fields });
    strange.push({ id: 'odd_2', email: 'a\u0000b@example.com', first_name: '\ud800', metadata: nested(40), ...fields });
    strange.push(JSON.parse('{"id":"odd_3","__proto__":{"email":"x@example.com"},"email":"ok@example.com"}'));
    const page = {
      data: strange,
      users: strange,
      items: strange,
      has_more: false,
      object: 'list',
      pagination: { total_count: 11, max_page: 1 },
    };
    api.mishaps = [() => Response.json(provider === 'clerk' ? strange : page)];
    const done = await run();
    expect(done).toMatchObject({ state: 'done', read: 11, error: null });
    expect(done.created + done.updated + done.known + done.waiting + done.skipped).toBe(11);
    expect(done.skippedBecause['It has no id.']).toBe(8);
    expect(await find('x@example.com')).toBeUndefined();
  });
});

test('Retry-After as a date, or as nonsense', () => {
  const now = Date.parse('2026-11-01T12:00:00Z');
  expect(retryAfterMs(null, now)).toBeNull();
  expect(retryAfterMs('7', now)).toBe(7000);
  expect(retryAfterMs('Sun, 01 Nov 2026 12:00:30 GMT', now)).toBe(30_000);
  expect(retryAfterMs('Sun, 01 Nov 2020 12:00:30 GMT', now)).toBe(0);
  expect(retryAfterMs('9999999', now)).toBe(3_600_000);
  expect(retryAfterMs('soon', now)).toBeNull();
});
