import { Database } from 'bun:sqlite';
import { chmodSync, constants, copyFileSync, existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AppError, invalid } from '../../errors.ts';
import { makeRandomText } from '../../id.ts';
import { syncFile, syncFolder } from '../files.ts';
import { APPLICATION_ID, MIGRATIONS } from '../migrate.ts';

/** What a verified copy holds. */
export interface Contents {
  schemaVersion: number;
  /** Of the sealing key that its secrets need; null: it never had one. */
  fingerprint: string | null;
  endpoints: number;
  deliveries: number;
  contacts: number;
}

const readOne = (db: Database, text: string): unknown =>
  Object.values(db.query<Record<string, unknown>, []>(text).get() ?? {})[0];

/** Reads a whole copy, nobody else may have it open. @throws AppError invalid when it can't be used */
export function verifyCopy(file: string): Contents {
  let db: Database | undefined;
  try {
    db = new Database(file, { readonly: true });
    if (Number(readOne(db, 'pragma application_id')) !== APPLICATION_ID)
      throw invalid(`${file} is not a backup made by Inlet.`);
    const schemaVersion = Number(readOne(db, 'pragma user_version'));
    if (schemaVersion > MIGRATIONS.length)
      throw invalid(`${file} was made by a newer Inlet. Use that version or a newer one.`);
    if (readOne(db, `select 1 from sqlite_master where type in ('trigger', 'view') limit 1`) !== undefined)
      throw invalid(
        `${file} holds triggers or views, which are not Inlet's: somebody changed it. Take another backup.`,
      );
    if (readOne(db, 'pragma integrity_check') !== 'ok') throw invalid(`${file} is damaged. Take an older backup.`);
    const fingerprint = readOne(db, `select value from meta where key = 'secretKeyFingerprint'`);
    const count = (table: string) => Number(db ? readOne(db, `select count(*) from ${table}`) : 0);
    return {
      schemaVersion,
      fingerprint: typeof fingerprint === 'string' ? fingerprint : null,
      endpoints: count('endpoints'),
      deliveries: count('deliveries'),
      contacts: count('contacts'),
    };
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw invalid(`${file} can't be read as an Inlet backup. Check the path, or take an older backup.`);
  } finally {
    db?.close();
  }
}

/**
 * A verified copy of the database as of one moment, mode 0600, beside a running server. `target` appears only when complete.
 * @throws AppError conflict when `target` exists, unavailable when it can't be written
 */
export function backupSqlite(file: string, target: string): Contents {
  if (existsSync(target))
    throw new AppError('conflict', `${target} exists already. Choose another name; a backup never overwrites.`);
  const part = `${target}.${makeRandomText(8)}.part`;
  try {
    const db = new Database(file, { readwrite: true });
    try {
      db.run('pragma busy_timeout = 5000');
      db.run('vacuum into ?', [part]);
    } finally {
      db.close();
    }
    chmodSync(part, 0o600);
    const contents = verifyCopy(part);
    syncFile(part);
    linkSync(part, target); // unlike rename it fails when someone else took the name meanwhile
    rmSync(part);
    syncFolder(dirname(resolve(target)));
    return contents;
  } catch (error) {
    rmSync(part, { force: true });
    if (error instanceof AppError) throw error;
    throw new AppError(
      'unavailable',
      `Can't write the backup to ${target}. Check the folder, its owner and the free space.`,
      error,
    );
  }
}

/** Everything into the main file, so that it can be moved without its log. A damaged file keeps its log instead. */
export function settleLog(file: string): void {
  try {
    const db = new Database(file, { readwrite: true });
    db.run('pragma wal_checkpoint(truncate)');
    db.close();
  } catch {
    // Damaged: that is why it is being replaced. Its -wal is kept beside it.
  }
}

/** Written to `meta` by a restore, shown as the trouble of all mail. */
export const RESTORED =
  'Mail is paused since a backup was restored: what went out after that backup would go out again. Look through GET /api/v1/mails?state=queued, cancel what went out, then PATCH /api/v1/mail {"paused":false}.';

/** Pauses mail and running workflows in a database that is not in use. Gives how many workflows that were. */
function pauseSending(file: string, now: Date): number {
  const db = new Database(file, { readwrite: true });
  try {
    if (!db.query("select 1 from sqlite_master where name = 'workflows'").get()) return 0; // older than mail
    const row = db.query<{ value: string }, []>("select value from meta where key = 'mail'").get();
    const settings = { ...(row ? JSON.parse(row.value) : {}), paused: true, pauseReason: RESTORED };
    db.query(
      "insert into meta (key, value) values ('mail', ?) on conflict (key) do update set value = excluded.value",
    ).run(JSON.stringify(settings));
    const paused = db
      .query("update workflows set state = 'paused', paused_at = ? where state = 'running'")
      .run(now.getTime());
    db.run('pragma wal_checkpoint(truncate)');
    return paused.changes;
  } finally {
    db.close();
  }
}

/**
 * Puts `source` in the place of the database `file`; the caller holds the lock. The replaced one stays beside it under the
 * name returned (null: there was none). At every moment `file` is the old one or the new one, whole.
 */
export function restoreSqlite(
  source: string,
  file: string,
  now: Date,
): { contents: Contents; kept: string | null; paused: number } {
  verifyCopy(source);
  const part = `${file}.restoring`;
  rmSync(part, { force: true });
  copyFileSync(source, part, constants.COPYFILE_EXCL);
  chmodSync(part, 0o600);
  const paused = pauseSending(part, now);
  syncFile(part);
  const contents = verifyCopy(part);
  for (const suffix of ['-wal', '-shm']) rmSync(`${part}${suffix}`, { force: true });
  let kept: string | null = null;
  if (existsSync(file)) {
    kept = `${file}.before-restore-${now.toISOString().replace(/[-:]|\.\d+/g, '')}`;
    settleLog(file);
    linkSync(file, kept);
    if (existsSync(`${file}-wal`)) renameSync(`${file}-wal`, `${kept}-wal`);
  }
  rmSync(`${file}-wal`, { force: true });
  rmSync(`${file}-shm`, { force: true });
  renameSync(part, file);
  syncFolder(dirname(resolve(file)));
  return { contents, kept, paused };
}
