import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bundleDashboard } from '../http/bundleDashboard.ts';

export const ROOT = join(import.meta.dir, '../..');
/** Below src/, and not from the root: else Bun names entry points by another folder, and the thread is not found. */
const PAGE = 'src/dashboard/dist';

/** Those after the first are programs of threads, which the first finds by their places below src/ (templates.ts, checkpointer.ts). */
const ENTRY_POINTS = ['src/main.ts', 'src/templates/worker.ts', 'src/db/sqlite/checkpointThread.ts'];

// Without the last two the executable would run whatever .env and bunfig.toml lie in its working directory.
const FLAGS = ['--compile', '--minify', '--sourcemap', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];
/** The page's files keep their names: `http/dashboard.ts` finds them by these. The thread is found by its place below src/. */
const NAMES = ['--asset-naming=[name].[ext]', '--root=src'];

/** Bundles the page into files of its own, to be embedded. */
export async function buildPage(): Promise<string[]> {
  const folder = join(ROOT, PAGE);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const files = await bundleDashboard();
  for (const [name, bytes] of files) await Bun.write(join(folder, name), bytes);
  return [...files.keys()].map(name => join(PAGE, name));
}

/** One executable with everything in it. It takes the old one's place only when complete, also while that one runs. */
export function compile(outfile: string, target: string | null, page: string[]): boolean {
  const part = `${outfile}.${process.pid}.part`;
  const args = ['build', ...FLAGS, ...NAMES, ...(target ? [`--target=${target}`] : []), ...ENTRY_POINTS, ...page];
  const { exitCode } = Bun.spawnSync([process.execPath, ...args, '--outfile', part], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  for (const map of new Bun.Glob('**/*.map').scanSync(dirname(outfile))) // they are embedded too
    rmSync(join(dirname(outfile), map), { force: true });
  if (exitCode !== 0) return false;
  chmodSync(part, 0o755);
  renameSync(part, outfile);
  return true;
}

if (import.meta.main) process.exit(compile(join(ROOT, 'dist/inlet'), null, await buildPage()) ? 0 : 1);
