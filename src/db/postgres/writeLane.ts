import type { ReservedSQL, SQL } from 'bun';
import { Held, type Hold, type Tx } from '../store.ts';
import { encodeAll, numberPlaceholders, wrapInDrizzle } from './driver.ts';

type Rows = unknown[][];

const BLOCKING_MS = 1000; // how long one that lost again and again waits for its locks

/** Locks that were asked for in one step, and the statements that were given after them. */
interface Gathered {
  keys: string[];
  statements: (() => void)[];
  taken: Promise<void>;
}

/** 64 bits of a key, as PostgreSQL's advisory locks have them. */
const lockOf = (key: string): string => BigInt.asIntN(64, Bun.hash(key) as bigint).toString();

/**
 * What a transaction sees. `read committed`: each statement what is committed by then; for writes that hold what they read. `repeatable
 * read`: one moment, and PostgreSQL ends whoever wants to change a row that somebody else changed since (40001), so that no change is
 * lost and nothing has to be locked.
 */
type Isolation = 'read committed' | 'repeatable read';

/**
 * One connection that writes. There is no lock of all. Writes about people hold each node of a person (identity, address, user id,
 * delivery key) by an advisory lock until the commit; a lock that somebody else holds is not waited for, so nobody waits behind an
 * instance that stands still. With the locks held, plain `read committed` sees the last commit of whoever had them before.
 */
export class WriteLane {
  private connection: ReservedSQL | null = null;
  private failed: unknown = null;
  private pending: Promise<unknown>[] = [];
  private gathered: Gathered | null = null;
  private readonly tx: Tx;

  constructor(private readonly pool: SQL) {
    this.tx = wrapInDrizzle((text, params, rows) => this.run(numberPlaceholders(text), encodeAll(params), rows));
  }

  /**
   * Runs `fn` in one transaction. `patient`: wait for held nodes instead of giving up, for one write that lost many times.
   * @throws Held, or what the server or `fn` threw; nothing was kept then
   */
  async transact<T>(isolation: Isolation, fn: (tx: Tx, hold: Hold) => Promise<T>, patient = false): Promise<T> {
    const connection = await this.connect();
    this.failed = null;
    this.pending = [];
    this.gathered = null;
    try {
      this.later(`begin isolation level ${isolation}`, []);
      if (patient) this.later(`set local lock_timeout = ${BLOCKING_MS}`, []);
      const value = await fn(this.tx, keys => this.hold(keys, patient));
      await Promise.all(this.pending);
      if (this.failed) throw this.failed;
      await connection.unsafe('commit');
      return value;
    } catch (error) {
      const cause = this.failed ?? error;
      await Promise.allSettled(this.pending);
      await this.rollback();
      throw cause;
    }
  }

  private async connect(): Promise<ReservedSQL> {
    if (this.connection) return this.connection;
    const connection = await this.pool.reserve();
    try {
      // Where a table was empty when a statement was planned, PostgreSQL would go through all of it for long.
      await connection.unsafe('set enable_seqscan = off');
      // An instance that stands still lets go of its people after a second.
      await connection.unsafe('set idle_in_transaction_session_timeout = 1000');
    } catch (error) {
      letGo(connection);
      throw error;
    }
    this.connection = connection;
    return connection;
  }

  /**
   * All that is asked for in one step goes as one statement, and what is read in that step goes with it: it sees what was committed before
   * the locks were given, and costs no round trip of its own. @throws Held
   */
  private hold(keys: string[], patient: boolean): Promise<void> {
    if (!keys.length) return Promise.resolve();
    this.gathered ??= this.gatherLocks(patient);
    this.gathered.keys.push(...keys);
    return this.gathered.taken;
  }

  private gatherLocks(patient: boolean): Gathered {
    const gathered: Gathered = { keys: [], statements: [], taken: Promise.resolve() };
    gathered.taken = gathered.taken.then(() => this.takeLocks(gathered, patient));
    return gathered;
  }

  private async takeLocks({ keys, statements }: Gathered, patient: boolean): Promise<void> {
    this.gathered = null;
    const byLock = new Map(keys.map(key => [lockOf(key), key]));
    // The lock's answer is never null. Nothing may be added that is false by itself: PostgreSQL would not ask for the lock then.
    const text = patient
      ? 'select k from unnest($1::bigint[]) k where pg_advisory_xact_lock(k) is null'
      : 'select k from unnest($1::bigint[]) k where not pg_try_advisory_xact_lock(k)';
    const answer = this.ask(text, [`{${[...byLock.keys()].sort().join(',')}}`]);
    for (const send of statements) send();
    const missed = (await answer).map(row => byLock.get(String(row[0])) ?? '');
    if (missed.length) throw new Held(missed);
  }

  private run(text: string, params: unknown[], rows: boolean): Rows | Promise<Rows> {
    const { gathered } = this;
    if (gathered)
      return new Promise<Rows>((resolve, reject) => {
        gathered.statements.push(() => this.ask(text, params).then(resolve, reject));
      });
    if (rows) return this.ask(text, params);
    this.later(text, params);
    return [];
  }

  private async ask(text: string, params: unknown[]): Promise<Rows> {
    if (this.failed !== null || !this.connection) throw this.failed ?? new Error('no transaction');
    try {
      return (await this.connection.unsafe(text, params as unknown[]).values()) as Rows;
    } catch (error) {
      this.failed ??= error;
      throw error;
    }
  }

  /** Sent and not waited for: an error is met at the next statement, or before the commit. */
  private later(text: string, params: unknown[]): void {
    if (this.failed !== null || !this.connection) return;
    const sent = this.connection
      .unsafe(text, params as unknown[])
      .execute()
      .then(undefined, error => {
        this.failed ??= error;
        throw error;
      });
    sent.catch(() => {});
    this.pending.push(sent);
  }

  private async rollback(): Promise<void> {
    try {
      await this.connection?.unsafe('rollback');
    } catch {
      this.drop();
    }
  }

  drop(): void {
    letGo(this.connection);
    this.connection = null;
  }
}

function letGo(connection: ReservedSQL | null): void {
  try {
    connection?.release();
  } catch {
    // It is gone already.
  }
}
