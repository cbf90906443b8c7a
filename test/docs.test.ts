import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { COMMANDS } from '../src/cli/commands.ts';

const ROOT = join(import.meta.dir, '..');
const papers = [
  ...readdirSync(ROOT).filter(name => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs')).map(name => `docs/${name}`),
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

  test('the reference names every variable and every command', () => {
    const reference = readText('docs/reference.md');
    const variables = new Set(
      [...readText('src/config.ts').matchAll(/^ {2}(INLET_[A-Z_]+):/gm)].map(found => found[1]),
    );
    expect(variables.size).toBeGreaterThan(10);
    expect([...variables].filter(name => !reference.includes(`\`${name}\``))).toEqual([]);
    const words = reference.replaceAll(/[`*]/g, ' ');
    const unnamed = COMMANDS.filter(
      ({ name }) => !name.split(' ').every(word => new RegExp(`\\b${word}\\b`).test(words)),
    );
    expect(unnamed.map(({ name }) => name)).toEqual([]);
  });
});
