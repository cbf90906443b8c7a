import { callPeople, makeOutcome, type PersonCall } from '../../audience/personCall.ts';
import { countWaiting } from '../../audience/releases.ts';
import type { Context } from '../../context.ts';
import type { BackfillCounts } from '../../db/schema.ts';
import { StoreUnavailable, type Tx } from '../../db/store.ts';
import { AppError } from '../../errors.ts';
import { changeOfEvent } from '../../events/events.ts';
import { ApiTrouble } from '../../providers/api.ts';
import type { Backfill, ListPage } from '../../providers/provider.ts';
import { backoffMs } from '../../queue/queue.ts';
import { yieldTurn } from '../../time.ts';
import type { ReadyEndpoint } from '../endpointCache.ts';
import { collectKeys } from '../recordDelivery.ts';
import {
  type BackfillRow,
  claimBackfill,
  findObstacle,
  getBackfill,
  hasBackfillDue,
  LEASE_MS,
  LONGEST_WAIT_MS,
  updateLeased,
} from './backfills.ts';
import { applyListed, type Planned, planItem } from './item.ts';

const PER_WRITE = 25; // people: some ms of the thread
const MAX_TRIES = 8; // in a row without getting on
const TRUSTING_TRIES = 2; // as soon as the provider says, later ones not before the back-off
const MAX_REASONS = 20;
const FAILED = 'It could not be applied; the log has the cause.';
const AGAIN = 'Start the back-fill again: it goes on where it stopped.';

/**
 * The worker's duty: one page of one back-fill. Fetched outside of any transaction, applied in short ones that note how far they got;
 * killed anywhere, the page is read again and nothing is applied or counted twice.
 */
export function makeBackfillLoop(ctx: Context, stopping: AbortSignal): (now: number) => Promise<number> {
  const alone = ctx.store.kind === 'sqlite';
  const unfinished = new Set<BackfillRow>(); // leases to give back once the database writes again
  return async now => {
    for (const row of unfinished) {
      await ctx.store.write(tx => updateLeased(tx, row, { tries: row.tries - 1, dueAt: now, lease: null }));
      unfinished.delete(row);
    }
    if (stopping.aborted || !(await ctx.store.read(tx => hasBackfillDue(tx, now, alone)))) return 0;
    const claimed = await ctx.store.write(tx => claimBackfill(tx, now, alone));
    if (!claimed) return 0;
    if (claimed.begins) ctx.live.invalidate(); // another process may have set the key a moment ago
    try {
      await runStep(ctx, claimed.row, stopping);
    } catch (error) {
      if (error instanceof StoreUnavailable) unfinished.add(claimed.row);
      throw error;
    }
    return 1;
  };
}

async function runStep(ctx: Context, row: BackfillRow, stopping: AbortSignal): Promise<void> {
  const live = await ctx.live.get(row.endpointId);
  const backfill = live?.provider.backfill;
  if (!live || !backfill) return fail(ctx, row, 'The endpoint was removed.');
  const { settings, events, paused } = live;
  const why = findObstacle(live.provider, { settings, events, paused, hasKey: Boolean(settings.apiKey) });
  if (why !== null) return fail(ctx, row, `${why} ${AGAIN}`);
  if (row.tries > MAX_TRIES)
    return fail(ctx, row, `It did not get on in ${MAX_TRIES} tries; the log has the cause. ${AGAIN}`);
  try {
    const begun = performance.now();
    const readAt = ctx.now();
    const page = await fetchPage(ctx, live, backfill, row, stopping);
    if (!(await applyPage(ctx, live, row, page, readAt))) return;
    await waitForPace(row, begun, stopping);
    await ctx.store.write(tx => advance(tx, row, page, ctx.now()));
  } catch (error) {
    if (stopping.aborted)
      await ctx.store.write(tx => updateLeased(tx, row, { tries: 0, dueAt: ctx.now(), lease: null }));
    else await recordTrouble(ctx, live, row, error);
  }
}

function fetchPage(
  ctx: Context,
  live: ReadyEndpoint,
  backfill: Backfill,
  row: BackfillRow,
  signal: AbortSignal,
): Promise<ListPage> {
  return backfill.page({
    key: String(live.settings.apiKey),
    settings: live.settings,
    cursor: row.cursor,
    fetch: (url, init) =>
      ctx.fetch(url, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, signal]) : signal }),
  });
}

interface Tally {
  counts: Partial<BackfillCounts>;
  reasons: string[];
}

/** False: cancelled, or another process goes on with it. */
async function applyPage(
  ctx: Context,
  live: ReadyEndpoint,
  row: BackfillRow,
  page: ListPage,
  readAt: number,
): Promise<boolean> {
  const done = page.items.findIndex(item => item.id !== null && item.id === row.pageDone);
  const rest = page.items.slice(done + 1).map(item => planItem(live, row, item));
  for (let i = 0; i < rest.length; i += PER_WRITE) {
    if (!(await applyChunk(ctx, live, row, rest.slice(i, i + PER_WRITE), readAt))) return false;
    await yieldTurn(); // webhooks first
  }
  return true;
}

/** Someone who can't be applied is passed over, so that the others are not held up. */
async function applyChunk(
  ctx: Context,
  live: ReadyEndpoint,
  row: BackfillRow,
  chunk: Planned[],
  readAt: number,
): Promise<boolean> {
  try {
    return await (row.dryRun ? rehearse : write)(ctx, live, row, chunk, readAt);
  } catch (error) {
    if (error instanceof StoreUnavailable) throw error;
    if (chunk.length > 1) {
      for (const each of chunk) if (!(await applyChunk(ctx, live, row, [each], readAt))) return false;
      return true;
    }
    const [only] = chunk;
    if (!only || only.skip !== null) throw error;
    ctx.log.error({ err: error, backfillId: row.id, personId: only.id }, 'could not apply a person of a back-fill');
    return ctx.store.write(tx => note(tx, row, [only], { counts: { read: 1, skipped: 1 }, reasons: [FAILED] }));
  }
}

/** False: the lease is lost. */
async function write(
  ctx: Context,
  live: ReadyEndpoint,
  row: BackfillRow,
  chunk: Planned[],
  readAt: number,
): Promise<boolean> {
  let held = true;
  const call = buildChunkCall(live, row, chunk, readAt);
  let known: string[] = [];
  await callPeople(ctx.people, {
    ...call,
    apply(people, now) {
      const outcome = call.apply(people, now);
      known = outcome.known;
      return outcome;
    },
    async after(tx, tally) {
      held = await updateLeased(tx, row, { dueAt: ctx.now() + LEASE_MS });
      if (!held) throw new LeaseLost('the lease of a back-fill ran out');
      await note(tx, row, chunk, { ...tally, counts: { ...tally.counts, released: await countWaiting(tx, known) } });
    },
  }).catch(error => {
    if (!(error instanceof LeaseLost)) throw error;
  });
  return held;
}

/** Ends a transaction whose outcome somebody else has to note. */
class LeaseLost extends Error {}

/** A dry run: applied in memory only. */
async function rehearse(ctx: Context, live: ReadyEndpoint, row: BackfillRow, chunk: Planned[], readAt: number) {
  const tally = await ctx.people.preview(buildChunkCall(live, row, chunk, readAt));
  return ctx.store.write(tx => note(tx, row, chunk, tally));
}

function buildChunkCall(live: ReadyEndpoint, row: BackfillRow, chunk: Planned[], readAt: number): PersonCall<Tally> {
  const ready = chunk.flatMap(each => (each.skip === null ? [{ fact: each.fact, origin: each.origin }] : []));
  const keys = ready.map(collectKeys);
  const merged = (kind: 'ids' | 'ties' | 'payments' | 'lists') => keys.flatMap(each => each[kind] ?? []);
  return {
    keys: { ids: merged('ids'), ties: merged('ties'), payments: merged('payments'), lists: merged('lists') },
    silent: !row.triggerEvents,
    apply(people, now) {
      const tally: Tally = { counts: { read: 0 }, reasons: [] };
      const outcome = makeOutcome(tally, null, { key: row.id, deliveryId: null });
      const add = (what: keyof BackfillCounts, n: number) => {
        tally.counts[what] = (tally.counts[what] ?? 0) + n;
      };
      for (const each of chunk) {
        add('read', 1);
        if (each.skip !== null) {
          add('skipped', 1);
          tally.reasons.push(each.skip);
          continue;
        }
        const { kind, all } = applyListed(people, live, each, readAt, now);
        add(kind, 1);
        for (const applied of all) {
          outcome.changes.push(...applied.changes, ...(applied.event ? [changeOfEvent(applied.event)] : []));
          if (applied.event) outcome.events.push(applied.event);
          outcome.known.push(...applied.known);
        }
      }
      return outcome;
    },
  };
}

/** Notes how far a page got, and adds to the counts. False when the lease is lost. */
async function note(tx: Tx, row: BackfillRow, chunk: Planned[], tally: Tally): Promise<boolean> {
  const { counts, reasons } = await getBackfill(tx, row.id);
  const sums = { ...counts };
  for (const key of Object.keys(sums) as (keyof BackfillCounts)[]) sums[key] += tally.counts[key] ?? 0;
  const why = { ...reasons };
  for (const reason of tally.reasons)
    if (Object.hasOwn(why, reason) || Object.keys(why).length < MAX_REASONS) why[reason] = (why[reason] ?? 0) + 1;
  const pageDone = chunk.findLast(each => each.id !== null)?.id;
  return updateLeased(tx, row, { counts: sums, reasons: why, tries: 0, error: null, ...(pageDone && { pageDone }) });
}

async function advance(tx: Tx, row: BackfillRow, page: ListPage, now: number): Promise<void> {
  const { pages } = await getBackfill(tx, row.id);
  const common = { pages: pages + 1, tries: 0, error: null, pageDone: null, lease: null, cursor: page.next };
  const end = page.next === null ? ({ state: 'done', finishedAt: now } as const) : { dueAt: now };
  await updateLeased(tx, row, { ...common, ...end, ...(page.total !== null && { total: page.total }) });
}

/** So that requests keep to their rate, counted from the start of the last one. */
async function waitForPace(row: BackfillRow, begun: number, stopping: AbortSignal): Promise<void> {
  const left = 1000 / row.requestsPerSecond - (performance.now() - begun);
  if (left > 0 && !stopping.aborted) await Bun.sleep(left);
}

async function fail(ctx: Context, row: BackfillRow, error: string): Promise<void> {
  const end = { state: 'failed', error, lease: null, finishedAt: ctx.now() } as const;
  await ctx.store.write(tx => updateLeased(tx, row, end));
}

/** How long to wait by a Retry-After header, in seconds or as a date; null without one. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null) return null;
  const ms = /^\d{1,7}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? null : Math.min(LONGEST_WAIT_MS, Math.max(0, ms));
}

/** What went wrong, and whether another try may help. */
function diagnoseError({ provider }: ReadyEndpoint, error: unknown): { what: string; final: boolean } {
  const { name, backfill } = provider;
  if (error instanceof AppError) return { what: error.message, final: true };
  if (!(error instanceof ApiTrouble))
    return { what: 'A page could not be applied; the log has the cause.', final: false };
  const { status } = error;
  if (status === 0) return { what: `${name} gave no answer that can be read.`, final: false };
  const said = `${name} answered ${status}.`;
  if (status === 401 || status === 403)
    return { what: `${said} It refused the key: set settings.apiKey to ${backfill?.key}.`, final: true };
  if (status >= 500 || [408, 425, 429].includes(status)) return { what: said, final: false };
  return { what: `${said} Check the endpoint's settings.`, final: true };
}

/** Tries again later, or gives up with a sentence that says what to do. */
async function recordTrouble(ctx: Context, live: ReadyEndpoint, row: BackfillRow, error: unknown): Promise<void> {
  if (error instanceof StoreUnavailable) throw error; // no fault of the back-fill
  ctx.log.warn({ err: error, backfillId: row.id, tries: row.tries }, 'a back-fill met trouble');
  const { what, final } = diagnoseError(live, error);
  if (final) return fail(ctx, row, `${what} ${AGAIN}`);
  if (row.tries >= MAX_TRIES) return fail(ctx, row, `${what} That was try ${row.tries} of ${MAX_TRIES}. ${AGAIN}`);
  const asked = error instanceof ApiTrouble ? retryAfterMs(error.retryAfter, ctx.now()) : null;
  const backoff = backoffMs(row.tries, Math.random());
  const dueAt = ctx.now() + (asked === null ? backoff : Math.max(asked, row.tries > TRUSTING_TRIES ? backoff : 0));
  const note = `${what} It is tried again at ${new Date(dueAt).toISOString()}.`;
  await ctx.store.write(tx => updateLeased(tx, row, { error: note, dueAt, lease: null }));
}
