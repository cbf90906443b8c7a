import { and, count, desc, gte, inArray, lt, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Store } from './store.ts';

const WINDOW = { least: 250, first: 1000, most: 4000 }; // rows looked at per statement: 4000 take 3 ms in memory, 150 on a cold disk
const SLOW_MS = 12; // a window that took longer makes the next one half as large
const FEW = 400; // rows an index may name at once: as quick, also where each lies on a page of its own
export const COUNTED = 10_000; // counts are exact up to here
const BUDGET_MS = 3000;

/** A table whose text ids sort by age. */
export type Aged = SQLiteTable & { id: SQLiteColumn };

/** Which rows are meant. Only `where` decides; the rest says where they can be found sooner. */
export interface Search {
  where?: SQL | undefined;
  /** A part of `where` that one index answers: tried first, in case it names few rows. */
  narrow?: SQL | undefined;
  /** No row that is meant has an id below this. (An upper end can't be told: ids don't step back with the clock.) */
  floor?: string | undefined;
}

/** A column that no index is used for: inside a window the planner would read all rows of a value, again for every window. */
export const unindexed = (column: SQLiteColumn): SQL => sql`${column} || ''`;

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

/** The rows themselves, where an index names few; null where it does not. */
async function few(store: Store, table: Aged, { narrow }: Search): Promise<SQL | null> {
  if (!narrow) return null;
  const rows = await store.read(tx =>
    tx
      .select({ id: table.id })
      .from(table)
      .where(narrow)
      .limit(FEW + 1),
  );
  if (rows.length > FEW) return null;
  const ids = rows.map(row => row.id);
  return ids.length ? inArray(table.id, ids) : sql`1 = 0`;
}

/** The lower end of the next window below `before`, null when the table ends first. */
async function windowEnd(store: Store, table: Aged, before: string | null, rows: number): Promise<string | null> {
  const [end] = await store.read(tx =>
    tx
      .select({ id: table.id })
      .from(table)
      .where(before === null ? undefined : lt(table.id, before))
      .orderBy(desc(table.id))
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

/** Walks a table from the newest id down in windows, so that no filter, however rare its rows, holds the thread. */
async function* windows(store: Store, table: Aged, search: Search, before: string | null): AsyncGenerator<Window> {
  const { floor } = search;
  let top = before;
  let size = WINDOW.first;
  for (;;) {
    const started = performance.now();
    const end = await windowEnd(store, table, top, size);
    const last = end === null || (floor !== undefined && end <= floor);
    const within = and(top === null ? undefined : lt(table.id, top), end === null ? undefined : gte(table.id, end));
    yield { within, rest: last ? null : end };
    if (last) return;
    top = end;
    const slow = performance.now() - started > SLOW_MS;
    size = slow ? Math.max(WINDOW.least, size / 2) : Math.min(WINDOW.most, size * 2);
    await turn();
  }
}

/** Ids of up to `limit` rows older than `before`, newest first. `rest`: look on below this id; null: there are no more. */
export async function newest(
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
  const rare = await few(store, table, search);
  if (rare) {
    await look(and(rare, before === null ? undefined : lt(table.id, before)));
    return { ids, rest: ids.length < limit ? null : (ids.at(-1) ?? null) };
  }
  for await (const { within, rest } of windows(store, table, search, before)) {
    await look(within);
    if (ids.length >= limit) return { ids, rest: ids.at(-1) ?? null };
    if (rest !== null && performance.now() > until) return { ids, rest };
  }
  return { ids, rest: null };
}

/** How many rows match: exact up to 10,000, and capped there or where counting took too long. */
export async function counted(store: Store, table: Aged, search: Search): Promise<{ total: number; capped: boolean }> {
  const until = performance.now() + BUDGET_MS;
  const look = async (within: SQL | undefined) => {
    const where = and(within, search.where);
    const [row] = await store.read(tx => tx.select({ n: count() }).from(table).where(where));
    return row?.n ?? 0;
  };
  const rare = await few(store, table, search);
  if (rare) return { total: await look(rare), capped: false };
  let total = 0;
  for await (const { within, rest } of windows(store, table, search, null)) {
    total += await look(within);
    if (total > COUNTED) return { total: COUNTED, capped: true };
    if (rest !== null && performance.now() > until) return { total, capped: true };
  }
  return { total, capped: false };
}
