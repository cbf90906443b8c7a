import { and, eq, gt, inArray, lt, lte, sql } from 'drizzle-orm';
import { deliveries, payloads, unprocessed } from '../db/schema.ts';
import { SAME_FENCE, updateRows } from '../db/sets.ts';
import { leasing, takeTurn } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import { NEVER } from './pause.ts';

const LEASE_MS = 60_000; // a look-up takes 15 s at most
const MAX_CRASHES = 3;
const LAST_TRY_MS = 5000; // after two crashes: 5 to 10 s

export type Claimed = Pick<
  typeof deliveries.$inferSelect,
  | 'id'
  | 'endpointId'
  | 'provider'
  | 'externalId'
  | 'type'
  | 'occurredAt'
  | 'receivedAt'
  | 'attempts'
  | 'fence'
  | 'crashes'
  | 'replays'
  | 'identityId'
>;

/**
 * Leases up to `limit` due deliveries, oldest first; the attempt is counted and committed before the work. One that was under way
 * when the process died goes alone, one at a time, so that a delivery that kills the process takes no neighbour with it.
 */
export async function claim(tx: Tx, now: number, limit: number): Promise<Claimed[]> {
  const due = [
    ...(await dueOf(tx, 'lease').all({ status: 'queued', now, limit })),
    ...(await dueOf(tx, 'lease').all({ status: 'failed', now, limit: 4 })),
  ];
  const suspect = due.find(row => row.crashes > 0);
  const fresh = due.filter(row => row.crashes === 0).slice(0, limit);
  const goesAlone = suspect !== undefined && !(await suspectUnderWay(tx));
  if (goesAlone) await takeTurn(tx, 'suspect delivery');
  const chosen = goesAlone ? [suspect] : fresh;
  if (!chosen.length) return [];
  return tx
    .update(deliveries)
    .set({
      status: 'queued',
      leased: true,
      attempts: sql`${deliveries.attempts} + 1`,
      fence: sql`${deliveries.fence} + 1`,
      dueAt: now + LEASE_MS,
    })
    .where(
      inArray(
        deliveries.id,
        chosen.map(row => row.id),
      ),
    )
    .returning({
      id: deliveries.id,
      endpointId: deliveries.endpointId,
      provider: deliveries.provider,
      externalId: deliveries.externalId,
      type: deliveries.type,
      occurredAt: deliveries.occurredAt,
      receivedAt: deliveries.receivedAt,
      attempts: deliveries.attempts,
      fence: deliveries.fence,
      crashes: deliveries.crashes,
      replays: deliveries.replays,
      identityId: deliveries.identityId,
    });
}

const dueOf = (tx: Tx, purpose: 'look' | 'lease') =>
  prepare(tx, `due to ${purpose}`, t =>
    t
      .select({ id: deliveries.id, crashes: deliveries.crashes })
      .from(deliveries)
      .where(
        and(
          sql`${deliveries.status} <> 'processed'`, // lets SQLite use the partial index with a bound status
          eq(deliveries.status, sql.placeholder('status')),
          lte(deliveries.dueAt, sql.placeholder('now')),
          eq(deliveries.leased, false),
        ),
      )
      .orderBy(deliveries.dueAt, deliveries.id)
      .limit(purpose === 'lease' ? leasing(t, sql.placeholder('limit')) : sql.placeholder('limit'))
      .prepare(),
  );

/** With a due date of its own: neither 0 nor NEVER, which keeps the index range short. */
const dated = (status: 'queued' | 'failed') =>
  and(unprocessed(status), gt(deliveries.dueAt, 0), lt(deliveries.dueAt, NEVER));
const leased = () => and(dated('queued'), eq(deliveries.leased, true));

async function suspectUnderWay(tx: Tx): Promise<boolean> {
  const rows = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(leased(), gt(deliveries.crashes, 0)))
    .limit(1);
  return rows.length > 0;
}

/** True when a delivery is due and not leased. */
export async function anyDue(tx: Tx, now: number): Promise<boolean> {
  for (const status of ['queued', 'failed'])
    if ((await dueOf(tx, 'look').all({ status, now, limit: 1 })).length) return true;
  return false;
}

/** The stored bodies of claimed deliveries; null where there was no JSON, absent where it was pruned. */
export async function bodiesOf(tx: Tx, ids: string[]): Promise<Map<string, string | null>> {
  const rows = await tx
    .select({ id: payloads.deliveryId, body: payloads.body })
    .from(payloads)
    .where(inArray(payloads.deliveryId, ids));
  return new Map(rows.map(row => [row.id, row.body]));
}

/** Ends a lease. A lease that another worker took over meanwhile must not be ended: the whole transaction fails then. */
export async function finish(tx: Tx, row: Claimed, set: Partial<typeof deliveries.$inferInsert>): Promise<void> {
  const done = await tx
    .update(deliveries)
    .set({ ...set, leased: false })
    .where(and(eq(deliveries.id, row.id), eq(deliveries.leased, true), eq(deliveries.fence, row.fence)))
    .returning({ id: deliveries.id });
  if (!done.length) throw new Error(`the lease of delivery ${row.id} ran out while it was applied`);
}

/** Gives leases back untouched, after the database could not take the outcome. Those that another worker took over stay with it. */
export async function giveBack(tx: Tx, rows: Pick<Claimed, 'id' | 'fence'>[]): Promise<void> {
  const held = rows.map(({ id, fence }) => [id, fence]);
  await updateRows(tx, 'deliveries', 'id', [{ name: 'fence', integer: true }], held, {
    rest: 'leased = 0, due_at = 0, attempts = t.attempts - 1',
    fence: `t.leased = 1 and ${SAME_FENCE}`,
    only: ['fence'],
  });
}

/** After a crash (`before` null: all leases are void) or for leases that ran out: counts the crash, buries after three. */
export async function recover(tx: Tx, before: number | null, now: number): Promise<void> {
  const lost = await tx
    .update(deliveries)
    .set({ leased: false, dueAt: 0, crashes: sql`${deliveries.crashes} + 1` })
    .where(and(leased(), before === null ? undefined : lt(deliveries.dueAt, before)))
    .returning({ id: deliveries.id, crashes: deliveries.crashes });
  // The last try comes in a quieter moment, seconds after any start, so that kills from outside bury nobody who only happened to be there.
  const later = { dueAt: now + LAST_TRY_MS + Math.round(Math.random() * LAST_TRY_MS) };
  const last = eq(deliveries.crashes, MAX_CRASHES - 1);
  if (before === null)
    await tx
      .update(deliveries)
      .set(later)
      .where(and(dated('queued'), eq(deliveries.leased, false), last));
  const ids = lost.filter(row => row.crashes === MAX_CRASHES - 1).map(row => row.id);
  if (ids.length) await tx.update(deliveries).set(later).where(inArray(deliveries.id, ids));
  const buried = lost.filter(row => row.crashes >= MAX_CRASHES).map(row => row.id);
  if (!buried.length) return;
  const error = `Inlet stopped ${MAX_CRASHES} times while applying this. Replay it once the cause is mended.`;
  await tx
    .update(deliveries)
    .set({ status: 'dead', error, message: error, processedAt: now })
    .where(inArray(deliveries.id, buried));
}

/** The clock was set back by `ms`: what is to be tried again, and leases, keep their distance from now. */
export async function setBack(tx: Tx, ms: number): Promise<void> {
  for (const status of ['queued', 'failed'] as const)
    await tx
      .update(deliveries)
      .set({ dueAt: sql`${deliveries.dueAt} - ${ms}` })
      .where(dated(status));
}

/** Nothing is to be tried again later than `latest`: it would be, if the clock was far ahead when that was noted. */
export async function notLater(tx: Tx, latest: number): Promise<void> {
  for (const status of ['queued', 'failed'] as const)
    await tx
      .update(deliveries)
      .set({ dueAt: latest })
      .where(and(dated(status), gt(deliveries.dueAt, latest)));
}
