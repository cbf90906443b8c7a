import type { Context } from '../context.ts';
import { allProviders } from '../providers/index.ts';
import { type RawRequest, Unverified } from '../providers/provider.ts';
import type { ReadyEndpoint } from './endpointCache.ts';

const MAX_TRIES = 20; // secrets that a refused body is hashed with
const MAX_SEARCHED = 65_536; // bytes: hashing 25 MiB twenty times would hold the thread for a third of a second

/** The precise cause of a rejection, for the log only. */
export async function explainRejection(
  ctx: Context,
  live: ReadyEndpoint,
  raw: RawRequest,
  error: Unverified,
  now: number,
): Promise<string> {
  if (error.reason === 'noSecret') return `${error.message}: add the one ${live.provider.name} shows for this URL`;
  if (error.reason === 'missingHeader') {
    const [other, ...alike] = allProviders
      .filter(p => p.id !== live.provider.id && p.signatureHeaders.some(h => Object.hasOwn(raw.headers, h)))
      .map(p => p.name);
    if (other === undefined) return error.message;
    const more = alike.length ? ` Those of ${alike.join(' and ')} look the same.` : '';
    return `${error.message}, but headers of ${other}: is this endpoint's provider right?${more}`;
  }
  if (error.reason !== 'badSignature' || raw.body.length > MAX_SEARCHED) return error.message;
  return error.lookCloser?.() ?? (await findSigner(ctx, live, raw, now)) ?? error.message;
}

/** Whose secret it was signed with: an expired one of this endpoint, or another endpoint's. */
async function findSigner(ctx: Context, live: ReadyEndpoint, raw: RawRequest, now: number): Promise<string | null> {
  const expired = live.secrets.filter(secret => secret.expiresAt !== null && secret.expiresAt <= now);
  let tries = 0;
  for (const secret of expired.slice(0, MAX_TRIES))
    if (await isSignedWith(live, raw, secret, now))
      return `signed with a secret of this endpoint that expired (${secret.id})`;
  for (const each of await ctx.live.ofProvider(live.provider.id, MAX_TRIES)) {
    if (each.id === live.id) continue;
    for (const secret of each.secrets) {
      if (++tries > MAX_TRIES) return null;
      if (await isSignedWith(each, raw, secret, now)) return `signed with the secret of another endpoint (${each.id})`;
    }
  }
  return null;
}

async function isSignedWith(
  live: ReadyEndpoint,
  raw: RawRequest,
  secret: ReadyEndpoint['secrets'][number],
  now: number,
): Promise<boolean> {
  try {
    await live.provider.verify(raw, [secret], live.settings, now);
    return true;
  } catch (error) {
    return error instanceof Unverified && error.reason === 'clockSkew';
  }
}
