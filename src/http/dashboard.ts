import type { Config } from '../config.ts';
import { bundleDashboard, DASHBOARD_FILE } from './bundleDashboard.ts';

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
/** Of the frame that shows a mail. It has no origin, and what it shows has no script: `dashboard/frame.ts` is all that runs in it. */
const FRAME_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'self'",
  'sandbox allow-scripts',
].join('; ');
const TYPES: Record<string, string> = { js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8' };

/** Everything is named from here on: a proxy may have taken off the front of the path. */
const makePage = (names: string[]) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Inlet</title>
<link rel="icon" href="data:,">
${names
  .filter(name => name.endsWith('.css'))
  .map(name => `<link rel="stylesheet" href="${name}">`)
  .join('')}
${names
  .filter(name => name.startsWith('dashboard-') && name.endsWith('.js'))
  .map(name => `<script type="module" src="${name}"></script>`)
  .join('')}
</head>
<body>
<div id="app"><noscript>This page needs JavaScript. The API does not: see /swagger.</noscript></div>
</body>
</html>
`;

const makeFrame = (names: string[]) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>A mail</title>
<style>html, body, iframe { height: 100%; width: 100%; margin: 0; border: 0; display: block; background: #fff; }</style>
${names
  .filter(name => name.startsWith('frame-'))
  .map(name => `<script src="${name}" defer></script>`)
  .join('')}
</head>
<body></body>
</html>
`;

/** What a build put into the executable; from source the page is bundled once, when it is first asked for. */
async function loadFiles(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const file of Bun.embeddedFiles) {
    const name = 'name' in file ? String(file.name) : '';
    if (DASHBOARD_FILE.test(name)) files.set(name, new Uint8Array(await file.arrayBuffer()));
  }
  return files.size ? files : bundleDashboard();
}

let loading: ReturnType<typeof loadFiles> | undefined;

/** The page at `/_/`, its files, and the way there from `/`; null for any other path, and where it is switched off. */
export async function answerDashboard(config: Config, request: Request, path: string): Promise<Response | null> {
  if (!config.dashboard || !/^(GET|HEAD)$/.test(request.method)) return null;
  if (path === '/' || path === '/_') return new Response(null, { status: 302, headers: { location: '_/' } });
  if (!path.startsWith('/_/')) return null;
  loading ??= loadFiles();
  const files = await loading;
  const names = [...files.keys()].map(name => name.slice(0, -'.gz'.length));
  if (path === '/_/frame') {
    const headers = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': FRAME_CSP };
    return new Response(makeFrame(names), { headers });
  }
  if (path === '/_/') {
    // "no-referrer" would make browsers say "Origin: null" of what the page changes
    const headers = { 'content-type': 'text/html; charset=utf-8', 'referrer-policy': 'same-origin' };
    return new Response(makePage(names), { headers: { ...headers, 'content-security-policy': CSP } });
  }
  const name = path.slice('/_/'.length);
  const file = files.get(`${name}.gz`);
  if (!file) return null;
  const headers = {
    'content-type': TYPES[name.split('.').at(-1) ?? ''] ?? '',
    'cache-control': 'public, max-age=31536000, immutable',
    vary: 'accept-encoding',
  };
  if (!/\bgzip\b/.test(request.headers.get('accept-encoding') ?? ''))
    return new Response(Bun.gunzipSync(file), { headers });
  return new Response(file, { headers: { ...headers, 'content-encoding': 'gzip' } });
}
