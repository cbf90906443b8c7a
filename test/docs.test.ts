import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeReference } from '../src/build/reference.ts';
import { COMMANDS } from '../src/cli/commands.ts';
import { formatOverview } from '../src/cli/help.ts';
import { EFFECTS } from '../src/effects.ts';
import { allProviders } from '../src/providers/index.ts';
import { VARIABLES, type Variable } from '../src/variables.ts';

const ROOT = join(import.meta.dir, '..');
const papers = [
  ...readdirSync(ROOT).filter(name => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'))
    .filter(name => name.endsWith('.md'))
    .map(name => `docs/${name}`),
];
const readText = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** Headings as GitHub makes anchors of them. */
const listAnchors = (text: string): string[] =>
  [...text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe('papers', () => {
  test.each(papers)('%s: every link inside leads somewhere', paper => {
    const broken = [...readText(paper).matchAll(/\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].filter(
      ([, path, anchor]) => {
        const target = path ? join(dirname(paper), path) : paper;
        if (!existsSync(join(ROOT, target))) return true;
        return anchor !== undefined && !listAnchors(readText(target)).includes(anchor);
      },
    );
    expect(broken.map(([link]) => link)).toEqual([]);
  });

  test('README is a first look: at most 200 lines', () => {
    expect(readText('README.md').split('\n').length).toBeLessThanOrEqual(200);
  });

  test('the reference is what the code says', () => {
    const help = 'docs/reference.md is made from the code. Run: bun run reference';
    expect(readText('docs/reference.md') === writeReference() ? null : help).toBeNull();
  });

  test('the reference names every variable, command, setting and effect', () => {
    const reference = readText('docs/reference.md');
    const names = [...Object.keys(VARIABLES), ...Object.keys(EFFECTS), ...allProviders.map(({ id }) => id)];
    names.push(...allProviders.flatMap(({ types }) => types.map(({ type }) => type)));
    expect(names.length).toBeGreaterThan(80);
    expect(names.filter(name => !reference.includes(`\`${name}\``))).toEqual([]);
    expect(COMMANDS.filter(({ name }) => !reference.includes(`\`inlet ${name}`))).toEqual([]);
  });

  test('help names every variable, and the flag of each that has one', () => {
    const help = formatOverview('0');
    for (const [name, { flag }] of Object.entries<Variable>(VARIABLES)) {
      expect(help).toContain(name);
      if (flag) expect(help).toContain(`--${flag.name} ${flag.value}`);
    }
  });
});
