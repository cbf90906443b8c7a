import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { guarded } from '../../src/fetch.ts';
import { TestApp } from '../support/app.ts';
import { crowd, FakeApi, type Person } from '../support/fakeApi.ts';

const PROVIDERS = ['stripe', 'clerk', 'supabase', 'polar'];
const fetch = guarded({ anywhere: true, deadlineMs: 400 });
const OPTIONS = { requestsPerSecond: 25 };

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

/** Starts one and works until nothing is due. */
async function run(options: Record<string, unknown> = {}) {
  const started = await app.api('POST', `/endpoints/${endpoint}/backfill`, { ...OPTIONS, ...options });
  if (started.status !== 202) throw new Error(JSON.stringify(started.body));
  await app.drain();
  return report(started.body.id);
}
const report = async (id: string) => (await app.api('GET', `/backfills/${id}`)).body;

/** Goes on with what waits for a later try. */
async function wait(id: string, ms: number) {
  app.time = app.now() + ms;
  await app.drain();
  return report(id);
}

const count = async () => (await app.api('GET', '/contacts?perPage=1')).body.pagination.totalResults;

describe.each(PROVIDERS)('%s', provider => {
  beforeEach(() => open(provider));

  test('everybody, once; run again nothing changes', async () => {
    api.people = crowd(provider, 250);
    const first = await run();
    expect(first).toMatchObject({
      state: 'done',
      read: 250,
      created: 250,
      known: 0,
      skipped: 0,
      error: null,
      cursor: null,
    });
    expect(await count()).toBe(250);
    const found = (await app.api('GET', '/contacts/find?email=p000007@example.com')).body[0];
    expect(found).toMatchObject({
      firstName: 'N000007',
      source: `${first.provider === 'stripe' ? 'Stripe' : found.source.split(' ')[0]} back-fill`,
      subscribed: true,
    });
    const before = JSON.stringify(await app.contacts());
    expect(await run()).toMatchObject({ state: 'done', read: 250, created: 0, updated: 0, known: 250 });
    expect(JSON.stringify(await app.contacts())).toBe(before);
    expect((await app.api('GET', '/deliveries')).body.data).toEqual([]);
  });
});
