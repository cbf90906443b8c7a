import type { Database } from 'bun:sqlite';
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import init from '../../migrations/0001_init.sql' with { type: 'text' };
import { AppError } from '../errors.ts';

/** Every migration in order, embedded in the binary. The database's version is how many of them it has had. */
export const MIGRATIONS: string[] = [init];
/** 'INLT': tells our file from any other SQLite database. */
export const APPLICATION_ID = 0x494e4c54;

function pragma(db: Database, name: string): number {
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
 * Brings the file up to this binary's schema: each migration and its version in one transaction, after a copy.
 * @throws AppError conflict when the file is not ours or newer than this binary; nothing is changed then
 */
export function migrateSqlite(db: Database, file: string): void {
  const id = pragma(db, 'application_id');
  const version = pragma(db, 'user_version');
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
  for (let next = version; next < MIGRATIONS.length; next++) {
    db.transaction(() => {
      db.run(MIGRATIONS[next]!);
      db.run(`pragma application_id = ${APPLICATION_ID}`);
      db.run(`pragma user_version = ${next + 1}`);
    }).immediate();
  }
}
