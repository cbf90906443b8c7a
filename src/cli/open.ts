import { type Config, readConfig } from '../config.ts';
import { hasData, loadSecretKey, locateDatabase } from '../db/files.ts';
import { MIGRATIONS } from '../db/migrate.ts';
import { openPostgres } from '../db/postgres/connect.ts';
import { meta } from '../db/schema.ts';
import { readSchemaVersion } from '../db/sqlite/inspect.ts';
import { openSqlite } from '../db/sqlite/store.ts';
import type { Store } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { makeSealer, type Sealer } from '../sealing.ts';
import type { Invocation } from './command.ts';

export const FINGERPRINT = 'secretKeyFingerprint';

/** The configuration as this command line and environment give it; warnings go to stderr. */
export function readInvocationConfig({ io, options }: Invocation): Config {
  const { config, warnings } = readConfig(io.env, options, Boolean(process.stdout.isTTY));
  for (const warning of warnings) io.err(`inlet: warning: ${warning}`);
  return config;
}

/** The database file. @throws AppError when nothing was ever stored there: a command must not make an empty database by a mistyped folder */
export function requireData(config: Config): string {
  if (!hasData(config.dataDir))
    throw new AppError('notFound', `No Inlet data in ${config.dataDir}. Start the server first or pass --data.`);
  return locateDatabase(config.dataDir);
}

function refuseUpgrade(file: string): void {
  const version = readSchemaVersion(file);
  if (version > 0 && version < MIGRATIONS.length) {
    throw new AppError(
      'conflict',
      `${file} is of an older Inlet. Start this version's server once: it makes a copy and upgrades the database.`,
    );
  }
}

async function open(config: Config): Promise<Store> {
  if (config.databaseUrl !== null) return openPostgres(config.databaseUrl, undefined, false);
  const file = requireData(config);
  refuseUpgrade(file);
  return openSqlite(file);
}

/** Opens the database beside a running server for as long as `fn` runs. */
export async function useStore<T>(config: Config, fn: (store: Store) => Promise<T>): Promise<T> {
  const store = await open(config);
  try {
    return await fn(store);
  } finally {
    await store.close();
  }
}

/** The sealer of this database. @throws AppError when the key at hand is another one */
export async function openSealer(config: Config, store: Store): Promise<Sealer> {
  const sealer = makeSealer(loadSecretKey(config));
  const rows = await store.read(tx => tx.select().from(meta));
  const known = rows.find(row => row.key === FINGERPRINT)?.value;
  if (known === undefined || known === sealer.fingerprint) return sealer;
  throw new AppError(
    'conflict',
    'INLET_SECRET_KEY (or secret.key) is not the key that sealed the secrets in this database. Bring back the old key, or stop the server and run: inlet endpoints reset-secrets',
  );
}
