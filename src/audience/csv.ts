import { CsvError, parse } from 'csv-parse';
import type { Scalar } from '../db/schema.ts';
import { yieldTurn } from '../time.ts';

/** What a spreadsheet would take for a formula (OWASP), and what looks as if it had an apostrophe before it already. */
const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const ESCAPED = /^'+[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const QUOTED = /[",;\r\n]|^\s|\s$/; // ; is what some spreadsheets split at

const quoteCell = (text: string) => (QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** One cell of a CSV file that no spreadsheet runs as a formula. Numbers and booleans stay as they are. */
const formatCell = (value: Scalar | null): string =>
  typeof value === 'string'
    ? quoteCell(FORMULA.test(value) ? `'${value}` : value)
    : value === null
      ? ''
      : String(value);

/** A row with its line end (RFC 4180). */
export const formatCsvLine = (values: (Scalar | null)[]): string => `${values.map(formatCell).join(',')}\r\n`;

/** What a cell says, without the apostrophe that keeps it from being a formula. */
export const unescapeCell = (text: string): string => (ESCAPED.test(text) ? text.slice(1) : text);

const MAX_ROW = 262_144; // bytes
const MAX_READ = 262_144; // bytes parsed at once: 10 to 20 ms of the thread
export const BITE_BYTES = 32_768; // read ahead at once: about as many rows as a step takes
const MAX_MORE = 1000; // cells beyond the header's that a row may have to be kept whole

export interface CsvRow {
  /** Bytes as Latin-1: `decodeLatin1` reads them. No more than one beyond the header's where there are very many. */
  cells: string[];
  /** How many cells the row has. */
  width: number;
  /** Empty lines before it, from where reading started. */
  empties: number;
  /** Where the next row starts, in bytes from where reading started. */
  end: number;
}

export interface ReadRows {
  rows: CsvRow[];
  /** Bytes that are done with: these rows, or the empty lines there were instead. */
  end: number;
  /** Empty lines within them. */
  empties: number;
  ended: boolean;
  /** The row after these can't be read, nor can any after it. */
  trouble: string | null;
}

/** Latin-1 text as the UTF-8 it stands for; null: it is none. */
export function decodeLatin1(latin1: string): string | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII
  if (/^[\x00-\x7f]*$/.test(latin1)) return latin1;
  try {
    return utf8.decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return null;
  }
}
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The first rows of what `more` gives: up to `limit`, or as many as 256 KiB hold. `more` gives null at the end of the file. */
export async function readRows(
  more: () => Promise<Buffer | null>,
  delimiter: string,
  limit: number,
  columns: number,
): Promise<ReadRows> {
  const skipped = await skipEmptyLines(more);
  if (!skipped.rest)
    return { rows: [], end: skipped.end, empties: skipped.empties, ended: skipped.ended, trouble: null };
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
    on_record: (cells: string[], { bytes, empty_lines }) => {
      const width = cells.length;
      const kept = width > columns + MAX_MORE ? cells.slice(0, columns + 1) : cells;
      rows.push({ cells: kept, width, empties: skipped.empties + empty_lines, end: skipped.end + bytes });
      return null; // nothing for the stream itself to keep
    },
  });
  parser.on('error', error => {
    broken = error;
  });
  parser.resume();
  let ended = false;
  let next: Buffer | null = skipped.rest;
  for (let read = 0; ; ) {
    const bytes: Buffer | null = next;
    if (bytes) {
      read += bytes.length;
      await new Promise<void>(resolve => parser.write(bytes, () => resolve()));
      await yieldTurn(); // many tiny cells take long
    } else {
      ended = true;
      await new Promise<void>(resolve => {
        parser.once('close', resolve);
        parser.end();
      });
    }
    if (!broken && !rows.length && read > MAX_ROW) broken = new CsvError('CSV_MAX_RECORD_SIZE', '');
    if (broken || ended || rows.length >= limit || (rows.length && read >= MAX_READ)) break;
    next = await more();
  }
  parser.destroy();
  const over = rows.length > limit;
  const trouble = broken && !over ? describeTrouble(broken) : null;
  const kept = rows.slice(0, limit);
  const last = kept.at(-1);
  return {
    rows: kept,
    end: last?.end ?? skipped.end,
    empties: last?.empties ?? skipped.empties,
    ended: ended && !over && !broken,
    trouble,
  };
}

const CR = 13;
const LF = 10;

/** Goes past the empty lines that `more` begins with. `rest`: what follows them; null at the end of the file, or of 256 KiB. */
async function skipEmptyLines(more: () => Promise<Buffer | null>) {
  let end = 0;
  let empties = 0;
  let afterCr = false;
  while (end < MAX_READ) {
    const bytes = await more();
    if (!bytes) return { rest: null, end, empties, ended: true };
    let at = 0;
    for (; at < bytes.length; at++) {
      const sign = bytes[at];
      if (sign !== CR && sign !== LF) break;
      if (sign === CR || !afterCr) empties++;
      afterCr = sign === CR;
    }
    end += at;
    if (at < bytes.length) return { rest: bytes.subarray(at), end, empties, ended: false };
  }
  const half = afterCr ? 1 : 0; // its line feed may follow
  return { rest: null, end: end - half, empties: empties - half, ended: false };
}

function describeTrouble(error: Error & { code?: string }): string {
  if (error.code === 'CSV_MAX_RECORD_SIZE')
    return `is longer than ${MAX_ROW / 1024} KiB. Does a quote begin there that never ends?`;
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') return 'begins a quote that never ends.';
  throw error;
}
