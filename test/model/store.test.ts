import { expect, test } from 'bun:test';
import { is } from 'drizzle-orm';
import { SQLiteTable } from 'drizzle-orm/sqlite-core';
import { findDifferences } from '../../src/audience/selfCheck.ts';
import * as schema from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { eachBackend } from '../support/backends.ts';
import { Core } from './core.ts';
import { generateHistory } from './histories.ts';
import { StoreAudience } from './storeAudience.ts';

const HISTORIES = Number(process.env.INLET_STORE_HISTORIES ?? 150);
const TYPES = { plan: 'string' } as const;
const LISTS = ['news', 'tips', 'product'];

/** Between two histories: a new database for each would take longer than its history. */
const empty = (store: Store) =>
  store.write(async tx => {
    for (const table of Object.values(schema))
      if (is(table, SQLiteTable) && table !== schema.meta) await tx.delete(table);
  });

// What the core does in memory is judged by the model (core.test.ts); here the database must come to the same, loading only a part.
eachBackend('random histories through the store', open => {
  test(`${HISTORIES} of them give the contacts that the core gives in memory`, async () => {
    const store = await open();
    for (let seed = 1; seed <= HISTORIES; seed++) {
      const steps = generateHistory(seed, {
        steps: 30,
        withErasures: false,
        ...JSON.parse(process.env.INLET_KNOBS ?? '{}'),
      });
      const [core, audience] = [new Core(TYPES), new StoreAudience(store)];
      await audience.prepare(LISTS, TYPES);
      for (const step of steps) {
        const wanted = core.take(step);
        expect({ seed, step, answer: await audience.take(step) }).toEqual({ seed, step, answer: wanted });
      }
      expect({ seed, contacts: await audience.contacts() }).toEqual({ seed, contacts: core.contacts() });
      expect({ seed, found: await findDifferences(store, steps.at(-1)!.arrivedAt) }).toEqual({ seed, found: [] });
      await empty(store);
    }
  }, 300_000);
});
