import { and, count, desc, gte, lt, type SQL } from 'drizzle-orm';
import type { SQLiteColumn, SQLiteTable } from 'drizzle-orm/sqlite-core';
import type { Store } from './store.ts';

const WINDOW = 4000; // rows looked at per statement: a few milliseconds
export const COUNTED = 10_000; // counts are exact up to here
const BUDGET_MS = 3000;

/** A table whose text ids sort by age. */
export type Aged = SQLiteTable & { id: SQLiteColumn };

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

/** The lower end of the next window below `before`, null when the table ends first. */
async function windowEnd(store: Store, table: Aged, before: string | null): Promise<string | null> {
  const [end] = await store.read(tx =>
    tx
      .select({ id: table.id })
      .from(table)
      .where(before === null ? undefined : lt(table.id, before))
      .orderBy(desc(table.id))
      .limit(1)
      .offset(WINDOW - 1),
  );
  return end ? String(end.id) : null;
}

/** Walks a table from the newest id down in windows, so that no filter, however rare its rows, holds the thread. */
async function* windows(store: Store, table: Aged, before: string | null): AsyncGenerator<SQL | undefined> {
  let top = before;
  for (;;) {
    const end = await windowEnd(store, table, top);
    yield and(top === null ? undefined : lt(table.id, top), end === null ? undefined : gte(table.id, end));
    if (end === null) return;
    top = end;
    await turn();
  }
}

/** Ids of up to `limit` rows older than `before`, newest first. */
export async function newest(
  store: Store,
  table: Aged,
  where: SQL | undefined,
  before: string | null,
  limit: number,
): Promise<string[]> {
  const ids: string[] = [];
  for await (const within of windows(store, table, before)) {
    const rows = await store.read(tx =>
      tx
        .select({ id: table.id })
        .from(table)
        .where(and(within, where))
        .orderBy(desc(table.id))
        .limit(limit - ids.length),
    );
    ids.push(...rows.map(row => String(row.id)));
    if (ids.length >= limit) break;
  }
  return ids;
}

/** How many rows match: exact up to 10,000, and capped there or where counting took too long. */
export async function counted(
  store: Store,
  table: Aged,
  where: SQL | undefined,
): Promise<{ total: number; capped: boolean }> {
  const until = performance.now() + BUDGET_MS;
  let total = 0;
  for await (const within of windows(store, table, null)) {
    const [row] = await store.read(tx => tx.select({ n: count() }).from(table).where(and(within, where)));
    total += row?.n ?? 0;
    if (total > COUNTED) return { total: COUNTED, capped: true };
    if (performance.now() > until) return { total, capped: true };
  }
  return { total, capped: false };
}
