import { AsyncLocalStorage } from 'node:async_hooks';
import type { SQL } from 'bun';
import { type Hold, type Store, StoreUnavailable, type Tx } from '../store.ts';
import { encodeAll, numberPlaceholders, wrapInDrizzle } from './driver.ts';
import { WriteLane } from './writeLane.ts';

const MAX_WAITING = 4000; // writes; beyond it the senders are asked to retry
const MAX_TRIES = 16; // of one write that loses to concurrent ones
const MAX_STOOD_STILL = 2; // of one that the server ended because one of the two stood still in the middle of it
const VERSION_MS = 400; // other instances' changes are looked for this often

const LOOK_MS = 500; // between two looks for another host that writes

/** SQLSTATE, or Bun's code of a connection that failed; '' for an error of our own. */
export function findPostgresCode(error: unknown): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (!('code' in e) || typeof e.code !== 'string' || !e.code.startsWith('ERR_POSTGRES_')) continue;
    return 'errno' in e && typeof e.errno === 'string' && e.errno.length === 5 ? e.errno : e.code;
  }
  return '';
}

/**
 * Lost to a concurrent transaction, to a wait for a lock, to a key that somebody made a moment before, or ended for standing still:
 * nothing of it is kept and it may run again (PostgreSQL manual, 13.5).
 */
export const LOST = /^(40001|40P01|23505|55P03|25P03|53200)$/;
/** Ended by the server because this process stood still, or because it did itself and a statement outlasted its time: what was held goes on. */
const STOOD_STILL = /^(25P03|57014)$/;
/** The server can't be reached, is shutting down, is a standby, is full, or took too long. */
const CANNOT = /^(ERR_POSTGRES_|08|53|57|58|25006|25P0[34]|55000|55P03|XX)/;
/** Codes of Node and OpenSSL for connections that can't be made. */
const UNREACHED = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|E[A-Z]{3,}$)/;

/** Our own error, also where drizzle wrapped it. */
function findUnavailable(error: unknown): StoreUnavailable | null {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e instanceof StoreUnavailable) return e;
    const unreached = 'code' in e && typeof e.code === 'string' && UNREACHED.test(e.code);
    if (unreached) return new StoreUnavailable('the database server could not be reached', error);
  }
  return null;
}

const classifyFailure = (error: unknown) =>
  CANNOT.test(findPostgresCode(error))
    ? new StoreUnavailable('the database server could not be used', error)
    : (findUnavailable(error) ?? error);

/** A server that was reached. */
export interface Server {
  sql: SQL;
  /** Another pool to the same place. */
  open(): SQL;
  /** Looks for the host that writes. True: it is another one than before, and `open` leads there. */
  findWriter(): Promise<boolean | null>;
  /** Connections for writes about people. */
  lanes: number;
  /** Connections for all other writes. */
  writers: number;
  /** ms after which the server is taken for dead, whatever it was asked. */
  deadlineMs: number;
}

export interface Watch {
  /** Told the outcome of commits, for health. */
  onCommit?(error: Error | null): void;
}

/** A `Store` on a PostgreSQL server. Made by `openPostgres` (connect.ts). */
export class PostgresStore implements Store {
  readonly kind = 'postgres';
  private readonly inside = new AsyncLocalStorage<true>();
  private readonly readTx: Tx;
  private pool: SQL;
  private peopleLanes: WriteLane[] = [];
  /** The connections of `write`, those of them that are free, and who waits for one. */
  private writers = new Set<WriteLane>();
  private free: WriteLane[] = [];
  private readonly waiting: ((lane: WriteLane) => void)[] = [];
  private readonly open = new Set<Promise<unknown>>();
  private closed = false;
  private trouble = false;
  private following = false;

  constructor(
    private readonly server: Server,
    private readonly watch: Watch = {},
  ) {
    this.pool = server.sql;
    this.readTx = wrapInDrizzle((text, params) => this.ask(numberPlaceholders(text), encodeAll(params)));
    this.makeLanes();
  }

  get lanes(): number {
    return this.server.lanes;
  }

  private makeLanes(): void {
    const make = (length: number) => Array.from({ length }, () => new WriteLane(this.pool));
    this.peopleLanes = make(this.server.lanes);
    this.writers = new Set(make(this.server.writers));
    this.free = [];
    for (const lane of this.writers) this.release(lane);
  }

  writePeople<T>(lane: number, fn: (tx: Tx, hold: Hold) => Promise<T>, patient: boolean): Promise<T> {
    if (this.closed) return Promise.reject(new StoreUnavailable('the database is closing'));
    return this.perform(() => {
      const mine = this.peopleLanes[lane % this.server.lanes]!;
      return this.within(this.inside.run(true, () => mine.transact('read committed', fn, patient)));
    });
  }

  write<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.inside.getStore()) return Promise.reject(new Error('write inside write: pass the outer tx on instead'));
    if (this.closed) return Promise.reject(new StoreUnavailable('the database is closing'));
    if (this.open.size >= MAX_WAITING) return Promise.reject(new StoreUnavailable('too many writes are waiting'));
    const work: Promise<T> = this.perform(() =>
      this.lend(lane => this.within(this.inside.run(true, () => lane.transact('repeatable read', fn)))),
    );
    const done = work.then(
      () => {},
      () => {},
    );
    this.open.add(done);
    done.then(() => this.open.delete(done));
    return work;
  }

  private async ask(text: string, params: unknown[]): Promise<unknown[][]> {
    try {
      const rows = (await this.within(this.pool.unsafe(text, params as any[]).values())) as unknown[][];
      if (this.trouble) this.report(null);
      return rows;
    } catch (error) {
      const failure = classifyFailure(error);
      if (failure instanceof StoreUnavailable) this.report(failure);
      throw failure;
    }
  }

  async read<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    try {
      return await fn(this.readTx);
    } catch (error) {
      throw findUnavailable(error) ?? error;
    }
  }

  /** Other instances write too: what is cached of the database is read again after this long. */
  async version(): Promise<number> {
    return Math.floor(performance.now() / VERSION_MS);
  }

  async close(): Promise<void> {
    this.closed = true;
    while (this.open.size) await Promise.all(this.open);
    for (const lane of [...this.writers, ...this.peopleLanes]) lane.drop();
    await this.pool.close();
  }

  /** The next free one of the connections that write. */
  private async lend<T>(use: (lane: WriteLane) => Promise<T>): Promise<T> {
    const lane = this.free.pop() ?? (await new Promise<WriteLane>(resolve => this.waiting.push(resolve)));
    try {
      return await use(lane);
    } finally {
      this.release(lane);
    }
  }

  private release(lane: WriteLane): void {
    if (!this.writers.has(lane)) return; // given up, with its pool
    const next = this.waiting.shift();
    if (next) next(lane);
    else this.free.push(lane);
  }

  /** One transaction, again where it lost to others. A connection is free for somebody else meanwhile. */
  private async perform<T>(transact: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
      try {
        const value = await transact();
        this.report(null);
        return value;
      } catch (error) {
        const code = findPostgresCode(error);
        const lost = LOST.test(code) || STOOD_STILL.test(code);
        if (lost && tries < (STOOD_STILL.test(code) ? MAX_STOOD_STILL : MAX_TRIES)) {
          await Bun.sleep(Math.random() * Math.min(200, 2 ** tries));
          continue;
        }
        const failure =
          lost && code !== '23505'
            ? new StoreUnavailable('too many concurrent changes', error)
            : classifyFailure(error);
        if (failure instanceof StoreUnavailable) this.report(failure);
        throw failure;
      }
    }
  }

  /**
   * A server that is gone without a word (network cut, machine frozen) must not hold us for ever: after the deadline all connections are
   * given up and new ones made. @throws StoreUnavailable
   */
  private async within<T>(work: Promise<T>): Promise<T> {
    const { pool } = this;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      this.reopen(pool);
      reject(new StoreUnavailable('the database server did not answer in time'));
    }, this.server.deadlineMs);
    work.catch(() => {}); // nobody may be waiting for it any more
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Gives up all connections of `pool`, unless that was done. */
  private reopen(pool: SQL): void {
    if (this.pool !== pool || this.closed) return;
    this.pool = this.server.open();
    this.makeLanes();
    pool.close({ timeout: 0 }).catch(() => {});
  }

  /** To the host that writes, where that is another one now. */
  private async follow(): Promise<void> {
    if (this.following) return;
    this.following = true;
    const { pool } = this;
    if (await this.server.findWriter()) this.reopen(pool);
    else await Bun.sleep(LOOK_MS);
    this.following = false;
  }

  private report(error: Error | null): void {
    this.trouble = error !== null;
    if (error) void this.follow();
    this.watch.onCommit?.(error);
  }
}
