import { hasData, locateDatabase, openDataFolder } from '../db/files.ts';
import { backupSqlite, type Contents, restoreSqlite, verifyCopy } from '../db/sqlite/backup.ts';
import { takeLock } from '../db/sqlite/lock.ts';
import { AppError } from '../errors.ts';
import type { Invocation } from './command.ts';
import { readInvocationConfig, requireData } from './open.ts';

const holds = (c: Contents) => `${c.endpoints} endpoints, ${c.contacts} contacts, ${c.deliveries} deliveries`;
const formatKey = (c: Contents) => (c.fingerprint ? ` (fingerprint ${c.fingerprint})` : '');

export async function backup(i: Invocation): Promise<number> {
  const [target = ''] = i.args;
  const config = readInvocationConfig(i);
  if (config.databaseUrl)
    throw new AppError(
      'invalid',
      'backup is for SQLite. For PostgreSQL use pg_dump --format=custom, also while servers run.',
    );
  const contents = backupSqlite(requireData(config), target);
  i.io.out(`Wrote ${target}: ${holds(contents)}. Checked, mode 0600.`);
  i.io.out(
    `The sealing key${formatKey(contents)} is not in it. Keep secret.key or INLET_SECRET_KEY elsewhere: the signing secrets in this copy need it.`,
  );
  return 0;
}

/** Works in an empty folder too: that is how a server moves to another machine. */
export async function restore(i: Invocation): Promise<number> {
  const [source = ''] = i.args;
  const config = readInvocationConfig(i);
  if (config.databaseUrl) throw new AppError('invalid', 'restore is for SQLite. Use pg_restore for PostgreSQL.');
  if (!hasData(config.dataDir)) verifyCopy(source); // before a folder is made for it
  openDataFolder(config.dataDir);
  const lock = takeLock(config.dataDir);
  try {
    const { contents, kept, paused } = restoreSqlite(source, locateDatabase(config.dataDir), new Date());
    i.io.out(`Restored ${source}: ${holds(contents)}.`);
    if (kept) i.io.out(`The replaced database is kept as ${kept}.`);
    i.io.out(
      `Mail and ${paused} running workflows are paused, for what went out since the backup would go out again. Look through what waits (GET /api/v1/mails?state=queued), then PATCH /api/v1/mail {"paused":false} and POST /api/v1/workflows/{id}/resume.`,
    );
    i.io.out(
      `It needs the sealing key it was made with${formatKey(contents)}: secret.key in ${config.dataDir}, or INLET_SECRET_KEY.`,
    );
    return 0;
  } finally {
    lock.release();
  }
}
