import { Database } from 'bun:sqlite';
import { join } from 'node:path';
import { AppError } from '../../errors.ts';
import { LOCK_FILE } from '../files.ts';

const WAIT_MS = 200; // a server that is just stopping
const held = new Set<Database>(); // a collected Database would close its file and free the lock

/**
 * The right to serve or replace the database in `dataDir`, until `release` or the end of the process, kill -9 included:
 * a second database file held in an exclusive transaction. @throws AppError conflict when another process has it
 */
export function takeLock(dataDir: string): { release(): void } {
  let db: Database | undefined;
  try {
    db = new Database(join(dataDir, LOCK_FILE), { create: true, readwrite: true });
    db.run(`pragma busy_timeout = ${WAIT_MS}`);
    db.run('begin exclusive');
  } catch (error) {
    db?.close();
    if (error instanceof Error && 'code' in error && error.code === 'SQLITE_BUSY') {
      throw new AppError(
        'conflict',
        `Another Inlet is already serving ${dataDir}; stop it first or choose another --data.`,
      );
    }
    throw new AppError(
      'unavailable',
      `Can't lock ${dataDir}. Check that the folder is on a local disk and writable for this user.`,
      error,
    );
  }
  const lock = db;
  held.add(lock);
  return {
    release() {
      if (held.delete(lock)) lock.close();
    },
  };
}
