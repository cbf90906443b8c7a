import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import { loadSecretKey, openDataFolder } from './files.ts';
import { openPostgres } from './postgres/connect.ts';
import { takeLock } from './sqlite/lock.ts';
import { openSqlite, type SqliteOptions } from './sqlite/store.ts';
import type { Store } from './store.ts';

/** A database to serve from. */
export interface Opened {
  store: Store;
  /** The 32 bytes that seal secrets. */
  key: Uint8Array;
  /** Why going on would be dishonest: the file is gone from its place. Null: it is there, or a server keeps it. */
  lost(): string | null;
  /** Closes it and lets another process serve it. */
  close(): Promise<void>;
}

/**
 * Opens and migrates the database of this configuration for a server: alone in a data folder, or one of several on PostgreSQL.
 * @throws AppError
 */
export async function openStore(config: Config, watch: SqliteOptions): Promise<Opened> {
  return config.databaseUrl === null ? openOwn(config, watch) : openShared(config, config.databaseUrl, watch);
}

async function openShared(config: Config, databaseUrl: string, watch: SqliteOptions): Promise<Opened> {
  const key = loadSecretKey(config);
  const store = await openPostgres(databaseUrl, watch);
  return { store, key, lost: () => null, close: () => store.close() };
}

function openOwn(config: Config, watch: SqliteOptions): Opened {
  if (config.role !== 'all')
    throw new AppError(
      'invalid',
      'INLET_ROLE needs PostgreSQL: one process serves a SQLite file. Set INLET_DATABASE_URL.',
    );
  const file = openDataFolder(config.dataDir);
  const lock = takeLock(config.dataDir);
  try {
    const key = loadSecretKey(config); // before the database exists: only then may a new key be made
    const store = openSqlite(file, watch);
    return {
      store,
      key,
      lost: () => (store.moved() ? `${file} was moved or deleted while Inlet was running` : null),
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
