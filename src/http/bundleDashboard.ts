import { join } from 'node:path';

/** Of the page's files, also where they are embedded: `dashboard-{hash}.js.gz`. */
export const DASHBOARD_FILE = /^dashboard-\w+\.(js|css)\.gz$/;

/** Bundles the page from its sources: its script and its style sheet, gzipped, by a name that says what is in them. @throws AggregateError */
export async function bundleDashboard(): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const { outputs } = await Bun.build({
    entrypoints: [join(import.meta.dir, '../dashboard/main.tsx')],
    target: 'browser',
    minify: true,
    jsx: { runtime: 'automatic', importSource: 'preact', development: false },
    naming: 'dashboard-[hash].[ext]',
  });
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const output of outputs) {
    const name = `${output.path.split('/').at(-1)}.gz`;
    if (DASHBOARD_FILE.test(name)) files.set(name, Bun.gzipSync(await output.arrayBuffer(), { level: 9 }));
  }
  return files;
}
