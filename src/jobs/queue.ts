import { and, asc, eq, inArray, lte, sql } from 'drizzle-orm';
import { jobs } from '../db/schema.ts';
import { leasing } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import { newId } from '../id.ts';

export type Job = Pick<typeof jobs.$inferSelect, 'id' | 'kind' | 'payload' | 'attempts'>;

const LEASE_MS = 60_000;

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

/** Leases one due job; the start is counted and committed before the work. */
export async function claimJob(tx: Tx, now: number): Promise<Job | null> {
  const [due] = await tx
    .select({ id: jobs.id })
    .from(jobs)
    .where(and(eq(jobs.status, 'queued'), lte(jobs.dueAt, now)))
    .orderBy(asc(jobs.dueAt), asc(jobs.id))
    .limit(leasing(tx, 1));
  if (!due) return null;
  const [job] = await tx
    .update(jobs)
    .set({ attempts: sql`${jobs.attempts} + 1`, dueAt: now + LEASE_MS })
    .where(eq(jobs.id, due.id))
    .returning({ id: jobs.id, kind: jobs.kind, payload: jobs.payload, attempts: jobs.attempts });
  return job ?? null;
}

/** Ends a job, or has it go on later with another payload (bulk work goes in steps). */
export async function finishJob(tx: Tx, job: Job, next: { payload: unknown; dueAt: number } | null): Promise<void> {
  const set = next ? { ...next, attempts: 0 } : { status: 'done' as const };
  await tx.update(jobs).set(set).where(eq(jobs.id, job.id));
}

export async function failJob(tx: Tx, job: Job, error: string, dueAt: number | null): Promise<void> {
  await tx
    .update(jobs)
    .set(dueAt === null ? { status: 'dead', error } : { dueAt, error })
    .where(eq(jobs.id, job.id));
}

/** The clock was set back by `ms`: due dates keep their distance from now. */
export async function setBackJobs(tx: Tx, ms: number): Promise<void> {
  await tx
    .update(jobs)
    .set({ dueAt: sql`${jobs.dueAt} - ${ms}` })
    .where(eq(jobs.status, 'queued'));
}

/** After a restart no lease is held by anybody: what was under way is due again. One process per database only. */
export async function freeJobs(tx: Tx, now: number): Promise<void> {
  const open = await tx.select({ id: jobs.id }).from(jobs).where(eq(jobs.status, 'queued'));
  if (open.length)
    await tx
      .update(jobs)
      .set({ dueAt: now })
      .where(
        inArray(
          jobs.id,
          open.map(row => row.id),
        ),
      );
}
