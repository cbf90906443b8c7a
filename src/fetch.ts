import { AppError } from './errors.ts';
import type { Fetch } from './providers/provider.ts';

const ALLOWED_HOSTS = new Set(['api.stripe.com']);
const DEADLINE_MS = 15_000; // connecting, headers and body together
const MAX_ANSWER_BYTES = 1_048_576;

/**
 * The one way out to the network: https to providers' API hosts only, no redirects, one deadline, a bounded answer, no inflation.
 * @throws AppError unavailable when the host is not one of them, answers too much or too late
 */
export const guardedFetch: Fetch = async (url, init = {}) => {
  const target = new URL(url);
  if (target.protocol !== 'https:' || !ALLOWED_HOSTS.has(target.host)) {
    throw new AppError('unavailable', `Inlet does not call ${target.host}`);
  }
  const headers = new Headers(init.headers);
  headers.set('accept-encoding', 'identity');
  const response = await fetch(url, {
    ...init,
    headers,
    redirect: 'manual',
    signal: AbortSignal.timeout(DEADLINE_MS),
    decompress: false,
  });
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MAX_ANSWER_BYTES) {
      await reader.cancel();
      throw new AppError('unavailable', `${target.host} answered more than ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(value);
  }
  return new Response(Buffer.concat(chunks), {
    status: response.status,
    headers: { 'content-type': response.headers.get('content-type') ?? '' },
  });
};
