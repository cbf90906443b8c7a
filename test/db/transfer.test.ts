// databases: sqlite
import { Database } from 'bun:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { eq, is } from 'drizzle-orm';
import { SQLiteTable } from 'drizzle-orm/sqlite-core';
import { fill } from '../../bench/fill.ts';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import * as schema from '../../src/db/schema.ts';
import { backupSqlite } from '../../src/db/sqlite/backup.ts';
import { openSqlite } from '../../src/db/sqlite/store.ts';
import type { Store } from '../../src/db/store.ts';
import { compare, copy, finish, type Step, TABLES, TRANSFER } from '../../src/db/transfer/transfer.ts';
import { stripeEvent } from '../support/app.ts';
import { postgresDatabase, sqliteFile, withPostgres } from '../support/backends.ts';
import { failure } from '../support/failure.ts';
import { installation, openInstallation } from '../support/installation.ts';

let made: Awaited<ReturnType<typeof installation>>;
const opened: Store[] = [];
const keep = <T extends Store>(store: T): T => {
  opened.push(store);
  return store;
};
beforeAll(async () => {
  made = await installation();
}, 30_000);
afterAll(async () => {
  for (const store of opened) await store.close();
  rmSync(dirname(made.dataDir), { recursive: true, force: true });
});

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A copy of the installation, so that a test may change it. */
async function source(): Promise<Store> {
  const file = `${await sqliteFile()}-source`;
  backupSqlite(made.file, file);
  return keep(openSqlite(file));
}

interface Target {
  store: Store;
  /** How a server is told of it. */
  config: { dataDir: string; databaseUrl?: string };
}

async function sqliteTarget(): Promise<Target> {
  const dataDir = `${await sqliteFile()}-data`;
  folders.push(dataDir);
  mkdirSync(dataDir, { mode: 0o700 });
  return { store: keep(openSqlite(join(dataDir, 'inlet.db'))), config: { dataDir } };
}

async function postgresTarget(): Promise<Target> {
  const databaseUrl = await postgresDatabase();
  return { store: keep(await openPostgres(databaseUrl)), config: { dataDir: made.dataDir, databaseUrl } };
}

const rowsOf = async (store: Store) => {
  const rows: Record<string, unknown[]> = {};
  for (const [name, table] of Object.entries(schema))
    if (is(table, SQLiteTable)) rows[name] = await store.read(tx => tx.select().from(table as typeof schema.meta));
  for (const each of Object.values(rows)) each.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return rows;
};

async function move(from: Store, to: Store): Promise<void> {
  await copy(from, to);
  await compare(from, to);
  await finish(to);
}

/** A copy that ends after `steps` pages, as one that is killed would. */
const stopAfter = (steps: number) => (step: Step) => {
  if (step.doing === 'copying' && --steps === 0) throw new Error('stopped');
};

test('every table of schema.ts and of the database is moved, and of types that are compared', async () => {
  const moved = TABLES.map(table => table.name).sort();
  const tables = Object.values(schema).filter(each => is(each, SQLiteTable));
  expect(moved).toHaveLength(tables.length);
  const { file } = keep(openSqlite(await sqliteFile()));
  const db = new Database(file);
  // `links` is of release 0.1; the upgrade at start drops it.
  const names = db
    .query<{ name: string }, []>(
      `select name from sqlite_master where type = 'table' and name <> 'links' order by name`,
    )
    .all();
  expect(moved).toEqual(names.map(row => row.name));
  const other = db.query<{ type: string }, [string]>(
    `select type from pragma_table_info(?) where type not in ('TEXT', 'INTEGER', 'BIGINT') and lower(type) not in ('text', 'integer', 'bigint', 'int')`,
  );
  for (const table of TABLES) {
    expect([table.name, other.all(table.name)]).toEqual([table.name, []]);
    expect(table.key.length).toBeGreaterThan(0);
    expect(table.columns.length * 500).toBeLessThan(32_766); // parameters of one insert
  }
  db.close();
});

test('the installation that is moved here holds deliveries of every status and rows in every old table', async () => {
  const rows = await rowsOf(await source());
  const statuses = new Set((rows.deliveries as { status: string }[]).map(row => row.status));
  expect([...statuses].sort()).toEqual(['dead', 'failed', 'ignored', 'processed', 'queued', 'rejected', 'waiting']);
  for (const name of [
    'meta keys endpoints secrets deliveries payloads identities ties contacts lists memberships properties events jobs',
  ].flatMap(names => names.split(' ')))
    expect([name, rows[name]?.length ?? 0]).not.toEqual([name, 0]);
});

function eachTarget(name: string, tests: (target: () => Promise<Target>) => void): void {
  describe(`${name} (to sqlite)`, () => tests(sqliteTarget));
  if (withPostgres) describe(`${name} (to postgres)`, () => tests(postgresTarget));
}

eachTarget('a move', target => {
  test('there and back again leaves every row equal', async () => {
    const from = await source();
    const there = await target();
    const back = await sqliteTarget();
    await move(from, there.store);
    await move(there.store, back.store);
    const rows = await rowsOf(from);
    expect(await rowsOf(there.store)).toEqual(rows);
    expect(await rowsOf(back.store)).toEqual(rows);
  });

  test('a server on the target knows the old secrets, keys and duplicates, and finishes what was open', async () => {
    const { store, config } = await target();
    await move(await source(), store);
    const app = await openInstallation(config);
    expect((await app.post(made.endpointId, 'stripe', made.known)).body.result).toBe('duplicate');
    const fresh = await app.post(
      made.endpointId,
      'stripe',
      stripeEvent('customer.created', { email: 'new@example.com' }),
      {
        secret: 'whsec_stripe_second_0123456789abcdef',
      },
    );
    expect(fresh.body.result).toBe('accepted');
    // The person whom the waiting delivery waits for:
    await app.post(
      made.endpointId,
      'stripe',
      stripeEvent('customer.created', { id: 'cus_waits', email: 'w@example.com' }),
    );
    await app.drain();
    const { data } = (await app.api('GET', '/deliveries?perPage=100&email=w@example.com')).body;
    expect(data.map((row: { status: string }) => row.status)).toEqual(['processed', 'processed']);
    expect((await app.contacts()).map(row => row.email)).toContain('ada@example.com');
    await app.stop();
  });

  test('goes on after an end at any page, without a row doubled', async () => {
    const from = await source();
    const { store } = await target();
    let runs = 0;
    for (;;) {
      try {
        const { resumed } = await copy(from, store, stopAfter(3));
        expect(resumed).toBe(true);
        break;
      } catch (error) {
        expect((error as Error).message).toBe('stopped');
        runs++;
      }
    }
    expect(runs).toBeGreaterThan(4);
    expect((await copy(from, store)).resumed).toBe(true); // all there, not yet compared
    await compare(from, store);
    await finish(store);
    expect(await rowsOf(store)).toEqual(await rowsOf(from));
  });

  test('no server starts on a target that is not finished, and nothing is moved from it', async () => {
    const from = await source();
    const { store, config } = await target();
    expect((await failure(copy(from, store, stopAfter(4)))).message).toContain('stopped');
    expect((await failure(openInstallation(config))).message).toContain('unfinished move');
    expect((await failure(copy(store, (await sqliteTarget()).store))).message).toContain('unfinished move');
    await move(from, store);
    await (await openInstallation(config)).stop();
  });

  test('is refused where an Inlet was started, and where another source is on its way', async () => {
    const from = await source();
    const used = await target();
    await (await openInstallation(used.config)).stop();
    const before = await rowsOf(used.store);
    expect((await failure(copy(from, used.store))).message).toContain('The target is not empty');
    expect(await rowsOf(used.store)).toEqual(before);

    const { store } = await target();
    expect((await failure(copy(from, store, stopAfter(4)))).message).toContain('stopped');
    const other = await source();
    await other.write(tx => tx.delete(schema.events));
    expect((await failure(copy(other, store))).message).toContain('another source, or the source has changed');
  });

  test('a row that was changed, added or lost between copy and comparison is found', async () => {
    const from = await source();
    const { store } = await target();
    await copy(from, store);
    const differs = async (table: string) => {
      expect((await failure(compare(from, store))).message).toContain(`Table ${table} differs`);
      expect(await store.read(tx => tx.select().from(schema.meta).where(eq(schema.meta.key, TRANSFER)))).toHaveLength(
        1,
      );
    };
    const description = (value: string | null) =>
      store.write(tx => tx.update(schema.lists).set({ description: value }).where(eq(schema.lists.id, made.list)));
    await description(null); // it was the empty text
    await differs('lists');
    await description('');
    await compare(from, store);
    const spare = { key: 'spare', type: 'string' as const, createdAt: 1 };
    await store.write(tx => tx.insert(schema.properties).values(spare));
    await differs('properties');
    await store.write(tx => tx.delete(schema.properties).where(eq(schema.properties.key, 'spare')));
    await store.write(tx =>
      tx.update(schema.contacts).set({ createdAt: 1 }).where(eq(schema.contacts.email, 'ada@example.com')),
    );
    await differs('contacts');
  });

  test('a NUL character, which only SQLite holds, is reported and not fought', async () => {
    const from = await source();
    const { store } = await target();
    await from.write(tx => tx.insert(schema.meta).values({ key: 'k\0y', value: 'a\0b' }));
    await copy(from, store);
    const { altered } = await compare(from, store);
    expect(altered).toEqual(store.kind === 'postgres' ? ['meta ["k\\u0000y"]'] : []);
    const [row] = await store.read(tx => tx.select().from(schema.meta).where(eq(schema.meta.key, 'k\uFFFDy')));
    expect(row?.value).toBe(store.kind === 'postgres' ? 'a\uFFFDb' : undefined);
  });

  test('many pages', async () => {
    const file = await sqliteFile();
    fill(file, 'ep_1', 2003, 1500);
    const from = keep(openSqlite(file));
    const { store } = await target();
    const steps: Step[] = [];
    await copy(from, store, step => steps.push(step));
    const { tables } = await compare(from, store);
    expect(tables.find(each => each.table === 'deliveries')?.rows).toBe(2003);
    const copied = steps.filter(step => step.table === 'contacts').map(step => `${step.rows}/${step.of}`);
    expect(copied).toEqual(['500/1500', '1000/1500', '1500/1500']);
  });
});
