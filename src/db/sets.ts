import { dialects, direct, type Tx } from './store.ts';

/** Statements over sets of rows: a fixed number for a whole batch, on both databases. */

const MOST_ROWS = 64; // of one insert; a power of two, so that few texts have to be prepared

const isPostgres = (tx: Tx) => dialects.get(tx) === 'postgres';

/** Runs one statement. `?` are parameters. */
export async function query(tx: Tx, text: string, params: unknown[]): Promise<unknown[][]> {
  const run = direct.get(tx);
  if (!run) throw new Error('this connection runs no plain statements');
  return run(text, params, true);
}

export async function execute(tx: Tx, text: string, params: unknown[]): Promise<void> {
  const run = direct.get(tx);
  if (!run) throw new Error('this connection runs no plain statements');
  await run(text, params, false);
}

const formatArray = (values: string[]) =>
  `{${values.map(each => `"${each.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`).join(',')}}`;

/** `= any(…)` or `in (…)` of one parameter. */
export const writeAmong = (tx: Tx): string =>
  isPostgres(tx) ? '= any(?::text[])' : 'in (select value from json_each(?))';
/** That parameter. */
export const encodeAmong = (tx: Tx, values: string[]): string =>
  isPostgres(tx)
    ? formatArray(values.map(each => each.replaceAll('\0', '\uFFFD').toWellFormed()))
    : JSON.stringify(values);
/** A set as a table with the one column `value`. */
export const writeTable = (tx: Tx): string =>
  isPostgres(tx) ? '(select unnest(?::text[]) as value)' : '(select value from json_each(?))';

/** `select … where {text} among values`; nothing is asked for no values. `text` ends with the column's name. */
export async function selectAmong(tx: Tx, text: string, values: string[], rest = ''): Promise<unknown[][]> {
  if (!values.length) return [];
  return query(tx, `${text} ${writeAmong(tx)}${rest}`, [encodeAmong(tx, values)]);
}

/** `delete` or `update … where {text} among values`. `before`: parameters that come earlier in the text. */
export async function changeAmong(tx: Tx, text: string, values: string[], before: unknown[] = []): Promise<void> {
  if (values.length) await execute(tx, `${text} ${writeAmong(tx)}`, [...before, encodeAmong(tx, values)]);
}

const texts = new Map<string, string>();

/** Inserts rows, many in one statement. `columns` and `conflict` are texts of our own. */
export async function insertRows(
  tx: Tx,
  table: string,
  columns: string[],
  rows: unknown[][],
  conflict = '',
): Promise<void> {
  for (let at = 0; at < rows.length; ) {
    const size = Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows.length - at)));
    const name = `${table} ${columns.length} ${size} ${conflict}`;
    let text = texts.get(name);
    if (!text) {
      const row = `(${columns.map(() => '?').join(', ')})`;
      text = `insert into ${table} (${columns.join(', ')}) values ${Array(size).fill(row).join(', ')} ${conflict}`;
      texts.set(name, text);
    }
    await execute(tx, text, rows.slice(at, at + size).flat());
    at += size;
  }
}

/** A column of `updateRows`: whole numbers are cast, since the values come as text. */
export interface SetColumn {
  name: string;
  integer?: boolean;
}

/**
 * Updates rows by key, each with values of its own, in one statement. `key` is the first value of a row, `columns` the others; `rest`
 * adds settings common to all, `fence` a condition on `t` (the table) and `v` (the values, as `v_` and the column's name). Gives the keys of the rows that it changed.
 */
export async function updateRows(
  tx: Tx,
  table: string,
  key: string,
  columns: SetColumn[],
  rows: unknown[][],
  { rest = '', fence = '', only = [] as string[] } = {},
): Promise<string[]> {
  const done: string[] = [];
  for (let at = 0; at < rows.length; ) {
    const size = Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows.length - at)));
    const name = `${table} ${size} ${columns.map(each => each.name).join()} ${rest} ${fence}`;
    let text = texts.get(name);
    if (!text) {
      const row = `(${['?', ...columns.map(() => '?')].join(', ')})`;
      const value = (each: SetColumn) => (each.integer ? `cast(v.v_${each.name} as bigint)` : `v.v_${each.name}`);
      const set = columns.filter(each => !only.includes(each.name)).map(each => `${each.name} = ${value(each)}`);
      text = `with v (${['row_key', ...columns.map(each => `v_${each.name}`)].join(', ')}) as (values ${Array(size).fill(row).join(', ')}) update ${table} as t set ${[...set, ...(rest ? [rest] : [])].join(', ')} from v where t.${key} = v.row_key${fence && ` and ${fence}`} returning ${key}`;
      texts.set(name, text);
    }
    const changed = await query(tx, text, rows.slice(at, at + size).flat());
    done.push(...changed.map(row => row[0] as string));
    at += size;
  }
  return done;
}
