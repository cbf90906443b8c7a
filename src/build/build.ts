import { chmodSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { bundleDashboard } from '../http/bundleDashboard.ts';

const ROOT = join(import.meta.dir, '../..');
/** Below src/, and not from the root: else Bun names entry points by another folder, and the thread is not found. */
const PAGE = 'src/dashboard/dist';

/** `baseline` runs on every 64-bit x86 processor, also without AVX2. */
const RELEASE = {
  'inlet-linux-x64': 'bun-linux-x64-baseline',
  'inlet-linux-arm64': 'bun-linux-arm64',
  'inlet-linux-x64-musl': 'bun-linux-x64-musl-baseline',
  'inlet-linux-arm64-musl': 'bun-linux-arm64-musl',
  'inlet-darwin-x64': 'bun-darwin-x64',
  'inlet-darwin-arm64': 'bun-darwin-arm64',
};

/** Those after the first are programs of threads, which the first finds by their places below src/ (templates.ts, checkpointer.ts). */
const THREADS = ['src/templates/worker.ts', 'src/db/checkpointThread.ts'];
const ENTRY_POINTS = ['src/main.ts', ...THREADS];

// Without the last two the executable would run whatever .env and bunfig.toml lie in its working directory.
const FLAGS = ['--compile', '--minify', '--sourcemap', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'];
/** The page's files keep their names: `http/dashboard.ts` finds them by these. The thread is found by its place below src/. */
const NAMES = ['--asset-naming=[name].[ext]', '--root=src'];

/** Bundles the page into files of its own, to be embedded. */
async function buildPage(): Promise<string[]> {
  const folder = join(ROOT, PAGE);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const files = await bundleDashboard();
  for (const [name, bytes] of files) await Bun.write(join(folder, name), bytes);
  return [...files.keys()].map(name => join(PAGE, name));
}

/** One executable with everything in it. It takes the old one's place only when complete, also while that one runs. */
function compile(outfile: string, target: string | null, page: string[]): boolean {
  const part = `${outfile}.${process.pid}.part`;
  const args = ['build', ...FLAGS, ...NAMES, ...(target ? [`--target=${target}`] : []), ...ENTRY_POINTS, ...page];
  const { exitCode } = Bun.spawnSync([process.execPath, ...args, '--outfile', part], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const maps = THREADS.map(each => join(dirname(outfile), `${basename(each, '.ts')}.js.map`)); // embedded too
  for (const map of [`${part}.map`, ...maps]) rmSync(map, { force: true });
  if (exitCode !== 0) return false;
  chmodSync(part, 0o755);
  renameSync(part, outfile);
  return true;
}

async function release(page: string[]): Promise<boolean> {
  const folder = join(ROOT, 'dist/release');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const failed: string[] = [];
  let sums = '';
  for (const [name, target] of Object.entries(RELEASE)) {
    const file = join(folder, name);
    if (!compile(file, target, page)) {
      failed.push(name);
      continue;
    }
    const hash = new Bun.CryptoHasher('sha256');
    for await (const chunk of Bun.file(file).stream()) hash.update(chunk);
    sums += `${hash.digest('hex')}  ${name}\n`;
  }
  await Bun.write(join(folder, 'SHA256SUMS'), sums);
  if (failed.length)
    console.error(`Not built: ${failed.join(', ')}. Bun fetches each target's runtime once; check the network.`);
  return failed.length === 0;
}

const page = await buildPage();
const done = process.argv[2] === 'release' ? await release(page) : compile(join(ROOT, 'dist/inlet'), null, page);
process.exit(done ? 0 : 1);
