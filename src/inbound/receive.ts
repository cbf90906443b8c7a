import { createHash } from 'node:crypto';
import type { Context } from '../context.ts';
import { StoreUnavailable } from '../db/store.ts';
import { newId } from '../id.ts';
import { type RawRequest, type Seen, Unverified } from '../providers/provider.ts';
import { decide, needsLookup } from './decide.ts';
import { type Effect, effectOf } from './effect.ts';
import { noteLastUsed } from './lastUsed.ts';
import type { Live } from './live.ts';
import { type Logged, log, type NewDelivery } from './log.ts';
import { clearClockSkew, recordRejection } from './rejections.ts';

/** The answer to a provider. `body` is JSON; 2xx only after the commit. */
export interface Answer {
  status: 200 | 401;
  body: { success: boolean; message: string; result?: 'accepted' | 'duplicate' | 'ignored'; deliveryId?: string };
}

/** Constant, so that a forger learns nothing; the cause is in the log. */
const REFUSAL =
  "The signature could not be verified. Check that this endpoint's signing secret in Inlet is the one your provider shows for it; Inlet's log has the cause under rejected deliveries.";

/** Verifies, logs durably, answers. Nothing is parsed before it is verified. @throws StoreUnavailable when it can't be stored now */
export async function receive(ctx: Context, live: Live, raw: RawRequest): Promise<Answer> {
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
  const { delivery, effect } = describe(ctx, live, raw, seen, now);
  const logged = await store(ctx, delivery, effect);
  if (logged.work) ctx.wake();
  return {
    status: 200,
    body: {
      success: true,
      result: logged.result,
      message: logged.message,
      deliveryId: logged.id,
    },
  };
}

/**
 * Logs a delivery and, where nothing speaks against it, applies it in the same transaction: one commit, nothing between. One that
 * can't be applied so is logged as queued, and the worker counts its attempts.
 */
async function store(ctx: Context, delivery: NewDelivery, effect: Effect | null): Promise<Logged> {
  if (effect && !ctx.careful.now()) {
    try {
      return await ctx.store.write(tx => log(tx, delivery, effect));
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      ctx.log.warn({ err: error, deliveryId: delivery.id }, 'could not apply a delivery as it came; it is queued');
    }
  }
  return ctx.store.write(tx => log(tx, delivery));
}

const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

interface Described {
  delivery: NewDelivery;
  /** Null: to be queued, or nothing to apply. */
  effect: Effect | null;
}

/** The log row of a verified request, with everything decided that needs no database. */
function describe(ctx: Context, live: Live, raw: RawRequest, seen: Seen, now: number): Described {
  const { provider } = live;
  const headers = logged(provider.logHeaders, raw.headers);
  const base = {
    id: newId('dlv', now),
    endpointId: live.id,
    provider: provider.id,
    type: seen.type.slice(0, 200),
    occurredAt: seen.at,
    secretId: seen.secretId,
    headers,
    paused: live.paused,
    replays: 0,
    receivedAt: now,
  };
  if (seen.json === undefined) {
    const hash = createHash('sha256').update(raw.body).digest('hex');
    const message = `Ignored: verified, but ${seen.problem ?? 'not JSON'}`;
    const externalId = bounded(seen.externalId ?? `body:${hash}`);
    return { delivery: { ...base, status: 'ignored', message, externalId, dedupe: null, body: null }, effect: null };
  }
  const redacted = provider.redact(seen.json);
  const body = redacted === seen.json ? textDecoder.decode(raw.body) : JSON.stringify(redacted);
  const dedupe = seen.externalId === null ? (provider.dedupe?.(redacted) ?? null) : null;
  const externalId = bounded(
    seen.externalId ?? dedupe?.hash ?? `body:${createHash('sha256').update(body).digest('hex')}`,
  );
  const decided = decide(live, redacted, { type: seen.type, at: seen.at, externalId });
  const { status, message } = decided;
  const delivery = { ...base, status, message, externalId, dedupe: dedupe?.group ?? null, body };
  const atOnce = decided.status === 'queued' && !live.paused && !needsLookup(live, decided.fact);
  return { delivery, effect: atOnce ? effectOf(ctx.tell, live, delivery, redacted, decided.fact) : null };
}

/** External ids are at most 255 characters; a longer one is kept as its hash. */
const bounded = (id: string) => (id.length <= 255 ? id : `hash:${createHash('sha256').update(id).digest('hex')}`);

/** The allow-listed headers, each cut to 300 characters. */
export function logged(allowed: string[], headers: Record<string, string>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of ['content-type', 'content-length', 'user-agent', ...allowed]) {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (value !== undefined) out[name] = value.toWellFormed().replaceAll('\0', '').slice(0, 300);
  }
  return out;
}
