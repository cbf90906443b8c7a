/*
 * Exports that no other file takes, and files that comments name and that are not there: neither may be.
 */

import { readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** Texts of TypeScript files by their path from the project's root. */
export type Texts = Map<string, string>;

const IMPORT =
  /^(?:import|export)\s+(?:type\s+)?(?:(\w+)\s*,?\s*)?(?:\{([^}]*)\}|\*\s+as\s+\w+|\*)?\s*from\s+'(\.[^']+)'/gm;
const EXPORT = /^export (?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm;
const DYNAMIC = /import\('(\.[^']+)'\)/g;

/** File → the names that others take from it; `*` for all of them. */
function listImported(texts: Texts): Map<string, Set<string>> {
  const taken = new Map<string, Set<string>>();
  const note = (file: string, from: string, names: string[]) => {
    const target = normalize(join(dirname(file), from));
    taken.set(target, new Set([...(taken.get(target) ?? []), ...names]));
  };
  for (const [file, text] of texts) {
    for (const [, , names, from = ''] of text.matchAll(IMPORT))
      note(file, from, names === undefined ? ['*'] : names.split(',').map(readImportedName));
    for (const [, from = ''] of text.matchAll(DYNAMIC)) note(file, from, ['*']);
  }
  return taken;
}

const readImportedName = (part: string): string =>
  part
    .trim()
    .replace(/^type /, '')
    .split(' as ')[0] ?? '';

/** Exports of `src/` that no other file takes, tests and benchmarks included, as `file name`. */
export function findUnusedExports(texts: Texts): string[] {
  const taken = listImported(texts);
  return [...texts].flatMap(([file, text]) => {
    const names = taken.get(file);
    if (!file.startsWith('src/') || names?.has('*')) return [];
    return [...text.matchAll(EXPORT)]
      .map(([, name = '']) => name)
      .filter(name => !names?.has(name))
      .map(name => `${file.slice(4)} ${name}`);
  });
}

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g;
const FILE = /(?<![\w./-])(?:[\w-]+\/)*[\w-]+\.(?:ts|sql|json|md)\b/g;

/** Files that comments of `src/` name and that are not there, as `file name`. `known`: every path of the repository. */
export function findMissingFiles(texts: Texts, known: ReadonlySet<string>): string[] {
  const tails = new Set([...known].flatMap(path => path.split('/').map((_, i, all) => all.slice(i).join('/'))));
  return [...texts].flatMap(([file, text]) => {
    if (!file.startsWith('src/')) return [];
    const comments = [...text.matchAll(COMMENT)].map(([found]) => found);
    const named = comments.flatMap(comment => comment.match(FILE) ?? []);
    return named.filter(name => !tails.has(name)).map(name => `${file.slice(4)} ${name}`);
  });
}

const ROOMS = ['src', 'test', 'bench', 'migrations', 'docs', '.ci'];

/** Every TypeScript file of the repository, and every path in it. */
async function readRepository(): Promise<{ texts: Texts; known: Set<string> }> {
  const root = join(import.meta.dir, '..');
  const listIn = (folder: string) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(path => `${folder}/${path}`);
  const found = [...readdirSync(root), ...ROOMS.flatMap(listIn)];
  const known = new Set(found.filter(path => !/(?:^|\/)(?:node_modules|dist)(?:\/|$)/.test(path)));
  const wanted = [...known].filter(path => /^(?:src|test|bench)\/.*\.tsx?$/.test(path));
  const texts: Texts = new Map();
  for (const path of wanted) texts.set(path, await Bun.file(join(root, path)).text());
  return { texts, known };
}

if (import.meta.main) {
  const { texts, known } = await readRepository();
  const unused = findUnusedExports(texts);
  const missing = findMissingFiles(texts, known);
  if (unused.length) console.error(`exported, and taken by no other file:\n  ${unused.join('\n  ')}`);
  if (missing.length) console.error(`named in a comment, and not there:\n  ${missing.join('\n  ')}`);
  process.exit(unused.length + missing.length + Number(texts.size === 0) > 0 ? 1 : 0);
}
