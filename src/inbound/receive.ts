import { createHash } from 'node:crypto';
import type { Context } from '../context.ts';
import { newId } from '../id.ts';
import { type Fact, type Ignored, type RawRequest, type Seen, Unverified } from '../providers/provider.ts';
import type { Live } from './live.ts';
import { log, type NewDelivery } from './log.ts';
import { clockIsRight, refuse } from './refuse.ts';
import { touch } from './touch.ts';

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
    await refuse(ctx, live, raw, error, now);
    return { status: 401, body: { success: false, message: REFUSAL } };
  }
  clockIsRight(ctx);
  touch(ctx, live.id, seen.secretId, now);
  const { delivery, redacted } = describe(live, raw, seen, now);
  const logged = await ctx.store.write(tx => log(tx, delivery));
  if (logged.result === 'accepted') {
    if (!live.paused) ctx.recent.put(logged.id, redacted);
    ctx.wake();
  }
  return {
    status: 200,
    body: {
      success: true,
      result: logged.result,
      message: logged.result === 'duplicate' ? 'Received before; nothing happens again' : delivery.message,
      deliveryId: logged.id,
    },
  };
}

const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The log row of a verified request, with everything decided that needs no database. */
function describe(live: Live, raw: RawRequest, seen: Seen, now: number): { delivery: NewDelivery; redacted: unknown } {
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
    now,
  };
  if (seen.json === undefined) {
    const hash = createHash('sha256').update(raw.body).digest('hex');
    const message = `Ignored: verified, but ${seen.problem ?? 'not JSON'}`;
    const externalId = bounded(seen.externalId ?? `body:${hash}`);
    return {
      delivery: { ...base, status: 'ignored', message, externalId, dedupe: null, body: null },
      redacted: undefined,
    };
  }
  const redacted = provider.redact(seen.json);
  const body = redacted === seen.json ? textDecoder.decode(raw.body) : JSON.stringify(redacted);
  const dedupe = seen.externalId === null ? (provider.dedupe?.(redacted) ?? null) : null;
  const externalId = bounded(
    seen.externalId ?? dedupe?.hash ?? `body:${createHash('sha256').update(body).digest('hex')}`,
  );
  const { status, message } = decide(live, redacted, { type: seen.type, at: seen.at, externalId });
  return { delivery: { ...base, status, message, externalId, dedupe: dedupe?.group ?? null, body }, redacted };
}

/** What can be said without the database: ignored with the reason, or the fact that will be applied. */
export type Decision = { status: 'ignored'; message: string } | { status: 'queued'; message: string; fact: Fact };

export function decide(
  live: Live,
  redacted: unknown,
  seen: { type: string; at: number; externalId: string },
): Decision {
  const fact = live.provider.read(redacted, live.settings, seen);
  if (isIgnored(fact)) return { status: 'ignored', message: fact.ignored };
  const type = fact.settingsType ?? seen.type;
  if (!live.events[type]?.enabled) {
    return {
      status: 'ignored',
      message: `Ignored: ${type} is switched off for this endpoint. Enable it under events to apply it.`,
    };
  }
  if (fact.personId === null && fact.email === null && !fact.aliases.length) {
    return { status: 'ignored', message: `Ignored: this ${type} names no person: no address and no id of one.` };
  }
  const who = fact.email ?? `${fact.personId ?? fact.aliases[0]}, as soon as that person is known`;
  const message = live.paused
    ? 'Stored. The endpoint is paused; it is applied when the endpoint is resumed'
    : `Accepted: ${type} will be applied to ${who}`;
  return { status: 'queued', message, fact };
}

export const isIgnored = (value: object): value is Ignored => 'ignored' in value;

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
