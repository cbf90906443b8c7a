import { and, eq, gt, inArray, lt } from 'drizzle-orm';
import { deliveries, payloads, unprocessed } from '../db/schema.ts';
import { takeTurn } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { backoffMs, queue } from '../queue/queue.ts';
import { NEVER } from './pause.ts';

const MAX_CRASHES = 3;
const LAST_TRY_MS = 5000; // after two crashes: 5 to 10 s
const DELIVERY = [
  ...(['id', 'endpointId', 'provider', 'externalId', 'type', 'occurredAt', 'receivedAt'] as const),
  ...(['attempts', 'fence', 'crashes', 'replays', 'identityId'] as const),
] as const;

export type Claimed = Pick<typeof deliveries.$inferSelect, (typeof DELIVERY)[number]>;

// The first half lets a database use the partial index; a due date of its own, neither 0 nor NEVER, keeps its range short.
const inState = (status: 'queued' | 'failed') => `status <> 'processed' and status = '${status}'`;
const matchDated = (status: 'queued' | 'failed') => `${inState(status)} and due_at > 0 and due_at < ${NEVER}`;

/** The last try comes in a quieter moment, seconds after any start, so that kills from outside bury nobody who only happened to be there. */
const lastTryMs = () => LAST_TRY_MS * (1 + Math.random());

export const deliveryQueue = queue(deliveries, {
  due: [`${inState('queued')} and leased = 0`, `${inState('failed')} and leased = 0`],
  held: `${matchDated('queued')} and leased = 1`,
  open: [matchDated('queued'), matchDated('failed')],
  lease: `status = 'queued', leased = 1`,
  free: 'leased = 0',
  settled: 'leased = 0',
  soon: 0,
  leaseMs: 60_000, // a look-up takes 15 s at most
  fence: 'fence',
  crashes: { waitMs: n => (n === MAX_CRASHES - 1 ? lastTryMs() : 0), dead: MAX_CRASHES },
  retry: { most: 5, waitMs: backoffMs },
  looks: ['id', 'crashes'],
  holds: DELIVERY,
});

/**
 * Leases up to `limit` due deliveries, oldest first; the attempt is counted and committed before the work. One that was under way
 * when the process died goes alone, one at a time, so that a delivery that kills the process takes no neighbour with it.
 */
export async function claim(tx: Tx, now: number, limit: number): Promise<Claimed[]> {
  const due = await deliveryQueue.findDue(tx, now, limit);
  const suspect = due.find(row => row.crashes > 0);
  const fresh = due.filter(row => row.crashes === 0).slice(0, limit);
  const goesAlone = suspect !== undefined && !(await hasSuspectUnderWay(tx));
  if (goesAlone) await takeTurn(tx, 'suspect delivery');
  const chosen = goesAlone ? [suspect] : fresh;
  return deliveryQueue.lease(
    tx,
    chosen.map(row => row.id),
    now,
  );
}

const waiting = () => and(unprocessed('queued'), gt(deliveries.dueAt, 0), lt(deliveries.dueAt, NEVER));

async function hasSuspectUnderWay(tx: Tx): Promise<boolean> {
  const rows = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(waiting(), eq(deliveries.leased, true), gt(deliveries.crashes, 0)))
    .limit(1);
  return rows.length > 0;
}

/** The stored bodies of claimed deliveries; null where there was no JSON, absent where it was pruned. */
export async function loadBodies(tx: Tx, ids: string[]): Promise<Map<string, string | null>> {
  const rows = await tx
    .select({ id: payloads.deliveryId, body: payloads.body })
    .from(payloads)
    .where(inArray(payloads.deliveryId, ids));
  return new Map(rows.map(row => [row.id, row.body]));
}

/** After a crash (`before` null: all leases are void) or for leases that ran out: counts the crash, buries after three. */
export async function recover(tx: Tx, before: number | null, now: number): Promise<void> {
  if (before === null)
    await tx
      .update(deliveries)
      .set({ dueAt: now + Math.round(lastTryMs()) })
      .where(and(waiting(), eq(deliveries.leased, false), eq(deliveries.crashes, MAX_CRASHES - 1)));
  const buried = await deliveryQueue.rescue(tx, before, now);
  if (!buried.length) return;
  const error = `Inlet stopped ${MAX_CRASHES} times while applying this. Replay it once the cause is mended.`;
  await tx
    .update(deliveries)
    .set({ status: 'dead', error, message: error, processedAt: now })
    .where(inArray(deliveries.id, buried));
}
