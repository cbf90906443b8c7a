import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { findLostLimits } from '../../src/db/postgres/pooler.ts';
import { lists } from '../../src/db/schema.ts';
import { AppError } from '../../src/errors.ts';
import { dropDatabase, postgresDatabase, withPostgres } from '../support/backends.ts';
import { pgbouncer, startPgbouncer } from '../support/pgbouncer.ts';

const LIMITS = 'statement_timeout,lock_timeout,idle_in_transaction_session_timeout';

let database = '';
beforeAll(async () => {
  if (withPostgres) database = await postgresDatabase();
});
afterAll(async () => {
  if (database) await dropDatabase(database);
});

/** What opening is refused with; null: it opens, and writes. */
async function refusalOf(url: string): Promise<string | null> {
  try {
    const store = await openPostgres(url);
    try {
      await store.write(tx => tx.select().from(lists));
      await store.writePeople(0, (tx, hold) => hold(['a']).then(() => tx.select().from(lists)), false);
    } finally {
      await store.close();
    }
    return null;
  } catch (error) {
    if (error instanceof AppError) return error.message;
    throw error;
  }
}

async function lostLimitsOf(url: string): Promise<string | null> {
  const store = await openPostgres(url);
  const lost = await findLostLimits(store);
  await store.close();
  return lost;
}

if (withPostgres && pgbouncer === null)
  console.log('pgbouncer is missing (apt-get install pgbouncer): poolers before PostgreSQL are not tested');

describe.skipIf(!withPostgres || pgbouncer === null)('PgBouncer', () => {
  test.each([
    ['one server connection after the other', { server_round_robin: '0' }],
    ['server connections by turns', { server_round_robin: '1' }],
    ['one server connection for all', { default_pool_size: '1' }],
  ])(
    'in transaction mode is refused in a sentence that says what to do (%s)',
    async (_, settings) => {
      await using pooler = await startPgbouncer(database, {
        pool_mode: 'transaction',
        ignore_startup_parameters: LIMITS,
        ...settings,
      });
      expect(await refusalOf(pooler.url)).toContain('in session mode');
    },
    60_000,
  );

  test('in statement mode is refused', async () => {
    const settings = { pool_mode: 'statement', ignore_startup_parameters: LIMITS };
    await using pooler = await startPgbouncer(database, settings);
    expect(await refusalOf(pooler.url)).toContain('in session mode');
  }, 60_000);

  test('in session mode is fine', async () => {
    const settings = { pool_mode: 'session', ignore_startup_parameters: LIMITS };
    await using pooler = await startPgbouncer(database, settings);
    expect(await refusalOf(pooler.url)).toBeNull();
    expect(await lostLimitsOf(pooler.url)).toContain('alter role inlet set');
    expect(await lostLimitsOf(database)).toBeNull();
  }, 60_000);

  test('with too few server connections is refused in time', async () => {
    const settings = { pool_mode: 'session', ignore_startup_parameters: LIMITS, default_pool_size: '1' };
    await using pooler = await startPgbouncer(database, settings);
    expect(await refusalOf(pooler.url)).toContain('no connection left');
  }, 60_000);

  test('that refuses the limits of a session is told which setting lets them pass', async () => {
    await using pooler = await startPgbouncer(database, { pool_mode: 'session' });
    expect(await refusalOf(pooler.url)).toContain(`ignore_startup_parameters = ${LIMITS}`);
  }, 60_000);
});

describe.skipIf(!withPostgres)('databases that only speak the protocol of PostgreSQL', () => {
  test.each([
    ['CockroachDB CCL v25.2.0 (x86_64-pc-linux-gnu, built 2026/05/01)', 'CockroachDB'],
    ['PostgreSQL 15.12-YB-2.25.2.0-b0 on x86_64-pc-linux-gnu, YugabyteDB', 'YugabyteDB'],
  ])('%s is refused', async (version, name) => {
    const url = await postgresDatabase();
    const sql = new Bun.SQL(url, { max: 1 });
    await sql.unsafe(`create function version() returns text language sql as $$ select '${version}'::text $$`);
    await sql.unsafe(`alter database ${new URL(url).pathname.slice(1)} set search_path = public, pg_catalog`);
    await sql.close();
    const said = await refusalOf(url);
    await dropDatabase(url);
    expect(said).toContain(name);
    expect(said).toContain('PostgreSQL');
  });
});
