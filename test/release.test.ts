import { expect, test } from 'bun:test';
import { version } from '../package.json' with { type: 'json' };
import { findObstacles } from '../src/build/releaseRules.ts';

const changelog =
  '# Changelog\n\n## Unreleased\n\n## 0.9.0 (2026-01-31)\n\n- **New.** Do this.\n\n## 0.8.0 (2026-01-01)\n\nOld.\n';
const ready = { version: '0.9.0', changelog, status: '', head: 'aaa', tagged: null };

test('a dated, committed version is released; also once more from the commit of its tag', () => {
  expect(findObstacles(ready)).toEqual([]);
  expect(findObstacles({ ...ready, tagged: 'aaa' })).toEqual([]);
});

const refused: [string, Partial<Parameters<typeof findObstacles>[0]>, RegExp][] = [
  ['an undated section', { changelog: changelog.replace(' (2026-01-31)', ' (undated)') }, /has no date/],
  ['no section', { version: '0.9.1' }, /no section "## 0.9.1"/],
  ['a version that another one begins with', { version: '0.9' }, /no section "## 0.9"/],
  ['an empty section', { changelog: changelog.replace('- **New.** Do this.', '') }, /says nothing of 0.9.0/],
  [
    'lines that are still under Unreleased',
    { changelog: changelog.replace('Unreleased\n', 'Unreleased\n\n- More.\n') },
    /Move it to 0.9.0/,
  ],
  ['no Unreleased', { changelog: changelog.replace('## Unreleased\n\n', '') }, /no section "## Unreleased"/],
  ['changes that are not committed', { status: ' M src/main.ts' }, /not committed/],
  ['a tag at another commit', { tagged: 'bbb' }, /tagged already/],
];
for (const [what, change, message] of refused)
  test(`refused: ${what}`, () => {
    const obstacles = findObstacles({ ...ready, ...change });
    expect(obstacles).toHaveLength(1);
    expect(obstacles[0]).toMatch(message);
  });

test('the changelog has a section for the version, below an Unreleased one', async () => {
  const text = await Bun.file(new URL('../CHANGELOG.md', import.meta.url)).text();
  const headings = [...text.matchAll(/^## (\S+)/gm)].map(([, name]) => name);
  expect(headings.slice(0, 2)).toEqual(['Unreleased', version]);
});
