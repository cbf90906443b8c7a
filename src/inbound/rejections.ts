import { createHash } from 'node:crypto';
import { and, desc, eq, inArray } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { deliveries, endpoints, payloads, unprocessed } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeId } from '../id.ts';
import type { RawRequest, Unverified } from '../providers/provider.ts';
import { ClockEvidence } from './clockEvidence.ts';
import type { ReadyEndpoint } from './endpointCache.ts';
import { explainRejection } from './explainRejection.ts';
import { pickLoggedHeaders } from './loggedHeaders.ts';

const KEPT_PER_CAUSE = 20;
const KEPT_PER_ENDPOINT = 100;
const REPEAT_MS = 10_000; // what is refused for the same cause within that time is counted in one row
const MAX_REMEMBERED = 1000; // endpoints, and causes of each

/** Explained and logged; what comes faster is only counted. */
const OF_ENDPOINT = { perSecond: 5, burst: 20 };
const OF_ALL = { perSecond: 50, burst: 100 };

interface Bucket {
  tokens: number;
  at: number;
}

function take(bucket: Bucket, { perSecond, burst }: typeof OF_ALL): boolean {
  const at = performance.now();
  bucket.tokens = Math.min(burst, bucket.tokens + ((at - bucket.at) / 1000) * perSecond);
  bucket.at = at;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

/** A row that repeats are counted in. */
interface OpenRow {
  id: string;
  until: number;
  repeats: number;
}

interface Remembered {
  bucket: Bucket;
  /** By cause. */
  open: Map<string, OpenRow>;
}

/** What is remembered of refused requests: budgets, so that a flood on one endpoint hides nothing of another, and the clock's evidence. */
export class Rejections {
  readonly clock = new ClockEvidence();
  private readonly all: Bucket = { tokens: OF_ALL.burst, at: performance.now() };
  private readonly endpoints = new Map<string, Remembered>();
  private skipped = 0;

  /** False: too many, and only counted. */
  mayLog(endpointId: string): boolean {
    if (take(this.of(endpointId).bucket, OF_ENDPOINT) && take(this.all, OF_ALL)) return true;
    this.skipped++;
    return false;
  }

  /** True now and then: the log says that not everything is logged. */
  isWorthTelling(): boolean {
    return this.skipped % 1000 === 1;
  }

  /** The row that another rejection for `cause` is counted in, or null. */
  repeatOf(endpointId: string, cause: string): OpenRow | null {
    const row = this.of(endpointId).open.get(cause);
    if (!row || row.until < performance.now()) return null;
    row.repeats++;
    return row;
  }

  open(endpointId: string, cause: string, id: string): void {
    const { open } = this.of(endpointId);
    if (open.size >= MAX_REMEMBERED) open.clear();
    open.set(cause, { id, until: performance.now() + REPEAT_MS, repeats: 0 });
  }

  /** After a good delivery what is refused is a new trouble, with a row of its own. */
  close(endpointId: string): void {
    this.endpoints.get(endpointId)?.open.clear();
  }

  private of(endpointId: string): Remembered {
    const had = this.endpoints.get(endpointId);
    if (had) return had;
    if (this.endpoints.size >= MAX_REMEMBERED) this.endpoints.clear();
    const made = { bucket: { tokens: OF_ENDPOINT.burst, at: performance.now() }, open: new Map<string, OpenRow>() };
    this.endpoints.set(endpointId, made);
    return made;
  }
}

/** A right signature with a right time: our clock is fine. */
export function clearClockSkew(ctx: Context): void {
  ctx.rejections.clock.clear();
}

/** Logs a request that was not verified, with the precise cause: headers of the allow-list, length and hash, never its bytes. */
export async function recordRejection(
  ctx: Context,
  live: ReadyEndpoint,
  raw: RawRequest,
  error: Unverified,
  now: number,
): Promise<void> {
  if (error.reason === 'clockSkew' && error.skewSeconds !== undefined)
    ctx.rejections.clock.add(computeFingerprint(live, raw), error.skewSeconds, now);
  if (!ctx.rejections.mayLog(live.id)) {
    if (ctx.rejections.isWorthTelling())
      ctx.log.warn({ endpointId: live.id }, 'refused requests come too fast to log each one');
    return;
  }
  ctx.lastUsed.forget(live.id); // so that the endpoint is seen to be well again by the next good delivery
  const cause = await explainRejection(ctx, live, raw, error, now);
  ctx.log.warn({ endpointId: live.id, provider: live.provider.id, cause }, 'refused a request');
  const repeated = ctx.rejections.repeatOf(live.id, classifyCause(cause));
  const id = makeId('dlv', now);
  if (!repeated) ctx.rejections.open(live.id, classifyCause(cause), id);
  try {
    await ctx.store.write(async tx => {
      const isCounted = repeated !== null && (await countRepeat(tx, repeated, cause, now));
      if (!isCounted) await insertRejection(tx, live, raw, { id, cause, now });
      await tx
        .update(endpoints)
        .set({ lastRejectedAt: now, lastRejectedCause: cause })
        .where(eq(endpoints.id, live.id));
    });
  } catch (failure) {
    ctx.log.warn({ err: failure, endpointId: live.id }, 'could not log a refused request');
  }
}

/** Tells requests apart by what nobody but the sender could make. */
function computeFingerprint(live: ReadyEndpoint, raw: RawRequest): string {
  const hash = createHash('sha256').update(raw.body);
  for (const name of live.provider.signatureHeaders) hash.update(`\n${raw.headers[name] ?? ''}`);
  return hash.digest('hex');
}

/** Causes that differ in a number of seconds only are one. */
const classifyCause = (message: string) => message.replace(/ \(\d+ times within \d+ s\)$/, '').replace(/\d+ s\b/g, 's');

/** False when the row is gone. */
async function countRepeat(tx: Tx, { id, repeats }: OpenRow, cause: string, now: number): Promise<boolean> {
  const message = `${cause} (${repeats + 1} times within ${REPEAT_MS / 1000} s)`;
  const counted = await tx
    .update(deliveries)
    .set({ message, duplicates: repeats, processedAt: now, dueAt: now })
    .where(eq(deliveries.id, id))
    .returning({ id: deliveries.id });
  return counted.length > 0;
}

interface New {
  id: string;
  cause: string;
  now: number;
}

async function insertRejection(tx: Tx, live: ReadyEndpoint, raw: RawRequest, { id, cause, now }: New): Promise<void> {
  await tx.insert(deliveries).values({
    id,
    endpointId: live.id,
    provider: live.provider.id,
    externalId: null,
    type: '',
    status: 'rejected',
    message: cause,
    receivedAt: now,
    occurredAt: null,
    processedAt: now,
    dueAt: now,
    leased: false,
    attempts: 0,
    crashes: 0,
    duplicates: 0,
    response: { status: 401 },
    effects: [],
    replays: 0,
  });
  const headers = {
    ...pickLoggedHeaders(live.provider.logHeaders, raw.headers),
    'x-body-bytes': String(raw.body.length),
    'x-body-sha256': createHash('sha256').update(raw.body).digest('hex'),
  };
  await tx.insert(payloads).values({ deliveryId: id, body: null, headers });
  await pruneRejections(tx, live.id);
}

/** Keeps the newest of each cause: what comes often does not push out what came once. */
async function pruneRejections(tx: Tx, endpointId: string): Promise<void> {
  const rows = await tx
    .select({ id: deliveries.id, message: deliveries.message })
    .from(deliveries)
    .where(and(eq(deliveries.endpointId, endpointId), unprocessed('rejected')))
    .orderBy(desc(deliveries.id));
  const seen = new Map<string, number>();
  const ranked = rows.map(({ id, message }) => {
    const kind = classifyCause(message);
    const rank = seen.get(kind) ?? 0;
    seen.set(kind, rank + 1);
    return { id, rank };
  });
  const kept = ranked
    .filter(row => row.rank < KEPT_PER_CAUSE)
    .sort((a, b) => a.rank - b.rank) // stable: of one rank the newest first
    .slice(0, KEPT_PER_ENDPOINT);
  if (kept.length === rows.length) return;
  const ids = new Set(kept.map(row => row.id));
  const gone = rows.flatMap(({ id }) => (ids.has(id) ? [] : [id]));
  for (let at = 0; at < gone.length; at += 100) {
    const some = gone.slice(at, at + 100);
    await tx.delete(payloads).where(inArray(payloads.deliveryId, some));
    await tx.delete(deliveries).where(inArray(deliveries.id, some));
  }
}
