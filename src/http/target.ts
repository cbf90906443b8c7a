const DEPTH = 8; // segments; no route of ours has as many
const EXACT = ['/', '/_/', '/swagger/', '/webhooks/'];
const EVENT_NAME = /^\/api\/v1\/event-patterns\/by-name\/[^/]+$/; // the one segment that may hold an encoded slash
const DOTS = /^(\.|%2e){1,2}$/i;

/** Parameters of a route of `sentPaths`, decoded; null for a path that none of them matched. */
export type SentSegments = Record<string, string> | null | undefined;

/**
 * Routes for every path we could answer. Bun's `request.url` is normalised already (`/webhooks/..\keys` is `/keys`): only the
 * parameters of its own routes show what was sent.
 */
export const sentPaths: string[] = [
  ...EXACT,
  ...Array.from({ length: DEPTH }, (_, last) => Array.from({ length: last + 1 }, (__, at) => `/:s${at}`).join('')),
];

/** The path is the one that was sent: a proxy in front, which reads paths by rules of its own, judged the same one. */
function isAsSent(path: string, sent: SentSegments): boolean {
  if (sent === undefined) return false; // Bun could not decode it
  const depth = path.split('/').length - 1;
  if (sent === null) return depth > DEPTH || (/\/\/|.\/$/.test(path) && !EXACT.includes(path));
  const segments = Object.values(sent);
  const names = EVENT_NAME.test(path) && segments.length === depth ? segments.slice(0, -1) : segments;
  return names.every(segment => !/[\\/#]|^\.\.?$/.test(segment));
}

/**
 * Path and query of a request, whatever its Host header made of the URL (`//host/…` is no path of ours: `/-`); null when there is no
 * telling, or when a proxy could have read another path. `sent` is what a route of `sentPaths` matched; left out for a request made in this process.
 */
export function readTarget({ url }: Request, sent: SentSegments = {}): URL | null {
  const slash = url.startsWith('/') ? 0 : url.indexOf('/', url.indexOf('://') + 3);
  const target = slash < 0 ? '/' : url.slice(slash);
  const path = target.split('?', 1)[0] ?? '';
  if (target.includes('#') || path.includes('\\') || path.split('/').some(each => DOTS.test(each))) return null;
  if (/%2f|%5c/i.test(path) && !EVENT_NAME.test(path)) return null;
  return isAsSent(path, sent) ? URL.parse(target.startsWith('//') ? '/-' : target, 'http://inlet') : null;
}
