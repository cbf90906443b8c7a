import { is } from 'drizzle-orm';
import { getTableConfig, SQLiteTable } from 'drizzle-orm/sqlite-core';
import { AppError } from '../../errors.ts';
import { MIGRATIONS } from '../migrate.ts';
import type { Run } from '../prepared.ts';
import * as schema from '../schema.ts';
import { direct, type Store, type Tx } from '../store.ts';

const PAGE_ROWS = 500; // times the columns: parameters of one insert; SQLite takes 32,766
const PAGE_BYTES = 4 * 1024 * 1024; // of text; a single larger row is a page of its own
const MAX_NAMED = 5; // altered rows named in the report

/** The row of `meta` by which the target of an unfinished transfer is known; it goes when both sides were found equal. */
export const TRANSFER = 'transfer';

type Value = string | number | null;
type Row = Value[];

interface Table {
  name: string;
  columns: string[];
  /** For each column: whether it holds numbers. A driver may give them as text. */
  numbers: boolean[];
  /** Places of the primary key's columns in a row. */
  key: number[];
}

function describeTable(table: SQLiteTable): Table {
  const { name, columns, primaryKeys } = getTableConfig(table);
  const names = columns.map(column => column.name);
  const key = primaryKeys[0]?.columns ?? columns.filter(column => column.primary);
  return {
    name,
    columns: names,
    numbers: columns.map(column => column.getSQLType() !== 'text'),
    key: key.map(column => names.indexOf(column.name)),
  };
}

/** Every table of schema.ts: what is added there moves by itself. */
export const TABLES: Table[] = Object.values(schema)
  .filter(each => is(each, SQLiteTable))
  .map(each => describeTable(each as SQLiteTable));

/** How far a transfer came, kept in the target in the transaction of the rows. */
interface Progress {
  source: string;
  /** The table at work; null: all rows are there, and not yet compared. */
  table: string | null;
  /** The primary key of its last row that is there. */
  after: Row | null;
  done: number;
}

export interface Step {
  doing: 'copying' | 'comparing';
  table: string;
  rows: number;
  of: number;
}
type Watch = (step: Step) => void;

export interface Compared {
  table: string;
  rows: number;
  hash: string;
}

const quoteNames = (names: string[]) => names.map(name => `"${name}"`).join(', ');
const writeMarks = (n: number) => Array(n).fill('?').join(', ');
/** The mark is the transfer's own row on both sides. */
const matchOwnRows = (table: Table) => (table.name === 'meta' ? `key <> '${TRANSFER}'` : '1 = 1');

function ask(tx: Tx): (text: string, params?: Value[]) => Promise<Row[]> {
  const run = runOf(tx);
  return async (text, params = []) => (await run(text, params, true)) as Row[];
}

function runOf(tx: Tx): Run {
  const run = direct.get(tx);
  if (!run) throw new Error('not a connection of db/');
  return run;
}

/** The next rows in the order of the primary key, as many as PAGE_ROWS and PAGE_BYTES allow, at least one. Empty at the end. */
async function readNextPage(store: Store, table: Table, after: Row | null): Promise<Row[]> {
  const key = table.key.map(i => table.columns[i] ?? '');
  const bytes = table.columns.filter((_, i) => !table.numbers[i]).map(name => `coalesce(octet_length("${name}"), 0)`);
  const beyond = after ? `(${quoteNames(key)}) > (${writeMarks(key.length)})` : '1 = 1';
  const where = `from "${table.name}" where ${matchOwnRows(table)} and ${beyond}`;
  const order = `order by ${quoteNames(key)} limit`;
  return store.read(async tx => {
    const select = ask(tx);
    const sizes = await select(`select ${bytes.join(' + ') || '0'} ${where} ${order} ${PAGE_ROWS}`, after ?? []);
    let rows = 0;
    for (let size = 0; rows < sizes.length; rows++) {
      size += Number(sizes[rows]?.[0]);
      if (rows > 0 && size > PAGE_BYTES) break;
    }
    const found = await select(`select ${quoteNames(table.columns)} ${where} ${order} ?`, [...(after ?? []), rows]);
    return found.map(row => row.map((value, i) => (table.numbers[i] && value !== null ? Number(value) : value)));
  });
}

const pickKey = (table: Table, row: Row | undefined): Row | null =>
  row?.length ? table.key.map(i => row[i] ?? null) : null;

async function* readPages(store: Store, table: Table, after: Row | null): AsyncGenerator<Row[]> {
  let last = after;
  for (;;) {
    const rows = await readNextPage(store, table, last);
    if (!rows.length) return;
    yield rows;
    last = pickKey(table, rows.at(-1));
  }
}

async function put(to: Store, table: Table, rows: Row[], progress: Progress): Promise<void> {
  await to.write(async tx => {
    const run = runOf(tx);
    if (rows.length) {
      const values = rows.map(row => `(${writeMarks(row.length)})`).join(', ');
      await run(`insert into "${table.name}" (${quoteNames(table.columns)}) values ${values}`, rows.flat(), false);
    }
    await run('update meta set value = ? where key = ?', [JSON.stringify(progress), TRANSFER], false);
  });
}

async function countOf(store: Store, table: Table): Promise<number> {
  const [row] = await store.read(tx => ask(tx)(`select count(*) from "${table.name}" where ${matchOwnRows(table)}`));
  return Number(row?.[0]);
}

const hashText = (text: string) => Bun.CryptoHasher.hash('sha256', text);

/** Tells one source from another, and from itself after a server ran on it: rows counted, first and last keys, `meta`. */
async function computeFingerprint(from: Store, counts: number[]): Promise<string> {
  const seen: unknown[] = [MIGRATIONS.length, counts];
  for (const table of TABLES) {
    const key = table.key.map(i => table.columns[i] ?? '');
    for (const way of ['asc', 'desc']) {
      const order = key.map(name => `"${name}" ${way}`).join(', ');
      const text = `select ${quoteNames(key)} from "${table.name}" where ${matchOwnRows(table)} order by ${order} limit 1`;
      seen.push(await from.read(tx => ask(tx)(text)));
    }
  }
  seen.push(await from.read(tx => ask(tx)(`select key, value from meta where key <> '${TRANSFER}' order by key`)));
  return Buffer.from(hashText(JSON.stringify(seen)))
    .toString('hex')
    .slice(0, 32);
}

/** The mark of an unfinished transfer in this database, null where there is none. */
async function loadProgress(tx: Tx): Promise<Progress | null> {
  const [row] = await ask(tx)('select value from meta where key = ?', [TRANSFER]);
  return row ? (JSON.parse(String(row[0])) as Progress) : null;
}

/** @throws AppError conflict for a database that a transfer has not finished: no server may start on it */
export async function requireWhole(tx: Tx): Promise<void> {
  if (await loadProgress(tx))
    throw new AppError(
      'conflict',
      'This database is the target of an unfinished move. Finish it with the same inlet migrate-data command as before, or start on the database that it was moved from.',
    );
}

/** Marks an empty target, or finds the mark of this same transfer. @throws AppError conflict for any other target */
async function begin(to: Store, source: string): Promise<{ progress: Progress; resumed: boolean }> {
  return to.write(async tx => {
    const known = await loadProgress(tx);
    if (known?.source === source) return { progress: known, resumed: true };
    if (known)
      throw new AppError(
        'conflict',
        'The target holds an unfinished move of another source, or the source has changed since. Move into a new, empty database.',
      );
    for (const { name } of TABLES) {
      if ((await ask(tx)(`select 1 from "${name}" limit 1`)).length)
        throw new AppError(
          'conflict',
          'The target is not empty: an Inlet was started on it. Move into a new, empty database.',
        );
    }
    const progress: Progress = { source, table: TABLES[0]?.name ?? null, after: null, done: 0 };
    await runOf(tx)('insert into meta (key, value) values (?, ?)', [TRANSFER, JSON.stringify(progress)], false);
    return { progress, resumed: false };
  });
}

/**
 * Copies every row of `from`, on which no server runs, into the empty `to`, or goes on where an earlier run ended.
 * Both have the newest schema. Compare afterwards. @throws AppError conflict for a wrong target
 */
export async function copy(from: Store, to: Store, watch: Watch = () => {}): Promise<{ resumed: boolean }> {
  await from.read(requireWhole);
  const counts: number[] = [];
  for (const table of TABLES) counts.push(await countOf(from, table));
  const source = await computeFingerprint(from, counts);
  const { progress, resumed } = await begin(to, source);
  if (progress.table === null) return { resumed };
  const first = TABLES.findIndex(table => table.name === progress.table);
  for (const [i, table] of TABLES.entries()) {
    if (i < first) continue;
    let { after, done } = i === first ? progress : { after: null, done: 0 };
    for await (const rows of readPages(from, table, after)) {
      after = pickKey(table, rows.at(-1));
      done += rows.length;
      await put(to, table, rows, { source, table: table.name, after, done });
      watch({ doing: 'copying', table: table.name, rows: done, of: counts[i] ?? 0 });
    }
    await put(to, table, [], { source, table: TABLES[i + 1]?.name ?? null, after: null, done: 0 });
  }
  return { resumed };
}

interface Digest {
  rows: number;
  hash: string;
  /** Keys of rows whose NUL characters the target can't hold, the first few. */
  altered: string[];
}

/**
 * A sum of the SHA-256 of every row, so that the order of rows does not matter. `lossy`: as a target without NUL holds them.
 * Times are numbers, booleans 0 or 1, JSON is its text, null is not the empty text.
 */
async function computeDigest(
  store: Store,
  table: Table,
  lossy: boolean,
  seen: (rows: number) => void,
): Promise<Digest> {
  const sum = new Uint32Array(8);
  const altered: string[] = [];
  let rows = 0;
  for await (const page of readPages(store, table, null)) {
    for (const row of page) {
      const nul = lossy && row.some(value => typeof value === 'string' && value.includes('\0'));
      if (nul && altered.length < MAX_NAMED) altered.push(JSON.stringify(pickKey(table, row)));
      const held = nul ? row.map(value => (typeof value === 'string' ? value.replaceAll('\0', '\uFFFD') : value)) : row;
      const words = new Uint32Array(hashText(JSON.stringify(held)).buffer);
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] ?? 0) + (words[i] ?? 0);
    }
    rows += page.length;
    seen(rows);
  }
  return { rows, hash: Buffer.from(sum.buffer).toString('hex'), altered };
}

/**
 * Reads both sides whole and compares them table by table. `altered` names rows that had NUL characters, which PostgreSQL can't
 * hold. @throws AppError conflict naming the first table that differs; the target stays marked
 */
export async function compare(
  from: Store,
  to: Store,
  watch: Watch = () => {},
): Promise<{ tables: Compared[]; altered: string[] }> {
  const tables: Compared[] = [];
  const altered: string[] = [];
  for (const table of TABLES) {
    const of = await countOf(from, table);
    const lossy = to.kind === 'postgres';
    const [a, b] = await Promise.all([
      computeDigest(from, table, lossy, rows => watch({ doing: 'comparing', table: table.name, rows, of })),
      computeDigest(to, table, false, () => {}),
    ]);
    if (a.rows !== b.rows || a.hash !== b.hash)
      throw new AppError(
        'conflict',
        `Table ${table.name} differs: the source has ${a.rows} rows (${a.hash.slice(0, 12)}), the target ${b.rows} (${b.hash.slice(0, 12)}). One of them was changed meanwhile. The target stays unusable; stop what uses either and move into a new, empty database.`,
      );
    tables.push({ table: table.name, rows: a.rows, hash: a.hash });
    altered.push(...a.altered.map(key => `${table.name} ${key}`));
  }
  return { tables, altered };
}

/** Both sides were found equal: servers may start on the target. */
export async function finish(to: Store): Promise<void> {
  await to.write(async tx => void (await runOf(tx)('delete from meta where key = ?', [TRANSFER], false)));
}
