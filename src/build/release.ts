import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { version } from '../../package.json' with { type: 'json' };
import { buildPage, compile, ROOT } from './build.ts';
import { findObstacles } from './releaseRules.ts';

/** `baseline` runs on every 64-bit x86 processor, also without AVX2. */
const RELEASE = {
  'inlet-linux-x64': 'bun-linux-x64-baseline',
  'inlet-linux-arm64': 'bun-linux-arm64',
  'inlet-linux-x64-musl': 'bun-linux-x64-musl-baseline',
  'inlet-linux-arm64-musl': 'bun-linux-arm64-musl',
  'inlet-darwin-x64': 'bun-darwin-x64',
  'inlet-darwin-arm64': 'bun-darwin-arm64',
};

const FOLDER = join(ROOT, 'dist/release');
const ARM_LIBRARIES = '/usr/aarch64-linux-gnu';
const ARM_PACKAGES = 'qemu-user-static libc6-arm64-cross libgcc-s1-arm64-cross libstdc++6-arm64-cross';
const START_MS = 60_000; // an emulated start takes ten seconds

/** What git says, trimmed. @throws when it fails */
function askGit(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['git', ...args], { cwd: ROOT });
  if (exitCode !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
  return stdout.toString().trim();
}

async function listObstacles(tag: string): Promise<string[]> {
  return findObstacles({
    version,
    changelog: await Bun.file(join(ROOT, 'CHANGELOG.md')).text(),
    status: askGit('status', '--porcelain'),
    head: askGit('rev-parse', 'HEAD'),
    tagged: askGit('tag', '--list', tag) ? askGit('rev-parse', `${tag}^{commit}`) : null,
  });
}

/** Builds every executable with its checksum. Gives the names of those that could not be built. */
async function buildAll(): Promise<string[]> {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const page = await buildPage();
  const failed: string[] = [];
  let sums = '';
  for (const [name, target] of Object.entries(RELEASE)) {
    const file = join(FOLDER, name);
    if (!compile(file, target, page)) {
      failed.push(name);
      continue;
    }
    const hash = new Bun.CryptoHasher('sha256');
    for await (const chunk of Bun.file(file).stream()) hash.update(chunk);
    sums += `${hash.digest('hex')}  ${name}\n`;
  }
  await Bun.write(join(FOLDER, 'SHA256SUMS'), sums);
  return failed;
}

/** Starts an executable in an empty folder until it is healthy, and stops it. Gives what is wrong with it, or null. */
async function tryStart(command: string[]): Promise<string | null> {
  const asked = Bun.spawnSync([...command, '--version']);
  const said = asked.stdout.toString().trim();
  if (said !== version) return `--version says "${said}", package.json ${version}: ${asked.stderr}`;
  const folder = mkdtempSync(join(tmpdir(), 'inlet-release-'));
  const free = Bun.serve({ port: 0, fetch: () => new Response() });
  const { port } = free;
  await free.stop(true);
  const server = Bun.spawn([...command, '--port', String(port)], { cwd: folder, stdout: 'ignore', stderr: 'pipe' });
  const until = performance.now() + START_MS;
  let isHealthy = false;
  while (!isHealthy && performance.now() < until && server.exitCode === null) {
    await Bun.sleep(250);
    isHealthy = await fetch(`http://127.0.0.1:${port}/health`).then(
      answer => answer.ok,
      () => false,
    );
  }
  server.kill('SIGTERM');
  const status = await server.exited;
  rmSync(folder, { recursive: true, force: true });
  if (!isHealthy) return `it did not become healthy: ${await new Response(server.stderr).text()}`;
  return status === 0 ? null : `SIGTERM ended it with ${status}`;
}

/** Starts the executable of this machine and, emulated, that of 64-bit ARM. Gives what is wrong. */
async function tryBinaries(): Promise<string[]> {
  const emulator = Bun.which('qemu-aarch64-static');
  if (!emulator) return [`the ARM executable can't be started. Install: apt-get install ${ARM_PACKAGES}`];
  const commands = {
    'inlet-linux-x64': [join(FOLDER, 'inlet-linux-x64')],
    'inlet-linux-arm64': [emulator, '-L', ARM_LIBRARIES, join(FOLDER, 'inlet-linux-arm64')],
  };
  const troubles: string[] = [];
  for (const [name, command] of Object.entries(commands)) {
    const trouble = await tryStart(command);
    if (trouble) troubles.push(`${name}: ${trouble}`);
  }
  return troubles;
}

/** Builds, starts and tags a release; stops at the first thing that is not as it must be. `check`: as it is, without a tag. */
async function release(isCheck: boolean): Promise<number> {
  const tag = `v${version}`;
  const obstacles = isCheck ? [] : await listObstacles(tag);
  if (!obstacles.length) {
    const failed = await buildAll();
    if (failed.length)
      obstacles.push(`not built: ${failed.join(', ')}. Bun fetches each target's runtime once; check the network`);
    else obstacles.push(...(await tryBinaries()));
  }
  for (const obstacle of obstacles) console.error(`Not released: ${obstacle}.`);
  if (obstacles.length) return 1;
  if (isCheck) console.log(`Built and started: ${FOLDER}`);
  else {
    if (!askGit('tag', '--list', tag)) askGit('tag', '--annotate', tag, '--message', `Inlet ${version}`);
    console.log(`Released ${tag}: ${FOLDER}. Next: git push origin ${tag}`);
  }
  return 0;
}

process.exit(await release(process.argv[2] === 'check'));
