import { contactIdOf, identityId } from '../audience/identities.ts';
import type { Context } from '../context.ts';
import { StoreUnavailable } from '../db/store.ts';
import type { Fact } from '../providers/provider.ts';
import { type Decision, decide, needsLookup } from './decide.ts';
import { effectOf, seenOf } from './effect.ts';
import { type Claimed, conclude, finish } from './leases.ts';
import type { Live } from './live.ts';
import { whenDue } from './log.ts';

const MAX_FAILURES = 5;
export const LONGEST_DELAY_MS = 600_000;

/** Applies one claimed delivery, `text` being its stored body (null: was not JSON, undefined: pruned), and records the outcome in the same transaction. Never throws; `StoreUnavailable` gives it back. */
export async function apply(
  ctx: Context,
  row: Claimed,
  text: string | null | undefined,
  now: number,
): Promise<'done' | 'giveBack'> {
  try {
    const live = await ctx.live.get(row.endpointId);
    if (!live) return await bury(ctx, row, 'The endpoint was removed before this was applied.', now);
    if (text === undefined)
      return await bury(ctx, row, 'The payload was pruned; ask the provider to send it again.', now);
    if (live.paused) {
      await ctx.store.write(async tx =>
        finish(tx, row, { dueAt: await whenDue(tx, live.id), attempts: row.attempts - 1 }),
      );
      return 'done';
    }
    await applyTo(ctx, live, row, text, now);
    return 'done';
  } catch (error) {
    if (error instanceof StoreUnavailable) return 'giveBack';
    return fail(ctx, row, error, now);
  }
}

async function applyTo(ctx: Context, live: Live, row: Claimed, text: string | null, now: number): Promise<void> {
  const body = text === null ? undefined : (JSON.parse(text) as unknown);
  const seen = seenOf(row);
  const decided: Decision =
    body === undefined ? { status: 'ignored', message: 'Ignored: the body was not JSON' } : decide(live, body, seen);
  if (decided.status === 'ignored') {
    const { message } = decided;
    await ctx.store.write(tx => finish(tx, row, { status: 'ignored', message, processedAt: now }));
    return;
  }
  const fact = await lookedUp(ctx, live, row, body, decided.fact);
  const take = effectOf(ctx.tell, live, row, body, decided.fact, fact);
  await ctx.store.write(async tx => conclude(tx, row, await take(tx, now), now));
}

/** Asks the provider who is behind an id, where nobody is known yet and the endpoint has a key. */
async function lookedUp(ctx: Context, live: Live, row: Claimed, body: unknown, fact: Fact): Promise<Fact> {
  const { provider, settings } = live;
  const id = identityId(provider.id, fact);
  if (!provider.lookup || !needsLookup(live, fact) || id === null) return fact;
  if (await ctx.store.read(tx => contactIdOf(tx, id))) return fact;
  try {
    return (await provider.lookup(body, fact, settings, ctx.fetch)) ?? fact;
  } catch (error) {
    if (row.attempts - row.crashes < MAX_FAILURES) throw error;
    ctx.log.warn(
      { err: error, deliveryId: row.id },
      'the look-up failed for good; waiting for a webhook that names the person',
    );
    return fact;
  }
}

async function bury(ctx: Context, row: Claimed, error: string, now: number): Promise<'done'> {
  await ctx.store.write(tx => finish(tx, row, { status: 'dead', message: error, error, processedAt: now }));
  return 'done';
}

/** Seconds, doubling from 2 s up to 10 min, half of it random so that retries do not come in waves. */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(LONGEST_DELAY_MS, 2000 * 2 ** (failures - 1));
  return Math.round(full / 2 + (full / 2) * random);
}

async function fail(ctx: Context, row: Claimed, cause: unknown, now: number): Promise<'done' | 'giveBack'> {
  const failures = row.attempts - row.crashes;
  const dead = failures >= MAX_FAILURES;
  ctx.log.error({ err: cause, deliveryId: row.id, failures, dead }, 'could not apply a delivery');
  const error = `Failed ${failures} time${failures === 1 ? '' : 's'}; the log has the cause under ${row.id}.`;
  const message = dead ? `${error} Replay it once the cause is mended.` : `${error} It will be tried again.`;
  const set = dead
    ? { status: 'dead' as const, processedAt: now, error, message }
    : { status: 'failed' as const, dueAt: now + backoffMs(failures, Math.random()), error, message };
  try {
    await ctx.store.write(tx => finish(tx, row, set));
    return 'done';
  } catch {
    return 'giveBack';
  }
}
