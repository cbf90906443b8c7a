import { escapeJson } from '../plainName.ts';

/** Names may hold what moves a terminal's cursor or breaks the line. */
export const stripControls = (cell: string): string => cell.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ');

/** Text of several lines, each of them plain. */
export const stripLineControls = (text: string): string => text.split('\n').map(stripControls).join('\n');

/** JSON that holds nothing a terminal would obey. */
export const formatJson = (value: unknown): string => escapeJson(JSON.stringify(value, null, 2));

/** Rows as aligned columns under their titles. */
export function formatTable(titles: string[], rows: (string | null)[][]): string {
  const all = [titles, ...rows.map(row => row.map(cell => stripControls(cell ?? '-')))];
  const widths = titles.map((_, i) => Math.max(...all.map(row => (row[i] ?? '').length)));
  return all
    .map(row =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export const formatTime = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

/** How this program was started, as it can be typed again. */
export function describeSelf(argv: readonly string[] = process.argv, executable = process.execPath): string {
  const script = argv[1] ?? '';
  if (!script.startsWith('/$bunfs/') && /\.[tj]s$/.test(script)) return 'bun src/main.ts';
  const [path] = Bun.env.PATH?.split(':').filter(folder => `${folder}/inlet` === executable) ?? [];
  if (path) return 'inlet';
  const cwd = process.cwd();
  return executable.startsWith(`${cwd}/`) ? `./${executable.slice(cwd.length + 1)}` : executable;
}
