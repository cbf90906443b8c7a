import { AsyncLocalStorage } from 'node:async_hooks';
import type { SQL } from 'bun';
import { Lane } from './lane.ts';
import { PeopleLane } from './peopleLane.ts';
import { type Hold, type Store, StoreUnavailable, type Tx } from './store.ts';
import { encodeAll, numbered, over } from './wire.ts';

const MAX_WAITING = 4000; // writes; beyond it the senders are asked to retry
const MAX_BATCH = 32; // writes that share a transaction
const MAX_UNDER_WAY = 2; // transactions: one that the server answers, one that is made
const WORTH = 16; // writes that are worth a transaction while another one is under way
const MAX_TRIES = 12; // of one write that loses to concurrent ones
const VERSION_MS = 400; // other instances' changes are looked for this often

interface Waiting {
  /** How often it was tried; after the first time by itself. */
  tries: number;
  fn(tx: Tx): Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** SQLSTATE, or Bun's code of a connection that failed; '' for an error of our own. */
export function postgresCode(error: unknown): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (!('code' in e) || typeof e.code !== 'string' || !e.code.startsWith('ERR_POSTGRES_')) continue;
    return 'errno' in e && typeof e.errno === 'string' && e.errno.length === 5 ? e.errno : e.code;
  }
  return '';
}

/** Lost to a concurrent transaction, to a wait for its locks, or ended for standing still: nothing of it is kept and it may run again (PostgreSQL manual, 13.5). */
export const LOST = /^(40001|40P01|CR000|25P03|55P03)$/;
/** Also a key that somebody made a moment before, a wait for locks that was too long, and a transaction that the server ended for standing still. */
const LOST_BY_PEOPLE = /^(40001|40P01|23505|55P03|25P03|53200)$/;
/** The server can't be reached, is shutting down, is a standby, is full, or took too long. */
const CANNOT = /^(ERR_POSTGRES_|08|53|57|58|25006|25P0[34]|55000|55P03|XX)/;
/** Codes of Node and OpenSSL for connections that can't be made. */
const UNREACHED = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|E[A-Z]{3,}$)/;

/** Our own error, also where drizzle wrapped it. */
function unavailable(error: unknown): StoreUnavailable | null {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e instanceof StoreUnavailable) return e;
    const unreached = 'code' in e && typeof e.code === 'string' && UNREACHED.test(e.code);
    if (unreached) return new StoreUnavailable('the database server could not be reached', error);
  }
  return null;
}

const failureOf = (error: unknown) =>
  CANNOT.test(postgresCode(error))
    ? new StoreUnavailable('the database server could not be used', error)
    : (unavailable(error) ?? error);

/** A server that was reached. */
export interface Server {
  sql: SQL;
  /** Another pool to the same place. */
  open(): SQL;
  /** Whether instances write in turns (lane.ts). */
  turns: boolean;
  /** Connections for writes about people. */
  lanes: number;
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
  private lane: Lane;
  private peopleLanes: PeopleLane[];
  private waiting: Waiting[] = [];
  private working: Promise<void> | null = null;
  private closed = false;
  private trouble = false;
  private wake: (() => void) | null = null;

  constructor(
    private readonly server: Server,
    private readonly watch: Watch = {},
  ) {
    this.pool = server.sql;
    this.readTx = over((text, params) => this.ask(numbered(text), encodeAll(params)));
    this.lane = new Lane(server.sql, server);
    this.peopleLanes = this.makeLanes();
  }

  get lanes(): number {
    return this.server.lanes;
  }

  private makeLanes(): PeopleLane[] {
    return Array.from({ length: this.server.lanes }, () => new PeopleLane(this.pool));
  }

  /** Lost to others or to a slow moment: nothing of it is kept and it may run again. */
  async writePeople<T>(lane: number, fn: (tx: Tx, hold: Hold) => Promise<T>, patient: boolean): Promise<T> {
    if (this.closed) throw new StoreUnavailable('the database is closing');
    const mine = this.peopleLanes[lane % this.server.lanes]!;
    for (let tries = 0; ; tries++) {
      try {
        const value = await this.within(this.inside.run(true, () => mine.transact(fn, patient)));
        this.report(null);
        return value;
      } catch (error) {
        const failure = failureOf(error);
        if (LOST_BY_PEOPLE.test(postgresCode(error)) && tries < MAX_TRIES) {
          await Bun.sleep(Math.random() * Math.min(200, 2 ** tries));
          continue;
        }
        if (failure instanceof StoreUnavailable) this.report(failure);
        throw failure;
      }
    }
  }

  private async ask(text: string, params: unknown[]): Promise<unknown[][]> {
    try {
      const rows = (await this.within(this.pool.unsafe(text, params as any[]).values())) as unknown[][];
      if (this.trouble) this.report(null);
      return rows;
    } catch (error) {
      const failure = failureOf(error);
      if (failure instanceof StoreUnavailable) this.report(failure);
      throw failure;
    }
  }

  async read<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    try {
      return await fn(this.readTx);
    } catch (error) {
      throw unavailable(error) ?? error;
    }
  }

  write<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.inside.getStore()) return Promise.reject(new Error('write inside write: pass the outer tx on instead'));
    if (this.closed) return Promise.reject(new StoreUnavailable('the database is closing'));
    if (this.waiting.length >= MAX_WAITING) return Promise.reject(new StoreUnavailable('too many writes are waiting'));
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ tries: 0, fn, resolve: value => resolve(value as T), reject });
      this.working ??= this.work();
      if (this.waiting.length >= WORTH) this.wake?.();
    });
  }

  /** Other instances write too: what is cached of the database is read again after this long. */
  async version(): Promise<number> {
    return Math.floor(performance.now() / VERSION_MS);
  }

  async close(): Promise<void> {
    this.closed = true;
    while (this.working) await this.working;
    this.lane.drop();
    for (const lane of this.peopleLanes) lane.drop();
    await this.pool.close();
  }

  /** The next transaction is made while the server still answers the one before, when enough wait for it. */
  private async work(): Promise<void> {
    const underWay = new Set<Promise<void>>();
    while (this.waiting.length || underWay.size) {
      await new Promise(resolve => setImmediate(resolve));
      const full = underWay.size >= MAX_UNDER_WAY;
      if (underWay.size && (full || this.waiting.length < WORTH)) {
        await Promise.race(full ? underWay : [...underWay, this.more()]);
        continue;
      }
      const batch = this.waiting.splice(0, this.waiting[0]?.tries ? 1 : MAX_BATCH);
      const { promise: sent, resolve } = Promise.withResolvers<void>();
      const done: Promise<void> = this.inside
        .run(true, () => this.commit(batch, resolve))
        .finally(() => underWay.delete(done));
      underWay.add(done);
      await Promise.race([sent, done]);
    }
    this.working = null; // in the same step as the look above: no write may come between
  }

  private more(): Promise<void> {
    return new Promise(resolve => {
      this.wake = resolve;
    });
  }

  /** Together; where something went wrong with one of them they wait again, to be tried one by one. */
  private async commit(batch: Waiting[], sent: () => void): Promise<void> {
    try {
      const fns = batch.map(write => write.fn);
      const values = await this.within(this.lane.transact(fns, sent));
      this.report(null);
      for (const [i, write] of batch.entries()) write.resolve(values[i]);
    } catch (error) {
      await this.fail(batch, error);
    }
  }

  private async fail(batch: Waiting[], error: unknown): Promise<void> {
    const lost = LOST.test(postgresCode(error));
    const tries = batch[0]?.tries ?? 0;
    const failure =
      lost && tries >= MAX_TRIES ? new StoreUnavailable('too many concurrent changes', error) : failureOf(error);
    if (failure instanceof StoreUnavailable) this.report(failure);
    else if (lost || batch.length > 1) {
      if (tries) await Bun.sleep(Math.random() * Math.min(200, 2 ** tries));
      for (const write of batch) write.tries++;
      this.waiting.unshift(...batch);
      return;
    }
    for (const write of batch) write.reject(failure);
  }

  /**
   * A server that is gone without a word (network cut, machine frozen) must not hold us for ever: after the deadline all connections are
   * given up and new ones made. @throws StoreUnavailable
   */
  private async within<T>(work: Promise<T>): Promise<T> {
    const { pool } = this;
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      if (this.pool === pool && !this.closed) {
        this.pool = this.server.open();
        this.lane = new Lane(this.pool, this.server);
        this.peopleLanes = this.makeLanes();
        pool.close({ timeout: 0 }).catch(() => {});
      }
      reject(new StoreUnavailable('the database server did not answer in time'));
    }, this.server.deadlineMs);
    work.catch(() => {}); // nobody may be waiting for it any more
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  private report(error: Error | null): void {
    this.trouble = error !== null;
    this.watch.onCommit?.(error);
  }
}
