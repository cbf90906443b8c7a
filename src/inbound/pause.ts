import { and, count, eq, lte } from 'drizzle-orm';
import type { WriteKind } from '../audience/peopleWriter.ts';
import { deliveries, endpoints, unprocessed } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';

/** Due date of what waits for its endpoint to be resumed: later than any clock. */
export const NEVER = 8_640_000_000_000_000;

/** NEVER while the endpoint is paused. Looked up in the transaction: a resume that committed meanwhile must not be missed. */
export async function whenDue(tx: Tx, endpointId: string): Promise<number> {
  const [endpoint] = await tx.select({ paused: endpoints.paused }).from(endpoints).where(eq(endpoints.id, endpointId));
  return endpoint?.paused ? NEVER : 0;
}

/** Sets aside what is queued for an endpoint: part of pausing it. */
export async function holdQueued(tx: Tx, endpointId: string): Promise<void> {
  await tx
    .update(deliveries)
    .set({ dueAt: NEVER })
    .where(
      and(
        unprocessed('queued'),
        eq(deliveries.dueAt, 0),
        eq(deliveries.leased, false),
        eq(deliveries.endpointId, endpointId),
      ),
    );
}

/** Makes everything due that a pause set aside: part of resuming an endpoint. */
export async function releaseHeld(tx: Tx, endpointId: string): Promise<void> {
  await tx
    .update(deliveries)
    .set({ dueAt: 0 })
    .where(and(unprocessed('queued'), eq(deliveries.dueAt, NEVER), eq(deliveries.endpointId, endpointId)));
}

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
    for (const id of endpointIds) if ((await whenDue(tx, id)) === 0) await releaseHeld(tx, id);
  },
};

/** Deliveries due and not applied yet, counted up to 10,000. */
export async function backlogOf(tx: Tx, now: number): Promise<number> {
  const due = tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(unprocessed('queued'), lte(deliveries.dueAt, now)))
    .limit(10_000)
    .as('due');
  return (await tx.select({ n: count() }).from(due))[0]?.n ?? 0;
}
