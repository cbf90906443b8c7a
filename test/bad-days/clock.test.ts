import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { recover } from '../../src/inbound/leases.ts';
import { stripeEvent, TestApp } from '../support/app.ts';
import { onSqlite } from '../support/onSqlite.ts';

const DAY = 86_400_000;

for (const step of [DAY, -DAY, 600_000, -600_000]) {
  test(`a clock that steps by ${step / 60_000} minutes loses nothing and doubles nothing`, async () => {
    const app = await TestApp.open();
    const id = await app.endpoint('stripe', {
      events: {
        'customer.created': { triggerEvent: 'signup' },
        'customer.subscription.created': { triggerEvent: 'subscribed' },
      },
    });
    const begin = Date.now();
    app.time = begin;
    const send = (event: unknown) => app.post(id, 'stripe', event);
    const answers = [await send(stripeEvent('customer.subscription.created', { id: 'sub_1', customer: 'cus_clock' }))];
    answers.push(await send(stripeEvent('customer.created')));
    await app.drain();
    answers.push(await send(stripeEvent('customer.created')));
    app.time = begin + step;
    answers.push(await send(stripeEvent('customer.created', { id: 'cus_clock' })));
    await app.drain();
    app.time = begin;
    answers.push(await send(stripeEvent('customer.created')));
    await app.drain();
    expect(answers.map(a => a.status)).toEqual([200, 200, 200, 200, 200]);
    const log = (await app.api('GET', '/deliveries?perPage=100')).body.data;
    expect(log.map((d: { status: string }) => d.status)).toEqual(Array(5).fill('processed'));
    const names = (await app.api('GET', '/events')).body.data.map((e: { eventName: string }) => e.eventName).sort();
    expect(names).toEqual(['signup', 'signup', 'signup', 'signup', 'subscribed']);
    await app.stop();
  });
}

const unknown = () => stripeEvent('customer.subscription.created', { customer: 'cus_clock', email: undefined });

/** An app that looks `cus_clock` up; `answer` may fail. */
async function lookingUp(answer: () => void | Promise<void>) {
  const app = await TestApp.open({
    fetch: async () => {
      await answer();
      return Response.json({ id: 'cus_clock', object: 'customer', email: 'clock@x.co' });
    },
  });
  const events = { 'customer.subscription.created': { triggerEvent: 'subscribed' } };
  const id = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_of_the_clock' }, events });
  const fired = async () => (await app.api('GET', '/events')).body.data.length as number;
  return { app, id, fired };
}

// On PostgreSQL due dates belong to all instances: their clocks are to be kept right (README).
onSqlite('a retry keeps its distance when the clock is set back a day, and is not brought forward either', async () => {
  let calls = 0;
  const { app, id, fired } = await lookingUp(() => {
    if (++calls <= 2) throw new Error('not reachable');
  });
  const begin = Date.now();
  app.time = begin + DAY;
  await app.post(id, 'stripe', unknown());
  await app.drain();
  expect(await app.latest()).toMatchObject({ status: 'failed', attempts: 1 });
  app.time = begin; // the clock was a day ahead and is put right
  await app.drain();
  expect(calls).toBe(1);
  app.time = begin + 2001;
  await app.drain();
  expect(await app.latest()).toMatchObject({ status: 'failed', attempts: 2 });
  await app.drain();
  expect(calls).toBe(2); // the delay is kept after the step, too
  app.time = begin + 10_000;
  await app.drain();
  expect(await app.latest()).toMatchObject({ status: 'processed', attempts: 3 });
  expect(await fired()).toBe(1);
  await app.stop();
});

onSqlite('a retry noted by a clock that was a year ahead is due within ten minutes of the next start', async () => {
  let broken = true;
  const { app, id } = await lookingUp(() => {
    if (broken) throw new Error('not reachable');
  });
  const begin = Date.now();
  app.time = begin + 365 * DAY;
  await app.post(id, 'stripe', unknown());
  await app.drain();
  expect(await app.latest()).toMatchObject({ status: 'failed' });
  await app.stop(true);
  broken = false;
  const again = await TestApp.open(
    { fetch: async () => Response.json({ id: 'cus_clock', email: 'c@x.co' }) },
    {},
    app.folder,
  );
  again.time = begin;
  await again.app.worker.recoverAll();
  again.time = begin + 600_000;
  await again.drain();
  expect(await again.latest()).toMatchObject({ status: 'processed' });
  await again.stop();
});

test('a clock that leaps a day while a delivery is under way, so that its lease seems over: applied once', async () => {
  let leapt = false;
  const { app, id, fired } = await lookingUp(async () => {
    if (leapt) return;
    leapt = true;
    app.time = Date.now() + DAY;
    await app.app.ctx.store.write(tx => recover(tx, app.now(), app.now()));
    await app.drain(); // another lane takes it over and finishes it
  });
  await app.post(id, 'stripe', unknown());
  await app.drain();
  await app.drain();
  expect(leapt).toBe(true);
  expect(await app.latest()).toMatchObject({ status: 'processed' });
  expect(await fired()).toBe(1);
  expect(await app.contacts()).toHaveLength(1);
  await app.stop();
});

onSqlite('a bulk replay goes on after the clock was set back', async () => {
  const app = await TestApp.open();
  const id = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
  app.time = Date.now() + DAY;
  for (let i = 0; i < 3; i++) await app.post(id, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  await app.api('POST', '/deliveries/replay', { endpointId: id, repeatEffects: true });
  app.time -= DAY;
  await app.drain();
  expect((await app.api('GET', '/events')).body.data).toHaveLength(6);
  await app.stop();
});

test('signatures are judged by the clock as it is now, and health names its offset and direction', async () => {
  const app = await TestApp.open();
  const id = await app.endpoint('stripe');
  const sent = Date.now();
  const statusAt = async (shift: number, after = 0) => {
    app.time = sent + shift + after;
    return (await app.post(id, 'stripe', stripeEvent('customer.created'), { at: sent + after })).status;
  };
  expect(await statusAt(299_000)).toBe(200);
  expect(await statusAt(-299_000)).toBe(200);
  for (const [shift, offset] of [
    [DAY, 86_400],
    [-DAY, -86_400],
  ] as const) {
    for (let i = 0; i < 3; i++) expect(await statusAt(shift, i * 1000)).toBe(401);
    const { clockSkewSeconds } = (await app.health()).body;
    expect(Math.abs(clockSkewSeconds - offset)).toBeLessThan(3);
    expect((await app.latest()).message).toMatch(
      shift > 0 ? /8640\d s behind our clock/ : /8(640|639)\d s ahead of our clock/,
    );
    expect(await statusAt(0)).toBe(200);
    expect((await app.health()).body.clockSkewSeconds).toBeNull();
  }
  await app.stop();
});

test('no timer is set for longer than a minute: 2^31 ms would fire at once', () => {
  const src = join(import.meta.dir, '../../src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'));
  const waits = files.flatMap(file => {
    const text = readFileSync(join(src, file), 'utf8');
    const constants = new Map(
      [...text.matchAll(/(\w+)(?: =|:) ([\d_]+)[;, ]/g)].map(m => [m[1], Number(m[2]?.replaceAll('_', ''))]),
    );
    const value = (name: string) => constants.get(name.split('.').at(-1)) ?? Number(name);
    return [...text.matchAll(/set(?:Timeout|Interval)\((?:[^;]*?), ([\w.]+(?: \+ [\w.]+)*)\)/g)].map(
      ([, words = '']) => ({
        file,
        ms: words.split(' + ').reduce((sum, word) => sum + value(word), 0),
      }),
    );
  });
  expect(waits.length).toBeGreaterThan(2);
  for (const wait of waits) expect(wait.ms).toBeLessThanOrEqual(60_000);
});
