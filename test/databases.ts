/*
 * Runs on PostgreSQL what opens the app and does not say `// databases: sqlite` in its first line: those tests start databases of
 * their own, or PostgreSQL would tell nothing new. `bun test/databases.ts --list` names the files. What asks for `eachBackend` runs on
 * both wherever PostgreSQL is there.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { runTwoAtOnce } from './twoAtOnce.ts';

const OPENS = 'TestApp.open(';
const SQLITE_ONLY = '// databases: sqlite';

/** Whether a file below test/ opens the app, itself or through what it imports. */
function opensApp(file: string, seen = new Set<string>()): boolean {
  if (seen.has(file) || file.startsWith('..') || !existsSync(join(import.meta.dir, file))) return false;
  seen.add(file);
  const text = readFileSync(join(import.meta.dir, file), 'utf8');
  return (
    text.includes(OPENS) ||
    [...text.matchAll(/from '(\.[^']+\.ts)'/g)].some(([, target = '']) =>
      opensApp(normalize(join(dirname(file), target)), seen),
    )
  );
}

/** Test files that run on PostgreSQL a second time, from the project's root. */
function findForPostgres(): string[] {
  const files = readdirSync(import.meta.dir, { recursive: true, encoding: 'utf8' }).sort();
  return files
    .filter(file => file.endsWith('.test.ts') && opensApp(file))
    .filter(file => !readFileSync(join(import.meta.dir, file), 'utf8').startsWith(SQLITE_ONLY))
    .map(file => `test/${file}`);
}

if (import.meta.main) {
  const files = findForPostgres();
  if (process.argv.includes('--list')) console.log(files.join('\n'));
  else {
    process.exit(await runTwoAtOnce(files, { TEST_BACKEND: 'postgres' }));
  }
}
