import { and, asc, inArray, isNotNull, lt, ne, sql } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { runs, steps } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { DAY_MS } from '../time.ts';

const LOG_DAYS = 400; // at least, as deliveries: the row tells what started it
const CHUNK = 500;
const MAX_CHUNKS = 20; // per run; the next minute goes on

/** Removes runs that ended 400 days ago or more, with their steps, in short writes. */
export async function retainRuns({ store, config, now }: Context): Promise<void> {
  const before = now() - Math.max(LOG_DAYS, config.retentionDays) * DAY_MS;
  for (let i = 0; i < MAX_CHUNKS; i++) if ((await store.write(tx => pruneRuns(tx, before, CHUNK))) < CHUNK) return;
}

/**
 * Removes some runs that ended before a time, with their steps; how many. Who may enter only once keeps the row, which tells that it
 * was so, without the steps.
 */
export async function pruneRuns(tx: Tx, before: number, limit: number): Promise<number> {
  const old = await tx
    .select({ id: runs.id, entry: runs.entry })
    .from(runs)
    .where(and(isNotNull(runs.endedAt), sql`${runs.pruned} = 0`, lt(runs.endedAt, before)))
    .orderBy(asc(runs.endedAt))
    .limit(limit);
  const ids = old.map(row => row.id);
  if (!ids.length) return 0;
  await tx.delete(steps).where(inArray(steps.runId, ids));
  const kept = old.flatMap(row => (row.entry === '' ? [row.id] : []));
  if (kept.length) await tx.update(runs).set({ pruned: 1 }).where(inArray(runs.id, kept));
  await tx.delete(runs).where(and(inArray(runs.id, ids), ne(runs.entry, '')));
  return ids.length;
}
