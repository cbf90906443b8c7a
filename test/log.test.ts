import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { openSqlite } from '../src/db/sqlite/store.ts';
import { redactError } from '../src/log.ts';
import { sqliteFile } from './support/backends.ts';

test("a failed statement's parameters stay out of the log, whatever is in them", async () => {
  const store = openSqlite(await sqliteFile());
  const secret = "canary 'quoted'\n at once\nparams: more";
  const error = await store.write(tx => tx.run(sql`insert into nowhere values (${secret})`)).catch(caught => caught);
  await store.close();
  expect(String(error)).toContain('canary'); // drizzle puts them into the message
  const logged = JSON.stringify(redactError(error));
  expect(logged).toContain('insert into nowhere');
  expect(logged).toContain('no such table');
  expect(logged).not.toMatch(/canary|quoted|at once|more/);
});

test('only name, message, code, stack and causes of an error are logged', () => {
  const cause = Object.assign(new Error('low'), { code: 'SQLITE_FULL', config: { key: 'canary' } });
  const error = Object.assign(new Error('high', { cause }), { request: { authorization: 'canary' } });
  const logged = redactError(error);
  expect(logged).toMatchObject({ name: 'Error', message: 'high', cause: { message: 'low', code: 'SQLITE_FULL' } });
  expect(JSON.stringify(logged)).not.toContain('canary');
  expect(redactError({ token: 'canary' })).toEqual({ message: 'object' });
  const loop = new Error('round');
  loop.cause = loop;
  expect(JSON.stringify(redactError(loop)).length).toBeLessThan(10_000);
});

test.each(['json', 'pretty'])(
  'foreign words in the log move no terminal and make no line of their own (%s)',
  async format => {
    const script = `
    import { createLog } from './src/log.ts';
    const foreign = 'a\\x1b]0;pwned\\x07\\x1b[2J\\x9b31m\\u202egnp\\u2028b\\r\\nINFO forged';
    createLog({ logLevel: 'info', logFormat: '${format}' }).warn({ name: foreign, err: new Error(foreign) }, foreign);`;
    const child = Bun.spawn([process.execPath, '-e', script], { cwd: join(import.meta.dir, '..'), stdout: 'pipe' });
    const text = await child.stdout.text();
    expect(text).toContain('pwned');
    expect(Bun.stripANSI(text)).not.toMatch(/[^\n\P{Cc}]|[\p{Cf}\u2028\u2029]/u); // colours are our own
    expect(text.split('\n').filter(line => /^\W*INFO forged/.test(line))).toEqual([]);
  },
);
