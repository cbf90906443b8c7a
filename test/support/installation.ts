import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import type { Config } from '../../src/config.ts';
import { payloads } from '../../src/db/schema.ts';
import { stripeEvent, TestApp } from './app.ts';

export const SEALING_KEY = new Uint8Array(32).fill(9);
const LARGE_BYTES = 5 * 1024 * 1024; // more than a page of a transfer holds

const unknownPerson = (customer: string) =>
  stripeEvent('customer.subscription.created', {
    id: `sub_${customer}`,
    object: 'subscription',
    customer,
    email: null,
  });

/** Opens a TestApp on this SQLite or PostgreSQL installation. */
export function openInstallation(overrides: Partial<Config>): Promise<TestApp> {
  const fetch = async () => new Response(`{"error":{"message":"no"}}`, { status: 500 });
  return TestApp.open({ fetch }, { secretKey: SEALING_KEY, ...overrides }, `${overrides.dataDir}-unused`);
}

/** Fills a SQLite installation through the real app: every status of a delivery, every kind of row. The file, and one webhook of it. */
export async function installation() {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'inlet-move-')), 'data');
  const app = await openInstallation({ dataDir });
  const list = (await app.api('POST', '/lists', { name: 'Ünïcode 🎉 "quoted"', description: '' })).body.id;
  await app.api('POST', '/keys', { name: 'a key' });
  const events = {
    'customer.created': {
      mailingLists: [list],
      triggerEvent: 'signup',
      contactProperties: { plan: 'data.object.plan' },
    },
    'customer.updated': { enabled: false },
  };
  const id = await app.endpoint('stripe', { events });
  const clerk = await app.endpoint('clerk');
  await app.api('POST', `/endpoints/${id}/secrets`, { secret: 'whsec_stripe_second_0123456789abcdef' });
  app.app.ctx.careful.begin(); // queued first, so that one can be spoilt
  const known = stripeEvent('customer.created', { email: 'ada@example.com', name: 'Ada 🎉 L', plan: 'pro' });
  await app.post(id, 'stripe', known); // processed
  const poison = (await app.post(id, 'stripe', stripeEvent('customer.created'))).body.deliveryId;
  await app.app.ctx.store.write(tx =>
    tx.update(payloads).set({ body: '{broken' }).where(eq(payloads.deliveryId, poison)),
  );
  app.time = Date.now();
  for (let i = 0; i < 5; i++) {
    await app.drain(); // dead in the end
    app.time += 700_000;
  }
  app.time = null;
  const large = await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'large@example.com' }));
  await app.drain();
  await app.app.ctx.store.write(tx =>
    tx
      .update(payloads)
      .set({ body: JSON.stringify('é'.repeat(LARGE_BYTES / 2)) })
      .where(eq(payloads.deliveryId, large.body.deliveryId)),
  );
  await app.post(id, 'stripe', stripeEvent('customer.updated')); // ignored
  await app.post(id, 'stripe', stripeEvent('customer.created'), { secret: 'whsec_a_wrong_one_0123456789abcdef' }); // rejected
  await app.post(id, 'stripe', unknownPerson('cus_waits')); // waiting
  await app.drain();
  await app.api('PATCH', `/endpoints/${clerk}`, { paused: true });
  const user = { id: 'user_1', email_addresses: [], created_at: 1, updated_at: 1 };
  await app.post(clerk, 'clerk', { type: 'user.created', object: 'event', data: user }); // queued
  const looking = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_of_a_move' } });
  await app.post(looking, 'stripe', unknownPerson('cus_looked'));
  await app.drain(); // failed
  await app.api('POST', '/deliveries/replay', { status: 'processed' }); // a job
  await app.stop();
  return { dataDir, file: join(dataDir, 'inlet.db'), endpointId: id, known, list };
}
