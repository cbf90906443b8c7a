import { and, count, desc, gte, inArray, lt, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { yieldTurn } from '../time.ts';
import type { Store } from './store.ts';

const WINDOW = { least: 250, first: 1000, most: 4000 }; // rows looked at per statement: 4000 take 3 ms in memory, 150 on a cold disk
const SLOW_MS = 12; // a window that took longer makes the next one half as large
const FEW = 400; // rows looked up at once by their ids: as quick, also where each lies on a page of its own
const SOME = 5000; // ids an index may name at once
const MANY = 20_000; // up to here it is told which index names fewer
export const COUNTED = 10_000; // counts are exact up to here
const BUDGET_MS = 3000;

/** A table whose text ids sort by age. */
export type Aged = SQLiteTable & { id: SQLiteColumn };

/** Rows that one index names. `from` holds ids of the searched table, its own or those of members. */
export interface Indexed {
  from: SQLiteTable;
  id: SQLiteColumn;
  where: SQL | undefined;
  /** The index goes on in the order of ids, so that it can be walked where it names many. */
  ordered: boolean;
}

/** Which rows are meant. Only `where` decides; the rest says where they can be found sooner. */
export interface Search {
  where?: SQL | undefined;
  /** A part of `where` that one index answers: tried first, in case it names few rows. */
  narrow?: SQL | undefined;
  /** More such parts, each with an index of its own: the one that names fewest rows is used. */
  indexes?: Indexed[] | undefined;
  /** One of `indexes` that says all that `where` says: counting needs no rows. */
  alone?: Indexed | undefined;
  /** No row that is meant has an id below this. */
  floor?: string | undefined;
  /** No row that is meant has an id from this on. (Mind that ids don't step back with the clock.) */
  ceiling?: string | undefined;
}

/** A column that no index is used for: inside a window the planner would read all rows of a value, again for every window. */
export const avoidIndex = (column: SQLiteColumn): SQL => sql`${column} || ''`;

/** How many rows an index names, counted up to `most`. */
async function countIndexed(store: Store, { from, where }: Indexed, most: number): Promise<number> {
  const [row] = await store.read(tx => {
    const some = tx
      .select({ one: sql<number>`1`.as('one') })
      .from(from)
      .where(where)
      .limit(most)
      .as('some');
    return tx.select({ n: count() }).from(some);
  });
  return Number(row?.n ?? 0);
}

/** The index that names fewest rows, and whether they are few enough to be looked up one by one. Null without any. */
async function chooseIndex(store: Store, table: Aged, { narrow, indexes = [] }: Search) {
  let found: { index: Indexed; rows: number; few: boolean } | null = null;
  if (narrow) {
    const index = { from: table, id: table.id, where: narrow, ordered: false };
    const rows = await countIndexed(store, index, FEW + 1);
    found = { index, rows: rows <= FEW ? rows : Number.POSITIVE_INFINITY, few: rows <= FEW };
  }
  for (const index of indexes) {
    if (found && found.rows <= FEW) break;
    const rows = await countIndexed(store, index, MANY + 1);
    if (!found || rows < found.rows) found = { index, rows, few: rows <= (index.ordered ? FEW : SOME) };
  }
  return found;
}

/** The lower end of the next window below `before`, null when the index ends first. */
async function findWindowEnd(
  store: Store,
  index: Indexed,
  before: string | null,
  rows: number,
): Promise<string | null> {
  const [end] = await store.read(tx =>
    tx
      .select({ id: index.id })
      .from(index.from)
      .where(and(index.where, before === null ? undefined : lt(index.id, before)))
      .orderBy(desc(index.id))
      .limit(1)
      .offset(rows - 1),
  );
  return end ? String(end.id) : null;
}

interface Window {
  within: SQL | undefined;
  /** Where the next one starts; null: this is the last. */
  rest: string | null;
}

/** Goes through the rows from the newest id down in windows, so that no filter, however rare its rows, holds the thread. */
async function* walkWindows(store: Store, table: Aged, search: Search, before: string | null): AsyncGenerator<Window> {
  const { floor, ceiling } = search;
  const top = ceiling !== undefined && (before === null || ceiling < before) ? ceiling : before;
  const found = await chooseIndex(store, table, search);
  if (found?.few) yield* walkNamed(store, table, found.index, top);
  else if (found?.index.ordered) yield* walkOrdered(store, table, found.index, top, floor);
  else yield* walkOrdered(store, table, null, top, floor);
}

/** Windows over the rows that an index names, all of which are looked up first. */
async function* walkNamed(
  store: Store,
  table: Aged,
  { from, id, where }: Indexed,
  top: string | null,
): AsyncGenerator<Window> {
  const rows = await store.read(tx => tx.select({ id }).from(from).where(where));
  const ids = rows.map(row => String(row.id)).filter(each => top === null || each < top);
  ids.sort((a, b) => (a < b ? 1 : -1));
  for (let i = 0; i < ids.length || i === 0; i += FEW) {
    const some = ids.slice(i, i + FEW);
    const last = i + FEW >= ids.length;
    yield { within: some.length ? inArray(table.id, some) : sql`1 = 0`, rest: last ? null : (some.at(-1) ?? null) };
    if (!last) await yieldTurn();
  }
}

/** Windows over an ordered index, null: over the table. */
async function* walkOrdered(
  store: Store,
  table: Aged,
  by: Indexed | null,
  start: string | null,
  floor: string | undefined,
): AsyncGenerator<Window> {
  const index = by ?? { from: table, id: table.id, where: undefined, ordered: true };
  let top = start;
  let size = WINDOW.first;
  for (;;) {
    const started = performance.now();
    const end = await findWindowEnd(store, index, top, size);
    const last = end === null || (floor !== undefined && end <= floor);
    const range = and(top === null ? undefined : lt(index.id, top), end === null ? undefined : gte(index.id, end));
    const within = index.from === table ? and(index.where, range) : inArray(table.id, selectIds(index, range));
    yield { within, rest: last ? null : end };
    if (last) return;
    top = end;
    const slow = performance.now() - started > SLOW_MS;
    size = slow ? Math.max(WINDOW.least, size / 2) : Math.min(WINDOW.most, size * 2);
    await yieldTurn();
  }
}

const selectIds = ({ from, id, where }: Indexed, range: SQL | undefined) =>
  sql`(select ${id} from ${from} where ${and(where, range) ?? sql`1 = 1`})`;

/** Ids of up to `limit` rows older than `before`, newest first. `rest`: look on below this id; null: there are no more. */
export async function scanNewest(
  store: Store,
  table: Aged,
  search: Search,
  before: string | null,
  limit: number,
): Promise<{ ids: string[]; rest: string | null }> {
  const until = performance.now() + BUDGET_MS;
  const ids: string[] = [];
  const look = async (within: SQL | undefined) => {
    const rows = await store.read(tx =>
      tx
        .select({ id: table.id })
        .from(table)
        .where(and(within, search.where))
        .orderBy(desc(table.id))
        .limit(limit - ids.length),
    );
    ids.push(...rows.map(row => String(row.id)));
  };
  for await (const { within, rest } of walkWindows(store, table, search, before)) {
    await look(within);
    if (ids.length >= limit) return { ids, rest: ids.at(-1) ?? null };
    if (rest !== null && performance.now() > until) return { ids, rest };
  }
  return { ids, rest: null };
}

/** How many rows match: exact up to 10,000, and capped there or where counting took too long. */
export async function countMatches(
  store: Store,
  table: Aged,
  search: Search,
): Promise<{ total: number; capped: boolean }> {
  if (search.alone) {
    const rows = await countIndexed(store, search.alone, COUNTED + 1);
    return { total: Math.min(rows, COUNTED), capped: rows > COUNTED };
  }
  const until = performance.now() + BUDGET_MS;
  const look = async (within: SQL | undefined) => {
    const where = and(within, search.where);
    const [row] = await store.read(tx => tx.select({ n: count() }).from(table).where(where));
    return Number(row?.n ?? 0);
  };
  let total = 0;
  for await (const { within, rest } of walkWindows(store, table, search, null)) {
    total += await look(within);
    if (total > COUNTED) return { total: COUNTED, capped: true };
    if (rest !== null && performance.now() > until) return { total, capped: true };
  }
  return { total, capped: false };
}
