import { AsyncLocalStorage } from 'node:async_hooks';
import type { ReservedSQL, SQL } from 'bun';
import { drizzle } from 'drizzle-orm/sqlite-proxy';
import type { Run } from './fast.ts';
import * as schema from './schema.ts';
import { type Entry, ReadAhead, type Shape, shapeOf } from './statements.ts';
import { dialects, direct, type Tx } from './store.ts';

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
  writes: { text: string; shape: Shape; params: unknown[] }[];
  /** Tables in `writes`: a read of them would have to see these writes. */
  wrote: Set<string>;
  value?: unknown;
  done: boolean;
}

interface Group {
  shape: Extract<Shape, { kind: 'insert' }>;
  rows: unknown[][];
}

/**
 * One connection that writes: some functions as if one after the other in one serialisable transaction, with few round trips. First
 * all of them are rehearsed side by side, their reads by key in flight together and their writes noted. Then, in turn, the noted
 * writes count where nothing that was read has been written by an earlier one; else the function runs again. Inserts wait and go out
 * together, several rows in one statement.
 */
export class Lane {
  private connection: ReservedSQL | null = null;
  private failed: unknown = null;
  private pending: Promise<unknown>[] = [];
  private ahead = new ReadAhead();
  private groups = new Map<string, Group>();
  private readonly tx: Tx;
  private readonly rehearsal: Tx;
  private readonly rehearsing = new AsyncLocalStorage<Rehearsal>();

  constructor(
    private readonly pool: SQL,
    private readonly turns: boolean,
  ) {
    this.tx = over((text, params, rows) => this.run(numbered(text), encodeAll(params), rows));
    this.rehearsal = over((text, params, rows) => this.note(numbered(text), encodeAll(params), rows));
  }

  /** @throws what any of the functions or the server threw: nothing was kept then */
  async transact(fns: Fn[]): Promise<unknown[]> {
    this.connection ??= await this.pool.reserve();
    this.failed = null;
    this.pending = [];
    try {
      this.later('begin isolation level serializable', []);
      if (this.turns) this.later(TURN, []);
      const rehearsals = fns.length > 1 ? await Promise.all(fns.map(fn => this.rehearse(fn))) : [];
      const values: unknown[] = [];
      for (const [i, fn] of fns.entries()) {
        const rehearsal = rehearsals[i];
        if (rehearsal?.done && rehearsal.reads.every(entry => entry.valid)) {
          for (const { text, shape, params } of rehearsal.writes) this.write(text, shape, params);
          values.push(rehearsal.value);
        } else values.push(await fn(this.tx));
        if (this.failed !== null) throw this.failed;
      }
      this.flush();
      this.later('commit', []);
      await Promise.all(this.pending);
      return values;
    } catch (error) {
      const cause = this.failed ?? error;
      await this.rollback();
      throw cause;
    } finally {
      this.ahead.clear();
      this.groups.clear();
    }
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
    if (!rehearsal || shape.kind === 'read' || (shape.kind !== 'point' && rows)) return Promise.reject(new Enough());
    if (shape.kind === 'point') {
      if (rehearsal.wrote.has(shape.table)) return Promise.reject(new Enough());
      const entry = this.ahead.entry(text, shape, params, () => this.ask(text, params));
      rehearsal.reads.push(entry);
      return entry.rows;
    }
    if (shape.kind === 'other') return Promise.reject(new Enough());
    rehearsal.wrote.add(shape.table);
    rehearsal.writes.push({ text, shape, params });
    return [];
  }

  private run(text: string, params: unknown[], rows: boolean): Rows | Promise<Rows> {
    const shape = shapeOf(text);
    if (shape.kind === 'point') {
      return this.ahead.entry(text, shape, params, () => {
        this.flush();
        return this.ask(text, params);
      }).rows;
    }
    if (!rows && shape.kind !== 'read') return this.write(text, shape, params);
    if (shape.kind !== 'read') this.forget(shape, params);
    this.flush();
    return this.ask(text, params);
  }

  private forget(shape: Shape, params: unknown[]): void {
    if (shape.kind === 'insert' || shape.kind === 'update') this.ahead.forget(shape, params);
    else this.ahead.clear();
  }

  private write(text: string, shape: Shape, params: unknown[]): Rows {
    this.forget(shape, params);
    if (shape.kind === 'insert') this.gather(text, shape, params);
    else {
      this.flush();
      this.later(text, params);
    }
    return [];
  }

  private gather(text: string, shape: Group['shape'], params: unknown[]): void {
    for (const [other, group] of this.groups) {
      if (other === text || group.shape.table !== shape.table) continue;
      this.send(group); // another kind of insert into this table may not pass
      this.groups.delete(other);
    }
    const group = this.groups.get(text);
    const at = shape.key === null ? -1 : (shape.set.get(shape.key) ?? -1);
    const twice = at >= 0 && group?.rows.some(row => row[at] === params[at]); // one statement may not update a row twice
    if (!group) this.groups.set(text, { shape, rows: [params] });
    else {
      if (twice) this.send(group);
      group.rows.push(params);
    }
  }

  /** Sends the inserts that wait: nothing may pass them. */
  private flush(): void {
    for (const group of this.groups.values()) this.send(group);
    this.groups.clear();
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
    if (this.failed !== null || !this.connection) throw this.failed ?? new Error('no transaction');
    try {
      return (await this.connection.unsafe(text, params as unknown[]).values()) as Rows;
    } catch (error) {
      this.failed ??= error;
      throw error;
    }
  }

  /** Sent and not waited for: an error is met at the next statement or before the commit's answer counts. */
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
    await Promise.allSettled(this.pending);
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
