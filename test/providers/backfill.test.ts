import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { makeGuardedFetch } from '../../src/net/fetch.ts';
import { findProvider } from '../../src/providers/index.ts';
import { stripeEvent, TestApp } from '../support/app.ts';
import { seeded } from '../support/crash.ts';
import { crowd, FakeApi, type Mishap, type Person, shown } from '../support/fakeApi.ts';

const PROVIDERS = ['stripe', 'clerk', 'supabase', 'polar'];
const TYPES: Record<string, string> = {
  stripe: 'customer.created',
  clerk: 'user.created',
  supabase: 'INSERT',
  polar: 'customer.created',
};
const MINUTE = 60_000;
const fetch = makeGuardedFetch({ anywhere: true, deadlineMs: 400 });

let api: FakeApi;
let app: TestApp;
let endpoint: string;

async function open(provider: string, more: Record<string, unknown> = {}) {
  api = new FakeApi(provider);
  app = await TestApp.open({ fetch });
  endpoint = await app.endpoint(provider, { settings: api.settings, ...more });
}
afterEach(async () => {
  api.stop();
  await app.stop();
});

async function begin(options: Record<string, unknown> = {}): Promise<string> {
  const started = await app.api('POST', `/endpoints/${endpoint}/backfill`, { requestsPerSecond: 25, ...options });
  if (started.status !== 202) throw new Error(JSON.stringify(started.body));
  return started.body.id;
}
const report = async (id: string) => (await app.api('GET', `/backfills/${id}`)).body;

/** Starts one and works until nothing is due. */
async function run(options: Record<string, unknown> = {}) {
  const id = await begin(options);
  await app.drain();
  return report(id);
}

/** Later: what waits for another try is due. */
async function later(id: string, ms: number) {
  app.time = app.now() + ms;
  await app.drain();
  return report(id);
}

const total = async (path: string) => (await app.api('GET', `${path}?perPage=1`)).body.pagination.totalResults;
const find = async (email: string) => (await app.api('GET', `/contacts/find?email=${email}`)).body[0];
const set = (settings: object) => app.api('PATCH', `/endpoints/${endpoint}`, { settings });

/** What makes contacts the same. */
async function audience() {
  const rows = await app.contacts();
  return rows.map(({ id: _, createdAt: __, updatedAt: ___, ...rest }) => JSON.stringify(rest)).sort();
}

const status =
  (code: number, headers: Record<string, string> = {}): Mishap =>
  () =>
    new Response('{"error":{}}', { status: code, headers });
const never: Mishap = () => new Promise(() => {});
const garbage: Mishap = () => new Response('<html>Bad gateway', { headers: { 'content-type': 'text/html' } });
const deep: Mishap = () => new Response('['.repeat(100_000));
const wrong: Mishap = () => Response.json({ data: 'none', users: 1, items: {} });
const pass: Mishap = () => 'pass';

describe.each(PROVIDERS)('%s', provider => {
  beforeEach(() => open(provider));
  const { name } = findProvider(provider)!;

  test('everybody, once, without events; run again nothing changes', async () => {
    await app.api('PATCH', `/endpoints/${endpoint}`, {
      events: { [TYPES[provider]!]: { triggerEvent: 'signup', userGroup: 'Old' } },
    });
    api.people = crowd(provider, 250);
    const first = await run();
    const all = { state: 'done', read: 250, waiting: 0, skipped: 0, error: null, cursor: null };
    expect(first).toMatchObject({ ...all, created: 250, updated: 0, known: 0 });
    expect(first.total).toBe(['supabase', 'polar'].includes(provider) ? 250 : null);
    expect(await find('p000007@example.com')).toMatchObject({
      firstName: 'N000007',
      source: `${name} back-fill`,
      userGroup: 'Old',
    });
    expect([await total('/contacts'), await total('/events'), await total('/deliveries')]).toEqual([250, 0, 0]);
    const before = JSON.stringify(await app.contacts());
    expect(await run()).toMatchObject({ ...all, created: 0, updated: 0, known: 250 });
    expect(JSON.stringify(await app.contacts())).toBe(before);
  });

  test('exactly at the end of a page, one more, one, and nobody', async () => {
    for (const n of [0, 1, 100, 101]) {
      api.people = crowd(provider, n);
      expect(await run()).toMatchObject({ state: 'done', read: n });
    }
    expect(await total('/contacts')).toBe(101);
  });

  test('run again it finds whom and what the webhooks missed', async () => {
    api.people = crowd(provider, 120);
    await run();
    api.people.push(...crowd(provider, 3, 500));
    Object.assign(api.people[5]!, { email: 'moved@example.com', changed: Date.now() });
    Object.assign(api.people[7]!, { first: 'Renamed', changed: Date.now() });
    expect(await run()).toMatchObject({ read: 123, created: 3, updated: 2, known: 118 });
    expect(await find('moved@example.com')).toMatchObject({ firstName: 'N000005' });
    expect(await find('p000007@example.com')).toMatchObject({ firstName: 'Renamed' });
    expect(await run()).toMatchObject({ created: 0, updated: 0, known: 123 });
  });

  test('rate limits, errors, silence and nonsense in the middle: it waits, goes on, and has everybody once', async () => {
    api.people = crowd(provider, 230);
    app.time = Date.now();
    api.mishaps = [pass, status(429, { 'retry-after': '30' })];
    const id = await begin();
    await app.drain();
    const waiting = await report(id);
    expect(waiting).toMatchObject({ state: 'running', read: 100 });
    expect(waiting.error).toContain(
      `${name} answered 429. It is tried again at ${new Date(app.time + 30_000).toISOString()}`,
    );
    expect((await later(id, 29_000)).read).toBe(100);
    api.mishaps = [status(500)];
    expect((await later(id, 1000)).error).toContain('answered 500');
    for (const mishap of [status(503), garbage, never, deep, wrong]) {
      api.mishaps = [mishap];
      expect(await later(id, 5 * MINUTE)).toMatchObject({ state: 'running', read: 100 });
    }
    expect(await later(id, 5 * MINUTE)).toMatchObject({ state: 'done', read: 230, created: 230, error: null });
    expect(await total('/contacts')).toBe(230);
  });

  test('it gives up after eight tries, says so, and goes on where it was when started again', async () => {
    api.people = crowd(provider, 150);
    app.time = Date.now();
    api.mishaps = [pass, ...Array.from({ length: 8 }, () => status(502))];
    const id = await begin();
    await app.drain();
    for (let i = 0; i < 8; i++) await later(id, 11 * MINUTE);
    const failed = await report(id);
    expect(failed).toMatchObject({ state: 'failed', read: 100, finishedAt: expect.any(String) });
    expect(failed.error).toContain(
      `${name} answered 502. That was try 8 of 8. Start the back-fill again: it goes on where it stopped.`,
    );
    const asked = api.urls.length;
    expect(await begin()).toBe(id);
    await app.drain();
    expect(await report(id)).toMatchObject({ state: 'done', read: 150, created: 150 });
    expect(api.urls.length - asked).toBeLessThanOrEqual(2);
  });

  test('a refused key fails at once and says what is needed; the right one goes on', async () => {
    api.people = crowd(provider, 10);
    const key = api.key;
    await set({ apiKey: 'a-wrong-key-0123456789' });
    const failed = await run();
    expect(failed).toMatchObject({ state: 'failed', read: 0 });
    expect(failed.error).toContain(`${name} answered 401. It refused the key: set settings.apiKey to`);
    expect(JSON.stringify(failed)).not.toContain('a-wrong-key');
    await set({ apiKey: key });
    expect(await begin()).toBe(failed.id);
    await app.drain();
    expect(await report(failed.id)).toMatchObject({ state: 'done', created: 10 });
    expect(app.lines.join('\n')).not.toContain(key);
  });

  test('people deleted while it reads make it miss nobody', async () => {
    api.people = crowd(provider, 350);
    const gone = new Set<string>();
    let pages = 0;
    api.afterPage = () => {
      pages++;
      if (pages > 3) return;
      const newest = provider === 'stripe';
      const read = api.people.filter(each => (newest ? each.id >= api.people[250]!.id : each.id <= api.people[99]!.id));
      for (const each of pages === 2 ? read.slice(0, 30) : [newest ? read[0]! : read.at(-1)!]) gone.add(each.id);
      if (newest && pages === 1) gone.add(api.people[250]!.id); // the very one the next page begins after
      api.people = api.people.filter(each => !gone.has(each.id));
    };
    const done = await run();
    expect(done.state).toBe('done');
    if (provider === 'stripe') expect(done.read).toBe(350); // nothing is read again
    const emails = new Set((await allEmails()).map(String));
    expect(api.people.filter(each => !emails.has(each.email ?? '')).map(each => each.id)).toEqual([]);
  });

  test('a dry run says the same and writes nothing', async () => {
    api.people = crowd(provider, 130);
    api.people[3]!.email = null;
    const dry = await run({ dryRun: true });
    expect(dry).toMatchObject({ state: 'done', dryRun: true, read: 130, created: 129, waiting: 1, known: 0 });
    expect(await total('/contacts')).toBe(0);
    expect(await run()).toMatchObject({ created: 129, waiting: 1 });
    expect(await run({ dryRun: true })).toMatchObject({ created: 0, updated: 0, known: 129, waiting: 1 });
  });

  test('stopped at any page and opened again it goes on, and counts everybody once', async () => {
    api.people = crowd(provider, 330);
    let pages = 0;
    let stopped = Promise.resolve();
    const id = await begin();
    for (let round = 0; round < 3; round++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      api.afterPage = () => {
        if (++pages % 2 === 0) resolve();
      };
      await app.app.worker.start();
      await promise;
      stopped = app.stop(true);
      await stopped;
      app = await TestApp.open({ fetch }, {}, app.folder);
    }
    api.afterPage = () => {};
    await app.drain();
    expect(await report(id)).toMatchObject({ state: 'done', read: 330, created: 330, known: 0 });
    expect(await total('/contacts')).toBe(330);
  });

  test('webhooks before, after or between give the same contacts', async () => {
    const type = TYPES[provider]!;
    const [before, after] = [crowd(provider, 20), crowd(provider, 20)];
    api.people = before;
    const bodies = after.map((each, i) =>
      webhookOf(provider, i % 2 ? type : updateOf(provider), each, i % 2 ? each.created : each.created + 5000),
    );
    const history = async (steps: ('webhooks' | 'back-fill')[]) => {
      for (const step of steps) {
        if (step === 'back-fill') await run();
        else for (const body of bodies) expect((await app.post(endpoint, provider, body)).body.result).toBe('accepted');
        await app.drain();
      }
      return audience();
    };
    const first = await history(['webhooks', 'back-fill']);
    const settings = api.settings;
    await app.stop();
    app = await TestApp.open({ fetch });
    endpoint = await app.endpoint(provider, { settings });
    expect(await history(['back-fill', 'webhooks', 'back-fill'])).toEqual(first);
  });

  test('any order of webhooks and back-fills ends in the same contacts: what the list says', async () => {
    const seed = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
    console.log(`back-fill orders: SEED=${seed}`);
    const random = seeded(seed);
    const people = crowd(provider, 5);
    const told = people.flatMap((each, i) =>
      [0, 1, 2].map(version => {
        const changed = each.created + version * 10_000;
        const person = {
          ...each,
          first: `V${version}`,
          email: version === 2 ? `new${i}@example.com` : each.email,
          changed,
        };
        return webhookOf(provider, version ? updateOf(provider) : TYPES[provider]!, person, changed);
      }),
    );
    const settings = api.settings;
    const outcomes: string[][] = [];
    for (let order = 0; order < 6; order++) {
      api.people = people.map((each, i) => ({
        ...each,
        first: 'V2',
        email: `new${i}@example.com`,
        changed: each.created + 20_000,
      }));
      const steps: unknown[] = [...told, ...told.slice(0, 4), 'back-fill', 'back-fill'].map(step => ({
        step,
        at: random(),
      }));
      const shuffled = (steps as { step: unknown; at: number }[]).sort((a, b) => a.at - b.at);
      for (const { step } of shuffled) await (step === 'back-fill' ? run() : app.post(endpoint, provider, step));
      await app.drain();
      outcomes.push(await audience());
      await app.stop();
      app = await TestApp.open({ fetch });
      endpoint = await app.endpoint(provider, { settings });
    }
    expect(outcomes[0]).toHaveLength(5);
    expect(outcomes[0]?.every(each => each.includes('"firstName":"V2"') && each.includes('"email":"new'))).toBe(true);
    for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0]!);
  });
});

async function allEmails() {
  const emails: unknown[] = [];
  for (let cursor = ''; ; ) {
    const { data, pagination } = (await app.api('GET', `/contacts?perPage=100&cursor=${cursor}`)).body;
    emails.push(...data.map((each: { email: string }) => each.email));
    if (!pagination.nextCursor) return emails;
    cursor = pagination.nextCursor;
  }
}

const updateOf = (provider: string) =>
  ({ stripe: 'customer.updated', clerk: 'user.updated', supabase: 'UPDATE' })[provider] ?? 'customer.updated';

/** A webhook about a person of the list, as of `at`, with what the list says too. */
function webhookOf(provider: string, type: string, person: Person, at: number): unknown {
  const listed = shown(provider, person);
  const iso = new Date(at).toISOString();
  if (provider === 'stripe') return stripeEvent(type, listed, { created: Math.floor(at / 1000) });
  if (provider === 'clerk') return { type, object: 'event', timestamp: at, data: listed };
  if (provider === 'polar') return { type, timestamp: iso, data: listed };
  const record = { ...listed, raw_user_meta_data: listed.user_metadata };
  return { type, table: 'users', schema: 'auth', record, old_record: type === 'INSERT' ? null : record };
}
