import type { WriteKind } from '../audience/peopleWriter.ts';
import type { Context } from '../context.ts';
import { changeAmong, selectAmong } from '../db/sets.ts';
import { isPostgres } from '../db/sql.ts';
import { StoreUnavailable } from '../db/store.ts';
import type { Fact } from '../providers/provider.ts';
import { applyReport } from './applyReport.ts';
import { type Decision, decide, needsLookup } from './decide.ts';
import type { ReadyEndpoint } from './endpointCache.ts';
import { type Applied, applyFact, identifyFact } from './ingest.ts';
import { type Claimed, deliveryQueue } from './leases.ts';
import { buildOrigin, describeSeen, qualifyProvider } from './origin.ts';
import { findDueAt } from './pause.ts';
import { buildOutcome, chooseLane, collectKeys, type ReadyFact } from './recordDelivery.ts';

interface Applying {
  row: Claimed;
  ready: ReadyFact;
}

interface ApplyContext {
  /** Leases that are still held. */
  held: Set<string>;
  done: { row: Claimed; applied: Applied }[];
}

const makeHeldKey = (id: string, fence: number) => `${id} ${fence}`;

/** Applies claimed deliveries and ends their leases. A lease that another worker took over meanwhile is not ended: nothing happens then. */
export const applying: WriteKind<Applying, ApplyContext> = {
  lane: ({ ready }) => chooseLane(ready),
  async load(tx, writes) {
    const ids = writes.map(({ row }) => row.id);
    const lock = isPostgres(tx) ? ' for update' : '';
    const rows = await selectAmong(tx, 'select id, fence, leased from deliveries where id', ids, lock);
    const held = rows.filter(row => Number(row[2]) === 1).map(row => makeHeldKey(row[0] as string, Number(row[1])));
    return { held: new Set(held), done: [] };
  },
  keys: ({ ready, row }) => {
    const { settings, key, replays } = ready.origin;
    const event = settings.triggerEvent && `${key}:event:${settings.triggerEvent}${replays ? `:${replays}` : ''}`;
    const more = row.identityId ? { ids: [row.identityId] } : {};
    const keys = collectKeys(ready);
    return { ...keys, ids: [...keys.ids!, ...(more.ids ?? [])], effects: event ? [event] : [] };
  },
  apply(people, { row, ready }, context, now) {
    if (!context.held.delete(makeHeldKey(row.id, row.fence))) return null;
    const applied = applyFact(people, ready.fact, ready.origin, now);
    context.done.push({ row, applied });
    return buildOutcome('done', ready, applied);
  },
  async save(tx, { done }, now) {
    const erased = done.filter(({ applied }) => applied.erased).map(({ row }) => row.id);
    await changeAmong(tx, 'delete from payloads where delivery_id', erased);
    const rows = done.map(({ row, applied: { status, message, effects, contactId, identityId, erased: gone } }) => [
      row.id,
      row.fence,
      status,
      message,
      JSON.stringify(effects),
      contactId,
      gone ? null : identityId,
      status === 'processed' ? now : null,
    ]);
    const columns = [
      { name: 'status' },
      { name: 'message' },
      { name: 'effects' },
      { name: 'contact_id' },
      { name: 'identity_id' },
      { name: 'processed_at', integer: true },
    ];
    const ended = await deliveryQueue.settleAll(tx, columns, rows, 'due_at = 0, leased = 0, error = null');
    if (ended.length !== done.length) throw new Error('the lease of a delivery ran out while it was applied');
  },
};

/** Applies one claimed delivery, `text` being its stored body (null: was not JSON, undefined: pruned), and records the outcome in the same transaction. Never throws; `giveBack`: the database was away. */
export async function applyDelivery(
  ctx: Context,
  row: Claimed,
  text: string | null | undefined,
  now: number,
): Promise<'done' | 'giveBack'> {
  try {
    const live = await ctx.live.get(row.endpointId);
    if (!live) return await deadLetter(ctx, row, 'The endpoint was removed before this was applied.', now);
    if (text === undefined)
      return await deadLetter(ctx, row, 'The payload was pruned; ask the provider to send it again.', now);
    if (live.paused) {
      await ctx.store.write(async tx =>
        deliveryQueue.complete(tx, row, { dueAt: await findDueAt(tx, live.id), attempts: row.attempts - 1 }),
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

async function applyTo(
  ctx: Context,
  live: ReadyEndpoint,
  row: Claimed,
  text: string | null,
  now: number,
): Promise<void> {
  const body = text === null ? undefined : (JSON.parse(text) as unknown);
  const seen = describeSeen(row);
  const decided: Decision =
    body === undefined
      ? {
          status: 'ignored',
          final: true,
          message: `Ignored: ${row.type || 'this'} is stored without its body, so there is nothing to apply`,
        }
      : decide(live, body, seen);
  if (decided.status === 'ignored') {
    const { message } = decided;
    await ctx.store.write(tx => deliveryQueue.complete(tx, row, { status: 'ignored', message, processedAt: now }));
    return;
  }
  if (decided.status === 'reported') return applyReport(ctx, row, decided.report, seen.at, now);
  const fact = await lookUp(ctx, live, row, body, decided.fact);
  const ready = { fact, origin: buildOrigin(live, row, body, decided.fact) };
  await ctx.people.write(applying, { row, ready });
}

/** Asks the provider who is behind an id, where nobody is known yet and the endpoint has a key. */
async function lookUp(ctx: Context, live: ReadyEndpoint, row: Claimed, body: unknown, fact: Fact): Promise<Fact> {
  const { provider, settings } = live;
  const id = identifyFact(null, qualifyProvider(live), fact);
  if (!provider.lookup || !needsLookup(live, fact) || id === null) return fact;
  if (
    await isKnown(
      ctx,
      id,
      fact.payments.map(each => `${qualifyProvider(live)}:${each}`),
    )
  )
    return fact;
  try {
    return (await provider.lookup(body, fact, settings, ctx.fetch)) ?? fact;
  } catch (error) {
    if (!deliveryQueue.isSpent(row.attempts - row.crashes)) throw error;
    ctx.log.warn(
      { err: error, deliveryId: row.id },
      'the look-up failed for good; waiting for a webhook that names the person',
    );
    return fact;
  }
}

/** Whether an identity, or who paid one of these, has a contact. */
const isKnown = (ctx: Context, id: string, payments: string[]): Promise<boolean> =>
  ctx.store.read(async tx => {
    const payers = await selectAmong(tx, 'select identity_id from payments where value', payments);
    const ids = [id, ...payers.map(row => row[0] as string)];
    const rows = await selectAmong(tx, 'select id from identities where contact_id is not null and id', ids);
    return rows.length > 0;
  });

async function deadLetter(ctx: Context, row: Claimed, error: string, now: number): Promise<'done'> {
  await ctx.store.write(tx =>
    deliveryQueue.complete(tx, row, { status: 'dead', message: error, error, processedAt: now }),
  );
  return 'done';
}

async function fail(ctx: Context, row: Claimed, cause: unknown, now: number): Promise<'done' | 'giveBack'> {
  const failures = row.attempts - row.crashes;
  const dead = deliveryQueue.isSpent(failures);
  ctx.log.error({ err: cause, deliveryId: row.id, failures, dead }, 'could not apply a delivery');
  const error = `Failed ${failures} time${failures === 1 ? '' : 's'}; the log has the cause under ${row.id}.`;
  const message = dead ? `${error} Replay it once the cause is mended.` : `${error} It will be tried again.`;
  try {
    await ctx.store.write(tx =>
      dead
        ? deliveryQueue.complete(tx, row, { status: 'dead', processedAt: now, error, message })
        : deliveryQueue.retry(tx, row, failures, now, { status: 'failed', error, message }),
    );
    return 'done';
  } catch {
    return 'giveBack';
  }
}
