import { createHmac, randomBytes } from 'node:crypto';
import { eq, inArray, sql } from 'drizzle-orm';
import { meta, tombstones } from '../db/schema.ts';
import { onKey } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';

const SALT = 'erasureSalt'; // in `meta`, made with the first tombstone: no salt, nobody erased

const hashOf = (salt: string, value: string) => createHmac('sha256', salt).update(value).digest('hex');

async function saltOf(tx: Tx): Promise<string | null> {
  const row = await prepare(tx, 'erasureSalt', t =>
    t
      .select({ value: meta.value })
      .from(meta)
      .where(eq(meta.key, sql.placeholder('key')))
      .prepare(),
  ).get({ key: SALT });
  return row?.value ?? null;
}

/** Notes that ids of persons and what ties them (`email:…`, `user:…`, `id:…`) were erased. */
export async function bury(tx: Tx, values: string[], now: number): Promise<void> {
  await tx
    .insert(meta)
    .values({ key: SALT, value: randomBytes(32).toString('hex') })
    .onConflictDoNothing();
  const salt = (await saltOf(tx)) ?? '';
  for (const value of values)
    await tx
      .insert(tombstones)
      .values({ hash: hashOf(salt, value), erasedAt: now })
      .onConflictDoUpdate({ target: onKey(tombstones.hash), set: { erasedAt: now } });
}

/** Whether one of these persons was erased, for good, or one of these ties after `at`: who comes with it later is somebody new. */
export async function erasedAmong(tx: Tx, persons: string[], ties: string[], at: number): Promise<boolean> {
  const salt = await saltOf(tx);
  if (salt === null) return false;
  const forGood = new Set(persons.map(value => hashOf(salt, value)));
  const hashes = [...forGood, ...ties.map(value => hashOf(salt, value))];
  const rows = hashes.length ? await tx.select().from(tombstones).where(inArray(tombstones.hash, hashes)) : [];
  return rows.some(({ hash, erasedAt }) => forGood.has(hash) || erasedAt >= at);
}
