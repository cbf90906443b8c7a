import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { reachOf } from './addresses.ts';

/** All addresses of a host name. @throws with a `code` when it has none */
export type Resolve = (host: string) => Promise<string[]>;

const MAX_URL = 2048;
const RESOLVE_MS = 5000;
const LOCALHOST = /(^|\.)localhost\.?$/;

/** A target that must not be called, in a sentence that says what to do. */
export class Refused extends Error {}

/** By the system: hosts file included. */
export const resolveBySystem: Resolve = async host => (await lookup(host, { all: true })).map(each => each.address);

/** The URL in its normal spelling, checked as far as no look-up is needed. @throws Refused */
export function parseTarget(text: string, allowPrivate: boolean): URL {
  if (text.length > MAX_URL) throw new Refused(`must not be longer than ${MAX_URL} characters.`);
  const url = /[\s\\]|\p{Cc}/u.test(text) ? null : URL.parse(text);
  if (!url?.host || !/^https?:$/.test(url.protocol))
    throw new Refused('must be a whole URL such as https://example.com/webhooks.');
  if (url.username || url.password)
    throw new Refused(
      'must not hold a user or password. Every call is signed; put a token into the path if you need one.',
    );
  if (url.protocol === 'http:' && !allowPrivate)
    throw new Refused(
      'must start with https://. Plain http is for private networks only, with INLET_ALLOW_PRIVATE_TARGETS=true.',
    );
  url.hash = '';
  return url;
}

/** The host as a resolver takes it: an IPv6 address without brackets. */
const readHost = (url: URL) => url.hostname.replace(/^\[|\]$/g, '');

/** An address that may be called, or why not. Plain http only where it stays inside. */
function requireAllowed(url: URL, address: string, allowPrivate: boolean): void {
  const reach = reachOf(address);
  const literal = isIP(readHost(url)) !== 0;
  if (reach === 'public') {
    if (url.protocol === 'https:') return;
    throw new Refused('must start with https://: its address is public, and plain http would show what is sent.');
  }
  if (reach === 'private' && allowPrivate) return;
  const what = literal ? 'is' : 'has a host whose address is';
  throw new Refused(
    reach === 'private'
      ? `${what} private (this machine or a private network). Use a public https address, or set INLET_ALLOW_PRIVATE_TARGETS=true if it is meant.`
      : `${what} not one that webhooks are sent to (link-local, reserved, multicast or translated). Use another host.`,
  );
}

async function limitTime(found: Promise<string[]>): Promise<string[]> {
  let timer: Timer | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('slow'), { code: 'ETIMEOUT' })), RESOLVE_MS);
  });
  return Promise.race([found, late]).finally(() => clearTimeout(timer));
}

/**
 * The addresses to connect to, IPv4 first: exactly those that were checked, none looked up again (DNS rebinding).
 * @throws Refused when any of them is private or reserved; an error with a `code` when there is none
 */
export async function resolveAddresses(url: URL, allowPrivate: boolean, resolve: Resolve): Promise<string[]> {
  const host = readHost(url);
  if (LOCALHOST.test(host)) requireAllowed(url, '127.0.0.1', allowPrivate); // whatever the resolver says (RFC 6761)
  const found = isIP(host) ? [host] : await limitTime(resolve(host));
  for (const address of found) requireAllowed(url, address, allowPrivate);
  if (!found.length) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' });
  return found.sort((a, b) => isIP(a) - isIP(b));
}

/** For a new subscription: the normal spelling of a URL that may be called. A name that no look-up knows (yet) passes: every call looks again. @throws Refused */
export async function checkTarget(text: string, allowPrivate: boolean, resolve: Resolve): Promise<string> {
  const url = parseTarget(text, allowPrivate);
  await resolveAddresses(url, allowPrivate, resolve).catch(error => {
    if (error instanceof Refused) throw error;
  });
  return url.href;
}
