import { createHash } from 'node:crypto';
import { and, desc, eq, lte } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { deliveries, endpoints, payloads, unprocessed } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { newId } from '../id.ts';
import { allProviders } from '../providers/index.ts';
import { type RawRequest, Unverified } from '../providers/provider.ts';
import type { Live } from './live.ts';
import { logged } from './receive.ts';

const KEPT_PER_ENDPOINT = 100;
const PER_SECOND = 20; // diagnosed and logged; what comes faster is only counted
const MAX_TRIES = 20; // other endpoints' secrets
const SKEWS_TO_BELIEVE = 3;

interface Budget {
  second: number;
  used: number;
  skipped: number;
  skews: number[];
}
const budgets = new WeakMap<Context, Budget>();

function budgetOf(ctx: Context): Budget {
  const budget = budgets.get(ctx) ?? { second: 0, used: 0, skipped: 0, skews: [] };
  budgets.set(ctx, budget);
  return budget;
}

/** A right signature with a right time: our clock is fine. */
export function clockIsRight(ctx: Context): void {
  const budget = budgetOf(ctx);
  if (budget.skews.length) budget.skews = [];
  ctx.health.clockSkewSeconds = null;
}

/** Logs a request that was not verified, with the precise cause: headers of the allow-list, length and hash, never its bytes. */
export async function refuse(ctx: Context, live: Live, raw: RawRequest, error: Unverified, now: number): Promise<void> {
  const budget = budgetOf(ctx);
  noteSkew(ctx, budget, error);
  const second = Math.floor(performance.now() / 1000);
  if (second !== budget.second) Object.assign(budget, { second, used: 0 });
  if (++budget.used > PER_SECOND) {
    if (budget.skipped++ % 1000 === 0)
      ctx.log.warn({ endpointId: live.id }, 'refused requests come too fast to log each one');
    return;
  }
  const cause = await diagnose(ctx, live, raw, error, now);
  ctx.log.warn({ endpointId: live.id, provider: live.provider.id, cause }, 'refused a request');
  try {
    await ctx.store.write(tx => record(tx, live, raw, cause, now));
  } catch (failure) {
    ctx.log.warn({ err: failure, endpointId: live.id }, 'could not log a refused request');
  }
}

async function record(tx: Tx, live: Live, raw: RawRequest, cause: string, now: number) {
  const id = newId('dlv', now);
  const hash = createHash('sha256').update(raw.body).digest('hex');
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
    ...logged(live.provider.logHeaders, raw.headers),
    'x-body-bytes': String(raw.body.length),
    'x-body-sha256': hash,
  };
  await tx.insert(payloads).values({ deliveryId: id, body: null, headers });
  await tx.update(endpoints).set({ lastRejectedAt: now, lastRejectedCause: cause }).where(eq(endpoints.id, live.id));
  const rejected = and(eq(deliveries.endpointId, live.id), unprocessed('rejected'));
  const old = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(rejected)
    .orderBy(desc(deliveries.id))
    .limit(1)
    .offset(KEPT_PER_ENDPOINT);
  if (!old[0]) return;
  const gone = await tx
    .delete(deliveries)
    .where(and(rejected, lte(deliveries.id, old[0].id)))
    .returning({ id: deliveries.id });
  for (const row of gone) await tx.delete(payloads).where(eq(payloads.deliveryId, row.id));
}

/** Three right signatures in a row with a wrong time: the senders are right, our clock is not. */
function noteSkew(ctx: Context, budget: Budget, error: Unverified): void {
  if (error.reason !== 'clockSkew' || error.skewSeconds === undefined) return;
  budget.skews = [...budget.skews, error.skewSeconds].slice(-SKEWS_TO_BELIEVE);
  if (budget.skews.length < SKEWS_TO_BELIEVE) return;
  const middle = [...budget.skews].sort((a, b) => a - b)[1] ?? 0;
  ctx.health.clockSkewSeconds = -middle;
}

async function diagnose(ctx: Context, live: Live, raw: RawRequest, error: Unverified, now: number): Promise<string> {
  if (error.reason === 'noSecret') return `${error.message}: add the one ${live.provider.name} shows for this URL`;
  if (error.reason === 'missingHeader') {
    const other = allProviders.find(
      p => p.id !== live.provider.id && p.signatureHeaders.some(h => Object.hasOwn(raw.headers, h)),
    );
    return other ? `${error.message}, but headers of ${other.name}: is this endpoint's provider right?` : error.message;
  }
  if (error.reason !== 'badSignature') return error.message;
  const closer = error.lookCloser?.();
  if (closer) return closer;
  for (const secret of live.secrets)
    if (await matches(live, raw, secret, now))
      return `signed with a secret of this endpoint that expired (${secret.id})`;
  let tries = 0;
  for (const each of await ctx.live.ofProvider(live.provider.id, MAX_TRIES)) {
    if (each.id === live.id) continue;
    for (const secret of each.secrets) {
      if (++tries > MAX_TRIES) return error.message;
      if (await matches(each, raw, secret, now)) return `signed with the secret of another endpoint (${each.id})`;
    }
  }
  return error.message;
}

async function matches(live: Live, raw: RawRequest, secret: Live['secrets'][number], now: number): Promise<boolean> {
  try {
    await live.provider.verify(raw, [secret], live.settings, now);
    return true;
  } catch (error) {
    return error instanceof Unverified && error.reason === 'clockSkew';
  }
}
