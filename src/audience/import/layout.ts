import { invalid } from '../../errors.ts';

/** Why a file that begins so is no CSV in UTF-8, or null. */
function describeForeign(head: Buffer): string | null {
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) return 'it is UTF-16';
  if (head[0] === 0x50 && head[1] === 0x4b && head[2] === 3) return 'it is a spreadsheet or a ZIP file';
  if (head.subarray(0, 4096).includes(0)) return 'it is UTF-16 or no text at all';
  return null;
}

/** The line by which Excel is told the separator. */
const SEP = /^"?sep=([^\r\n"\u0080-\uffff])"?(?:\r\n|\n|\r)/i;

/** Where the header begins, in bytes, after how many lines, and what separates cells. @throws AppError invalid */
export function startOf(head: Buffer): { delimiter: string; start: number; lines: number } {
  const wrong = describeForeign(head);
  if (wrong) throw invalid(`body: ${wrong}. Save it as CSV in UTF-8 and send that.`);
  const mark = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
  const text = head.toString('latin1', mark, 65_536);
  const sep = SEP.exec(text);
  if (sep) return { delimiter: sep[1] ?? ',', start: mark + sep[0].length, lines: 1 };
  return { delimiter: detectDelimiter(text.replace(/^[\r\n]+/, '')), start: mark, lines: 0 };
}

/** The first line's separator: whichever of , ; and tab is there most often outside of quotes. */
function detectDelimiter(text: string): string {
  const line = text.replace(/"(?:[^"]|"")*("|$)/g, '').split(/[\r\n]/, 1)[0] ?? '';
  const count = (sign: string) => line.split(sign).length;
  return [';', '\t'].reduce((most, sign) => (count(sign) > count(most) ? sign : most), ',');
}
