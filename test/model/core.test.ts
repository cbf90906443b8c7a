import { describe, expect, test } from 'bun:test';
import { Core } from './core.ts';
import { generateHistory, shrink, shuffle } from './histories.ts';
import { Model } from './model.ts';
import type { Audience, ModelContact, Step } from './steps.ts';

const TYPES = { plan: 'string', seats: 'number', tier: 'string' } as const;
const HISTORIES = Number(process.env.INLET_HISTORIES ?? 3000);
const FIRST = Number(process.env.INLET_FIRST_SEED ?? 1);

const ONCE_DIFFERENT = [4423, 4607, 5338, 5525, 6424, 9955, 12265, 12463, 13164, 16568, 16631, 24741, 24775];

/** The core gives a property one type; the model has none. */
function listContacts(audience: Audience): ModelContact[] {
  return (audience.contacts() as ModelContact[]).map(each => ({
    ...each,
    properties: Object.fromEntries(Object.entries(each.properties).map(([key, value]) => [key, String(value)])),
  }));
}

/** What is to be equal: every answer but that of an erasure, and the contacts at three moments and at the end. */
function trace(audience: Audience, steps: Step[]): unknown[] {
  const places = [1, 2, 3, 4].map(quarter => Math.ceil((steps.length * quarter) / 4) - 1);
  return steps.map((step, i) => {
    // Whether anything was left to erase is asked of the log, which neither has.
    const taken = audience.take(step);
    const answer = step.kind === 'erase' ? 'done' : taken;
    return places.includes(i) ? [answer, listContacts(audience)] : answer;
  });
}

function traceCore(steps: Step[]): unknown[] {
  try {
    return trace(new Core(TYPES), steps);
  } catch (error) {
    return [String(error)];
  }
}

async function expectEqual(seed: number, steps: Step[]) {
  const differs = (some: Step[]) => JSON.stringify(traceCore(some)) !== JSON.stringify(trace(new Model(), some));
  if (!differs(steps)) return;
  const small = await shrink(steps, differs);
  expect({ seed, steps: small, core: traceCore(small) }).toEqual({
    seed,
    steps: small,
    core: trace(new Model(), small),
  });
}

describe('the core is what the page says', () => {
  test(`${HISTORIES} random histories`, async () => {
    for (let seed = FIRST; seed < FIRST + HISTORIES; seed++)
      await expectEqual(seed, generateHistory(seed, { steps: 25 }));
  }, 600_000);

  test('those that once differed', async () => {
    const few = { steps: 30, people: 3, addresses: 3 };
    for (const seed of ONCE_DIFFERENT) await expectEqual(seed, generateHistory(seed, { steps: 25 }));
    for (const seed of [31528, 31665, 32384, 33263]) await expectEqual(seed, generateHistory(seed, few));
    for (const seed of [31755, 31825, 32547])
      await expectEqual(seed, generateHistory(seed, { ...few, withErasures: false }));
    for (const seed of [20082, 20668, 21405, 21440]) await expectEqual(seed, generateHistory(seed, { steps: 45 }));
  }, 60_000);

  test('in any order of arrival, with repeats', async () => {
    for (let seed = FIRST; seed < FIRST + HISTORIES / 20; seed++) {
      const steps = generateHistory(seed, { steps: 25 });
      for (let order = 1; order <= 5; order++) await expectEqual(seed, shuffle(steps, seed * 10 + order));
    }
  }, 600_000);

  test('the order of arrival leaves no trace in the core', async () => {
    const end = (steps: Step[]) => {
      const core = new Core(TYPES);
      for (const step of steps) core.take(step);
      return listContacts(core);
    };
    for (let seed = FIRST; seed < FIRST + HISTORIES / 4; seed++) {
      const steps = generateHistory(seed, { steps: 25, withErasures: false });
      const expected = JSON.stringify(end(steps));
      for (let order = 1; order <= 5; order++) {
        const mix = (some: Step[]) => shuffle(some, seed * 10 + order);
        if (JSON.stringify(end(mix(steps))) === expected) continue;
        const small = await shrink(steps, some => JSON.stringify(end(some)) !== JSON.stringify(end(mix(some))));
        expect({ seed, order, steps: mix(small), contacts: end(mix(small)) }).toEqual({
          seed,
          order,
          steps: small,
          contacts: end(small),
        });
      }
    }
  }, 600_000);
});
