/*
 * Runs test files in two processes at once, each with its share of them, and prints what they say one after the other: half the time
 * where tests wait for a database or a browser. `bun test/twoAtOnce.ts test/dashboard` runs what lies in a folder.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '..');

/** Gives the worst of the exit codes. Files are paths from the project's root. */
export async function runTwoAtOnce(files: string[], env: Record<string, string> = {}): Promise<number> {
  const shares = [0, 1].map(half => files.filter((_, n) => n % 2 === half)).filter(share => share.length);
  const runs = shares.map(async share => {
    const child = Bun.spawn([process.execPath, 'test', '--timeout', '30000', ...share], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    console.log(`${out}\n${err}`);
    return code;
  });
  return Math.max(...(await Promise.all(runs)));
}

if (import.meta.main) {
  const [folder = ''] = process.argv.slice(2);
  const found = readdirSync(join(ROOT, folder)).filter(file => file.endsWith('.test.ts'));
  process.exit(await runTwoAtOnce(found.sort().map(file => join(folder, file))));
}
