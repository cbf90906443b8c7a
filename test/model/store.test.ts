import { expect, test } from 'bun:test';
import { findDifferences } from '../../src/audience/selfCheck.ts';
import { eachBackend } from '../support/backends.ts';
import { Core } from './core.ts';
import { generateHistory } from './histories.ts';
import { StoreAudience } from './storeAudience.ts';

const HISTORIES = Number(process.env.INLET_STORE_HISTORIES ?? 150);
const TYPES = { plan: 'string' } as const;
const LISTS = ['news', 'tips', 'product'];

// What the core does in memory is judged by the model (core.test.ts); here the database must come to the same, loading only a part.
eachBackend('random histories through the store', open => {
  test(`${HISTORIES} of them give the contacts that the core gives in memory`, async () => {
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const steps = generateHistory(seed, {
        steps: 30,
        withErasures: false,
        ...JSON.parse(process.env.INLET_KNOBS ?? '{}'),
      });
      const store = await open();
      const [core, audience] = [new Core(TYPES), new StoreAudience(store)];
      await audience.prepare(LISTS, TYPES);
      for (const step of steps) {
        const wanted = core.take(step);
        expect({ seed, step, answer: await audience.take(step) }).toEqual({ seed, step, answer: wanted });
      }
      expect({ seed, contacts: await audience.contacts() }).toEqual({ seed, contacts: core.contacts() });
      expect({ seed, found: await findDifferences(store, steps.at(-1)!.arrivedAt) }).toEqual({ seed, found: [] });
      await store.close();
    }
  }, 300_000);
});
