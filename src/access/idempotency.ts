import { inArray, lt } from 'drizzle-orm';
import { idempotencyKeys } from '../db/schema.ts';
import { insertRows, selectAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';

const WINDOW_MS = 24 * 3_600_000;

interface IdempotencyKey {
  /** What it was used for, and by which API key. */
  scope: string;
  key: string;
}

export const hashIdempotencyKey = ({ scope, key }: IdempotencyKey): string =>
  new Bun.CryptoHasher('sha256').update(`${scope}\n${key}`).digest('hex');

/** Which of these were used, until when that counts (ms). */
export async function findUsedKeys(tx: Tx, hashes: string[]): Promise<Map<string, number>> {
  const rows = await selectAmong(tx, 'select hash, created_at from idempotency_keys where hash', hashes);
  return new Map(rows.map(([hash, at]) => [hash as string, Number(at) + WINDOW_MS]));
}

/** Notes keys, in the transaction of what they were used for: a failure leaves no trace. */
export async function keepIdempotencyKeys(tx: Tx, keys: { hash: string; scope: string }[], now: number): Promise<void> {
  const rows = keys.map(({ hash, scope }) => [hash, scope, now]);
  const again = 'on conflict (hash) do update set created_at = excluded.created_at';
  await insertRows(tx, 'idempotency_keys', ['hash', 'scope', 'created_at'], rows, again);
}

/** Removes up to `limit` keys past their time. Returns how many. */
export async function pruneIdempotencyKeys(tx: Tx, now: number, limit: number): Promise<number> {
  const old = await tx
    .select({ hash: idempotencyKeys.hash })
    .from(idempotencyKeys)
    .where(lt(idempotencyKeys.createdAt, now - WINDOW_MS))
    .limit(limit);
  const hashes = old.map(row => row.hash);
  if (hashes.length) await tx.delete(idempotencyKeys).where(inArray(idempotencyKeys.hash, hashes));
  return hashes.length;
}
