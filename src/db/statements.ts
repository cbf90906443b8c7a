/** What a statement's text says about the rows it touches. Texts are drizzle's, numbered for PostgreSQL. */
export type Shape =
  /** `select … from t where a = $1 and b = $2`: nothing but equality. `where`: column → parameter. */
  | { kind: 'point'; table: string; columns: string[]; where: Map<string, number> }
  /** `insert into t (…) values ($1, …)`: `set` as it is; `key`: the column that a conflict updates by. */
  | {
      kind: 'insert';
      table: string;
      set: Map<string, number>;
      key: string | null;
      head: string;
      row: string;
      tail: string;
    }
  /** `update t set … where t.key in ($n, …)`, perhaps with `and t.other = $m`: it touches those rows at most. */
  | { kind: 'update'; table: string; set: Map<string, number>; key: string; at: number[] }
  /** Any other select; of one table, or null where that can't be told. */
  | { kind: 'read'; table: string | null }
  | { kind: 'other'; table: string | null };

const POINT = /^select ([^()]+) from "(\w+)" where (.+)$/;
const EQUAL = /^\(?"(\w+)"\."(\w+)" = \$(\d+)\)?$/;
const INSERT = /^insert into "(\w+)" \(([^()]+)\) values \(([^()]+)\)((?: on conflict .*)?)$/;
const UPDATE =
  /^update "(\w+)" set (.+) where \(?"(\w+)"\."(\w+)" (?:= (\$\d+)|in \((\$\d+(?:, \$\d+)*)\))(?: and "\w+"\."\w+" = \$\d+)*\)?(?: returning .+)?$/;
const WRITTEN = /^(?:insert into|update|delete from) "(\w+)"/;
const NAME = /^(?:"\w+"\.)?"(\w+)"$/;
/** A parameter of no column is one whose value is not known here. */
const UNKNOWN = -1;

const names = (list: string) => list.split(', ').map(part => NAME.exec(part)?.[1] ?? null);
const position = (part: string) => (/^\$\d+$/.test(part) ? Number(part.slice(1)) - 1 : UNKNOWN);

function read(text: string): Shape {
  const from = [...text.matchAll(/ from "(\w+)"/g)];
  const one = from.length === 1 && !/ from [^"]| join |, "\w+" where | for update/.test(text);
  return { kind: 'read', table: one ? (from[0]?.[1] ?? null) : null };
}

function other(text: string): Shape {
  return { kind: 'other', table: WRITTEN.exec(text)?.[1] ?? null };
}

function point(text: string): Shape {
  const found = POINT.exec(text);
  const [, list = '', table = '', conditions = ''] = found ?? [];
  const columns = names(list);
  const where = new Map<string, number>();
  for (const condition of conditions.split(' and ')) {
    const [, of, column = '', n] = EQUAL.exec(condition) ?? [];
    if (of !== table || columns.includes(null)) return read(text);
    where.set(column, Number(n) - 1);
  }
  return { kind: 'point', table, columns: columns as string[], where };
}

function insert(text: string): Shape {
  const [, table, list, row, tail = ''] = INSERT.exec(text) ?? [];
  if (!table || !list || !row) return other(text);
  const values = row.split(', ');
  const set = new Map(names(list).map((name, i) => [name ?? '', position(values[i] ?? '')]));
  const key = /^ on conflict \("(\w+)"\) do update set /.exec(tail)?.[1] ?? null;
  const plain = values.every((value, i) => value === `$${i + 1}`) && !/\$/.test(tail);
  const known = key !== null || /^(?: on conflict do nothing)?(?: returning .+)?$/.test(tail);
  if (!plain || !known || values.length !== set.size) return other(text);
  return { kind: 'insert', table, set, key, head: `insert into "${table}" (${list}) values `, row, tail };
}

function update(text: string): Shape {
  const [, table, assignments = '', of, key, one, some] = UPDATE.exec(text) ?? [];
  if (!table || of !== table || !key) return other(text);
  const set = new Map<string, number>();
  for (const part of assignments.split(', ')) {
    const [, column, value] = /^"(\w+)" = (.+)$/.exec(part) ?? [];
    if (!column || !value) return other(text); // a comma inside an expression
    set.set(column, position(value));
  }
  if (set.has(key)) return other(text);
  return { kind: 'update', table, set, key, at: (one ?? some ?? '').split(', ').map(position) };
}

const shapes = new Map<string, Shape>();
const MAX_TEXTS = 2000;

export function shapeOf(text: string): Shape {
  let shape = shapes.get(text);
  if (!shape) {
    if (text.startsWith('select ')) shape = / for update| order by | limit /.test(text) ? read(text) : point(text);
    else if (text.startsWith('insert ')) shape = insert(text);
    else if (text.startsWith('update ')) shape = update(text);
    else shape = other(text);
    if (shapes.size >= MAX_TEXTS) shapes.clear();
    shapes.set(text, shape);
  }
  return shape;
}

type Point = Extract<Shape, { kind: 'point' }>;
type Change = Extract<Shape, { kind: 'insert' | 'update' }>;
export type Write = Change | Extract<Shape, { kind: 'other' }>;
type Values = unknown[];
const same = (a: unknown, b: unknown) => a === b || String(a) === String(b);

/** The rows of one read. */
export interface Entry {
  shape: Extract<Shape, { kind: 'point' | 'read' }>;
  params: Values;
  rows: Promise<Values[]> | Values[];
  /** False once a write of the transaction may have changed them. */
  valid: boolean;
}

/** Entries of one select, by their parameters. */
interface Select {
  shape: Entry['shape'];
  entries: Map<string, Entry>;
}

const NULL = '\u0001';
const keyOf = (params: Values) => {
  let key = '';
  for (const param of params) key += `${param === null ? NULL : param}\0`;
  return key;
};

/** Rows read within one transaction, each forgotten when a write of the transaction may touch it. */
export class ReadAhead {
  private tables = new Map<string, Map<string, Select>>();

  /** What is known, else what `read` begins to read. */
  entry(text: string, shape: Entry['shape'], params: Values, read: () => Promise<Values[]>): Entry {
    const selects = within(this.tables, shape.table ?? '', () => new Map<string, Select>());
    const { entries } = within(selects, text, () => ({ shape, entries: new Map() }));
    return within(entries, keyOf(params), () => {
      const rows = read();
      const entry: Entry = { shape, params, rows, valid: true };
      rows.then(
        found => {
          entry.rows = found;
        },
        () => {},
      );
      return entry;
    });
  }

  clear(): void {
    for (const selects of this.tables.values())
      for (const { entries } of selects.values()) for (const entry of entries.values()) entry.valid = false;
    this.tables.clear();
  }

  forget(write: Write, params: Values): void {
    if (write.kind === 'other') {
      this.forgetAll(write.table);
      return;
    }
    for (const { shape, entries } of this.tables.get(write.table)?.values() ?? []) {
      const only = shape.kind === 'point' ? onlyKey(write, params, shape) : null;
      if (only !== null) drop(entries, only);
      else for (const [key, entry] of entries) if (touches(write, params, entry)) drop(entries, key);
    }
  }

  private forgetAll(table: string | null): void {
    if (table === null) this.clear();
    else
      for (const { entries } of this.tables.get(table)?.values() ?? [])
        for (const key of [...entries.keys()]) drop(entries, key);
  }
}

function within<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

function drop(entries: Map<string, Entry>, key: string): void {
  const entry = entries.get(key);
  if (entry) entry.valid = false;
  entries.delete(key);
}

/** The parameters of the one entry that a write can touch, where it gives every column that the select asks by; else null. */
function onlyKey(write: Change, params: Values, select: Point): string | null {
  if (write.kind === 'update' && write.at.length > 1) return null;
  if (write.key !== null && (select.where.size > 1 || !select.where.has(write.key))) return null;
  const wanted: Values = [];
  for (const [column, at] of select.where) {
    const given = column === write.key && write.kind === 'update' ? write.at[0] : write.set.get(column);
    if (given === undefined || given === UNKNOWN) return null;
    wanted[at] = params[given];
  }
  return keyOf(wanted);
}

/** Whether the rows that an entry holds, or would hold when read again, may be changed by this write. */
function touches(write: Change, params: Values, { shape, params: asked, rows }: Entry): boolean {
  if (shape.kind === 'read') return true;
  // An upsert keeps columns of the row that was there: whether that is one that the entry asks for can't be told.
  if (write.kind === 'insert' && write.key !== null && (shape.where.size > 1 || !shape.where.has(write.key)))
    return true;
  const written =
    write.kind === 'update' ? write.at : [write.key === null ? UNKNOWN : (write.set.get(write.key) ?? UNKNOWN)];
  const keys = written.map(at => params[at]);
  // The written row may be one that the entry asks for now, and was not before.
  let joins = write.kind === 'insert' || [...shape.where.keys()].some(column => write.set.has(column));
  for (const [column, at] of shape.where) {
    const given = write.set.get(column);
    if (write.kind === 'update' && column === write.key) joins &&= keys.some(key => same(key, asked[at]));
    else if (given !== undefined && given !== UNKNOWN) joins &&= same(params[given], asked[at]);
  }
  if (joins) return true;
  if (write.key === null) return false;
  const at = shape.where.get(write.key);
  if (at !== undefined) return keys.some(key => same(key, asked[at]));
  const column = shape.columns.indexOf(write.key);
  return column < 0 || !Array.isArray(rows) || rows.some(row => keys.some(key => same(row[column], key)));
}
