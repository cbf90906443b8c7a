import { expect, test } from 'bun:test';
import { crash } from './support/crash.ts';

const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);

// The guarantee: whatever was answered 200 is in the log once and applied once, kill -9 or not.
test('40 kills at random moments under load lose nothing and double nothing', async () => {
  console.log(`crash: SEED=${SEED}`);
  const report = await crash(40, SEED);
  expect(report.wrong.slice(0, 10)).toEqual([]);
  expect(report.acknowledged).toBeGreaterThan(1000);
}, 240_000);
