import { expect, test } from 'bun:test';
import { compareWith, findCircles, findImportsUp, findNames } from './ratchets.ts';

const sources = (files: Record<string, string>) => new Map(Object.entries(files));

test('imports that run back up are found, types too, one floor and what is below are fine', () => {
  const found = findImportsUp(
    sources({
      'db/store.ts': "import type { Route } from '../http/route.ts';\nimport { AppError } from '../errors.ts';",
      'http/route.ts': "import {\n  query,\n} from '../db/store.ts';\nimport { z } from 'zod';",
      'mail/mails.ts': "export { start } from '../workflows/start.ts';",
      'workflows/start.ts': "const later = () => import('../app.ts');",
      'jobs/queue.ts': "import { query } from '../db/store.ts';",
      'app.ts': '',
      'errors.ts': '',
    }),
  );
  expect(found).toEqual(['db/store.ts → http/route.ts', 'workflows/start.ts → app.ts']);
});

test('circles at run time are found, however long; those of types are not', () => {
  const found = findCircles(
    sources({
      'a.ts': "import { b } from './b.ts';",
      'b.ts': "import { c } from './c.ts';",
      'c.ts': "import './a.ts';",
      'd.ts': "import type { A } from './e.ts';",
      'e.ts': "import { d } from './d.ts';\nimport { a } from './a.ts';",
    }),
  );
  expect(found).toEqual(['a.ts with b.ts, c.ts', 'b.ts with a.ts, c.ts', 'c.ts with a.ts, b.ts']);
});

test('functions and arrows at the top whose name is no verb are found; values and methods are not', () => {
  const text = `
export async function readAll() {}
function careful() {}
export const known = (a: string, b = () => 1): boolean => a;
const wordOf = async <T>(x: T) => x;
const later: (x: string) => string = x => x;
const isOpen = row => row;
const limit = (5 + 3) * 2;
const MAX = 5;
const cache = new Map();
const list =
  (x: string) => x;
class A { again() {} }
  const inner = () => 1;
`;
  expect(findNames(sources({ 'a.ts': text }), new Set(['read', 'is', 'list']))).toEqual([
    'a.ts careful',
    'a.ts known',
    'a.ts wordOf',
    'a.ts later',
  ]);
});

test('more than recorded names the new ones, a moved one is not new; fewer is told too', () => {
  expect(compareWith(['a.ts known'], ['b.ts known'])).toBeNull();
  expect(compareWith(['a.ts known'], ['b.ts known', 'b.ts again'])).toEqual({ isRise: true, fresh: ['b.ts again'] });
  expect(compareWith(['a.ts known', 'a.ts own'], ['a.ts own'])).toMatchObject({ isRise: false });
});
