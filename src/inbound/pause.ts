import { and, count, eq, inArray, lte } from 'drizzle-orm';
import type { WriteKind } from '../audience/peopleWriter.ts';
import { deliveries, endpoints, unprocessed } from '../db/schema.ts';
import { limitForLease } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';

/** Due date of what waits for its endpoint to be resumed: later than any clock. */
export const NEVER = 8_640_000_000_000_000;

/** NEVER while the endpoint is paused. Looked up in the transaction: a resume that committed meanwhile must not be missed. */
export async function findDueAt(tx: Tx, endpointId: string): Promise<number> {
  const [endpoint] = await tx.select({ paused: endpoints.paused }).from(endpoints).where(eq(endpoints.id, endpointId));
  return endpoint?.paused ? NEVER : 0;
}

const AT_ONCE = 500; // deliveries per write

/** Gives some queued deliveries of an endpoint another due date; true when there may be more of them. */
async function moveQueued(tx: Tx, endpointId: string, from: number, to: number): Promise<boolean> {
  const some = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(
      and(
        unprocessed('queued'),
        eq(deliveries.dueAt, from),
        eq(deliveries.leased, false),
        eq(deliveries.endpointId, endpointId),
      ),
    )
    .limit(limitForLease(tx, AT_ONCE));
  const ids = some.map(row => row.id);
  if (ids.length) await tx.update(deliveries).set({ dueAt: to }).where(inArray(deliveries.id, ids));
  return ids.length === AT_ONCE;
}

/** Sets aside some of what is queued for an endpoint, unless it is not paused any more. True when there may be more. */
export const holdQueued = async (tx: Tx, endpointId: string): Promise<boolean> =>
  (await findDueAt(tx, endpointId)) === NEVER && (await moveQueued(tx, endpointId, 0, NEVER));

/** Makes some due that a pause set aside, unless the endpoint is paused again. True when there may be more. */
export const releaseHeld = async (tx: Tx, endpointId: string): Promise<boolean> =>
  (await findDueAt(tx, endpointId)) === 0 && (await moveQueued(tx, endpointId, NEVER, 0));

export const HOLD_QUEUED_JOB = 'endpoints.hold';
export const RELEASE_HELD_JOB = 'endpoints.release';

/** Held by whoever sets deliveries of a paused endpoint aside, so that a resume can wait for those under way. */
export const pauseKey = (endpointId: string) => `pause:${endpointId}`;

/**
 * The same again after a resume was committed: a delivery that came at that moment, at another instance perhaps, was set aside by what
 * that instance had read before.
 */
export const releasing: WriteKind<string, string[]> = {
  async load(_tx, endpointIds, _salt, hold) {
    await hold(endpointIds.map(pauseKey));
    return [...new Set(endpointIds)];
  },
  keys: () => null,
  apply: () => null,
  async save(tx, endpointIds) {
    for (const id of endpointIds) await releaseHeld(tx, id);
  },
};

/** Deliveries due and not applied yet, counted up to 10,000. */
export async function countBacklog(tx: Tx, now: number): Promise<number> {
  const due = tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(unprocessed('queued'), lte(deliveries.dueAt, now)))
    .limit(10_000)
    .as('due');
  return (await tx.select({ n: count() }).from(due))[0]?.n ?? 0;
}
