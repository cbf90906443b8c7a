import { getTableColumns, getTableName } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { encodeAmong, execute, query, type SetColumn, updateRows, writeAmong } from '../db/sets.ts';
import { isPostgres } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';

type QueueTable = SQLiteTable & Record<'id' | 'dueAt' | 'attempts', SQLiteColumn>;
type Row<T extends QueueTable> = T['$inferSelect'];
type Name<T extends QueueTable> = keyof Row<T> & string;

export const LONGEST_DELAY_MS = 600_000;

/** Seconds, doubling from 2 s up to 10 min, half of it random so that retries do not come in waves. */
export function backoffMs(failures: number, random = Math.random()): number {
  const full = Math.min(LONGEST_DELAY_MS, 2000 * 2 ** (failures - 1));
  return Math.round(full / 2 + (full / 2) * random);
}

/** How a table is a queue. Conditions and settings are SQL as in the table's partial indexes, so that a database takes those. */
interface Description<T extends QueueTable, L extends Name<T>, C extends Name<T>> {
  /** Rows that are leased as soon as they are due, one condition for each index that is asked. */
  due: string[];
  /** Rows under a lease; where it is the same as `due`, a lease that runs out is due by itself. */
  held: string;
  /** Every row with a due date that may change with the clock. */
  open: string[];
  /** What a lease sets beside the attempt, its fence and its end; what makes a row free again; what any outcome sets. */
  lease?: string;
  free?: string;
  settled?: string;
  leaseMs: number;
  /** The counter that a lease raises and nothing lowers. An outage gives an attempt back only where it is another one. */
  fence: 'fence' | 'attempts';
  /** When one that was given back is due; absent: now. */
  soon?: number;
  /** What becomes of a row whose holder died: how long it waits after so many crashes in a row, and from how many on it is given up. */
  crashes?: { waitMs(crashes: number): number; dead: number };
  /** How often a row may fail, and how long it waits then. */
  retry?: { most: number; waitMs(failures: number): number };
  /** Columns that whoever chooses and whoever holds a row needs. */
  looks: readonly L[];
  holds: readonly C[];
}

/** A row as it was leased. */
interface Lease {
  id: string;
  attempts: number;
  fence?: number;
}

/** More of a statement: SQL with `?`, and its parameters. */
interface More {
  text: string;
  params?: unknown[];
}
const NOTHING: More = { text: '' };
const DUE_AT: SetColumn = { name: 'due_at', integer: true };

/** Somebody else has the row by now, or it was ended: nothing of the work may stay. */
export class LeaseLost extends Error {
  constructor(table: string, id: string) {
    super(`the lease of ${id} (${table}) is gone`);
    this.name = 'LeaseLost';
  }
}

const joinSettings = (...settings: string[]) => settings.filter(Boolean).join(', ');

/**
 * A table as a queue. All of it takes the caller's transaction. A lease counts the attempt before the work; whatever is written of the
 * work afterwards holds only while the row has the fence that it was leased with.
 */
class Queue<T extends QueueTable, L extends Name<T>, C extends Name<T>> {
  private readonly name: string;
  private readonly columns: Record<string, SQLiteColumn>;

  constructor(
    table: T,
    private readonly as: Description<T, L, C>,
  ) {
    this.name = getTableName(table);
    this.columns = getTableColumns(table);
  }

  /** True when a row is due; all that an idle server asks. */
  async anyDue(tx: Tx, now: number, { text, params = [] }: More = NOTHING): Promise<boolean> {
    for (const due of this.as.due) {
      const some = `select id from ${this.name} where ${due} and due_at <= ?${text && ` and ${text}`} limit 1`;
      if ((await query(tx, some, [now, ...params])).length) return true;
    }
    return false;
  }

  /** Rows that are due, the longest due first, and locked: those that somebody else is just leasing are passed over. */
  async findDue(tx: Tx, now: number, limit: number, { text, params = [] }: More = NOTHING): Promise<Pick<Row<T>, L>[]> {
    const { due, looks } = this.as;
    const found: Pick<Row<T>, L>[] = [];
    const lock = isPostgres(tx) ? ' for update skip locked' : '';
    for (const each of due) {
      const where = `${each} and due_at <= ?${text && ` and ${text}`}`;
      const all = `select ${this.listOf(looks)} from ${this.name} where ${where} order by due_at, id limit ?${lock}`;
      found.push(...this.toRows(looks, await query(tx, all, [now, ...params, limit])));
    }
    return found;
  }

  /** Leases chosen rows in one statement; `more` adds settings. */
  async lease(tx: Tx, ids: string[], now: number, { text, params = [] }: More = NOTHING): Promise<Pick<Row<T>, C>[]> {
    if (!ids.length) return [];
    const { leaseMs, lease = '', fence, holds } = this.as;
    const raised = joinSettings('attempts = attempts + 1', fence === 'fence' ? 'fence = fence + 1' : '');
    const settings = joinSettings('due_at = ?', raised, lease, text);
    const all = `update ${this.name} set ${settings} where id ${writeAmong(tx)} returning ${this.listOf(holds)}`;
    return this.toRows(holds, await query(tx, all, [now + leaseMs, ...params, encodeAmong(tx, ids)]));
  }

  /** Prolongs leases that are still held. */
  async renew(tx: Tx, rows: Lease[], now: number): Promise<void> {
    const values = rows.map(row => [row.id, this.fenceOf(row), now + this.as.leaseMs]);
    await this.settleAll(tx, [DUE_AT], values);
  }

  /** Writes the outcome of a lease, whatever it is. False: somebody else has the row by now, and nothing was written. */
  async settle(tx: Tx, row: Lease, set: Partial<T['$inferInsert']>): Promise<boolean> {
    const { settled = '', fence, held } = this.as;
    const given = Object.entries(set).filter(([, value]) => value !== undefined);
    const settings = joinSettings(settled, ...given.map(([key]) => `${this.column(key).name} = ?`));
    const values = given.map(([key, value]) => (value === null ? null : this.column(key).mapToDriverValue(value)));
    const text = `update ${this.name} set ${settings} where id = ? and ${fence} = ? and ${held} returning id`;
    return (await query(tx, text, [...values, row.id, this.fenceOf(row)])).length > 0;
  }

  /** `settle` for work that must leave nothing of itself otherwise. @throws LeaseLost */
  async complete(tx: Tx, row: Lease, set: Partial<T['$inferInsert']>): Promise<void> {
    if (!(await this.settle(tx, row, set))) throw new LeaseLost(this.name, row.id);
  }

  /** `settle` for many, each with values of its own: id, fence, and one for each of `given`; `rest` is set in all. Gives the ids that were held. */
  settleAll(tx: Tx, given: SetColumn[], rows: unknown[][], rest = ''): Promise<string[]> {
    const { fence, held } = this.as;
    return updateRows(tx, this.name, 'id', [{ name: fence, integer: true }, ...given], rows, {
      rest,
      fence: `${held} and t.${fence} = cast(v.v_${fence} as bigint)`,
      only: [fence],
    });
  }

  /** True when a row that failed so often is not tried again. */
  isSpent(failures: number): boolean {
    return failures >= (this.as.retry?.most ?? 0);
  }

  /** Has a row tried again after a pause, which grows with its failures. @throws LeaseLost */
  retry(tx: Tx, row: Lease, failures: number, now: number, set: Partial<T['$inferInsert']>): Promise<void> {
    return this.complete(tx, row, { ...set, dueAt: now + (this.as.retry?.waitMs(failures) ?? 0) });
  }

  /** The database was away, which is no fault of the rows: due at once, and the attempt does not count. What somebody else has by now stays theirs. */
  async giveBack(tx: Tx, rows: Lease[], now: number): Promise<void> {
    const { free = '', fence, soon = now } = this.as;
    const back = fence === 'fence' ? 'attempts = t.attempts - 1' : '';
    const values = rows.map(row => [row.id, this.fenceOf(row), soon]);
    await this.settleAll(tx, [DUE_AT], values, joinSettings(free, back));
  }

  /** Frees leases that ran out before `before`, or all (null) after a restart of the only process; each counts as a crash. Gives the ids of those to give up. */
  async rescue(tx: Tx, before: number | null, now: number): Promise<string[]> {
    const { free = '', held, soon = now, crashes } = this.as;
    const lapsed = before === null ? '' : ' and due_at < ?';
    const freed = joinSettings(free, 'crashes = crashes + 1', 'due_at = ?');
    const text = `update ${this.name} set ${freed} where ${held}${lapsed} returning id, crashes`;
    const lost = await query(tx, text, before === null ? [soon] : [soon, before]);
    const waits = lost.flatMap(([id, n]) => {
      const ms = crashes?.waitMs(Number(n)) ?? 0;
      return ms > 0 ? [[id, now + Math.round(ms)]] : [];
    });
    await updateRows(tx, this.name, 'id', [DUE_AT], waits);
    return lost.flatMap(([id, n]) => (crashes && Number(n) >= crashes.dead ? [String(id)] : []));
  }

  /** The clock was set back by `ms`: due dates and leases keep their distance from now. */
  async shiftClock(tx: Tx, ms: number): Promise<void> {
    for (const each of this.as.open)
      await execute(tx, `update ${this.name} set due_at = due_at - ? where ${each}`, [ms]);
  }

  /** Nothing is due later than `latest`: it would be, if the clock was far ahead when that was noted. */
  async capDueAt(tx: Tx, latest: number): Promise<void> {
    for (const each of this.as.open)
      await execute(tx, `update ${this.name} set due_at = ? where ${each} and due_at > ?`, [latest, latest]);
  }

  private fenceOf(row: Lease): number | undefined {
    return this.as.fence === 'fence' ? row.fence : row.attempts;
  }

  private column(key: string): SQLiteColumn {
    const found = this.columns[key];
    if (!found) throw new Error(`${this.name} has no column ${key}`);
    return found;
  }

  private listOf(keys: readonly string[]): string {
    return keys.map(key => this.column(key).name).join(', ');
  }

  /** The keys are columns of the table: what they hold is of its rows' types. */
  private toRows<K extends Name<T>>(keys: readonly K[], rows: unknown[][]): Pick<Row<T>, K>[] {
    const read = (key: K, value: unknown) => (value === null ? null : this.column(key).mapFromDriverValue(value));
    return rows.map(values => Object.fromEntries(keys.map((key, i) => [key, read(key, values[i])]))) as Pick<
      Row<T>,
      K
    >[];
  }
}

/** Makes a queue of a table. */
export const queue = <T extends QueueTable, L extends Name<T>, C extends Name<T>>(
  table: T,
  description: Description<T, L, C>,
): Queue<T, L, C> => new Queue(table, description);
