import { encodeAmong, query, writeAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { enqueue } from '../jobs/queue.ts';

const AT_ONCE = 500; // deliveries
export const RELEASE_JOB = 'deliveries.release';

/** Deliveries that waited for these identities are due now; a job goes on where there are many. True: some are due. */
export async function releaseWaiting(tx: Tx, identityIds: string[], now: number): Promise<boolean> {
  if (!identityIds.length) return false;
  const { any, more } = await releaseSome(tx, identityIds);
  if (more) await enqueue(tx, RELEASE_JOB, { identityIds }, now);
  return any;
}

/** How many wait for these identities. */
export async function countWaiting(tx: Tx, identityIds: string[]): Promise<number> {
  if (!identityIds.length) return 0;
  const sql = `select count(*) from deliveries where status = 'waiting' and identity_id ${writeAmong(tx)}`;
  return Number((await query(tx, sql, [encodeAmong(tx, identityIds)]))[0]?.[0] ?? 0);
}

/** One step of the job. */
export async function releaseStep(tx: Tx, payload: unknown, _now: number): Promise<unknown> {
  const { identityIds } = payload as { identityIds: string[] }; // written here only
  return (await releaseSome(tx, identityIds)).more ? payload : null;
}

async function releaseSome(tx: Tx, identityIds: string[]): Promise<{ any: boolean; more: boolean }> {
  const rows = await query(
    tx,
    `update deliveries set status = 'queued', due_at = 0 where id in (select id from deliveries where status = 'waiting' and identity_id ${writeAmong(tx)} limit ${AT_ONCE}) returning id`,
    [encodeAmong(tx, identityIds)],
  );
  return { any: rows.length > 0, more: rows.length === AT_ONCE };
}
