import { and, eq, gt, inArray, lt, lte, sql } from 'drizzle-orm';
import { contactIdOf, identityId, registersOf } from '../audience/identities.ts';
import type { Context } from '../context.ts';
import { deliveries, payloads, type Scalar } from '../db/schema.ts';
import { prepare, StoreUnavailable, type Tx } from '../db/store.ts';
import { type Origin, type Taken, take } from '../pipeline.ts';
import { pick } from '../providers/pick.ts';
import type { Fact, Provider } from '../providers/provider.ts';
import type { Live } from './live.ts';
import { NEVER, whenDue } from './log.ts';
import { type Decision, decide, isIgnored } from './receive.ts';

const LEASE_MS = 300_000;
const MAX_FAILURES = 5;
const MAX_CRASHES = 3;

export type Claimed = Pick<
  typeof deliveries.$inferSelect,
  | 'id'
  | 'endpointId'
  | 'provider'
  | 'externalId'
  | 'type'
  | 'occurredAt'
  | 'receivedAt'
  | 'attempts'
  | 'crashes'
  | 'replays'
>;

/**
 * Leases up to `limit` due deliveries, oldest first; the attempt is counted and committed before the work. One that was under way
 * when the process died goes alone, so that a delivery that kills the process takes no neighbour with it.
 */
export async function claim(tx: Tx, now: number, limit: number): Promise<Claimed[]> {
  const due = [
    ...(await dueOf(tx).all({ status: 'queued', now, limit })),
    ...(await dueOf(tx).all({ status: 'failed', now, limit: 4 })),
  ];
  const suspect = due.find(row => row.crashes > 0);
  const chosen = suspect ? [suspect] : due.slice(0, limit);
  if (!chosen.length) return [];
  return tx
    .update(deliveries)
    .set({ status: 'queued', leased: true, attempts: sql`${deliveries.attempts} + 1`, dueAt: now + LEASE_MS })
    .where(
      inArray(
        deliveries.id,
        chosen.map(row => row.id),
      ),
    )
    .returning({
      id: deliveries.id,
      endpointId: deliveries.endpointId,
      provider: deliveries.provider,
      externalId: deliveries.externalId,
      type: deliveries.type,
      occurredAt: deliveries.occurredAt,
      receivedAt: deliveries.receivedAt,
      attempts: deliveries.attempts,
      crashes: deliveries.crashes,
      replays: deliveries.replays,
    });
}

const dueOf = (tx: Tx) =>
  prepare(tx, 'due', t =>
    t
      .select({ id: deliveries.id, crashes: deliveries.crashes })
      .from(deliveries)
      .where(
        and(
          sql`${deliveries.status} <> 'processed'`, // lets SQLite use the partial index with a bound status
          eq(deliveries.status, sql.placeholder('status')),
          lte(deliveries.dueAt, sql.placeholder('now')),
          eq(deliveries.leased, false),
        ),
      )
      .orderBy(deliveries.dueAt, deliveries.id)
      .limit(sql.placeholder('limit'))
      .prepare(),
  );

/** True when a delivery is due and not leased. */
export async function anyDue(tx: Tx, now: number): Promise<boolean> {
  for (const status of ['queued', 'failed']) if ((await dueOf(tx).all({ status, now, limit: 1 })).length) return true;
  return false;
}

/** The stored bodies of claimed deliveries; null where there was no JSON, absent where it was pruned. */
export async function bodiesOf(tx: Tx, ids: string[]): Promise<Map<string, string | null>> {
  const rows = await tx
    .select({ id: payloads.deliveryId, body: payloads.body })
    .from(payloads)
    .where(inArray(payloads.deliveryId, ids));
  return new Map(rows.map(row => [row.id, row.body]));
}

/** Applies one claimed delivery and records the outcome in the same transaction. Never throws; `StoreUnavailable` gives it back. */
export async function apply(
  ctx: Context,
  row: Claimed,
  body: string | null | undefined,
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

async function applyTo(ctx: Context, live: Live, row: Claimed, text: string | null, now: number): Promise<void> {
  const body: unknown = text === null ? undefined : JSON.parse(text);
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

/** Ends a lease. A lease that another worker took over meanwhile must not be ended: the whole transaction fails then. */
async function finish(tx: Tx, row: Claimed, set: Partial<typeof deliveries.$inferInsert>): Promise<void> {
  const done = await tx
    .update(deliveries)
    .set({ ...set, leased: false })
    .where(and(eq(deliveries.id, row.id), eq(deliveries.leased, true), eq(deliveries.attempts, row.attempts)))
    .returning({ id: deliveries.id });
  if (!done.length) throw new Error(`the lease of delivery ${row.id} ran out while it was applied`);
}

/** `finish` for the usual outcome, prepared. */
async function conclude(tx: Tx, row: Claimed, taken: Taken, now: number): Promise<void> {
  const { status, message, effects, contactId, identityId: waitsFor } = taken;
  const done = await prepare(tx, 'conclude', t =>
    t
      .update(deliveries)
      .set({
        status: sql`${sql.placeholder('status')}`,
        message: sql`${sql.placeholder('message')}`,
        effects: sql`${sql.placeholder('effects')}`,
        contactId: sql`${sql.placeholder('contactId')}`,
        identityId: sql`${sql.placeholder('identityId')}`,
        processedAt: sql`${sql.placeholder('processedAt')}`,
        dueAt: 0,
        leased: false,
        error: null,
      })
      .where(
        and(
          eq(deliveries.id, sql.placeholder('id')),
          eq(deliveries.leased, true),
          eq(deliveries.attempts, sql.placeholder('attempts')),
        ),
      )
      .returning({ id: deliveries.id })
      .prepare(),
  ).all({
    id: row.id,
    attempts: row.attempts,
    status,
    message,
    effects: JSON.stringify(effects),
    contactId,
    identityId: waitsFor,
    processedAt: status === 'processed' ? now : null,
  });
  if (!done.length) throw new Error(`the lease of delivery ${row.id} ran out while it was applied`);
}

async function bury(ctx: Context, row: Claimed, error: string, now: number): Promise<'done'> {
  await ctx.store.write(tx => finish(tx, row, { status: 'dead', message: error, error, processedAt: now }));
  return 'done';
}

/** Seconds, doubling from 2 s up to 10 min, half of it random so that retries do not come in waves. */
export function backoffMs(failures: number, random: number): number {
  const full = Math.min(600_000, 2000 * 2 ** (failures - 1));
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

/** Gives leases back untouched, after the database could not take the outcome. */
export async function giveBack(tx: Tx, ids: string[]): Promise<void> {
  await tx
    .update(deliveries)
    .set({ leased: false, dueAt: 0, attempts: sql`${deliveries.attempts} - 1` })
    .where(and(inArray(deliveries.id, ids), eq(deliveries.leased, true)));
}

/** After a crash (`before` null: all leases are void) or for leases that ran out: counts the crash, buries after three. */
export async function recover(tx: Tx, before: number | null, now: number): Promise<void> {
  const lost = await tx
    .update(deliveries)
    .set({ leased: false, dueAt: 0, crashes: sql`${deliveries.crashes} + 1` })
    .where(
      and(
        eq(deliveries.status, 'queued'),
        gt(deliveries.dueAt, 0), // not leased: 0 or NEVER
        lt(deliveries.dueAt, before ?? NEVER),
        eq(deliveries.leased, true),
      ),
    )
    .returning({ id: deliveries.id, crashes: deliveries.crashes });
  const buried = lost.filter(row => row.crashes >= MAX_CRASHES).map(row => row.id);
  if (!buried.length) return;
  const error = `Inlet stopped ${MAX_CRASHES} times while applying this. Replay it once the cause is mended.`;
  await tx
    .update(deliveries)
    .set({ status: 'dead', error, message: error, processedAt: now })
    .where(inArray(deliveries.id, buried));
}
