import { readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/*
 * Numbers that may only fall, compared with ratchets.json by `bun run check`. After a fall: `bun test/ratchets.ts --update`. Whoever
 * means to let one rise removes the file first, and says why in the commit.
 */

const SRC = join(import.meta.dir, '../src');
const RECORDED = join(import.meta.dir, 'ratchets.json');
const VERBS = join(import.meta.dir, 'verbs.txt');

/** From the top down: a file may import from its own floor and from those below. The first pattern that matches is its room. */
const FLOORS: [RegExp, number][] = [
  [/^main\.ts$/, 9],
  [/^(cli|build)\//, 8],
  [/^app\.ts$/, 7],
  [/^http\/auth\.ts$/, 3], // access
  [/^outgoing\/(post|target|addresses)\.ts$/, 3], // net
  [/^jobs\/queue\.ts$/, 3],
  [/^dashboard\//, 7], // in the browser: takes types from http
  [/^(http\/|jobs\/)/, 6], // http, worker
  [/^(context|changes)\.ts$/, 4], // what modules from audience up share; nothing below takes it
  [/^(inbound|workflows|mail|outgoing)\//, 5],
  [/^(history|events|audience)\//, 4],
  [/^(queue|access|net)\//, 3],
  [/^(db|providers)\//, 2],
  [/./, 1], // config, id, time, errors, and what else is loose
];
const floorOf = (file: string): number => FLOORS.find(([pattern]) => pattern.test(file))?.[1] ?? 1;

/** Source files by their path below src/. */
export type Sources = Map<string, string>;

interface Import {
  target: string;
  isTypeOnly: boolean;
}

function importsOf(file: string, text: string): Import[] {
  const found = text.matchAll(
    /^(?:import|export)\b([^'"]*?)from\s+'(\.[^']+)'|^import\s+'(\.[^']+)'|import\('(\.[^']+)'\)/gm,
  );
  return [...found].map(([, clause = '', from, bare, dynamic]) => ({
    target: normalize(join(dirname(file), from ?? bare ?? dynamic ?? '')),
    isTypeOnly: clause.trimStart().startsWith('type '),
  }));
}

/** Imports that run back up, types included. */
export function findImportsUp(sources: Sources): string[] {
  return [...sources].flatMap(([file, text]) =>
    importsOf(file, text)
      .filter(({ target }) => sources.has(target) && floorOf(target) > floorOf(file))
      .map(({ target }) => `${file} → ${target}`),
  );
}

/** Files that reach themselves by what they import at run time; those of one circle behind each other. */
export function findCircles(sources: Sources): string[] {
  const reached = new Map<string, Set<string>>();
  const direct = new Map(
    [...sources].map(([file, text]) => [
      file,
      importsOf(file, text).flatMap(each => (each.isTypeOnly ? [] : [each.target])),
    ]),
  );
  for (const file of sources.keys()) {
    const seen = new Set<string>();
    const open = [...(direct.get(file) ?? [])];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...(direct.get(next) ?? []));
    }
    reached.set(file, seen);
  }
  const isWith = (a: string, b: string) => Boolean(reached.get(a)?.has(b) && reached.get(b)?.has(a));
  return [...sources.keys()]
    .filter(file => isWith(file, file))
    .map(file => `${file} with ${[...sources.keys()].filter(each => each !== file && isWith(file, each)).join(', ')}`);
}

/** Names of functions and arrow constants at the top level of a file. */
function functionsOf(text: string): string[] {
  const declared = text.matchAll(/^(?:export )?(?:default )?(?:async )?function\*? (\w+)/gm);
  const constants = text.matchAll(/^(?:export )?const (\w+)(?:: [^=\n]+(?:=> [^=\n]+)?)? =\s+(?=(?:async )?[(<\w])/gm);
  return [
    ...[...declared].map(found => found[1] ?? ''),
    ...[...constants].filter(found => beginsArrow(text, found.index + found[0].length)).map(found => found[1] ?? ''),
  ];
}

/** Whether an arrow function begins here. */
function beginsArrow(text: string, from: number): boolean {
  const rest = text.slice(from).replace(/^async /, '');
  if (/^\w+ =>/.test(rest)) return true;
  const open = /^(?:<[^(]*>)?\(/.exec(rest)?.[0].length;
  if (open === undefined) return false;
  let depth = 1;
  let at = open;
  for (; depth > 0 && at < rest.length; at++) depth += rest[at] === '(' ? 1 : rest[at] === ')' ? -1 : 0;
  return /^(?:: [^;]*?)?\s*=>/.test(rest.slice(at, at + 300));
}

/** Functions whose name does not begin with a verb, as `file name`. */
export function findNames(sources: Sources, verbs: ReadonlySet<string>): string[] {
  return [...sources].flatMap(([file, text]) =>
    functionsOf(text)
      .filter(name => !verbs.has(/^[a-z]+/.exec(name)?.[0] ?? ''))
      .map(name => `${file} ${name}`),
  );
}

/** What to say of one number: null when it is as recorded. Where a file moved, its names are not new. */
export function compareWith(recorded: string[], found: string[]): { isRise: boolean; fresh: string[] } | null {
  if (recorded.length === found.length) return null;
  const lastOf = (each: string) => each.split(' ').at(-1) ?? '';
  const known = recorded.map(lastOf);
  const fresh = found.filter(each => !recorded.includes(each) && !known.includes(lastOf(each)));
  return {
    isRise: found.length > recorded.length,
    fresh: fresh.length ? fresh : found.filter(each => !recorded.includes(each)),
  };
}

const ADVICE: Record<string, string> = {
  importsUp: 'imports run back up: move what both need further down, or pass it as an argument',
  circles: 'files import each other in a circle: move what both need into a third',
  names: 'functions whose name does not begin with a verb (test/verbs.txt): name what it does and to what',
};

async function readSources(): Promise<Sources> {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).sort();
  const wanted = files.filter(file => file.endsWith('.ts') && !file.endsWith('.d.ts'));
  return new Map(await Promise.all(wanted.map(async file => [file, await Bun.file(join(SRC, file)).text()] as const)));
}

async function check(isUpdate: boolean): Promise<number> {
  const sources = await readSources();
  const verbs = new Set((await Bun.file(VERBS).text()).split(/\s+/));
  const found: Record<string, string[]> = {
    importsUp: findImportsUp(sources),
    circles: findCircles(sources),
    names: findNames(sources, verbs),
  };
  const file = Bun.file(RECORDED);
  const isThere = await file.exists();
  if (!isThere && !isUpdate) {
    console.error('test/ratchets.json is missing: bun test/ratchets.ts --update writes it');
    return 1;
  }
  const recorded = isThere ? ((await file.json()) as Record<string, string[]>) : found;
  let trouble = 0;
  for (const [key, list] of Object.entries(found)) {
    const had = recorded[key] ?? [];
    const difference = compareWith(had, list);
    if (difference === null) console.log(`${key}: ${list.length}`);
    else if (difference.isRise) {
      trouble = 1;
      console.error(
        `${key}: ${list.length}, recorded are ${had.length}. ${ADVICE[key]}\n  ${difference.fresh.join('\n  ')}`,
      );
    } else if (!isUpdate) {
      trouble = 1;
      console.error(
        `${key}: ${list.length}, recorded are ${had.length}. Lower the number: bun test/ratchets.ts --update`,
      );
    } else console.log(`${key}: lowered from ${had.length} to ${list.length}`);
  }
  if (isUpdate && !trouble) await Bun.write(RECORDED, `${JSON.stringify(found, null, 2)}\n`);
  return trouble;
}

if (import.meta.main) process.exit(await check(process.argv.includes('--update')));
