import { Database } from 'bun:sqlite';

/** Runs `fn` on a connection of its own, beside a running server. */
function look<T>(file: string, fn: (first: (sql: string) => unknown) => T): T {
  const db = new Database(file, { readwrite: true });
  try {
    db.run('pragma busy_timeout = 5000');
    return fn(sql => Object.values(db.query<Record<string, unknown>, []>(sql).get() ?? {})[0]);
  } finally {
    db.close();
  }
}

/** How many migrations the file has had. */
export const readSchemaVersion = (file: string) => look(file, first => Number(first('pragma user_version')));

/** The sealing key's fingerprint that the file was made with; null before the first start finished. */
export const readStoredFingerprint = (file: string) =>
  look(file, first => {
    const value = first(`select value from meta where key = 'secretKeyFingerprint'`);
    return typeof value === 'string' ? value : null;
  });

/** `ok`, or the first fault found. Reads the whole file. */
export const checkIntegrity = (file: string) => look(file, first => String(first('pragma integrity_check(1)')));

/** Of the SQLite library in this binary. */
export const readSqliteVersion = () => look(':memory:', first => String(first('select sqlite_version()')));
