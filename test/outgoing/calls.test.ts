import { expect, test } from 'bun:test';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import type { Store } from '../../src/db/store.ts';
import {
  claimCalls,
  findDueSubscriptions,
  freeCalls,
  getCall,
  recordAttempt,
  replayCall,
} from '../../src/outgoing/calls.ts';
import { queueCalls } from '../../src/outgoing/publish.ts';
import { scheduleNextAttempt, WAITS_MS } from '../../src/outgoing/schedule.ts';
import { createSubscription, patchSubscription } from '../../src/outgoing/subscriptions.ts';
import { makeSealer } from '../../src/sealing.ts';
import { API_KEY } from '../support/app.ts';
import { eachBackend, postgresDatabase, withPostgres } from '../support/backends.ts';
import { failure } from '../support/failure.ts';
import { closeReceivers, receiver } from './receiver.ts';

const NOW = Date.UTC(2026, 10, 1);
const sealer = makeSealer(new Uint8Array(32));
const attempt = { at: NOW, status: 500, ms: 1, answer: '', error: 'The receiver answered 500.' };

async function prepared(store: Store, count: number) {
  const input = { name: 'n', url: 'https://example.com/', eventNames: ['contact.created'] };
  const { subscription } = await store.write(tx => createSubscription(tx, { sealer, now: NOW }, input));
  const call = (i: number) => ({
    subscriptionId: subscription.id,
    eventName: 'contact.created',
    uniqueKey: `k${i}`,
    body: '{}',
  });
  const calls = Array.from({ length: count }, (_, i) => call(i));
  await store.write(tx => queueCalls(tx, calls, NOW));
  const again = await store.write(tx => queueCalls(tx, calls, NOW));
  expect(again).toEqual([]);
  return subscription.id;
}

eachBackend('outgoing calls', open => {
  test('a lease holds for a minute; an outcome from a lease that ran out is void', async () => {
    const store = await open();
    const id = await prepared(store, 1);
    expect((await store.read(tx => findDueSubscriptions(tx, [], NOW))).map(row => row.id)).toEqual([id]);
    expect(await store.read(tx => findDueSubscriptions(tx, [id], NOW))).toEqual([]);
    const [first] = await store.write(tx => claimCalls(tx, id, 9, NOW));
    expect(await store.write(tx => claimCalls(tx, id, 9, NOW + 59_999))).toEqual([]);
    expect(await store.read(tx => findDueSubscriptions(tx, [], NOW + 59_999))).toEqual([]);
    const [second] = await store.write(tx => claimCalls(tx, id, 9, NOW + 60_000));
    expect(second).toMatchObject({ id: first!.id, attempts: 2 });
    expect(await store.write(tx => recordAttempt(tx, first!, attempt, null, NOW))).toBe(false);
    const done = { ...attempt, status: 200, error: null };
    expect(await store.write(tx => recordAttempt(tx, second!, done, null, NOW))).toBe(true);
    expect(await store.write(tx => recordAttempt(tx, second!, attempt, { dueAt: NOW, failures: 1 }, NOW))).toBe(false);
    expect(await store.read(tx => getCall(tx, first!.id))).toMatchObject({ state: 'delivered', attemptCount: 2 });
  });

  test('a replay counts its retries anew, but not while the call is under way', async () => {
    const store = await open();
    const id = await prepared(store, 1);
    const [claimed] = await store.write(tx => claimCalls(tx, id, 1, NOW));
    const replay = store.write(tx => replayCall(tx, claimed!.id, NOW + 1));
    expect((await failure(replay)).message).toContain('being made right now');
    await store.write(tx => recordAttempt(tx, claimed!, attempt, null, NOW));
    expect(await store.read(tx => getCall(tx, claimed!.id))).toMatchObject({ state: 'failed', nextAttemptAt: null });
    await store.write(tx => replayCall(tx, claimed!.id, NOW + 5));
    const [again] = await store.write(tx => claimCalls(tx, id, 1, NOW + 5));
    expect(again).toMatchObject({ attempts: 2, failures: 0, history: [attempt] });
  });

  test('after a restart leases are void, waits are not; paused ones are not due', async () => {
    const store = await open();
    const id = await prepared(store, 2);
    const claimed = await store.write(tx => claimCalls(tx, id, 2, NOW));
    await store.write(tx => recordAttempt(tx, claimed[0]!, attempt, { dueAt: NOW + 3_600_000, failures: 1 }, NOW));
    await store.write(tx => freeCalls(tx, NOW + 10));
    const due = await store.write(tx => claimCalls(tx, id, 9, NOW + 10));
    expect(due.map(call => call.id)).toEqual([claimed[1]!.id]);
    await store.write(tx => freeCalls(tx, NOW + 20));
    await store.write(tx => patchSubscription(tx, id, { paused: true }, NOW));
    expect(await store.read(tx => findDueSubscriptions(tx, [], NOW + 30))).toEqual([]);
  });
});

eachBackend('outgoing calls that kill', open => {
  test('three crashes are followed at once, later ones after the lease; an outcome begins anew', async () => {
    const store = await open();
    const id = await prepared(store, 1);
    const claim = (now: number) => store.write(tx => claimCalls(tx, id, 1, now));
    for (let crash = 0; crash <= 3; crash++) {
      expect(await claim(NOW)).toMatchObject([{ crashes: crash }]);
      await store.write(tx => freeCalls(tx, NOW));
    }
    expect(await claim(NOW)).toEqual([]);
    const [last] = await claim(NOW + 60_000);
    expect(last).toMatchObject({ crashes: 4, attempts: 5, failures: 0 });
    await store.write(tx => recordAttempt(tx, last!, attempt, { dueAt: NOW, failures: 1 }, NOW));
    expect(await claim(NOW)).toMatchObject([{ crashes: 0, attempts: 6, failures: 1 }]);
  });
});

test('the waits reach 72 hours without jitter, each at most a tenth longer with it', () => {
  const sum = WAITS_MS.reduce((a, b) => a + b, 0);
  expect(sum).toBeGreaterThan(72 * 3_600_000);
  for (const [i, wait] of WAITS_MS.entries()) {
    expect(scheduleNextAttempt(i + 1, null, NOW, 0)).toBe(NOW + wait);
    expect(scheduleNextAttempt(i + 1, null, NOW, 1)).toBe(NOW + Math.round(wait * 1.1));
    expect(scheduleNextAttempt(i + 1, '1', NOW, 0)).toBe(NOW + wait); // a retry is never sooner than ours
  }
  expect(scheduleNextAttempt(WAITS_MS.length + 1, '60', NOW, 0.5)).toBeNull();
});

test.if(withPostgres)(
  'two instances on one PostgreSQL database make each call once',
  async () => {
    const hook = await receiver();
    hook.answer = (_, response) => void setTimeout(() => response.end(), 5);
    const { config } = readConfig({ INLET_API_KEY: API_KEY, INLET_LOG_LEVEL: 'silent' });
    const shared = { ...config, databaseUrl: await postgresDatabase(), secretKey: new Uint8Array(32).fill(7), port: 0 };
    const open = () => createApp({ ...shared, allowPrivateTargets: true });
    const apps = [await open(), await open()];
    const { store, sealer: own } = apps[0]!.ctx;
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      const input = { name: 'n', url: hook.url, eventNames: ['contact.created'] };
      const made = await store.write(tx => createSubscription(tx, { sealer: own, now: Date.now() }, input));
      ids.push(made.subscription.id);
    }
    const calls = Array.from({ length: 600 }, (_, i) => ({
      subscriptionId: ids[i % 3]!,
      eventName: 'contact.created',
      uniqueKey: `k${i}`,
      body: `{"n":${i}}`,
    }));
    await store.write(tx => queueCalls(tx, calls, Date.now()));
    await Promise.all(apps.map(app => app.worker.start()));
    const until = Date.now() + 20_000;
    while (hook.got.length < 600 && Date.now() < until) await Bun.sleep(20);
    await Bun.sleep(300);
    expect(hook.got.length).toBe(600);
    expect(new Set(hook.got.map(each => each.headers['webhook-id'])).size).toBe(600);
    for (const app of apps) await app.stop();
    closeReceivers();
  },
  60_000,
);
