import { describe, expect, test } from 'bun:test';
import { generateHistory, shrink, shuffle } from './histories.ts';
import { Model } from './model.ts';
import type { ModelContact, Step } from './steps.ts';

function runSteps(steps: Step[]): ModelContact[] {
  const model = new Model();
  for (const step of steps) model.take(step);
  return model.contacts();
}

describe('random histories', () => {
  test('facts between the same writes give the same contacts in any order of arrival', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const steps = generateHistory(seed);
      const expected = JSON.stringify(runSteps(steps));
      for (let order = 1; order <= 5; order++) {
        const differs = (some: Step[]) =>
          JSON.stringify(runSteps(some)) !== JSON.stringify(runSteps(shuffle(some, seed * 10 + order)));
        if (JSON.stringify(runSteps(shuffle(steps, seed * 10 + order))) === expected) continue;
        const small = await shrink(steps, differs);
        const other = shuffle(small, seed * 10 + order);
        expect({ seed, order, small: other, got: runSteps(other) }).toEqual({
          seed,
          order,
          small,
          got: runSteps(small),
        });
      }
    }
  }, 600_000);
});
