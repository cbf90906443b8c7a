import { SESSION_MS } from './sessions.ts';

/** Of the page's session. A browser takes a `__Host-` cookie over https only, from this very host and for all of its paths. */
const getCookieName = (publicUrl: string) => (isHttps(publicUrl) ? '__Host-inlet' : 'inlet');

const isHttps = (url: string) => url.startsWith('https:');

/** The `Set-Cookie` that keeps `token` for 30 days; null removes it. */
export function makeCookie(publicUrl: string, token: string | null): string {
  const age = token === null ? 0 : SESSION_MS / 1000;
  const secure = isHttps(publicUrl) ? '; Secure' : '';
  return `${getCookieName(publicUrl)}=${token ?? ''}; Path=/; Max-Age=${age}; HttpOnly; SameSite=Strict${secure}`;
}

/** The token of the session's cookie, or null. */
export function readCookie(headers: Headers, publicUrl: string): string | null {
  const start = `${getCookieName(publicUrl)}=`;
  const pairs = (headers.get('cookie') ?? '').split(';').map(pair => pair.trim());
  return pairs.find(pair => pair.startsWith(start))?.slice(start.length) || null;
}

/**
 * Whether the browser says that a page of ours sent the request; null: no browser said anything. A page on another port of this host
 * is "same-site": cookies know no ports, so only "same-origin" counts.
 */
export function isSameOrigin(headers: Headers, publicUrl: string): boolean | null {
  const site = headers.get('sec-fetch-site');
  if (site !== null) return site === 'same-origin';
  const origin = headers.get('origin');
  if (origin === null) return null;
  if (origin === new URL(publicUrl).origin) return true;
  if (isHttps(publicUrl) && !isHttps(origin)) return false;
  return URL.parse(origin)?.host === headers.get('host');
}
