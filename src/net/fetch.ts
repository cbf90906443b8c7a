import { AppError, invalid } from '../errors.ts';
import type { Fetch } from '../providers/provider.ts';
import { parseTarget, Refused, type Resolve, resolveAddresses, resolveBySystem } from './target.ts';

const DEADLINE_MS = 15_000; // connecting, headers and body together
const MAX_ANSWER_BYTES = 8_388_608; // a page of a hundred customers with all the metadata there can be takes 3 MB
const LABEL = /^[a-z0-9-]{1,63}$/;
const KEPT_HEADERS = ['content-type', 'retry-after', 'x-total-count'];

interface Options {
  /** Those that may be called by https; a `*.` at the beginning stands for one label. */
  hosts?: string[];
  /** Also http, and hosts that are not a provider's own: a proxy, a self-hosted installation. */
  anywhere?: boolean;
  deadlineMs?: number;
  /** The addresses of a host that is not a provider's own. */
  resolve?: Resolve;
}

/**
 * The one way out to the providers' APIs: https to `hosts` only, no redirects, one deadline, a bounded answer, no inflation. What is
 * called `anywhere` obeys the rules of outgoing webhooks: plain http to private addresses alone, nothing to link-local or reserved ones.
 * The fetch it gives throws AppError: invalid when the host is not to be called, unavailable when it answers too much.
 */
export const makeGuardedFetch = ({
  hosts = [],
  anywhere = false,
  deadlineMs = DEADLINE_MS,
  resolve = resolveBySystem,
}: Options = {}): Fetch => {
  const isNamed = matchHosts(hosts);
  return async (url, init = {}) => {
    const target = new URL(url);
    const own = target.protocol === 'https:' && isNamed(target.host);
    if (!own && !(anywhere && /^https?:$/.test(target.protocol)))
      throw invalid(
        `Inlet does not call ${target.host}: it is not a host of the provider's API. For a proxy or a self-hosted installation set INLET_ALLOW_PRIVATE_TARGETS=true.`,
      );
    const headers = new Headers(init.headers);
    headers.set('accept-encoding', 'identity');
    const deadline = AbortSignal.timeout(deadlineMs);
    const checked = own ? url : await pinTarget(target, headers, resolve);
    const response = await fetch(checked, {
      ...init,
      headers,
      redirect: 'manual',
      signal: init.signal ? AbortSignal.any([init.signal, deadline]) : deadline,
      decompress: false,
    });
    const kept = KEPT_HEADERS.flatMap(name => {
      const value = response.headers.get(name);
      return value === null ? [] : [[name, value] as [string, string]];
    });
    const body = await readBounded(response, target.host);
    return new Response(body.length ? body : null, { status: response.status, headers: kept });
  };
};

/**
 * The URL to call, its addresses checked. Plain http goes to the very address that was checked (DNS rebinding); of https the
 * certificate says who answers. @throws AppError invalid
 */
async function pinTarget(target: URL, headers: Headers, resolve: Resolve): Promise<string> {
  try {
    const url = parseTarget(target.href, true);
    const [address = ''] = await resolveAddresses(url, true, resolve);
    if (url.protocol === 'https:') return url.href;
    headers.set('host', url.host);
    url.hostname = address.includes(':') ? `[${address}]` : address;
    return url.href;
  } catch (error) {
    throw error instanceof Refused ? invalid(`Inlet does not call ${target.host}: the url ${error.message}`) : error;
  }
}

function matchHosts(hosts: string[]): (host: string) => boolean {
  const fixed = new Set(hosts.filter(host => !host.startsWith('*.')));
  const parents = new Set(hosts.filter(host => host.startsWith('*.')).map(host => host.slice(1)));
  return host => {
    const dot = host.indexOf('.');
    return fixed.has(host) || (LABEL.test(host.slice(0, dot)) && parents.has(host.slice(dot)));
  };
}

async function readBounded(response: Response, host: string): Promise<Buffer<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const reader = response.body?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MAX_ANSWER_BYTES) {
      await reader.cancel();
      throw new AppError('unavailable', `${host} answered more than ${MAX_ANSWER_BYTES} bytes.`);
    }
    chunks.push(value);
  }
  return Buffer.concat(chunks);
}
