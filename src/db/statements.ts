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
  /** `update t set … where t.key = $n`, perhaps with `and t.other = $m`: it touches those rows at most. */
  | { kind: 'update'; table: string; set: Map<string, number>; key: string; at: number }
  | { kind: 'read' }
  | { kind: 'other' };

const POINT = /^select ([^()]+) from "(\w+)" where (.+)$/;
const EQUAL = /^\(?"(\w+)"\."(\w+)" = \$(\d+)\)?$/;
const INSERT = /^insert into "(\w+)" \(([^()]+)\) values \(([^()]+)\)((?: on conflict .*)?)$/;
const UPDATE = /^update "(\w+)" set (.+) where \(?"(\w+)"\."(\w+)" = \$(\d+)(?: and "\w+"\."\w+" = \$\d+)*\)?$/;
const NAME = /^(?:"\w+"\.)?"(\w+)"$/;
/** A parameter of no column is one whose value is not known here. */
const UNKNOWN = -1;

const names = (list: string) => list.split(', ').map(part => NAME.exec(part)?.[1] ?? null);
const position = (part: string) => (/^\$\d+$/.test(part) ? Number(part.slice(1)) - 1 : UNKNOWN);

function point(text: string): Shape {
  const found = POINT.exec(text);
  const [, list = '', table = '', conditions = ''] = found ?? [];
  const columns = names(list);
  const where = new Map<string, number>();
  for (const condition of conditions.split(' and ')) {
    const [, of, column = '', n] = EQUAL.exec(condition) ?? [];
    if (of !== table || columns.includes(null)) return { kind: 'read' };
    where.set(column, Number(n) - 1);
  }
  return { kind: 'point', table, columns: columns as string[], where };
}

function insert(text: string): Shape {
  const [, table, list, row, tail = ''] = INSERT.exec(text) ?? [];
  if (!table || !list || !row || tail.includes('returning')) return { kind: 'other' };
  const values = row.split(', ');
  const set = new Map(names(list).map((name, i) => [name ?? '', position(values[i] ?? '')]));
  const key = /^ on conflict \("(\w+)"\) do update set /.exec(tail)?.[1] ?? null;
  const plain = values.every((value, i) => value === `$${i + 1}`) && !/\$/.test(tail);
  const known = tail === '' || tail === ' on conflict do nothing' || key !== null;
  if (!plain || !known || values.length !== set.size) return { kind: 'other' };
  return { kind: 'insert', table, set, key, head: `insert into "${table}" (${list}) values `, row, tail };
}

function update(text: string): Shape {
  const [, table, assignments = '', of, key, n] = UPDATE.exec(text) ?? [];
  if (!table || of !== table || !key) return { kind: 'other' };
  const set = new Map<string, number>();
  for (const part of assignments.split(', ')) {
    const [, column, value] = /^"(\w+)" = (.+)$/.exec(part) ?? [];
    if (!column || !value) return { kind: 'other' }; // a comma inside an expression
    set.set(column, position(value));
  }
  if (set.has(key)) return { kind: 'other' };
  return { kind: 'update', table, set, key, at: Number(n) - 1 };
}

const shapes = new Map<string, Shape>();
const MAX_TEXTS = 2000;

export function shapeOf(text: string): Shape {
  let shape = shapes.get(text);
  if (!shape) {
    if (text.startsWith('select '))
      shape = / for update| order by | limit /.test(text) ? { kind: 'read' } : point(text);
    else if (text.startsWith('insert ')) shape = insert(text);
    else if (text.startsWith('update ')) shape = update(text);
    else shape = { kind: 'other' };
    if (shapes.size >= MAX_TEXTS) shapes.clear();
    shapes.set(text, shape);
  }
  return shape;
}

type Write = Extract<Shape, { kind: 'insert' | 'update' }>;
type Values = unknown[];
const same = (a: unknown, b: unknown) => a === b || String(a) === String(b);

/** The rows of one read by key. */
export interface Entry {
  shape: Extract<Shape, { kind: 'point' }>;
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

/** Rows read by key within one transaction, each forgotten when a write of the transaction may touch it. */
export class ReadAhead {
  private tables = new Map<string, Map<string, Select>>();

  /** What is known, else what `read` begins to read. */
  entry(text: string, shape: Entry['shape'], params: Values, read: () => Promise<Values[]>): Entry {
    const selects = within(this.tables, shape.table, () => new Map<string, Select>());
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
    for (const { shape, entries } of this.tables.get(write.table)?.values() ?? []) {
      const only = onlyKey(write, params, shape);
      if (only !== null) drop(entries, only);
      else for (const [key, entry] of entries) if (touches(write, params, entry)) drop(entries, key);
    }
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
function onlyKey(write: Write, params: Values, select: Entry['shape']): string | null {
  if (write.key !== null && (select.where.size > 1 || !select.where.has(write.key))) return null;
  const wanted: Values = [];
  for (const [column, at] of select.where) {
    const given = column === write.key && write.kind === 'update' ? write.at : (write.set.get(column) ?? UNKNOWN);
    if (given === UNKNOWN) return null;
    wanted[at] = params[given];
  }
  return keyOf(wanted);
}

/** Whether the rows that an entry holds, or would hold when read again, may be changed by this write. */
function touches(write: Write, params: Values, entry: Entry): boolean {
  // An upsert keeps columns of the row that was there: whether that is one that the entry asks for can't be told.
  if (
    write.kind === 'insert' &&
    write.key !== null &&
    (entry.shape.where.size > 1 || !entry.shape.where.has(write.key))
  )
    return true;
  const key = write.kind === 'update' ? write.key : null;
  const keyValue = write.kind === 'update' ? params[write.at] : undefined;
  let joins = true; // the written row may be one that the entry asks for
  for (const [column, at] of entry.shape.where) {
    const wanted = entry.params[at];
    const given = column === key ? keyValue : write.set.get(column);
    if (column === key) joins &&= same(given, wanted);
    else if (typeof given === 'number' && given !== UNKNOWN) joins &&= same(params[given], wanted);
  }
  if (joins) return true;
  if (write.kind === 'insert' && write.key === null) return false;
  const by = write.key as string;
  const value = write.kind === 'update' ? keyValue : params[write.set.get(by) ?? UNKNOWN];
  const asked = entry.shape.where.get(by);
  if (asked !== undefined) return same(entry.params[asked], value);
  const column = entry.shape.columns.indexOf(by);
  return column < 0 || !Array.isArray(entry.rows) || entry.rows.some(row => same(row[column], value));
}
