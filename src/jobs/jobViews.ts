import { and, eq, inArray, sql } from 'drizzle-orm';
import { jobs } from '../db/schema.ts';
import { COUNTED, type Search } from '../db/search.ts';
import type { Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';

export const JOB_STATUSES = ['queued', 'done', 'dead'] as const;
type Status = (typeof JOB_STATUSES)[number];

/** The first half lets a database use the partial index: a bound value proves nothing to it. */
const matchStatus = (status: Status) => sql`(${jobs.status} <> 'done' and ${jobs.status} = ${status})`;

/** Jobs by what they do and what became of them. */
export function searchJobs({ status, kind }: { status?: Status | undefined; kind?: string | undefined }): Search {
  const ofKind = kind === undefined ? undefined : eq(jobs.kind, kind);
  const ofStatus = status === undefined ? undefined : status === 'done' ? eq(jobs.status, status) : matchStatus(status);
  return { where: and(ofKind, ofStatus), narrow: status === undefined || status === 'done' ? ofKind : ofStatus };
}

/** Jobs in the order of `ids`, without what they work on. */
export async function viewJobs(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(jobs).where(inArray(jobs.id, ids)) : [];
  const byId = new Map(rows.map(row => [row.id, row]));
  return ids.flatMap(id => {
    const row = byId.get(id);
    if (!row) return [];
    const { kind, status, attempts, error, dueAt, createdAt } = row;
    return [
      {
        id,
        kind,
        status,
        attempts,
        error,
        dueAt: status === 'queued' ? new Date(dueAt).toISOString() : null,
        createdAt: new Date(createdAt).toISOString(),
      },
    ];
  });
}

/** Has a dead job go on where it stopped. @throws AppError notFound; conflict when it is not dead */
export async function restartJob(tx: Tx, id: string, now: number): Promise<void> {
  const [row] = await tx.select({ status: jobs.status }).from(jobs).where(eq(jobs.id, id));
  if (!row) throw notFound('Job');
  if (row.status !== 'dead')
    throw new AppError('conflict', `This job is ${row.status}; only a dead one can be run again.`);
  await tx
    .update(jobs)
    .set({ status: 'queued', attempts: 0, error: null, dueAt: now })
    .where(and(eq(jobs.id, id), eq(jobs.status, 'dead')));
}

/** How many jobs were given up, counted up to 10,000, and of which kinds. */
export async function countDeadJobs(tx: Tx): Promise<{ count: number; kinds: string[] }> {
  const rows = await tx.select({ kind: jobs.kind }).from(jobs).where(matchStatus('dead')).limit(COUNTED);
  return { count: rows.length, kinds: [...new Set(rows.map(row => row.kind))].sort() };
}
