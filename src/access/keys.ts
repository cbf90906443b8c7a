import { count, desc, eq } from 'drizzle-orm';
import { keys, type Scope } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, invalid, notFound } from '../errors.ts';
import { makeId, makeRandomText } from '../id.ts';
import { parseName } from '../plainName.ts';

export type Key = typeof keys.$inferSelect;

const RANDOM_CHARACTERS = 50; // base 36: 258 bits
const CHECK_CHARACTERS = 6;
const MAX_KEYS = 100;

/** SHA-256 in hex. Keys are random, so a slow hash would add nothing. */
export const hashKey = (key: string) => new Bun.CryptoHasher('sha256').update(key).digest('hex');

const appendCheck = (body: string) => `inlet_${body}${hashKey(body).slice(0, CHECK_CHARACTERS)}`;

/** Makes a key named `name` (1 to 100 characters) that may do what `scope` says. `key` is in the clear, here only; stored are its hash and a hint. @throws AppError invalid, conflict */
export async function createKey(
  tx: Tx,
  name: string,
  now: number,
  scope: Scope = 'all',
): Promise<{ row: Key; key: string }> {
  const trimmed = parseName(name);
  if (!trimmed || trimmed.length > 100) throw invalid('name: give the key a name of 1 to 100 characters.');
  const [all] = await tx.select({ n: count() }).from(keys);
  if ((all?.n ?? 0) >= MAX_KEYS)
    throw new AppError(
      'conflict',
      `There are ${MAX_KEYS} API keys, which is as many as there may be. Revoke one that is no longer used: GET /api/v1/keys shows lastUsedAt.`,
    );
  const key = appendCheck(makeRandomText(RANDOM_CHARACTERS));
  const row = {
    id: makeId('key', now),
    name: trimmed,
    hash: hashKey(key),
    hint: `inlet_…${key.slice(-4)}`,
    createdAt: now,
    scope,
  };
  const [stored] = await tx.insert(keys).values(row).returning();
  return { row: stored ?? { ...row, lastUsedAt: null }, key };
}

/** Newest first. */
export const listKeys = (tx: Tx): Promise<Key[]> => tx.select().from(keys).orderBy(desc(keys.createdAt), desc(keys.id));

/** Removes the key; it stops working at once. @throws AppError notFound */
export async function revokeKey(tx: Tx, id: string): Promise<Key> {
  const [row] = await tx.delete(keys).where(eq(keys.id, id)).returning();
  if (!row) throw notFound('Key');
  return row;
}

/** The stored key that `key` is, or null. */
export async function findKey(tx: Tx, key: string): Promise<Key | null> {
  const [row] = await tx
    .select()
    .from(keys)
    .where(eq(keys.hash, hashKey(key)));
  return row ?? null;
}
