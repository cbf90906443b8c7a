// databases: sqlite
import { Database } from 'bun:sqlite';
import { expect, spyOn, test } from 'bun:test';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SQL } from 'bun';
import { readConfig } from '../../src/config.ts';
import { TestApp } from '../support/app.ts';
import { dropDatabase, postgresDatabase, withPostgres } from '../support/backends.ts';

const GROWING = 'contacts|deliveries|events|mails|payloads|runs|steps|webhook_calls';

const ENTERED = 'select id from runs where workflow_id = $1 and contact_id = $2 and entry = $3 limit 1';

// SQLite plans without statistics: it takes an index on the state alone before one made for the question, and goes through all that sleep.
test('what an idle server asks again and again is answered by an index, and by more of it than a state', async () => {
  const asked = new Set<string>();
  const listen = (['query', 'prepare'] as const).map(name => {
    const real = Database.prototype[name] as (...args: never[]) => unknown;
    return spyOn(Database.prototype, name).mockImplementation(function (this: Database, ...args: unknown[]) {
      asked.add(String(args[0]));
      return Reflect.apply(real, this, args);
    } as never);
  });
  const folder = mkdtempSync(join(tmpdir(), 'inlet-plans-'));
  const dataDir = join(folder, 'data');
  const { smtp, mailFrom } = readConfig(
    { INLET_SMTP_URL: 'smtp://127.0.0.1:1', INLET_MAIL_FROM: 'a@example.com' },
    {},
  ).config;
  const app = await TestApp.open({}, { dataDir, smtp, mailFrom }, folder);
  await app.app.worker.start();
  await app.app.worker.drain();
  await Bun.sleep(1500); // the lanes' own rounds
  for (const each of listen) each.mockRestore();

  const db = new Database(join(dataDir, 'inlet.db'), { readonly: true });
  const walks: string[] = [];
  let looked = 0;
  for (const text of asked) {
    if (!/^(select|update|delete)/.test(text)) continue;
    const values = Array.from(text.matchAll(/\?/g), () => 1);
    for (const { detail } of db.query<{ detail: string }, number[]>(`explain query plan ${text}`).all(...values)) {
      if (!new RegExp(`^(SCAN|SEARCH) (${GROWING})\\b`).test(detail)) continue;
      looked++;
      const all = detail.startsWith('SCAN') && !detail.includes('USING');
      if (all || /USING INDEX \S+ \((status|state)=\?\)$/.test(detail)) walks.push(`${text}\n  ${detail}`);
    }
  }
  expect(walks).toEqual([]);
  expect(looked).toBeGreaterThan(15);
  db.close();
  await app.stop();
}, 20_000);

// PostgreSQL keeps the plan of a prepared statement: one made while a table was new must be good when it is full.
test.skipIf(!withPostgres)(
  'PostgreSQL finds out whether a contact entered a workflow by the contact, on an empty table too',
  async () => {
    const url = await postgresDatabase();
    const sql = new SQL(url, { max: 1 });
    await sql.unsafe('set plan_cache_mode = force_generic_plan');
    await sql.unsafe(`prepare entered as ${ENTERED}`);
    const plan: { 'QUERY PLAN': string }[] = await sql.unsafe(`explain execute entered ('wf', 'con', 'e')`);
    expect(plan.map(line => line['QUERY PLAN']).join('\n')).toMatch(/Index Cond: .*contact_id = /);
    await sql.close();
    await dropDatabase(url);
  },
);
