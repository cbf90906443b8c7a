// databases: sqlite
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { bundleDashboard } from '../../src/http/bundleDashboard.ts';
import { TestApp } from '../support/app.ts';

const MAX_FIRST_SCREEN = 60 * 1024; // bytes of script and style, gzipped

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.open();
});
afterAll(() => app.stop());

const get = (path: string, headers: Record<string, string> = {}) =>
  app.app.fetch(new Request(`http://localhost${path}`, { headers }));

test('/ leads to the page, below whatever path a proxy has taken off', async () => {
  for (const path of ['/', '/_']) {
    const { status, headers } = await get(path);
    expect([status, headers.get('location')]).toEqual([302, '_/']);
  }
});

test('the page names its files from where it is, runs nothing but its own, and may be in no frame', async () => {
  const page = await get('/_/');
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(page.headers.get('content-security-policy')).toBe(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  expect(page.headers.get('referrer-policy')).toBe('same-origin');
  const html = await page.text();
  const names = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, name]) => name).filter(name => name !== 'data:,');
  expect(names.map(name => name?.replace(/-\w+\./, '-HASH.')).sort()).toEqual([
    'dashboard-HASH.css',
    'dashboard-HASH.js',
  ]);
  expect(html).not.toMatch(/<style|<script>|\son\w+=|https?:/);
  for (const name of names) {
    const packed = await get(`/_/${name}`, { 'accept-encoding': 'br, gzip' });
    expect(packed.headers.get('content-encoding')).toBe('gzip');
    expect(packed.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(packed.headers.get('x-content-type-options')).toBe('nosniff');
    const plain = await get(`/_/${name}`);
    expect(plain.headers.get('content-encoding')).toBeNull();
    expect(await plain.text()).toBe(new TextDecoder().decode(Bun.gunzipSync(await packed.arrayBuffer())));
  }
  expect((await get('/_/dashboard-0000.js')).status).toBe(404);
  expect((await get('/_/..%2fhealth')).status).toBe(400);
});

test('INLET_DASHBOARD=false switches it off', async () => {
  const off = await TestApp.open({}, { dashboard: false });
  try {
    for (const path of ['/', '/_', '/_/']) expect((await off.fetch(path)).status).toBe(404);
  } finally {
    await off.stop();
  }
});

/** The page's scripts that come with this one, itself included. */
function listLoaded(files: Map<string, Uint8Array<ArrayBuffer>>, name: string, seen = new Set<string>()): Set<string> {
  const file = files.get(`${name}.gz`);
  if (!file || seen.has(name)) return seen;
  seen.add(name);
  const text = new TextDecoder().decode(Bun.gunzipSync(file));
  for (const [, next = ''] of text.matchAll(/(?:from|import)"\.\/([\w-]+\.js)"/g)) listLoaded(files, next, seen);
  return seen;
}

test('the first screen is small, no screen is large, and none needs eval', async () => {
  const files = await bundleDashboard();
  const names = [...files.keys()].map(name => name.slice(0, -'.gz'.length));
  const entry = names.find(name => /^dashboard-\w+\.js$/.test(name)) ?? '';
  const style = names.find(name => name.endsWith('.css')) ?? '';
  const first = listLoaded(files, entry);
  const measure = (all: Iterable<string>) =>
    [...all].reduce((sum, name) => sum + (files.get(`${name}.gz`)?.length ?? 0), 0);
  const text = new TextDecoder().decode(Bun.gunzipSync(files.get(`${entry}.gz`) ?? new Uint8Array()));
  const screens = [...text.matchAll(/import\("\.\/([\w-]+\.js)"\)/g)].map(([, name = '']) => name);
  expect(screens.length).toBeGreaterThan(3);
  for (const screen of screens)
    expect(measure(new Set([...first, style, ...listLoaded(files, screen)]))).toBeLessThan(MAX_FIRST_SCREEN);
  for (const file of files.values())
    expect(new TextDecoder().decode(Bun.gunzipSync(file))).not.toMatch(
      /\beval\(|new Function\(|dangerouslySetInnerHTML:/,
    );
});

test('a mail is shown in a frame without origin, in which only our own script runs', async () => {
  const frame = await get('/_/frame');
  expect(frame.headers.get('content-security-policy')).toBe(
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts",
  );
  const script = /<script src="(frame-\w+\.js)" defer>/.exec(await frame.text())?.[1];
  expect((await get(`/_/${script}`)).status).toBe(200);
  expect((await get('/_/')).headers.get('content-security-policy')).not.toContain('unsafe-inline');
});
