import { and, asc, count, eq, getTableColumns, gt, inArray, isNull, lt, lte, sql } from 'drizzle-orm';
import { type RunStatus, runs, steps } from '../db/schema.ts';
import { limitLocked } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import { releaseOfWorkflows } from '../mail/leases.ts';
import { LeaseLost, queue } from '../queue/queue.ts';

export type RunRow = typeof runs.$inferSelect;

const LEASE_MS = 60_000;
const BACK_OFF_MS = 10_000; // doubled with each failure
const CHUNK = 500; // rows of one step of bulk work
const COUNTED_RUNS = 100_000;

/** Runs of one status. The first half is true of all and keeps the index for this, which is a trap for other queries, to those that ask for it. */
export const matchStatus = (status: RunStatus) => sql`(${runs.status} <> '' and ${runs.status} = ${status})`;

const matchDue = () => sql`${runs.status} = 'active'`;

/** When the next run is due (ms since 1970), null when none is under way: all that an idle server asks. */
export async function findNextRunDue(tx: Tx): Promise<number | null> {
  const row = await prepare(tx, 'runDue', t =>
    t
      .select({ dueAt: runs.dueAt })
      .from(runs)
      .where(matchDue())
      .orderBy(asc(runs.dueAt), asc(runs.id))
      .limit(1)
      .prepare(),
  ).get();
  return row?.dueAt ?? null;
}

export const runQueue = queue(runs, {
  due: [`status = 'active'`],
  held: `status = 'active'`,
  open: [], // a wait may last a year: `followClock` goes by when it began
  // Whoever did not hear of their commit has nothing to give back: a wait that began with it would end at once.
  settled: 'fence = fence + 1',
  leaseMs: LEASE_MS,
  fence: 'fence',
  retry: { most: 5, waitMs: failures => BACK_OFF_MS * 2 ** (failures - 1) },
  looks: ['id'],
  holds: Object.keys(getTableColumns(runs)) as (keyof RunRow)[],
});

/** Leases due runs, the longest due first; the start is counted and committed before the work. */
export async function claimRuns(tx: Tx, now: number, limit: number): Promise<RunRow[]> {
  const found = await runQueue.findDue(tx, now, limit);
  const ids = found.map(row => row.id);
  return runQueue.lease(tx, ids, now, { text: 'since = ?', params: [now] });
}

/** The contact of a leased run as it is now: a merge may have moved it since the claim. @throws LeaseLost */
export async function lockRun(tx: Tx, run: RunRow): Promise<string> {
  const found = await prepare(tx, 'runLocked', t =>
    t
      .select({ status: runs.status, fence: runs.fence, contactId: runs.contactId })
      .from(runs)
      .where(eq(runs.id, sql.placeholder('id')))
      .limit(limitLocked(tx, 1))
      .prepare(),
  ).get({ id: run.id });
  if (found?.status !== 'active' || Number(found.fence) !== run.fence) throw new LeaseLost('runs', run.id);
  return found.contactId;
}

/** Writes one step. */
export async function addStep(tx: Tx, step: typeof steps.$inferInsert): Promise<void> {
  await prepare(tx, 'step+', t =>
    t
      .insert(steps)
      .values({
        runId: sql.placeholder('runId'),
        visit: sql.placeholder('visit'),
        workflowId: sql.placeholder('workflowId'),
        nodeId: sql.placeholder('nodeId'),
        typeName: sql.placeholder('typeName'),
        outcome: sql.placeholder('outcome'),
        detail: sql.placeholder('detail'),
        at: sql.placeholder('at'),
        doneAt: sql.placeholder('doneAt'),
      })
      .prepare(),
  ).run({ ...step });
}

/** The timer of a step is over. */
export async function endWait(tx: Tx, runId: string, visit: number, now: number): Promise<void> {
  await prepare(tx, 'step=', t =>
    t
      .update(steps)
      .set({ outcome: 'waited', doneAt: sql.placeholder('now') as never })
      .where(and(eq(steps.runId, sql.placeholder('runId')), eq(steps.visit, sql.placeholder('visit'))))
      .prepare(),
  ).run({ runId, visit, now });
}

/**
 * After a restart nobody holds a lease. A start that a kill cut off does not count: a step is short and bounded, and whoever is first
 * in line would be given up after some restarts in a row. One process per database only.
 */
export async function freeRuns(tx: Tx, now: number): Promise<void> {
  await tx
    .update(runs)
    .set({ dueAt: now, attempts: sql`${runs.attempts} - 1` })
    .where(and(matchDue(), gt(runs.dueAt, now), lte(runs.dueAt, now + LEASE_MS), gt(runs.attempts, 0)));
}

/** The clock was set back: waits that began in what is the future now keep their length. True when there may be more. */
export async function followClock(tx: Tx, now: number): Promise<boolean> {
  const ahead = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(matchDue(), gt(runs.since, now)))
    .limit(CHUNK);
  const ids = ahead.map(row => row.id);
  if (ids.length)
    await tx
      .update(runs)
      .set({ since: now, dueAt: sql`${runs.dueAt} - (${runs.since} - ${now})` })
      .where(inArray(runs.id, ids));
  return ids.length === CHUNK;
}

/** Runs that are under way, at any node or at some; counted up to `COUNTED_RUNS`, which takes an index a few ms. */
export async function openRuns(tx: Tx, workflowId: string, nodeIds: string[] | null): Promise<number> {
  if (nodeIds?.length === 0) return 0;
  const at = nodeIds === null ? undefined : inArray(runs.nodeId, nodeIds);
  const some = tx
    .select({ nodeId: runs.nodeId })
    .from(runs)
    .where(and(eq(runs.workflowId, workflowId), isNull(runs.endedAt), at))
    .limit(COUNTED_RUNS)
    .as('some');
  const [row] = await tx.select({ n: count() }).from(some);
  return Number(row?.n ?? 0);
}

/** Bulk work: ends the runs that there were when it was asked for, told by their epoch. */
export interface EndRuns {
  workflowId: string;
  /** null: wherever they stand. */
  nodeIds: string[] | null;
  reason: string;
  at: number;
  /** Runs of this epoch and later ones stay; null: all end. A release that went by ids left it out. */
  before?: number | null;
}

/** One step of `workflows.end`; null when nothing is left. Mails that were held for a pause find out that it was stopped. */
export async function endSome(tx: Tx, what: EndRuns): Promise<EndRuns | null> {
  const released = await releaseOfWorkflows(tx, what.at, CHUNK);
  const at = what.nodeIds === null ? undefined : inArray(runs.nodeId, what.nodeIds);
  const earlier = typeof what.before === 'number' ? lt(runs.epoch, what.before) : undefined;
  const some = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.workflowId, what.workflowId), isNull(runs.endedAt), earlier, at))
    .limit(CHUNK);
  const ids = some.map(row => row.id);
  if (ids.length) {
    await tx.update(runs).set({ status: 'exited', reason: what.reason, endedAt: what.at }).where(inArray(runs.id, ids));
    await tx
      .update(steps)
      .set({ outcome: 'ended', doneAt: what.at })
      .where(and(inArray(steps.runId, ids), isNull(steps.doneAt)));
  }
  return ids.length === CHUNK || released === CHUNK ? what : null;
}

/** One step of `workflows.release`: who waited for the resume goes on, and what was to be mailed. */
export async function releaseSome(
  tx: Tx,
  what: { workflowId: string },
  now: number,
): Promise<{ workflowId: string } | null> {
  const released = await releaseOfWorkflows(tx, now, CHUNK);
  const some = await tx
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.workflowId, what.workflowId), sql`${runs.status} = 'held'`))
    .orderBy(asc(runs.dueAt))
    .limit(CHUNK);
  const ids = some.map(row => row.id);
  if (ids.length) await tx.update(runs).set({ status: 'active' }).where(inArray(runs.id, ids));
  return ids.length === CHUNK || released === CHUNK ? what : null;
}

/**
 * Two contacts became one: their runs are the survivor's, and who entered once for ever stays entered. Where both entered the same
 * workflow, both runs stay.
 */
export async function mergeRuns(tx: Tx, from: string, to: string): Promise<void> {
  const theirs = tx
    .select({ taken: sql`${runs.workflowId} || ' ' || ${runs.entry}` })
    .from(runs)
    .where(eq(runs.contactId, to));
  await tx
    .update(runs)
    .set({ entry: sql`${runs.entry} || ':' || ${runs.id}` })
    .where(and(eq(runs.contactId, from), inArray(sql`${runs.workflowId} || ' ' || ${runs.entry}`, theirs)));
  await tx.update(runs).set({ contactId: to }).where(eq(runs.contactId, from));
}
