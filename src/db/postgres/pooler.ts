import type { ReservedSQL, SQL } from 'bun';
import { AppError } from '../../errors.ts';
import { query } from '../sets.ts';
import type { Store } from '../store.ts';

const PATIENCE_MS = 500; // for a second session, before the first one lets go of its own
const LIMIT_MS = 10_000;
const REPEATS = 3; // the first may get the same one by chance, or because poolers go round

const SHARED =
  'The database of INLET_DATABASE_URL is behind a pooler that gives each transaction another session (pool_mode = transaction, at hosted databases often port 6543). Inlet needs sessions of its own for its locks and prepared statements: connect to the server directly, or to a pooler in session mode.';
const TOO_FEW =
  'The PostgreSQL server of INLET_DATABASE_URL has no connection left: it gives Inlet not even two at once. Raise the pool size of the pooler before it to ?pool= of the URL (10) for each instance, or connect directly.';

/** The server process that answers on this connection. */
async function askPid(connection: ReservedSQL): Promise<number> {
  const [row] = await connection.unsafe('select pg_backend_pid() as pid').simple();
  return Number(row?.pid);
}

async function askPidInside(connection: ReservedSQL): Promise<number> {
  await connection.unsafe('begin').simple();
  return askPid(connection);
}

/** Whether two connections that are in a transaction at the same time keep their own server processes when they are not. */
async function keepSessions(first: ReservedSQL, second: ReservedSQL): Promise<boolean> {
  const pid = await askPidInside(first);
  const begun = askPidInside(second); // where all share one process it can begin only after the other's commit
  await Promise.race([begun, Bun.sleep(PATIENCE_MS)]);
  await first.unsafe('commit').simple();
  const other = await begun;
  await second.unsafe('commit').simple();
  if (other === pid) return false;
  for (let i = 0; i < REPEATS; i++) if ((await askPid(first)) !== pid) return false;
  return true;
}

/** @throws AppError conflict when a pooler before the server shares its sessions out, unavailable when it has too few */
export async function requireSessions(sql: SQL): Promise<void> {
  const check = async () => {
    const [first, second] = await Promise.all([sql.reserve(), sql.reserve()]);
    const kept = await keepSessions(first, second);
    first.release();
    second.release();
    return kept;
  };
  const { promise: late, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new AppError('unavailable', TOO_FEW));
  const timer = setTimeout(giveUp, LIMIT_MS);
  try {
    if (!(await Promise.race([check(), late]))) throw new AppError('conflict', SHARED);
  } finally {
    clearTimeout(timer);
  }
}

/** What to do where a pooler dropped the limits of a session, without which an instance that stands still holds its locks; else null. */
export async function findLostLimits(store: Store): Promise<string | null> {
  const [[value] = []] = await store.read(tx =>
    query(tx, `select current_setting('idle_in_transaction_session_timeout')`, []),
  );
  return value === '0'
    ? "A pooler drops the limits of a session: an instance that stands still would hold its locks. Give them to Inlet's role: alter role inlet set idle_in_transaction_session_timeout = '3s'"
    : null;
}
