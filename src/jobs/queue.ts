import { and, asc, eq, gt, gte, inArray, lt, lte, ne, sql } from 'drizzle-orm';
import { jobs } from '../db/schema.ts';
import { leasing } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import { idAt, newId } from '../id.ts';

export type Job = Pick<typeof jobs.$inferSelect, 'id' | 'kind' | 'payload' | 'attempts' | 'fence'>;

export const MAX_JOB_STARTS = 5;
const LEASE_MS = 60_000;
const AFTER_CRASHES_MS = 5000; // from the second crash in a row on: 5 to 10 s

/** Adds a job in the caller's own transaction. With a `uniqueKey` a second one is not added. */
export async function enqueue(
  tx: Tx,
  kind: string,
  payload: unknown,
  now: number,
  uniqueKey: string | null = null,
): Promise<void> {
  await tx
    .insert(jobs)
    .values({
      id: newId('job', now),
      kind,
      uniqueKey,
      payload,
      status: 'queued',
      dueAt: now,
      attempts: 0,
      createdAt: now,
    })
    .onConflictDoNothing();
}

/** True when a job is due. */
export async function anyJobDue(tx: Tx, now: number): Promise<boolean> {
  const due = await prepare(tx, 'jobDue', t =>
    t
      .select({ id: jobs.id })
      .from(jobs)
      .where(and(sql`${jobs.status} = 'queued'`, lte(jobs.dueAt, sql.placeholder('now'))))
      .limit(1)
      .prepare(),
  ).all({ now });
  return due.length > 0;
}

/**
 * Leases one due job; the start is counted and committed before the work. One that was started too often and never ended has killed
 * the process each time: it is handed to `bury` instead.
 */
export async function claimJob(tx: Tx, now: number, bury: (tx: Tx, job: Job) => Promise<void> = buryJob) {
  for (;;) {
    const [due] = await tx
      .select(JOB)
      .from(jobs)
      .where(and(eq(jobs.status, 'queued'), lte(jobs.dueAt, now)))
      .orderBy(asc(jobs.dueAt), asc(jobs.id))
      .limit(leasing(tx, 1));
    if (!due) return null;
    if (due.attempts >= MAX_JOB_STARTS) {
      await bury(tx, due);
      continue;
    }
    const [job] = await tx
      .update(jobs)
      .set({ attempts: sql`${jobs.attempts} + 1`, fence: sql`${jobs.fence} + 1`, dueAt: now + LEASE_MS })
      .where(eq(jobs.id, due.id))
      .returning(JOB);
    return job ?? null;
  }
}
const JOB = { id: jobs.id, kind: jobs.kind, payload: jobs.payload, attempts: jobs.attempts, fence: jobs.fence };

/** Somebody else has the job by now: nothing of the step may stay. */
export class JobLost extends Error {
  constructor(id: string) {
    super(`the lease of job ${id} ran out`);
    this.name = 'JobLost';
  }
}

/** @throws JobLost */
async function settleJob(tx: Tx, job: Job, set: Partial<typeof jobs.$inferInsert>): Promise<void> {
  const mine = and(eq(jobs.id, job.id), eq(jobs.status, 'queued'), eq(jobs.fence, job.fence));
  const done = await tx.update(jobs).set(set).where(mine).returning({ id: jobs.id });
  if (!done.length) throw new JobLost(job.id);
}

/** Ends a job, or has it go on later with another payload (bulk work goes in steps). @throws JobLost */
export const finishJob = (tx: Tx, job: Job, next: { payload: unknown; dueAt: number } | null): Promise<void> =>
  settleJob(tx, job, next ? { ...next, attempts: 0, error: null } : { status: 'done', error: null });

/** Gives a job back as it was before its start: the database was away, which is no fault of the job. @throws JobLost */
export const giveJobBack = (tx: Tx, job: Job, now: number): Promise<void> =>
  settleJob(tx, job, { attempts: job.attempts - 1, dueAt: now });

const FAILED = 'failed; the log has the cause';

/** Has a job tried again at `dueAt`. @throws JobLost */
export const retryJob = (tx: Tx, job: Job, dueAt: number): Promise<void> =>
  settleJob(tx, job, { dueAt, error: FAILED });

/** Gives a job up. @throws JobLost */
export const buryJob = (tx: Tx, job: Job): Promise<void> => settleJob(tx, job, { status: 'dead', error: FAILED });

/** The clock was set back by `ms`: due dates keep their distance from now. */
export async function setBackJobs(tx: Tx, ms: number): Promise<void> {
  await tx
    .update(jobs)
    .set({ dueAt: sql`${jobs.dueAt} - ${ms}` })
    .where(eq(jobs.status, 'queued'));
}

/**
 * After a restart no lease is held by anybody: what was under way is due again, after a moment if it was in more than one crash, so
 * that the rest of the work goes on. One process per database only.
 */
export async function freeJobs(tx: Tx, now: number): Promise<void> {
  const queued = eq(jobs.status, 'queued');
  const [open] = await tx.select({ id: jobs.id }).from(jobs).where(queued).limit(1);
  if (!open) return;
  const later = now + AFTER_CRASHES_MS + Math.round(Math.random() * AFTER_CRASHES_MS);
  await tx
    .update(jobs)
    .set({ dueAt: later })
    .where(and(queued, gte(jobs.attempts, 2)));
  await tx
    .update(jobs)
    .set({ dueAt: now })
    .where(and(queued, lt(jobs.attempts, 2), gt(jobs.dueAt, now)));
}

/** Removes jobs that ended, made before `before`; at most `limit`. Says how many. */
export async function pruneJobs(tx: Tx, before: number, limit: number): Promise<number> {
  const old = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(lt(jobs.id, idAt('job', before)), ne(jobs.status, 'queued')))
    .orderBy(asc(jobs.id))
    .limit(limit);
  const ids = old.map(row => row.id);
  if (ids.length) await tx.delete(jobs).where(inArray(jobs.id, ids));
  return ids.length;
}
