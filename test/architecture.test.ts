import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const SRC = join(import.meta.dir, '../src');
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(
  file => file.endsWith('.ts') && !file.endsWith('.d.ts'),
);

const importsOf = (file: string) => {
  const text = readFileSync(join(SRC, file), 'utf8');
  const specifiers = [
    ...text.matchAll(/^(?:import|export)[^'"]*?from\s+'([^']+)'|^import\s+'([^']+)'|import\('([^']+)'\)/gm),
  ];
  return specifiers.map(found => {
    const specifier = found[1] ?? found[2] ?? found[3] ?? '';
    const typeOnly = /^(?:import|export) type /.test(found[0]);
    return { target: specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier, typeOnly };
  });
};

/** From the top down: a module may import from its own rank or a lower one. */
const RANKS: [RegExp, number][] = [
  [/^main\.ts$/, 9],
  [/^(cli|build)\//, 8],
  [/^app\.ts$/, 7],
  [/^(http\/|jobs\/(?!queue\.ts$))/, 6],
  [/^(inbound|outgoing|workflows|history)\//, 5],
  [/^(events\/send\.ts$|mail\/)/, 4],
  [/^(access\/|audience\/|events\/|jobs\/queue\.ts$|queue\/)/, 3],
  [/^(providers|net)\//, 2],
  [/^(db|queue)\//, 2],
  [/./, 1],
];
const rank = (file: string) => RANKS.find(([pattern]) => pattern.test(file))![1];

test('imports point down', () => {
  const breaches = files.flatMap(file =>
    importsOf(file)
      .filter(({ target, typeOnly }) => target.endsWith('.ts') && !typeOnly && rank(target) > rank(file))
      .map(({ target }) => `${file} imports ${target}: move what both need further down, or pass it as an argument`),
  );
  expect(breaches).toEqual([]);
});

test('providers and the projection are pure: no database, clock, network or environment', () => {
  const pure = files.filter(
    file => file.startsWith('providers/') || /^audience\/(partition|project|registers)\.ts$/.test(file),
  );
  expect(pure.length).toBeGreaterThan(4);
  const impure =
    /\bDate\.now\(|new Date\(\)|performance\.now|process\.env|Bun\.env|\bfetch\(['"`]|from 'bun:sqlite'|drizzle-orm/;
  const breaches = pure.filter(
    file =>
      impure.test(readFileSync(join(SRC, file), 'utf8')) ||
      importsOf(file).some(i => i.target.startsWith('db/') && !i.typeOnly),
  );
  expect(breaches).toEqual([]);
});

test('only config.ts reads the environment, only db/ names a driver, only app.ts constructs the store', () => {
  const find = (pattern: RegExp, allowed: RegExp) =>
    files.filter(file => !allowed.test(file) && pattern.test(readFileSync(join(SRC, file), 'utf8')));
  expect(find(/process\.env|Bun\.env/, /^(config|main)\.ts$|^cli\//)).toEqual([]);
  expect(find(/from 'bun:sqlite'|sqlite-proxy/, /^db\//)).toEqual([]);
  expect(find(/openSqlite\(/, /^(app\.ts$|db\/|cli\/)/)).toEqual([]);
});

test('no transaction(async …): drizzle would commit although the callback throws; no timer beyond a minute', () => {
  const breaches = files.filter(file => /\.transaction\(\s*async/.test(readFileSync(join(SRC, file), 'utf8')));
  expect(breaches).toEqual([]);
});
