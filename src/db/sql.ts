import { type Placeholder, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { meta } from './schema.ts';
import { dialects, type Tx } from './store.ts';

export const isPostgres = (tx: Tx): boolean => dialects.get(tx) === 'postgres';

/**
 * The limit of a select of rows that this transaction is about to lease. On PostgreSQL rows that another instance is just leasing are
 * passed over instead of waited for; SQLite has one writer.
 */
export function limitForLease(tx: Tx, limit: number | Placeholder): number {
  const skip: SQL = sql`${limit} for update skip locked`;
  return (isPostgres(tx) ? skip : limit) as number; // drizzle renders what it is given
}

/**
 * Of transactions that take a turn at the same thing at the same time, on PostgreSQL all but one run again, after that one: for what is
 * decided by counting, or by the absence of a row.
 */
export async function takeTurn(tx: Tx, thing: string): Promise<void> {
  const turn = { key: `turn:${thing}`, value: '' };
  if (isPostgres(tx))
    await tx
      .insert(meta)
      .values(turn)
      .onConflictDoUpdate({ target: pickKey(meta.key), set: turn });
}

/** The limit of a select of rows that nobody else may change until this transaction ends; SQLite has one writer. */
export function limitLocked(tx: Tx, limit: number): number {
  const lock: SQL = sql`${limit} for update`;
  return (isPostgres(tx) ? lock : limit) as number; // as in `limitForLease`
}

/** The conflict target of an upsert: SQLite takes a column with its table's name, PostgreSQL only without. */
export const pickKey = <C extends SQLiteColumn>(column: C): C => sql`${sql.identifier(column.name)}` as unknown as C;
