import { AsyncLocalStorage } from 'node:async_hooks';
import type { ReservedSQL, SQL } from 'bun';
import { Inserts } from './inserts.ts';
import { type Entry, ReadAhead, shapeOf, type Write } from './statements.ts';
import type { Tx } from './store.ts';
import { Together } from './together.ts';
import { encodeAll, numbered, over } from './wire.ts';

type Fn = (tx: Tx) => Promise<unknown>;
type Rows = unknown[][];

/**
 * Instances write in turns. Serialisable transactions would be as right without, but PostgreSQL finds a conflict wherever two insert
 * into the same page of an index, and then most of the work is done twice. This statement, unlike others, does not yet fix what the
 * transaction sees, and not getting the lock ends the transaction (PostgreSQL manual, LOCK).
 */
const TURN = 'lock table inlet_migrations in share row exclusive mode';
/** Ends a rehearsal that wants what only a real run can give. */
class Enough extends Error {}

/** What one function read and would write, when nothing before it in the batch were written. */
interface Rehearsal {
  reads: Entry[];
  writes: { text: string; shape: Write; params: unknown[] }[];
  /** Tables in `writes`: a read of them would have to see these writes. */
  wrote: Set<string>;
  value?: unknown;
  done: boolean;
}

/** What one transaction holds while it is made and until its commit is answered. */
class Transaction {
  failed: unknown = null;
  readonly pending: Promise<unknown>[] = [];
  readonly ahead = new ReadAhead();
  readonly inserts: Inserts;

  constructor(send: (text: string, params: unknown[]) => void) {
    this.inserts = new Inserts(send);
  }
}

/**
 * One connection that writes: some functions as if one after the other in one serialisable transaction, with few round trips. First
 * all of them are rehearsed side by side, their reads in flight together and their writes noted. Then, in turn, the noted
 * writes count where nothing that was read has been written by an earlier one; else the function runs again. Inserts wait and go out
 * together, several rows in one statement. The next transaction may begin once the commit of this one is sent: the server answers in
 * order, so that it reads what this one left, kept or not.
 */
export class Lane {
  private connection: ReservedSQL | null = null;
  private now = new Transaction((text, params) => void this.later(text, params));
  /** The connection may be gone, or still in a transaction. */
  private doubtful = false;
  private readonly tx: Tx;
  private readonly rehearsal: Tx;
  private readonly together = new Together((text, params) => this.ask(text, params));
  private readonly rehearsing = new AsyncLocalStorage<Rehearsal>();

  constructor(
    private readonly pool: SQL,
    private readonly server: { turns: boolean },
  ) {
    this.tx = over((text, params, rows) => this.run(numbered(text), encodeAll(params), rows));
    this.rehearsal = over((text, params, rows) => this.note(numbered(text), encodeAll(params), rows));
  }

  /**
   * `sent` is called when all is sent, the commit too; not to be called again before.
   * @throws what any of the functions or the server threw: nothing was kept then
   */
  async transact(fns: Fn[], sent: () => void): Promise<unknown[]> {
    if (this.doubtful) await this.rollback();
    this.connection ??= await this.connect();
    const now = new Transaction((text, params) => void this.later(text, params));
    this.now = now;
    let values: unknown[];
    try {
      this.later('begin isolation level serializable', []);
      if (this.server.turns) this.later(TURN, []);
      values = await this.perform(fns);
      this.now.inserts.flush();
      this.later('commit', []);
    } catch (error) {
      const cause = now.failed ?? error;
      await Promise.allSettled(now.pending);
      await this.rollback();
      throw cause;
    } finally {
      now.ahead.clear();
    }
    sent();
    try {
      await Promise.all(now.pending);
    } catch (error) {
      this.doubtful = true; // the next one may have begun
      throw now.failed ?? error;
    }
    return values;
  }

  /** Where a table was empty when a statement was planned, PostgreSQL would go through all of it for long. */
  private async connect(): Promise<ReservedSQL> {
    const connection = await this.pool.reserve();
    try {
      await connection.unsafe('set enable_seqscan = off');
      return connection;
    } catch (error) {
      letGo(connection);
      throw error;
    }
  }

  private async perform(fns: Fn[]): Promise<unknown[]> {
    const rehearsals = fns.length > 1 ? await Promise.all(fns.map(fn => this.rehearse(fn))) : [];
    const values: unknown[] = [];
    for (const [i, fn] of fns.entries()) {
      const rehearsal = rehearsals[i];
      if (rehearsal?.done && rehearsal.reads.every(entry => entry.valid)) {
        for (const { text, shape, params } of rehearsal.writes) this.write(text, shape, params);
        values.push(rehearsal.value);
      } else values.push(await fn(this.tx));
      if (this.now.failed !== null) throw this.now.failed;
    }
    return values;
  }

  private async rehearse(fn: Fn): Promise<Rehearsal> {
    const rehearsal: Rehearsal = { reads: [], writes: [], wrote: new Set(), done: false };
    try {
      rehearsal.value = await this.rehearsing.run(rehearsal, () => fn(this.rehearsal));
      rehearsal.done = true;
    } catch {
      // It runs for real in its turn, and throws then if it must.
    }
    return rehearsal;
  }

  private note(text: string, params: unknown[], rows: boolean): Rows | Promise<Rows> {
    const rehearsal = this.rehearsing.getStore();
    const shape = shapeOf(text);
    if (!rehearsal || shape.table === null) return Promise.reject(new Enough());
    if (shape.kind === 'point' || shape.kind === 'read') {
      if (rehearsal.wrote.has(shape.table)) return Promise.reject(new Enough());
      const read = () => (shape.kind === 'point' ? this.together.read(text, shape, params) : this.ask(text, params));
      const entry = this.now.ahead.entry(text, shape, params, read);
      rehearsal.reads.push(entry);
      return entry.rows;
    }
    if (rows || shape.kind === 'other') return Promise.reject(new Enough());
    rehearsal.wrote.add(shape.table);
    rehearsal.writes.push({ text, shape, params });
    return [];
  }

  private run(text: string, params: unknown[], rows: boolean): Rows | Promise<Rows> {
    const shape = shapeOf(text);
    if (shape.kind === 'point' || shape.kind === 'read') {
      const read = () => {
        this.now.inserts.flush();
        return this.ask(text, params);
      };
      return shape.table === null ? read() : this.now.ahead.entry(text, shape, params, read).rows;
    }
    if (!rows) return this.write(text, shape, params);
    this.now.ahead.forget(shape, params);
    this.now.inserts.flush();
    return this.ask(text, params);
  }

  private write(text: string, shape: Write, params: unknown[]): Rows {
    this.now.ahead.forget(shape, params);
    if (shape.kind === 'insert') this.now.inserts.add(text, shape, params);
    else {
      this.now.inserts.flush();
      this.later(text, params);
    }
    return [];
  }

  private async ask(text: string, params: unknown[]): Promise<Rows> {
    const { now, connection } = this;
    if (now.failed !== null || !connection) throw now.failed ?? new Error('no transaction');
    try {
      return (await connection.unsafe(text, params as unknown[]).values()) as Rows;
    } catch (error) {
      now.failed ??= error;
      throw error;
    }
  }

  /** Sent and not waited for: an error is met at the next statement or before the commit's answer counts. */
  private later(text: string, params: unknown[]): Promise<unknown> | undefined {
    const { now, connection } = this;
    if (now.failed !== null || !connection) return;
    const sent = connection
      .unsafe(text, params as unknown[])
      .execute()
      .then(undefined, error => {
        now.failed ??= error;
        throw error;
      });
    sent.catch(() => {});
    now.pending.push(sent);
    return sent;
  }

  /** Whatever was sent before is answered first. Outside of a transaction it does nothing. */
  private async rollback(): Promise<void> {
    this.doubtful = false;
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
