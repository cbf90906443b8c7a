import { and, desc, eq, gt, inArray, isNotNull, lte, notInArray, or, sql } from 'drizzle-orm';
import { type BackfillCounts, backfills } from '../../db/schema.ts';
import { limitForLease } from '../../db/sql.ts';
import type { Tx } from '../../db/store.ts';
import { AppError, notFound } from '../../errors.ts';
import { makeId, makeRandomText } from '../../id.ts';
import type { Provider } from '../../providers/provider.ts';
import { formatTime } from '../../time.ts';
import { type EndpointRow, getEndpoint, requireProvider } from '../endpoints.ts';
import { resolveEvents } from '../eventSettings.ts';

export type BackfillRow = typeof backfills.$inferSelect;

interface BackfillOptions {
  dryRun: boolean;
  triggerEvents: boolean;
  requestsPerSecond: number;
}

export const LEASE_MS = 30_000; // a page takes 15 s at most, its people less than one
export const LONGEST_WAIT_MS = 3_600_000; // between two tries
const NONE: BackfillCounts = { read: 0, created: 0, updated: 0, known: 0, waiting: 0, skipped: 0, released: 0 };
const OPEN = sql`${backfills.state} in ('queued', 'running')`; // written out for the partial index

const makeConflict = (message: string) => new AppError('conflict', message);

/** Why a back-fill of this endpoint can't run now and what to do about it, or null. */
export function findObstacle(
  provider: Provider,
  endpoint: Pick<EndpointRow, 'paused' | 'settings' | 'events'> & { hasKey: boolean },
): string | null {
  const { backfill } = provider;
  if (!backfill) return `${provider.name} has no list that could be read.`;
  if (endpoint.paused) return 'The endpoint is paused. Resume it first: PATCH {"paused":false}.';
  const missing = (backfill.needs as string[]).find(name => !endpoint.settings[name]);
  if (missing) return `settings.${missing}: is needed to read from ${provider.name}. Set it with PATCH.`;
  if (!endpoint.hasKey) return `settings.apiKey: is needed. Set it with PATCH to ${backfill.key}.`;
  if (!resolveEvents(provider, endpoint.events)[backfill.type]?.enabled)
    return `events.${backfill.type}: is switched off, and a back-fill applies its settings. Enable it first.`;
  return null;
}

/** The one that is queued or running, or null. */
export async function openBackfill(tx: Tx, endpointId: string): Promise<BackfillRow | null> {
  const [row] = await tx
    .select()
    .from(backfills)
    .where(and(eq(backfills.endpointId, endpointId), OPEN));
  return row ?? null;
}

/**
 * Queues a back-fill; when the last one failed and was to do the same, it goes on where it stopped.
 * @throws AppError notFound, conflict
 */
export async function startBackfill(
  tx: Tx,
  endpointId: string,
  options: BackfillOptions,
  now: number,
): Promise<BackfillRow> {
  const endpoint = await getEndpoint(tx, endpointId);
  const provider = requireProvider(endpoint.provider);
  const why = findObstacle(provider, { ...endpoint, hasKey: endpoint.sealedApiKey !== null });
  if (why !== null) throw makeConflict(why);
  const open = await openBackfill(tx, endpointId);
  if (open) throw describeRunning(open.id);
  const [last] = await tx
    .select()
    .from(backfills)
    .where(eq(backfills.endpointId, endpointId))
    .orderBy(desc(backfills.id))
    .limit(1);
  const same = last?.dryRun === options.dryRun && last.triggerEvents === options.triggerEvents;
  if (last?.state === 'failed' && same) return resume(tx, last.id, options, now);
  const fresh = { cursor: null, pageDone: null, pages: 0, total: null, counts: NONE, reasons: {}, tries: 0 };
  const [row] = await tx
    .insert(backfills)
    .values({
      id: makeId('bf', now),
      endpointId,
      provider: provider.id,
      state: 'queued',
      ...options,
      ...fresh,
      dueAt: now,
      createdAt: now,
    })
    .onConflictDoNothing()
    .returning();
  if (!row) throw makeConflict('Another back-fill of this endpoint was started just now.');
  return row;
}

const describeRunning = (id: string) =>
  makeConflict(
    `Back-fill ${id} of this endpoint is under way. Look at GET /api/v1/backfills/${id}, or cancel it first.`,
  );

async function resume(tx: Tx, id: string, { requestsPerSecond }: BackfillOptions, now: number): Promise<BackfillRow> {
  const [row] = await tx
    .update(backfills)
    .set({ state: 'queued', requestsPerSecond, tries: 0, error: null, dueAt: now, lease: null, finishedAt: null })
    .where(eq(backfills.id, id))
    .returning();
  if (!row) throw notFound('Back-fill');
  return row;
}

/** Ends one that is under way, or gives up one that failed; what it applied stays. @throws AppError notFound */
export async function cancelBackfill(tx: Tx, id: string, now: number): Promise<BackfillRow> {
  await tx
    .update(backfills)
    .set({ state: 'cancelled', finishedAt: now, lease: null })
    .where(and(eq(backfills.id, id), notInArray(backfills.state, ['done', 'cancelled'])));
  return getBackfill(tx, id);
}

/** @throws AppError notFound */
export async function getBackfill(tx: Tx, id: string): Promise<BackfillRow> {
  const [row] = await tx.select().from(backfills).where(eq(backfills.id, id));
  if (!row) throw notFound('Back-fill');
  return row;
}

/**
 * Back-fills are a queue of their own: one to an endpoint, cancelled while leased, and found by another rule when the clock was set back.
 * A description of that would be longer than these two functions. `alone`: no other process works on this database, so that a lease found here
 * is of one that died.
 */
const isDue = (now: number, alone: boolean) =>
  and(
    OPEN,
    or(
      lte(backfills.dueAt, now),
      gt(backfills.dueAt, now + LONGEST_WAIT_MS + LEASE_MS), // the clock was set back
      alone ? isNotNull(backfills.lease) : undefined,
    ),
  );

export async function hasBackfillDue(tx: Tx, now: number, alone: boolean): Promise<boolean> {
  const rows = await tx.select({ id: backfills.id }).from(backfills).where(isDue(now, alone)).limit(1);
  return rows.length > 0;
}

/** Leases one that is due; the start is counted and committed before the work. `begins`: it was queued until now. */
export async function claimBackfill(tx: Tx, now: number, alone: boolean) {
  const [found] = await tx
    .select({ id: backfills.id, state: backfills.state })
    .from(backfills)
    .where(isDue(now, alone))
    .orderBy(backfills.dueAt, backfills.id)
    .limit(limitForLease(tx, 1));
  if (!found) return null;
  const [row] = await tx
    .update(backfills)
    .set({
      state: 'running',
      tries: sql`${backfills.tries} + 1`,
      dueAt: now + LEASE_MS,
      lease: makeRandomText(12),
      startedAt: sql`coalesce(${backfills.startedAt}, ${now})`,
    })
    .where(eq(backfills.id, found.id))
    .returning();
  return row ? { row, begins: found.state === 'queued' } : null;
}

/** Changes one that this process has leased. False: it was cancelled, or the lease ran out and another has it. */
export async function updateLeased(tx: Tx, row: BackfillRow, set: Partial<BackfillRow>): Promise<boolean> {
  const changed = await tx
    .update(backfills)
    .set(set)
    .where(and(eq(backfills.id, row.id), eq(backfills.state, 'running'), eq(backfills.lease, row.lease ?? '')))
    .returning({ id: backfills.id });
  return changed.length > 0;
}

/** As the API shows it. */
export function viewBackfill(row: BackfillRow) {
  return {
    id: row.id,
    endpointId: row.endpointId,
    provider: row.provider,
    state: row.state,
    dryRun: row.dryRun,
    triggerEvents: row.triggerEvents,
    requestsPerSecond: row.requestsPerSecond,
    pages: row.pages,
    total: row.total,
    ...row.counts,
    skippedBecause: row.reasons,
    cursor: row.cursor,
    error: row.error,
    createdAt: formatTime(row.createdAt),
    startedAt: formatTime(row.startedAt),
    finishedAt: formatTime(row.finishedAt),
  };
}

/** In the order of `ids`. */
export async function viewBackfills(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(backfills).where(inArray(backfills.id, ids)) : [];
  return ids.flatMap(id => rows.filter(row => row.id === id).map(viewBackfill));
}
