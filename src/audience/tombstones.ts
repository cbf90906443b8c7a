import { createHmac, randomBytes } from 'node:crypto';
import { insertRows, query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';

const SALT = 'erasureSalt'; // in `meta`; whoever lacks it can't tell whom a hash is of

/** What stands for a person, an address or a group of deliveries where nothing personal may: HMAC-SHA-256, hex. */
export const hashSubject = (salt: string, subject: string): string =>
  createHmac('sha256', salt).update(subject).digest('hex');

/** The key of those hashes where there is one: all that may be asked for in a read. */
export const saltOf = async (tx: Tx): Promise<string | undefined> =>
  (await query(tx, 'select value from meta where key = ?', [SALT]))[0]?.[0] as string | undefined;

/** The key of those hashes, made when it is first asked for and never changed. */
export async function requireSalt(tx: Tx): Promise<string> {
  const known = await saltOf(tx);
  if (known !== undefined) return known;
  await insertRows(
    tx,
    'meta',
    ['key', 'value'],
    [[SALT, randomBytes(32).toString('hex')]],
    'on conflict (key) do nothing',
  );
  return (await saltOf(tx)) ?? '';
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
