import { and, eq, inArray, lt, lte } from 'drizzle-orm';
import { idempotencyKeys } from './db/schema.ts';
import type { Tx } from './db/store.ts';
import { AppError } from './errors.ts';

const WINDOW_MS = 24 * 3_600_000;

const hashOf = (scope: string, key: string) => new Bun.CryptoHasher('sha256').update(`${scope}\n${key}`).digest('hex');

/**
 * Notes that a caller's key was used for `scope`, in the transaction of what it was used for: a failure leaves no trace. `key` holds
 * whose it is; rows of versions without that match nothing any more and age out.
 * @throws AppError conflict when it was used within 24 hours
 */
export async function useIdempotencyKey(tx: Tx, scope: string, key: string, now: number): Promise<void> {
  const hash = hashOf(scope, key);
  await tx
    .delete(idempotencyKeys)
    .where(and(eq(idempotencyKeys.hash, hash), lte(idempotencyKeys.createdAt, now - WINDOW_MS)));
  const [row] = await tx
    .insert(idempotencyKeys)
    .values({ hash, scope, createdAt: now })
    .onConflictDoNothing()
    .returning({ hash: idempotencyKeys.hash });
  if (!row) throw new AppError('conflict', 'Idempotency key already used with a different request body.');
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
