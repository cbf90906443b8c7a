import { Database } from 'bun:sqlite';

const OLDEST_SQLITE = [3, 51, 3]; // before it, two connections could corrupt the WAL (sqlite.org, "WAL-reset")

/** Pragmas of every connection. */
const COMMON = [
  'busy_timeout = 5000',
  'foreign_keys = on',
  'temp_store = memory', // no temporary files on a full or shared /tmp
  'trusted_schema = off', // a tampered file can't call functions
  'cell_size_check = on',
];
/** Pragmas of the one that writes. */
const WRITER = [
  'page_size = 4096', // what a commit changes lies scattered over the indexes: 8192 costs a sixth more per webhook
  'auto_vacuum = incremental',
  'secure_delete = on', // what was erased does not stay in free space
  'journal_mode = wal',
  'synchronous = full', // a commit is on disk before it is answered
  'wal_autocheckpoint = 8000', // 32 MB: fewer, larger checkpoints write the same hot pages less often (and see checkpointer.ts)
  'journal_size_limit = 67108864',
  'cache_size = -32000',
  'fullfsync = on', // macOS: plain fsync stops at the drive's cache
  'checkpoint_fullfsync = on',
];

const READER = ['query_only = on', 'cache_size = -8000'];

/** Opens the file, and makes it where there is none. @throws Error when this SQLite is too old */
export function connectTo(file: string, role: 'writer' | 'reader'): Database {
  const db = new Database(file, { create: true, readwrite: true, strict: true });
  for (const each of [...COMMON, ...(role === 'writer' ? WRITER : READER)]) db.run(`pragma ${each}`);
  if (role === 'writer') checkVersion(db);
  return db;
}

function checkVersion(db: Database): void {
  const version = db.query<{ v: string }, []>('select sqlite_version() as v').get()?.v ?? '0';
  const parts = version.split('.').map(Number);
  for (const [i, least] of OLDEST_SQLITE.entries()) {
    const have = parts[i] ?? 0;
    if (have > least) return;
    if (have < least)
      throw new Error(`SQLite ${version} can corrupt its log; Inlet needs ${OLDEST_SQLITE.join('.')} or newer.`);
  }
}
