import { AsyncLocalStorage } from 'node:async_hooks';
import type { ReservedSQL, SQL } from 'bun';
import { drizzle } from 'drizzle-orm/sqlite-proxy';
import type { Run } from './fast.ts';
import * as schema from './schema.ts';
import { type Entry, ReadAhead, type Shape, shapeOf, type Write } from './statements.ts';
import { dialects, direct, type Tx } from './store.ts';
import { Together } from './together.ts';

type Fn = (tx: Tx) => Promise<unknown>;
type Rows = unknown[][];

const placeholders = new Map<string, string>();
const MAX_TEXTS = 2000;
/**
 * Instances write in turns. Serialisable transactions would be as right without, but PostgreSQL finds a conflict wherever two insert
 * into the same page of an index, and then most of the work is done twice. This statement, unlike others, does not yet fix what the
 * transaction sees, and not getting the lock ends the transaction (PostgreSQL manual, LOCK).
 */
const TURN = 'lock table inlet_migrations in share row exclusive mode';
const MOST_ROWS = 64; // of one insert; a power of two, so that few texts have to be prepared

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
function encode(value: unknown): unknown {
  if (typeof value === 'string') return value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;
  if (typeof value === 'number') return String(value);
  return typeof value === 'boolean' ? (value ? '1' : '0') : value;
}

export function encodeAll(params: unknown[]): unknown[] {
  const out = new Array<unknown>(params.length);
  for (let i = 0; i < params.length; i++) out[i] = encode(params[i]);
  return out;
}

/** Drizzle over a function that runs statements. */
export function over(run: Run): Tx {
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

interface Group {
  shape: Extract<Shape, { kind: 'insert' }>;
  rows: unknown[][];
}

/** What one transaction holds while it is made and until its commit is answered. */
class Transaction {
  failed: unknown = null;
  readonly pending: Promise<unknown>[] = [];
  readonly ahead = new ReadAhead();
  readonly groups = new Map<string, Group>();
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
  private now = new Transaction();
  /** The connection may be gone, or still in a transaction. */
  private doubtful = false;
  private readonly tx: Tx;
  private readonly rehearsal: Tx;
  private readonly together = new Together((text, params) => this.ask(text, params));
  private readonly rehearsing = new AsyncLocalStorage<Rehearsal>();

  constructor(
    private readonly pool: SQL,
    private readonly turns: boolean,
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
    const now = new Transaction();
    this.now = now;
    let values: unknown[];
    try {
      this.later('begin isolation level serializable', []);
      if (this.turns) this.later(TURN, []);
      values = await this.perform(fns);
      this.flush();
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
    await connection.unsafe('set enable_seqscan = off');
    return connection;
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
        this.flush();
        return this.ask(text, params);
      };
      return shape.table === null ? read() : this.now.ahead.entry(text, shape, params, read).rows;
    }
    if (!rows) return this.write(text, shape, params);
    this.now.ahead.forget(shape, params);
    this.flush();
    return this.ask(text, params);
  }

  private write(text: string, shape: Write, params: unknown[]): Rows {
    this.now.ahead.forget(shape, params);
    if (shape.kind === 'insert') this.gather(text, shape, params);
    else {
      this.flush();
      this.later(text, params);
    }
    return [];
  }

  private gather(text: string, shape: Group['shape'], params: unknown[]): void {
    for (const [other, group] of this.now.groups) {
      if (other === text || group.shape.table !== shape.table) continue;
      this.send(group); // another kind of insert into this table may not pass
      this.now.groups.delete(other);
    }
    const group = this.now.groups.get(text);
    const at = shape.key === null ? -1 : (shape.set.get(shape.key) ?? -1);
    const twice = at >= 0 && group?.rows.some(row => row[at] === params[at]); // one statement may not update a row twice
    if (!group) this.now.groups.set(text, { shape, rows: [params] });
    else {
      if (twice) this.send(group);
      group.rows.push(params);
    }
  }

  /** Sends the inserts that wait: nothing may pass them. */
  private flush(): void {
    for (const group of this.now.groups.values()) this.send(group);
    this.now.groups.clear();
  }

  private send({ shape, rows }: Group): void {
    const width = shape.set.size;
    while (rows.length) {
      const size = Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows.length)));
      const part = rows.splice(0, size);
      this.later(`${shape.head}${valuesOf(width, size)}${shape.tail}`, part.flat());
    }
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
  private later(text: string, params: unknown[]): void {
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
    const { connection } = this;
    this.connection = null;
    try {
      connection?.release();
    } catch {
      // It is gone already.
    }
  }
}

const valueTexts = new Map<string, string>();

/** `($1, $2), ($3, $4), …` */
function valuesOf(width: number, rows: number): string {
  const name = `${width}x${rows}`;
  let text = valueTexts.get(name);
  if (!text) {
    const row = (n: number) => `(${Array.from({ length: width }, (_, i) => `$${n * width + i + 1}`).join(', ')})`;
    text = Array.from({ length: rows }, (_, n) => row(n)).join(', ');
    valueTexts.set(name, text);
  }
  return text;
}
