import { and, asc, eq, gt, gte, inArray, lt, ne } from 'drizzle-orm';
import { jobs } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeId, makeIdAt } from '../id.ts';
import { backoffMs, queue } from '../queue/queue.ts';

export type Job = Pick<typeof jobs.$inferSelect, (typeof JOB)[number]>;

const JOB = ['id', 'kind', 'payload', 'attempts', 'fence'] as const;
export const MAX_JOB_STARTS = 5;
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
      id: makeId('job', now),
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

export const jobQueue = queue(jobs, {
  due: [`status = 'queued'`],
  held: `status = 'queued'`,
  open: [`status = 'queued'`],
  leaseMs: 60_000,
  fence: 'fence',
  retry: { most: MAX_JOB_STARTS, waitMs: backoffMs },
  looks: JOB,
  holds: JOB,
});

/** Leases one due job. One that was started too often and never ended has killed the process each time: it is handed to `bury` instead. */
export async function claimJob(tx: Tx, now: number, bury: (tx: Tx, job: Job) => Promise<void> = buryJob) {
  for (;;) {
    const [due] = await jobQueue.findDue(tx, now, 1);
    if (!due) return null;
    if (!jobQueue.isSpent(due.attempts)) return (await jobQueue.lease(tx, [due.id], now))[0] ?? null;
    await bury(tx, due);
  }
}

/** Ends a job, or has it go on with another payload (bulk work goes in steps). @throws LeaseLost */
export const finishJob = (tx: Tx, job: Job, next: { payload: unknown; dueAt: number } | null): Promise<void> =>
  jobQueue.complete(tx, job, next ? { ...next, attempts: 0, error: null } : { status: 'done', error: null });

const FAILED = 'failed; the log has the cause';

/** Has a job tried again after a while. @throws LeaseLost */
export const retryJob = (tx: Tx, job: Job, now: number): Promise<void> =>
  jobQueue.retry(tx, job, job.attempts, now, { error: FAILED });

/** Gives a job up. @throws LeaseLost */
export const buryJob = (tx: Tx, job: Job): Promise<void> =>
  jobQueue.complete(tx, job, { status: 'dead', error: FAILED });

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
    .where(and(lt(jobs.id, makeIdAt('job', before)), ne(jobs.status, 'queued')))
    .orderBy(asc(jobs.id))
    .limit(limit);
  const ids = old.map(row => row.id);
  if (ids.length) await tx.delete(jobs).where(inArray(jobs.id, ids));
  return ids.length;
}
