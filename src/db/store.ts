import type { SqliteRemoteDatabase } from 'drizzle-orm/sqlite-proxy';
import { compilePrepared, type Run } from './prepared.ts';
import type * as schema from './schema.ts';

/** Drizzle over whichever database: the only thing domain code sees of it. Await nothing else inside `write`. */
export type Tx = SqliteRemoteDatabase<typeof schema>;

/**
 * The whole port to a database. `read` sees committed state. `write` runs `fn` in one transaction that sees one moment, and resolves
 * after the commit is on disk; `fn` may run again, so it touches only `tx`. Of two that change the same row the later one runs again.
 * Two that only read what the other one changes do not notice each other on PostgreSQL: `takeTurn` (sql.ts) is for those.
 */
export interface Store {
  readonly kind: 'sqlite' | 'postgres';
  read<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  write<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  /** How many writes about people may be under way at once, each in a lane of its own. */
  readonly lanes: number;
  /**
   * `write` for a batch about people. `hold` must be given the keys of whatever is read, before it is read; `patient`: wait for them.
   * @throws Held when somebody else holds one of them: nothing was kept, try again a moment later
   */
  writePeople<T>(lane: number, fn: (tx: Tx, hold: Hold) => Promise<T>, patient: boolean): Promise<T>;
  /** Grows whenever another process committed to the same database: what is cached of it must be read again. */
  version(): Promise<number>;
  /** Finishes the writes that wait, then lets go of the database. */
  close(): Promise<void>;
}

/** Holds nodes of people until the commit, so that nobody else reads and writes them meanwhile. */
export type Hold = (keys: string[]) => Promise<void>;

/** Somebody else holds these keys. */
export class Held extends Error {
  constructor(readonly keys: string[]) {
    super('somebody else is writing about these people');
    this.name = 'Held';
  }
}

/** The commit's outcome is unknown or the database can't take writes now: answer 503, promise nothing. */
export class StoreUnavailable extends Error {
  constructor(
    message: string,
    override readonly cause?: unknown,
  ) {
    super(message);
    this.name = 'StoreUnavailable';
  }
}

const prepared = new WeakMap<object, Map<string, unknown>>();

/** How to run a statement on a connection: its prepared statements go past drizzle's own layers. */
export const direct = new WeakMap<object, Run>();

/** Which dialect a connection speaks, for db/sql.ts. */
export const dialects = new WeakMap<object, Store['kind']>();

/** A prepared statement, built once per connection and name. Hot paths use it: building SQL text costs more than running it. */
export function prepare<Q>(tx: Tx, name: string, build: (tx: Tx) => Q): Q {
  let byName = prepared.get(tx);
  if (!byName) {
    byName = new Map();
    prepared.set(tx, byName);
  }
  const known = byName.get(name) as Q | undefined;
  if (known) return known;
  const built = build(tx);
  const run = direct.get(tx);
  const statement = run ? compilePrepared(built, run) : built;
  byName.set(name, statement);
  return statement;
}
