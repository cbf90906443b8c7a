import { AsyncLocalStorage } from 'node:async_hooks';
import type { ReservedSQL, SQL } from 'bun';
import { drizzle } from 'drizzle-orm/sqlite-proxy';
import type { Run } from './fast.ts';
import * as schema from './schema.ts';
import { dialects, direct, type Store, StoreUnavailable, type Tx } from './store.ts';

const MAX_WAITING = 4000; // writes; beyond it the senders are asked to retry
const MAX_BATCH = 64; // writes that share a transaction
const MAX_TRIES = 12; // of one write that loses to concurrent ones
const VERSION_MS = 400; // other instances' changes are looked for this often

interface Waiting {
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

/** Lost to a concurrent transaction: nothing of it is kept and it may run again (PostgreSQL manual, 13.5). */
export const LOST = /^(40001|40P01|CR000)$/;
/** The server can't be reached, is shutting down, is a standby, is full, or took too long. */
const CANNOT = /^(ERR_POSTGRES_|08|53|57|58|25006|25P0[34]|55P03|XX)/;

const placeholders = new Map<string, string>();
const MAX_TEXTS = 2000;

/** `?` becomes `$1`, `$2`, … outside of quotes. */
export function numbered(text: string): string {
  let known = placeholders.get(text);
  if (known === undefined) {
    let n = 0;
    known = text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|\?/g, part => (part === '?' ? `$${++n}` : part));
    if (placeholders.size >= MAX_TEXTS) placeholders.clear();
    placeholders.set(text, known);
  }
  return known;
}

/** As text without a type, so that the server takes the column's; it can't store NUL. */
const encode = (value: unknown): unknown => {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  return typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;
};

function over(run: Run): Tx {
  const tx = drizzle(
    async (text, params, method) => {
      const rows = await run(text, params, method !== 'run');
      return { rows: method === 'get' ? (rows[0] as any) : rows };
    },
    { schema },
  );
  direct.set(tx, run);
  dialects.set(tx, 'postgres');
  return tx;
}

const failureOf = (error: unknown) =>
  CANNOT.test(postgresCode(error)) ? new StoreUnavailable('the database server could not be used', error) : error;

/** One connection that writes, a batch of waiting writes in each transaction. */
class Lane {
  private connection: ReservedSQL | null = null;
  private failed: unknown = null;
  private pending: Promise<unknown>[] = [];
  private readonly tx: Tx;

  constructor(private readonly pool: SQL) {
    this.tx = over((text, params, rows) => this.send(numbered(text), params.map(encode), rows));
  }

  /**
   * A statement whose rows nobody reads is sent and not waited for: its error is met at the next one or before the commit, and
   * domain code must not catch it anyway. It saves the round trip.
   */
  private send(text: string, params: unknown[], rows: boolean): unknown[][] | Promise<unknown[][]> {
    if (this.failed !== null || !this.connection) return Promise.reject(this.failed ?? new Error('no transaction'));
    const query = this.connection.unsafe(text, params as any[]).values();
    const note = (error: unknown) => {
      this.failed ??= error;
      throw error;
    };
    if (rows) return query.then(found => found as unknown[][], note);
    this.pending.push(query.execute().then(undefined, note));
    this.pending.at(-1)?.catch(() => {});
    return [];
  }

  /** Runs the writes one after the other in one serialisable transaction. @throws what any of them threw: nothing was kept then */
  async transact(writes: Waiting[]): Promise<unknown[]> {
    this.connection ??= await this.pool.reserve();
    this.failed = null;
    this.pending = [];
    try {
      this.send('begin isolation level serializable', [], false);
      const values: unknown[] = [];
      for (const write of writes) {
        values.push(await write.fn(this.tx));
        if (this.failed !== null) throw this.failed;
      }
      await Promise.all(this.pending);
      await this.connection.unsafe('commit');
      return values;
    } catch (error) {
      const cause = this.failed ?? error;
      await this.rollback();
      throw cause;
    }
  }

  private async rollback(): Promise<void> {
    await Promise.allSettled(this.pending);
    try {
      await this.connection?.unsafe('rollback');
    } catch {
      await this.drop();
    }
  }

  async drop(): Promise<void> {
    const { connection } = this;
    this.connection = null;
    try {
      connection?.release();
    } catch {
      // It is gone already.
    }
  }
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
  private readonly idle: Lane[];
  private readonly lanes: Lane[];
  private waiting: Waiting[] = [];
  private working = new Set<Promise<void>>();
  private closed = false;
  private trouble = false;

  constructor(
    private readonly pool: SQL,
    writers: number,
    private readonly watch: Watch = {},
  ) {
    this.readTx = over((text, params) => this.ask(numbered(text), params.map(encode)));
    this.lanes = Array.from({ length: writers }, () => new Lane(pool));
    this.idle = [...this.lanes];
  }

  private async ask(text: string, params: unknown[]): Promise<unknown[][]> {
    try {
      const rows = (await this.pool.unsafe(text, params as any[]).values()) as unknown[][];
      if (this.trouble) this.report(null);
      return rows;
    } catch (error) {
      const failure = failureOf(error);
      if (failure instanceof StoreUnavailable) this.report(failure);
      throw failure;
    }
  }

  async read<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    return fn(this.readTx);
  }

  write<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.inside.getStore()) return Promise.reject(new Error('write inside write: pass the outer tx on instead'));
    if (this.closed) return Promise.reject(new StoreUnavailable('the database is closing'));
    if (this.waiting.length >= MAX_WAITING) return Promise.reject(new StoreUnavailable('too many writes are waiting'));
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ fn, resolve: value => resolve(value as T), reject });
      const lane = this.idle.pop();
      if (!lane) return;
      const work: Promise<void> = this.work(lane).finally(() => {
        this.working.delete(work);
        this.idle.push(lane);
      });
      this.working.add(work);
    });
  }

  /** Other instances write too: what is cached of the database is read again after this long. */
  async version(): Promise<number> {
    return Math.floor(performance.now() / VERSION_MS);
  }

  async close(): Promise<void> {
    this.closed = true;
    while (this.working.size) await Promise.all(this.working);
    for (const lane of this.lanes) await lane.drop();
    await this.pool.close();
  }

  private async work(lane: Lane): Promise<void> {
    while (this.waiting.length) {
      await new Promise(resolve => setImmediate(resolve));
      const share = Math.ceil(this.waiting.length / (this.idle.length + 1));
      const batch = this.waiting.splice(0, Math.min(MAX_BATCH, share));
      if (batch.length) await this.inside.run(true, () => this.commit(lane, batch));
    }
  }

  /** Together, and one by one where something went wrong with one of them. */
  private async commit(lane: Lane, batch: Waiting[]): Promise<void> {
    if (batch.length > 1) {
      try {
        const values = await lane.transact(batch);
        this.report(null);
        for (const [i, write] of batch.entries()) write.resolve(values[i]);
        return;
      } catch (error) {
        const failure = failureOf(error);
        if (failure instanceof StoreUnavailable) {
          this.report(failure);
          for (const write of batch) write.reject(failure);
          return;
        }
      }
    }
    for (const write of batch) await this.alone(lane, write);
  }

  private async alone(lane: Lane, write: Waiting): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const [value] = await lane.transact([write]);
        this.report(null);
        return write.resolve(value);
      } catch (error) {
        if (LOST.test(postgresCode(error)) && tries < MAX_TRIES) {
          await Bun.sleep(Math.random() * Math.min(200, 2 ** tries));
          continue;
        }
        const lost = LOST.test(postgresCode(error));
        const failure = lost ? new StoreUnavailable('too many concurrent changes', error) : failureOf(error);
        if (failure instanceof StoreUnavailable) this.report(failure);
        return write.reject(failure);
      }
    }
  }

  private report(error: Error | null): void {
    this.trouble = error !== null;
    this.watch.onCommit?.(error);
  }
}
