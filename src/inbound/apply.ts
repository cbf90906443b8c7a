import { contactIdOf, identityId, registersOf } from '../audience/identities.ts';
import type { Context } from '../context.ts';
import type { Scalar } from '../db/schema.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import { type Origin, take } from '../pipeline.ts';
import { pick } from '../providers/pick.ts';
import type { Fact, Provider } from '../providers/provider.ts';
import { type Claimed, conclude, finish } from './leases.ts';
import type { Live } from './live.ts';
import { whenDue } from './log.ts';
import { type Decision, decide, isIgnored } from './receive.ts';

const MAX_FAILURES = 5;
export const LONGEST_DELAY_MS = 600_000;

/** A redacted body: parsed, or as stored (null: it was not JSON). */
export type Body = { json: unknown } | { text: string | null };

/** Applies one claimed delivery and records the outcome in the same transaction. Never throws; `StoreUnavailable` gives it back. */
export async function apply(
  ctx: Context,
  row: Claimed,
  body: Body | undefined,
  now: number,
): Promise<'done' | 'giveBack'> {
  try {
    const live = await ctx.live.get(row.endpointId);
    if (!live) return await bury(ctx, row, 'The endpoint was removed before this was applied.', now);
    if (body === undefined)
      return await bury(ctx, row, 'The payload was pruned; ask the provider to send it again.', now);
    if (live.paused) {
      await ctx.store.write(async tx =>
        finish(tx, row, { dueAt: await whenDue(tx, live.id), attempts: row.attempts - 1 }),
      );
      return 'done';
    }
    await applyTo(ctx, live, row, body, now);
    return 'done';
  } catch (error) {
    if (error instanceof StoreUnavailable) return 'giveBack';
    return fail(ctx, row, error, now);
  }
}

async function applyTo(ctx: Context, live: Live, row: Claimed, stored: Body, now: number): Promise<void> {
  const body = 'json' in stored ? stored.json : stored.text === null ? undefined : (JSON.parse(stored.text) as unknown);
  const seen = {
    type: row.type,
    at: row.occurredAt ?? row.receivedAt,
    externalId: (row.externalId ?? '').split(' ')[0] ?? '',
  };
  const decided: Decision =
    body === undefined ? { status: 'ignored', message: 'Ignored: the body was not JSON' } : decide(live, body, seen);
  if (decided.status === 'ignored') {
    const { message } = decided;
    await ctx.store.write(tx => finish(tx, row, { status: 'ignored', message, processedAt: now }));
    return;
  }
  const read = decided.fact;
  const fact = await lookedUp(ctx, live, row, body, read);
  const plan = originOf(live, row, body, read, seen);
  await ctx.store.write(async tx => {
    const unchanged = await isUnchanged(tx, live.provider, body, read, plan.origin, plan.watched, seen, live.settings);
    const taken = await take(tx, fact, { ...plan.origin, unchanged }, now);
    if (taken) await conclude(tx, row, taken, now);
    else await finish(tx, row, { status: 'ignored', message: 'Ignored: names no person', processedAt: now });
  });
}

/** Asks the provider who is behind an id, where nobody is known yet and the endpoint has a key. */
async function lookedUp(ctx: Context, live: Live, row: Claimed, body: unknown, fact: Fact): Promise<Fact> {
  const { provider, settings } = live;
  const id = identityId(provider.id, fact);
  if (fact.email !== null || fact.deletion || !provider.lookup || !settings.apiKey || id === null) return fact;
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

function originOf(live: Live, row: Claimed, body: unknown, fact: Fact, seen: { externalId: string }) {
  const { provider } = live;
  const settings = live.events[fact.settingsType ?? row.type]!;
  const update = provider.types.find(t => t.silentWhenUnchanged)?.type;
  const watching = fact.authority === 'person' && update ? live.events[update] : undefined;
  const watched = watching
    ? [...Object.values(watching.contactProperties), ...Object.values(watching.eventProperties)]
    : [];
  const origin: Origin = {
    provider: provider.id,
    class: provider.class,
    source: `${provider.name} webhook`,
    deliveryId: row.id,
    externalId: seen.externalId,
    replays: row.replays,
    settings,
    contactProperties: pickAll(body, settings.contactProperties),
    eventProperties: pickAll(body, settings.eventProperties),
    mapped: watching ? mapped(body, fact, watched) : null,
    unchanged: false,
  };
  return { origin, watched };
}

function pickAll(body: unknown, paths: Record<string, string>): Record<string, Scalar> {
  const out: Record<string, Scalar> = {};
  for (const [key, path] of Object.entries(paths)) {
    const value = pick(body, path);
    if (value !== undefined) out[key] = value;
  }
  return out;
}

/** What we map of a person, path values included: an update that leaves all of it alone is silent. */
function mapped(body: unknown, fact: Fact, paths: string[]): Record<string, Scalar | null> {
  const out: Record<string, Scalar | null> = {
    ' email': fact.email,
    ' firstName': fact.firstName,
    ' lastName': fact.lastName,
    ' userId': fact.userId,
    ' deleted': fact.deletion,
  };
  for (const path of paths) out[path] = pick(body, path) ?? null;
  return out;
}

/** Compares with the document's own former state, else with what is stored. Unknown counts as changed. */
async function isUnchanged(
  tx: Tx,
  provider: Provider,
  body: unknown,
  fact: Fact,
  origin: Origin,
  watched: string[],
  seen: { type: string; at: number; externalId: string },
  settings: unknown,
): Promise<boolean> {
  if (!origin.mapped || !provider.types.some(t => t.type === seen.type && t.silentWhenUnchanged)) return false;
  const before = provider.previous(body);
  let was: Record<string, Scalar | null> | undefined;
  if (before !== null) {
    const read = provider.read(before, settings, seen);
    if (isIgnored(read)) return false;
    was = mapped(before, read, watched);
  } else {
    const id = identityId(provider.id, fact);
    was = (id === null ? null : await registersOf(tx, id))?.mapped?.values;
  }
  if (!was) return false;
  const previous = was;
  return Object.entries(origin.mapped).every(
    ([key, value]) =>
      (!origin.settings.syncNames && key.endsWith('Name') && key.startsWith(' ')) || previous[key] === value,
  );
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
