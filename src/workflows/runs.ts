import { and, asc, count, eq, gt, gte, inArray, isNull, lte, sql } from 'drizzle-orm';
import { type Effect, runs } from '../db/schema.ts';
import { leasing } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import type { Cause, Who } from '../happenings.ts';
import { newId } from '../id.ts';

export type RunRow = typeof runs.$inferSelect;

const HOUR_MS = 3_600_000;
/** Runs that one contact may start within an hour: cuts workflows that start each other. */
export const MAX_AN_HOUR = 20;
const LEASE_MS = 60_000;
const CHUNK = 500; // rows of one step of bulk work

export interface Start {
  workflowId: string;
  rootNodeId: string;
  contact: Who;
  /** '' where a contact enters once for ever, else what started it. */
  entry: string;
  /** Its workflow is paused: it waits for the resume. */
  held: boolean;
  eventId: string | null;
}

/** Starts a run, once per entry. Gives what to show of it, null when it was started before. */
export async function startRun(tx: Tx, start: Start, cause: Cause, now: number): Promise<Effect | null> {
  const { workflowId, contact, entry } = start;
  const [recent] = await tx
    .select({ n: count() })
    .from(runs)
    .where(and(eq(runs.contactId, contact.id), gte(runs.createdAt, now - HOUR_MS)));
  const cut = Number(recent?.n ?? 0) >= MAX_AN_HOUR;
  const id = newId('run', now);
  const made = await tx
    .insert(runs)
    .values({
      id,
      workflowId,
      contactId: contact.id,
      entry,
      status: cut ? 'cut' : start.held ? 'held' : 'active',
      nodeId: start.rootNodeId,
      waiting: false,
      visits: 0,
      guards: [],
      dueAt: now,
      since: now,
      attempts: 0,
      eventId: start.eventId,
      deliveryId: cause.deliveryId,
      reason: cut ? `more than ${MAX_AN_HOUR} runs of this contact within an hour` : null,
      createdAt: now,
      endedAt: cut ? now : null,
    })
    .onConflictDoNothing()
    .returning({ id: runs.id });
  if (!made.length) return null;
  return { kind: cut ? 'workflow.cut' : 'workflow.started', workflowId, runId: id };
}

const due = () => sql`${runs.status} = 'active'`;

/** True when a run is due: all that an idle server asks. */
export async function anyRunDue(tx: Tx, now: number): Promise<boolean> {
  const rows = await prepare(tx, 'runDue', t =>
    t
      .select({ id: runs.id })
      .from(runs)
      .where(and(due(), lte(runs.dueAt, sql.placeholder('now'))))
      .limit(1)
      .prepare(),
  ).all({ now });
  return rows.length > 0;
}

/** Leases due runs, the longest due first; the start is counted and committed before the work. */
export async function claimRuns(tx: Tx, now: number, limit: number): Promise<RunRow[]> {
  const found = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(due(), lte(runs.dueAt, now)))
    .orderBy(asc(runs.dueAt), asc(runs.id))
    .limit(leasing(tx, limit));
  const ids = found.map(row => row.id);
  if (!ids.length) return [];
  return tx
    .update(runs)
    .set({ attempts: sql`${runs.attempts} + 1`, dueAt: now + LEASE_MS })
    .where(inArray(runs.id, ids))
    .returning();
}

/** Writes what became of a leased run. @throws Error when the lease is somebody else's by now: nothing of it may stay */
export async function settleRun(tx: Tx, { id, attempts }: RunRow, set: Partial<RunRow>): Promise<void> {
  const rows = await tx
    .update(runs)
    .set(set)
    .where(and(eq(runs.id, id), eq(runs.status, 'active'), eq(runs.attempts, attempts)))
    .returning({ id: runs.id });
  if (!rows.length) throw new LeaseLost(id);
}

/** Somebody else goes on with the run, or ended it. */
export class LeaseLost extends Error {
  constructor(id: string) {
    super(`the lease of run ${id} is gone`);
    this.name = 'LeaseLost';
  }
}

/** After a restart nobody holds a lease. One process per database only. */
export async function freeRuns(tx: Tx, now: number): Promise<void> {
  await tx
    .update(runs)
    .set({ dueAt: now })
    .where(and(due(), gt(runs.dueAt, now), lte(runs.dueAt, now + LEASE_MS), gt(runs.attempts, 0)));
}

/** The clock was set back: waits that began in what is the future now keep their length. True when there may be more. */
export async function followClock(tx: Tx, now: number): Promise<boolean> {
  const ahead = await tx
    .select({ id: runs.id, since: runs.since, dueAt: runs.dueAt })
    .from(runs)
    .where(and(due(), gt(runs.since, now)))
    .limit(CHUNK);
  for (const { id, since, dueAt } of ahead)
    await tx
      .update(runs)
      .set({ since: now, dueAt: dueAt - (since - now) })
      .where(eq(runs.id, id));
  return ahead.length === CHUNK;
}

/** Runs that are under way, at any node or at some. */
export async function openRuns(tx: Tx, workflowId: string, nodeIds: string[] | null): Promise<number> {
  if (nodeIds?.length === 0) return 0;
  const at = nodeIds === null ? undefined : inArray(runs.nodeId, nodeIds);
  const [row] = await tx
    .select({ n: count() })
    .from(runs)
    .where(and(eq(runs.workflowId, workflowId), isNull(runs.endedAt), at));
  return Number(row?.n ?? 0);
}

/** Bulk work: ends the runs that there were when it was asked for. */
export interface EndRuns {
  workflowId: string;
  /** null: wherever they stand. */
  nodeIds: string[] | null;
  reason: string;
  at: number;
  /** Ids above this are of later runs. */
  upTo: string;
}

/** One step of `workflows.end`; null when nothing is left. */
export async function endSome(tx: Tx, what: EndRuns): Promise<EndRuns | null> {
  const at = what.nodeIds === null ? undefined : inArray(runs.nodeId, what.nodeIds);
  const some = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.workflowId, what.workflowId), isNull(runs.endedAt), lte(runs.id, what.upTo), at))
    .limit(CHUNK);
  const ids = some.map(row => row.id);
  if (ids.length)
    await tx.update(runs).set({ status: 'exited', reason: what.reason, endedAt: what.at }).where(inArray(runs.id, ids));
  return ids.length === CHUNK ? what : null;
}

/** One step of `workflows.release`: who waited for the resume goes on. */
export async function releaseSome(tx: Tx, what: { workflowId: string }): Promise<{ workflowId: string } | null> {
  const some = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.workflowId, what.workflowId), sql`${runs.status} = 'held'`))
    .orderBy(asc(runs.dueAt))
    .limit(CHUNK);
  const ids = some.map(row => row.id);
  if (ids.length) await tx.update(runs).set({ status: 'active' }).where(inArray(runs.id, ids));
  return ids.length === CHUNK ? what : null;
}

/** Two contacts became one: their runs are the survivor's. Where both entered the same workflow, both runs stay. */
export async function mergeRuns(tx: Tx, from: string, to: string): Promise<void> {
  for (const { id, entry } of await tx.select().from(runs).where(eq(runs.contactId, from)))
    await tx
      .update(runs)
      .set({ contactId: to, entry: `${entry}:${id}` })
      .where(eq(runs.id, id));
}
