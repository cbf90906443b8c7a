import { parse } from 'csv-parse';
import type { Scalar } from '../db/schema.ts';

/** What a spreadsheet would take for a formula (OWASP), and what looks as if it had an apostrophe before it already. */
const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const ESCAPED = /^'+[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const QUOTED = /[",;\r\n]|^\s|\s$/; // ; is what some spreadsheets split at

const quoted = (text: string) => (QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** One cell of a CSV file that no spreadsheet runs as a formula. Numbers and booleans stay as they are. */
export const cell = (value: Scalar | null): string =>
  typeof value === 'string' ? quoted(FORMULA.test(value) ? `'${value}` : value) : value === null ? '' : String(value);

/** A row with its line end (RFC 4180). */
export const csvLine = (values: (Scalar | null)[]): string => `${values.map(cell).join(',')}\r\n`;

/** What a cell says, without the apostrophe that keeps it from being a formula. */
export const plain = (text: string): string => (ESCAPED.test(text) ? text.slice(1) : text);

export const MAX_ROW = 262_144; // bytes

export interface CsvRow {
  /** Bytes as Latin-1: `textOf` reads them. */
  cells: string[];
  /** Where the next row starts, in bytes from where reading started. */
  end: number;
}

/** Latin-1 text as the UTF-8 it stands for; null: it is none. */
export function textOf(latin1: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/^[\x00-\x7f]*$/.test(latin1)) return latin1;
  try {
    return utf8.decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return null;
  }
}
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The first rows of what `more` gives, up to `limit`. `more` gives null at the end of the file. `trouble`: the row after those
 * can't be read, nor can any after it.
 */
export async function readRows(
  more: () => Promise<Buffer | null>,
  delimiter: string,
  limit: number,
): Promise<{ rows: CsvRow[]; ended: boolean; trouble: string | null }> {
  const rows: CsvRow[] = [];
  let broken: Error | null = null;
  const parser = parse({
    delimiter,
    encoding: 'latin1',
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_quotes: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: MAX_ROW,
    on_record: (cells: string[], { bytes }) => {
      rows.push({ cells, end: bytes });
      return null; // nothing for the stream itself to keep
    },
  });
  parser.on('error', error => {
    broken = error;
  });
  parser.resume();
  let ended = false;
  while (!broken && !ended && rows.length < limit) {
    const bytes = await more();
    if (bytes) await new Promise<void>(resolve => parser.write(bytes, () => resolve()));
    else {
      ended = true;
      await new Promise<void>(resolve => {
        parser.once('close', resolve);
        parser.end();
      });
    }
  }
  parser.destroy();
  const over = rows.length > limit;
  const trouble = broken && !over ? troubleOf(broken) : null;
  return { rows: rows.slice(0, limit), ended: ended && !over && !broken, trouble };
}

function troubleOf(error: Error & { code?: string }): string {
  if (error.code === 'CSV_MAX_RECORD_SIZE')
    return `is longer than ${MAX_ROW / 1024} KiB. Does a quote begin there that never ends?`;
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') return 'begins a quote that never ends.';
  throw error;
}
