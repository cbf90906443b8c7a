import { afterAll, describe } from 'bun:test';
import { copyFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { openSqlite } from '../../src/db/sqlite/store.ts';
import type { Store } from '../../src/db/store.ts';
import { Postgres } from './postgres.ts';

const folder = mkdtempSync(join(tmpdir(), 'inlet-test-'));
let template: string | null = null;
let files = 0;

/** A migrated, empty SQLite file of its own: a copy of a template, which is faster than migrating. */
export async function sqliteFile(): Promise<string> {
  if (!template) {
    const path = join(folder, 'template.db');
    await openSqlite(path).close();
    template = path;
  }
  const file = join(folder, `${process.pid}-${files++}.db`);
  copyFileSync(template, file);
  return file;
}

/** Whether tests run on PostgreSQL too: with `TEST_DATABASE_URL` (a superuser's), `TEST_POSTGRES=1` or `CI=true`. */
export const withPostgres = Boolean(process.env.TEST_DATABASE_URL || process.env.TEST_POSTGRES || process.env.CI);
/** Databases whose own order of texts is a language's ("a" before "B"): nothing of Inlet may depend on it. */
const BY_LANGUAGE = `template template0 encoding 'UTF8' locale 'C.UTF-8' locale_provider icu icu_locale 'en-US'`;
let server: Promise<Postgres> | null = null;
let databases = 0;

/** The URL of a new database, empty or (`migrated`) a copy of a migrated one, on a server shared by this process' tests. */
export async function postgresDatabase(migrated = true): Promise<string> {
  server ??= begin();
  const postgres = await server;
  const name = `t${process.pid}_${databases++}`;
  await postgres.query('postgres', `create database ${name} ${migrated ? 'template inlet_template' : BY_LANGUAGE}`);
  return postgres.url(name);
}

/** Drops a database of `postgresDatabase`: hundreds of them would fill a small disk. */
export async function dropDatabase(url: string): Promise<void> {
  await (await server)?.query('postgres', `drop database if exists ${new URL(url).pathname.slice(1)} with (force)`);
}

async function begin(): Promise<Postgres> {
  const postgres = process.env.TEST_DATABASE_URL
    ? Postgres.at(process.env.TEST_DATABASE_URL)
    : await Postgres.start([
        'fsync=off',
        'synchronous_commit=off',
        'full_page_writes=off',
        'max_connections=400',
        'max_wal_size=128MB',
      ]);
  await postgres.query('postgres', 'drop database if exists inlet_template');
  await postgres.query('postgres', `create database inlet_template ${BY_LANGUAGE}`);
  await (await openPostgres(postgres.url('inlet_template'))).close();
  return postgres;
}

/** Runs the same tests on every database: SQLite always, PostgreSQL where asked for. `open` gives a new, empty, migrated store. */
export function eachBackend(name: string, tests: (open: () => Promise<Store>) => void): void {
  const run = (kind: string, make: (dropLater: (url: string) => void) => Promise<Store>) =>
    describe(`${name} (${kind})`, () => {
      const opened: Store[] = [];
      const urls: string[] = [];
      afterAll(async () => {
        for (const store of opened) await store.close();
        for (const url of urls) await dropDatabase(url);
      });
      tests(async () => {
        const store = await make(url => urls.push(url));
        opened.push(store);
        return store;
      });
    });
  run('sqlite', async () => openSqlite(await sqliteFile()));
  if (withPostgres)
    run('postgres', async dropLater => {
      const url = await postgresDatabase();
      dropLater(url);
      return openPostgres(url);
    });
}
