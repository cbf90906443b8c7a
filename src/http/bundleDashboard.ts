import { join } from 'node:path';

/** Of the page's files, also where they are embedded: `dashboard-{hash}.js.gz` is what the page loads first, parts come when a screen needs them. */
export const DASHBOARD_FILE = /^(dashboard|part|frame)-\w+\.(js|css)\.gz$/;

const SOURCES = join(import.meta.dir, '../dashboard');
const OPTIONS = {
  target: 'browser',
  minify: true,
  jsx: { runtime: 'automatic', importSource: 'preact', development: false },
} as const;

/** Bundles the page from its sources: scripts, one for each screen, and a style sheet, gzipped, by names that say what is in them. @throws AggregateError */
export async function bundleDashboard(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const page = await Bun.build({
    ...OPTIONS,
    entrypoints: [join(SOURCES, 'main.tsx')],
    splitting: true,
    naming: { entry: 'dashboard-[hash].[ext]', chunk: 'part-[hash].[ext]', asset: 'dashboard-[hash].[ext]' },
  });
  const frame = await Bun.build({
    ...OPTIONS,
    entrypoints: [join(SOURCES, 'frame.ts')],
    format: 'iife', // as a module it could not be loaded without an origin
    naming: 'frame-[hash].[ext]',
  });
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const output of [...page.outputs, ...frame.outputs]) {
    const name = `${output.path.split('/').at(-1)}.gz`;
    if (DASHBOARD_FILE.test(name)) files.set(name, Bun.gzipSync(await output.arrayBuffer(), { level: 9 }));
  }
  return files;
}
