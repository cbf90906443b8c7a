import type { Database } from 'bun:sqlite';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import type { ReservedSQL, SQL } from 'bun';
import init from '../../migrations/0001_init.sql' with { type: 'text' };
import audience from '../../migrations/0002_audience.sql' with { type: 'text' };
import search from '../../migrations/0003_search.sql' with { type: 'text' };
import backfill from '../../migrations/0004_backfill.sql' with { type: 'text' };
import mail from '../../migrations/0005_mail.sql' with { type: 'text' };
import workflows from '../../migrations/0006_workflows.sql' with { type: 'text' };
import outgoing from '../../migrations/0007_outgoing.sql' with { type: 'text' };
import imports from '../../migrations/0008_imports.sql' with { type: 'text' };
import runsStatus from '../../migrations/0009_runs_status.sql' with { type: 'text' };
import people from '../../migrations/0010_people.sql' with { type: 'text' };
import history from '../../migrations/0011_history.sql' with { type: 'text' };
import fences from '../../migrations/0012_fences.sql' with { type: 'text' };
import mailPromises from '../../migrations/0013_mail_promises.sql' with { type: 'text' };
import messagesWorkflows from '../../migrations/0014_messages_workflows.sql' with { type: 'text' };
import sessions from '../../migrations/0015_sessions.sql' with { type: 'text' };
import scopeAll from '../../migrations/0016_scope_all.sql' with { type: 'text' };
import mailReports from '../../migrations/0017_mail_reports.sql' with { type: 'text' };
import stats from '../../migrations/0018_stats.sql' with { type: 'text' };
import audits from '../../migrations/0019_audits.sql' with { type: 'text' };
import arrivals from '../../migrations/0020_arrivals.sql' with { type: 'text' };
import epochs from '../../migrations/0021_epochs.sql' with { type: 'text' };
import { AppError } from '../errors.ts';
import { findPostgresCode, LOST } from './postgres/store.ts';

/** Every migration in order, embedded in the binary. The database's version is how many of them it has had. */
export const MIGRATIONS: string[] = [
  init,
  audience,
  search,
  backfill,
  mail,
  workflows,
  outgoing,
  imports,
  runsStatus,
  people,
  history,
  fences,
  mailPromises,
  messagesWorkflows,
  sessions,
  scopeAll,
  mailReports,
  stats,
  audits,
  arrivals,
  epochs,
];
/** 'INLT': tells our file from any other SQLite database. */
export const APPLICATION_ID = 0x494e4c54;

function readPragma(db: Database, name: string): number {
  return Number(db.query<Record<string, number>, []>(`pragma ${name}`).get()?.[name] ?? 0);
}

/** A copy beside the file, published by rename, so that a half-written one is never taken for a backup. */
function copyBefore(db: Database, file: string, version: number): string {
  const copy = `${file}.before-v${version + 1}`;
  const part = `${copy}.part`;
  rmSync(part, { force: true });
  db.run('vacuum into ?', [part]);
  const fd = openSync(part, 'r');
  fsyncSync(fd);
  closeSync(fd);
  renameSync(part, copy);
  return copy;
}

/**
 * Brings the file up to this binary's schema: all migrations and the version in one transaction, after a copy.
 * @throws AppError conflict when the file is not ours or newer than this binary; nothing is changed then
 */
export function migrateSqlite(db: Database, file: string): void {
  const id = readPragma(db, 'application_id');
  const version = readPragma(db, 'user_version');
  const tables = db.query<{ n: number }, []>('select count(*) as n from sqlite_master').get()?.n ?? 0;
  if (id !== APPLICATION_ID && (id !== 0 || tables > 0)) {
    throw new AppError(
      'conflict',
      `${file} is not an Inlet database. Choose another --data folder or move the file away.`,
    );
  }
  if (version > MIGRATIONS.length) {
    const copy = `${file}.before-v${MIGRATIONS.length + 1}`;
    const hint = existsSync(copy) ? ` The copy made before the upgrade is ${copy}.` : '';
    throw new AppError(
      'conflict',
      `${file} was written by a newer Inlet (schema ${version}; this one knows ${MIGRATIONS.length}). Start the newer binary again.${hint}`,
    );
  }
  if (version > 0 && version < MIGRATIONS.length) copyBefore(db, file, version);
  if (version === MIGRATIONS.length) return;
  db.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) db.run(migration);
    db.run(`pragma application_id = ${APPLICATION_ID}`);
    db.run(`pragma user_version = ${MIGRATIONS.length}`);
  }).immediate();
}

const EXISTS = '42P07';
const NO_COLUMN = '42703';
const RACE = /^(23505|42P07|42P06)$/; // another instance made the same thing at the same moment
const MAX_TRIES = 100;

/** Text sorts by its bytes, as in SQLite and as ids need it, whatever the database's language. */
const adaptToPostgres = (migration: string) => migration.replaceAll(/\btext\b/g, 'text collate "C"');

async function readVersion(sql: SQL | ReservedSQL): Promise<number> {
  const [row] = (await sql.unsafe('select coalesce(max(version), 0) as version from inlet_migrations')) as {
    version: number;
  }[];
  return Number(row?.version ?? 0);
}

const makeNotOurs = (cause: unknown) =>
  new AppError(
    'conflict',
    'The PostgreSQL database has tables that are not of Inlet. Give Inlet a database of its own.',
    cause,
  );

/** The version of the schema, 0 in a new database, where the table of versions is made in passing. */
async function readOrCreateVersion(sql: ReservedSQL): Promise<number> {
  const [found] = await sql.unsafe(`select to_regclass('inlet_migrations')::text as name`);
  if (found.name === null) await sql.unsafe('create table inlet_migrations (version integer primary key)');
  return readVersion(sql);
}

/** Runs the migrations that are missing, in one transaction with their numbers, whose key lets only one instance through. */
async function migrateAll(sql: ReservedSQL): Promise<void> {
  await sql.unsafe('begin isolation level serializable');
  try {
    const version = await readOrCreateVersion(sql);
    if (version > MIGRATIONS.length) {
      throw new AppError(
        'conflict',
        `The PostgreSQL database was written by a newer Inlet (schema ${version}; this one knows ${MIGRATIONS.length}). Start the newer binary again.`,
      );
    }
    for (let next = version; next < MIGRATIONS.length; next++) {
      await sql.unsafe('insert into inlet_migrations (version) values ($1)', [String(next + 1)]);
      await sql
        .unsafe(adaptToPostgres(MIGRATIONS[next] ?? ''))
        .simple()
        .catch(error => {
          throw findPostgresCode(error) === EXISTS ? makeNotOurs(error) : error;
        });
    }
    await sql.unsafe('drop table if exists inlet_turn'); // of releases before 0.2
    await sql.unsafe('commit');
  } catch (error) {
    await sql.unsafe('rollback').catch(() => {}); // the connection is gone: so is the transaction
    throw findPostgresCode(error) === NO_COLUMN ? makeNotOurs(error) : error;
  }
}

/** How many migrations the database has had; 0: it holds no Inlet. */
export async function readPostgresVersion(pool: SQL): Promise<number> {
  return readVersion(pool).catch(error => {
    if (findPostgresCode(error) === '42P01') return 0;
    throw error;
  });
}

/** For what runs beside servers. @throws AppError conflict when the schema is not this binary's */
export async function requireSchema(pool: SQL): Promise<void> {
  const version = await readPostgresVersion(pool);
  if (version === MIGRATIONS.length) return;
  throw new AppError(
    'conflict',
    version === 0
      ? 'The PostgreSQL database holds no Inlet yet. Start the server once.'
      : `The PostgreSQL database has schema ${version}, this binary ${MIGRATIONS.length}. Use the binary that serves it, or start this one's server to upgrade.`,
  );
}

/** Brings the database up to this binary's schema; instances that start together wait for the one that does it. @throws AppError */
export async function migratePostgres(pool: SQL): Promise<void> {
  const sql = await pool.reserve();
  try {
    for (let tries = 0; ; ) {
      try {
        return await migrateAll(sql);
      } catch (error) {
        if (error instanceof AppError) throw error;
        const code = findPostgresCode(error);
        if ((LOST.test(code) || RACE.test(code)) && ++tries < MAX_TRIES) {
          await Bun.sleep(Math.random() * 50);
          continue;
        }
        throw error;
      }
    }
  } finally {
    sql.release();
  }
}
