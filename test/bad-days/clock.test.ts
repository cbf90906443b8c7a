import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripeEvent, TestApp } from '../support/app.ts';

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

test('no timer is set for longer than a minute: 2^31 ms would fire at once', () => {
  const src = join(import.meta.dir, '../../src');
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'));
  const waits = files.flatMap(file => {
    const text = readFileSync(join(src, file), 'utf8');
    const constants = new Map(
      [...text.matchAll(/const (\w+) = ([\d_]+);/g)].map(m => [m[1], Number(m[2]?.replaceAll('_', ''))]),
    );
    return [...text.matchAll(/set(?:Timeout|Interval)\((?:[^;]*?), ([\w]+)\)/g)].map(m => ({
      file,
      ms: constants.get(m[1]) ?? Number(m[1]),
    }));
  });
  expect(waits.length).toBeGreaterThan(2);
  for (const wait of waits) expect(wait.ms).toBeLessThanOrEqual(60_000);
});
