import { chmodSync, closeSync, existsSync, openSync, readdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { AppError, invalid } from '../../errors.ts';
import { locateDatabase, openDataFolder } from '../files.ts';
import { MIGRATIONS, readPostgresVersion } from '../migrate.ts';
import { connect, openPostgres } from '../postgres/connect.ts';
import { PostgresStore } from '../postgres/store.ts';
import { settleLog } from '../sqlite/backup.ts';
import { readSchemaVersion } from '../sqlite/inspect.ts';
import { takeLock } from '../sqlite/lock.ts';
import { openSqlite } from '../sqlite/store.ts';
import type { Store } from '../store.ts';

/** Where an installation is moved from or to. */
export type Place = { kind: 'sqlite'; file: string } | { kind: 'postgres'; url: string };

/** An open side of a move; no server runs on it until `close`, as far as can be told. */
export interface End {
  store: Store;
  close(): Promise<void>;
}

const makeConflict = (message: string) => new AppError('conflict', message);

function requireFile(file: string, flag: string): void {
  if (!statSync(file).isFile()) throw invalid(`${file} is a folder. Name the file: ${flag} ${locateDatabase(file)}`);
}

function readFileVersion(file: string): number {
  try {
    return readSchemaVersion(file);
  } catch (error) {
    throw new AppError('conflict', `${file} can't be read as an Inlet database. Check the path.`, error);
  }
}

function openFile(file: string): End {
  const lock = takeLock(dirname(resolve(file)));
  try {
    const store = openSqlite(file);
    return {
      store,
      close: async () => {
        await store.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The pool is closed again: what is asked here must be known before anything is migrated. */
async function askServer<T>(url: string, fn: (version: number, store: Store) => Promise<T>): Promise<T> {
  const server = await connect(url);
  const store = new PostgresStore(server);
  try {
    return await fn(await readPostgresVersion(server.sql), store);
  } finally {
    await store.close();
  }
}

/**
 * Opens what is to be moved, in the newest schema. A file is locked; on PostgreSQL `served` tells whether a server uses it.
 * @throws AppError when there is nothing, or it is in use
 */
export async function openSource(place: Place, served: (store: Store) => Promise<boolean>): Promise<End> {
  if (place.kind === 'sqlite') {
    const { file } = place;
    if (!existsSync(file)) throw new AppError('notFound', `There is no database ${file} to move. Check --from.`);
    requireFile(file, '--from');
    if (readFileVersion(file) === 0) throw makeConflict(`${file} holds no Inlet yet: there is nothing to move.`);
    return openFile(file);
  }
  await askServer(place.url, async (version, store) => {
    if (version === 0) throw makeConflict('The PostgreSQL database holds no Inlet yet: there is nothing to move.');
    if (await served(store))
      throw makeConflict(
        'A server is running on the PostgreSQL database. Stop every instance first; then run this again.',
      );
  });
  const store = await openPostgres(place.url);
  return { store, close: () => store.close() };
}

/** Opens or makes where it is to be moved to. What holds an older Inlet is not touched. @throws AppError */
export async function openTarget(place: Place): Promise<End> {
  const older = (version: number) => version > 0 && version < MIGRATIONS.length;
  if (place.kind === 'sqlite') return openTargetFile(place.file, older);
  await askServer(place.url, async version => {
    if (older(version)) throw makeConflict('The target holds an older Inlet. Move into a new, empty database.');
  });
  const store = await openPostgres(place.url);
  return { store, close: () => store.close() };
}

const OURS = /^(inlet\.|secret\.key)/;

function openTargetFile(file: string, older: (version: number) => boolean): End {
  const folder = dirname(resolve(file));
  if (existsSync(file)) {
    requireFile(file, '--to');
    if (older(readFileVersion(file))) throw makeConflict(`${file} holds an older Inlet. Move into a new file.`);
  }
  // A folder of somebody else, say /tmp, keeps its mode: the file is private by itself.
  if (!existsSync(folder) || readdirSync(folder).every(name => OURS.test(name))) openDataFolder(folder);
  closeSync(openSync(file, 'a', 0o600)); // before SQLite makes it, whatever the umask
  chmodSync(file, 0o600);
  const end = openFile(file);
  return {
    store: end.store,
    close: async () => {
      await end.close();
      settleLog(file); // the file alone is all of it, and may be renamed
    },
  };
}
