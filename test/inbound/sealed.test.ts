import { afterEach, beforeEach, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { endpoints, meta, secrets } from '../../src/db/schema.ts';
import { SECRETS, stripeEvent, TestApp } from '../support/app.ts';

const OTHERS = 'whsec_of_the_other_0123456789abcdef';
const API_KEY_OF_STRIPE = 'rk_test_marked_0123';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const statusOf = async (endpoint: string, secret: string) =>
  (await app.post(endpoint, 'stripe', stripeEvent('customer.created'), { secret })).status;

test('a secret moved to another endpoint in the database does not open there', async () => {
  const [from, to] = [await app.endpoint('stripe', { secret: OTHERS }), await app.endpoint('stripe')];
  expect(await statusOf(from, OTHERS)).toBe(200);
  await app.app.ctx.store.write(async tx => {
    await tx.update(secrets).set({ endpointId: to }).where(eq(secrets.endpointId, from));
  });
  app.app.ctx.live.invalidate();
  expect(await statusOf(to, OTHERS)).toBe(401);
  expect(await statusOf(to, SECRETS.stripe ?? '')).toBe(200);
});

test('an API key does not open beside another address', async () => {
  const id = await app.endpoint('stripe', { settings: { apiKey: API_KEY_OF_STRIPE } });
  const { live, store } = app.app.ctx;
  expect((await live.get(id))?.settings.apiKey).toBe(API_KEY_OF_STRIPE);
  await store.write(async tx => {
    await tx
      .update(endpoints)
      .set({ settings: { apiBase: 'https://evil.example' } })
      .where(eq(endpoints.id, id));
  });
  live.invalidate();
  expect((await live.get(id))?.settings.apiKey).toBeNull();
});

test('what an older version sealed is sealed again at the first start, and only then', async () => {
  const id = await app.endpoint('stripe', { settings: { apiKey: API_KEY_OF_STRIPE } });
  const { sealer, store } = app.app.ctx;
  const sealAsBefore = () =>
    app.app.ctx.store.write(async tx => {
      for (const row of await tx.select().from(secrets))
        await tx
          .update(secrets)
          .set({ sealed: sealer.seal(SECRETS.stripe ?? '', row.id) })
          .where(eq(secrets.id, row.id));
      await tx.update(endpoints).set({ sealedApiKey: sealer.seal(API_KEY_OF_STRIPE, id) });
    });
  await sealAsBefore();
  await store.write(async tx => void (await tx.delete(meta).where(eq(meta.key, 'sealContexts'))));
  const folder = app.folder;
  await app.stop(true);
  app = await TestApp.open({}, {}, folder);
  expect(await statusOf(id, SECRETS.stripe ?? '')).toBe(200);
  expect((await app.app.ctx.live.get(id))?.settings.apiKey).toBe(API_KEY_OF_STRIPE);
  await sealAsBefore();
  await app.stop(true);
  app = await TestApp.open({}, {}, folder);
  expect(await statusOf(id, SECRETS.stripe ?? '')).toBe(401);
});
