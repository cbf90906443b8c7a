import { expect, test } from 'bun:test';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { Held, type Hold, type Tx } from '../../src/db/store.ts';
import { postgresDatabase, withPostgres } from '../support/backends.ts';

// Fenced against another holder: two instances, each with connections of its own.
test.skipIf(!withPostgres)(
  'who holds a person keeps others away, and a patient write waits and holds as well',
  async () => {
    const url = await postgresDatabase();
    const [a, b] = [await openPostgres(url), await openPostgres(url)];
    const holding = (key: string, until: Promise<unknown>, got?: () => void) => async (_: Tx, hold: Hold) => {
      await hold([key]);
      got?.();
      await until;
    };
    const free = Promise.resolve();
    const attempt = (store: typeof a, key: string) =>
      store.writePeople(0, holding(key, free), false).then(
        () => 'held by me',
        error => error,
      );
    const first = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const one = a.writePeople(0, holding('id:1', first.promise, held.resolve), false);
    await held.promise;
    expect(await attempt(b, 'id:1')).toBeInstanceOf(Held);
    expect(await attempt(b, 'id:2')).toBe('held by me');
    const second = Promise.withResolvers<void>();
    const order: string[] = [];
    const patient = b.writePeople(
      0,
      holding('id:1', second.promise, () => order.push('patient')),
      true,
    );
    await Bun.sleep(100);
    expect(order).toEqual([]); // it waits
    order.push('first ends');
    first.resolve();
    await one;
    while (order.length < 2) await Bun.sleep(5);
    expect(order).toEqual(['first ends', 'patient']);
    expect(await attempt(a, 'id:1')).toBeInstanceOf(Held); // and holds
    second.resolve();
    await patient;
    expect(await attempt(a, 'id:1')).toBe('held by me');
    await Promise.all([a.close(), b.close()]);
  },
);
