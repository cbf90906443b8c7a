import { meta } from '../db/schema.ts';
import { encodeAmong, query, writeAmong } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { enqueue } from '../jobs/queue.ts';
import { allProviders } from '../providers/index.ts';

export const EMPTY_JOB = 'deliveries.emptyUnapplied';
const MARK = 'unappliedBodiesEmptied'; // in `meta`: queued once
const ROWS = 500;

const applied = new Map(allProviders.map(({ id, types }) => [id, new Set(types.map(each => each.type))]));

/**
 * Has a job empty what an older version stored of types that are not applied, which may hold one-time codes. Once for each database;
 * call it before anybody is answered.
 */
export async function clearUnappliedOnce(tx: Tx, now: number): Promise<void> {
  const made = await tx
    .insert(meta)
    .values({ key: MARK, value: String(now) })
    .onConflictDoNothing()
    .returning();
  if (!made.length) return;
  const any = await query(tx, 'select delivery_id from payloads limit 1', []);
  if (any.length) await enqueue(tx, EMPTY_JOB, { after: '' }, now, EMPTY_JOB);
}

/** One step of the job: finds by reading, empties in a short write. */
export async function clearUnappliedStep(store: Store, payload: unknown): Promise<(tx: Tx) => Promise<unknown>> {
  const { after } = payload as { after: string }; // written here only
  const rows = await store.read(tx =>
    query(
      tx,
      `select p.delivery_id, d.provider, d.type, d.status, case when p.body is null then 1 else 0 end from payloads p join deliveries d on d.id = p.delivery_id where p.delivery_id > ? order by p.delivery_id limit ${ROWS}`,
      [after],
    ),
  );
  const ids = rows.flatMap(([id, provider, type, status, empty]) => {
    const isApplied = applied.get(provider as string)?.has(type as string) ?? false;
    return status === 'ignored' && !isApplied && !Number(empty) ? [id as string] : [];
  });
  return async tx => {
    if (ids.length)
      await query(tx, `update payloads set body = null where delivery_id ${writeAmong(tx)} returning delivery_id`, [
        encodeAmong(tx, ids),
      ]);
    return rows.length === ROWS ? { after: rows.at(-1)?.[0] } : null;
  };
}
