import { randomBytes } from 'node:crypto';
import { insertRows, query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';

const SALT = 'erasureSalt'; // in `meta`; whoever lacks it can't tell whom a hash is of

/** What stands for a person, an address or a group of deliveries where nothing personal may: HMAC-SHA-256, hex. */
export const hashSubject = (salt: string, subject: string): string =>
  new Bun.CryptoHasher('sha256', salt).update(subject).digest('hex');

/** The key of those hashes; null: nothing was hashed yet. */
export const loadSalt = async (tx: Tx): Promise<string | null> =>
  ((await query(tx, 'select value from meta where key = ?', [SALT]))[0]?.[0] as string | undefined) ?? null;

/** The same, made when it is first asked for and never changed. */
export async function requireSalt(tx: Tx): Promise<string> {
  const known = await loadSalt(tx);
  if (known !== null) return known;
  await insertRows(
    tx,
    'meta',
    ['key', 'value'],
    [[SALT, randomBytes(32).toString('hex')]],
    'on conflict (key) do nothing',
  );
  return (await loadSalt(tx)) ?? '';
}

/** Notes that ids of persons and what ties them (`email:…`, `user:…`, `id:…`) were erased. */
export async function addTombstones(tx: Tx, values: string[], now: number): Promise<void> {
  const salt = await requireSalt(tx);
  const rows = [...new Set(values)].map(value => [hashSubject(salt, value), now]);
  await insertRows(
    tx,
    'tombstones',
    ['hash', 'erased_at'],
    rows,
    'on conflict (hash) do update set erased_at = excluded.erased_at',
  );
}
