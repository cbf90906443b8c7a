import { expect, test } from 'bun:test';
import { sql } from 'drizzle-orm';
import { openSqlite } from '../src/db/sqlite.ts';
import { safeError } from '../src/log.ts';
import { sqliteFile } from './support/backends.ts';

test("a failed statement's parameters stay out of the log, whatever is in them", async () => {
  const store = openSqlite(await sqliteFile());
  const secret = "canary 'quoted'\n at once\nparams: more";
  const error = await store.write(tx => tx.run(sql`insert into nowhere values (${secret})`)).catch(caught => caught);
  await store.close();
  expect(String(error)).toContain('canary'); // drizzle puts them into the message
  const logged = JSON.stringify(safeError(error));
  expect(logged).toContain('insert into nowhere');
  expect(logged).toContain('no such table');
  expect(logged).not.toMatch(/canary|quoted|at once|more/);
});

test('only name, message, code, stack and causes of an error are logged', () => {
  const cause = Object.assign(new Error('low'), { code: 'SQLITE_FULL', config: { key: 'canary' } });
  const error = Object.assign(new Error('high', { cause }), { request: { authorization: 'canary' } });
  const logged = safeError(error);
  expect(logged).toMatchObject({ name: 'Error', message: 'high', cause: { message: 'low', code: 'SQLITE_FULL' } });
  expect(JSON.stringify(logged)).not.toContain('canary');
  expect(safeError({ token: 'canary' })).toEqual({ message: 'object' });
  const loop = new Error('round');
  loop.cause = loop;
  expect(JSON.stringify(safeError(loop)).length).toBeLessThan(10_000);
});
