import { createHash } from 'node:crypto';
import type { Context } from '../context.ts';
import { StoreUnavailable } from '../db/store.ts';
import { makeId } from '../id.ts';
import { type RawRequest, type Seen, Unverified } from '../providers/provider.ts';
import { decide, needsLookup } from './decide.ts';
import type { ReadyEndpoint } from './endpointCache.ts';
import { noteLastUsed } from './lastUsed.ts';
import { pickLoggedHeaders } from './loggedHeaders.ts';
import { buildOrigin } from './origin.ts';
import { type Received, type Recorded, receiving } from './recordDelivery.ts';
import { clearClockSkew, recordRejection } from './rejections.ts';

/** The answer to a provider. `body` is JSON; 2xx only after the commit. */
interface Answer {
  status: 200 | 401;
  body: { success: boolean; message: string; result?: 'accepted' | 'duplicate' | 'ignored'; deliveryId?: string };
}

/** Constant, so that a forger learns nothing; the cause is in the log. */
const REFUSAL =
  "The signature could not be verified. Check that this endpoint's signing secret in Inlet is the one your provider shows for it; Inlet's log has the cause under rejected deliveries.";

/** Verifies, logs durably, answers. Nothing is parsed before it is verified. @throws StoreUnavailable when it can't be stored now */
export async function receive(ctx: Context, live: ReadyEndpoint, raw: RawRequest): Promise<Answer> {
  const now = ctx.now();
  let seen: Seen;
  try {
    const secrets = live.secrets.filter(secret => secret.expiresAt === null || secret.expiresAt > now);
    if (!secrets.length) throw new Unverified('noSecret', 'this endpoint has no signing secret yet');
    seen = await live.provider.verify(raw, secrets, live.settings, now);
  } catch (error) {
    if (!(error instanceof Unverified)) throw error;
    await recordRejection(ctx, live, raw, error, now);
    return { status: 401, body: { success: false, message: REFUSAL } };
  }
  clearClockSkew(ctx);
  noteLastUsed(ctx, live.id, seen.secretId, now);
  const received = describe(live, raw, seen, now);
  const recorded = await record(ctx, received);
  if (recorded.status === 'queued') ctx.wake();
  if (recorded.result !== 'duplicate') noteArrival(ctx, received, recorded, now);
  return {
    status: 200,
    body: { success: true, result: recorded.result, message: recorded.message, deliveryId: recorded.id },
  };
}

/** Counts it by its type, in memory. */
function noteArrival(
  { counters }: Context,
  { delivery }: Received,
  { id, result, message }: Recorded,
  now: number,
): void {
  const { endpointId, type } = delivery;
  const isIgnored = result === 'ignored';
  const outcome = isIgnored ? ('ignored' as const) : ('applied' as const);
  counters.noteArrival({ endpointId, type, outcome, lastAt: now, lastId: id, message: isIgnored ? message : '' });
}

/**
 * Logs a delivery and, where nothing speaks against it, applies it in the same transaction: one commit, nothing between. One that
 * can't be applied so is logged as queued, and the worker counts its attempts.
 */
async function record(ctx: Context, received: Received): Promise<Recorded> {
  if (received.ready && !ctx.careful.isActive()) {
    try {
      return await ctx.people.write(receiving, received);
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      ctx.log.warn(
        { err: error, deliveryId: received.delivery.id },
        'could not apply a delivery as it came; it is queued',
      );
    }
  }
  return ctx.people.write(receiving, { ...received, ready: null });
}

/** The log row of a verified request, with everything decided that needs no database. */
function describe(live: ReadyEndpoint, raw: RawRequest, seen: Seen, now: number): Received {
  const { provider } = live;
  const base = {
    id: makeId('dlv', now),
    endpointId: live.id,
    provider: provider.id,
    type: seen.type.slice(0, 200),
    occurredAt: seen.at,
    secretId: seen.secretId,
    headers: pickLoggedHeaders(provider.logHeaders, raw.headers),
    paused: live.paused,
    receivedAt: now,
  };
  const ignored = (message: string, externalId: string): Received => ({
    delivery: { ...base, status: 'ignored', message, externalId: limitId(externalId), dedupe: null, body: null },
    ready: null,
  });
  const hashOf = (body: Uint8Array | string) => `body:${createHash('sha256').update(body).digest('hex')}`;
  if (seen.json === undefined)
    return ignored(`Ignored: verified, but ${seen.problem ?? 'not JSON'}`, seen.externalId ?? hashOf(raw.body));
  const redacted = provider.redact(seen.json);
  const body = redacted === seen.json && seen.text !== undefined ? seen.text : JSON.stringify(redacted);
  const dedupe = seen.externalId === null ? (provider.dedupe?.(redacted) ?? null) : null;
  const externalId = limitId(seen.externalId ?? dedupe?.hash ?? hashOf(body));
  const decided = decide(live, redacted, { type: seen.type, at: seen.at, externalId });
  // Nothing is kept of a type that is not applied: it may hold whatever the provider knows, one-time codes included.
  if (decided.status === 'ignored' && decided.final) return ignored(decided.message, externalId);
  const status = decided.status === 'ignored' && !live.paused ? ('ignored' as const) : ('queued' as const);
  const message = live.paused
    ? 'Stored. The endpoint is paused; it is decided and applied when the endpoint is resumed'
    : decided.message;
  const delivery = {
    ...base,
    status,
    message,
    externalId,
    dedupe: dedupe && { group: dedupe.group, once: dedupe.once },
    body,
  };
  if (decided.status !== 'queued' || live.paused || needsLookup(live, decided.fact)) return { delivery, ready: null };
  const origin = buildOrigin(live, { ...delivery, replays: 0 }, redacted, decided.fact);
  return { delivery, ready: { fact: decided.fact, origin } };
}

/** External ids are at most 255 characters; a longer one is kept as its hash. */
const limitId = (id: string) => (id.length <= 255 ? id : `hash:${createHash('sha256').update(id).digest('hex')}`);
