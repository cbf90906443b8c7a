/** The line by which Excel is told the separator. */
const SEP = /^"?sep=(.)"?\r?\n/i;

/** What separates the cells of a header: as the server finds it. */
function detectDelimiter(text: string): string {
  const line = text.replace(/"(?:[^"]|"")*("|$)/g, '').split(/[\r\n]/, 1)[0] ?? '';
  const count = (sign: string) => line.split(sign).length;
  return [';', '\t'].reduce((most, sign) => (count(sign) > count(most) ? sign : most), ',');
}

/** The first `count` rows of the beginning of a CSV file, the header among them: to show; the server reads the file itself. */
export function readFirstRows(beginning: string, count: number): string[][] {
  const text = beginning.replace(/^\uFEFF/, '');
  const sep = SEP.exec(text);
  const rest = (sep ? text.slice(sep[0].length) : text).replace(/^[\r\n]+/, '');
  const delimiter = sep?.[1] ?? detectDelimiter(rest);
  const rows: string[][] = [];
  for (let at = 0; at < rest.length && rows.length < count; ) {
    const { cells, end } = readRow(rest, at, delimiter);
    if (cells.some(cell => cell !== '')) rows.push(cells);
    at = end;
  }
  return rows;
}

/** The row at a place of a text, and where the next one begins. */
function readRow(text: string, start: number, delimiter: string): { cells: string[]; end: number } {
  const cells: string[] = [];
  let cell = '';
  let isQuoted = false;
  let at = start;
  for (; at < text.length; at++) {
    const sign = text[at] ?? '';
    if (isQuoted && sign === '"' && text[at + 1] === '"') cell += text[at++];
    else if (sign === '"' && (isQuoted || cell === '')) isQuoted = !isQuoted;
    else if (isQuoted) cell += sign;
    else if (sign === delimiter) {
      cells.push(cell.trim());
      cell = '';
    } else if (sign === '\n' || sign === '\r') break;
    else cell += sign;
  }
  cells.push(cell.trim());
  return { cells, end: text.startsWith('\r\n', at) ? at + 2 : at + 1 };
}
