import { is, Param, Placeholder, SQL } from 'drizzle-orm';
import { SQLiteColumn } from 'drizzle-orm/sqlite-core';

/** Runs a statement. Rows are arrays of values in the order of the select; none when they are not asked for. */
export type Run = (text: string, params: unknown[], rows: boolean) => unknown[][] | Promise<unknown[][]>;

type Values = Record<string, unknown>;
const keepValue = (value: unknown) => value;

/** For each parameter of a prepared statement, how to get its value. */
function makeFiller(param: any): (values: Values) => unknown {
  if (is(param, Placeholder)) return values => values[param.name];
  if (is(param, Param) && is(param.value, Placeholder)) {
    const { name } = param.value;
    return values => {
      const value = values[name];
      return value === null || value === undefined ? null : param.encoder.mapToDriverValue(value);
    };
  }
  return () => param;
}

function makeDecoder(field: any): (value: unknown) => unknown {
  const decode = is(field, SQLiteColumn)
    ? field
    : is(field, SQL)
      ? (field as any).decoder
      : is(field, SQL.Aliased)
        ? (field as any).sql.decoder
        : null;
  const map = decode?.mapFromDriverValue;
  return map ? value => (value === null ? null : map.call(decode, value)) : keepValue;
}

const applyThen = <T>(rows: unknown[][] | Promise<unknown[][]>, fn: (rows: unknown[][]) => T): T | Promise<T> =>
  rows instanceof Promise ? rows.then(fn) : fn(rows);

/**
 * Lets a prepared drizzle statement run without its asynchronous layers: text, parameters and columns are worked out once. Half of
 * the time of a small statement went there. A statement of a shape not known here is left as it is.
 */
export function compilePrepared<Q>(prepared: Q, run: Run): Q {
  const statement = prepared as any;
  const { sql, params } = statement.query as { sql: string; params: unknown[] };
  const fields = statement.fields as { path: string[]; field: unknown }[] | undefined;
  const joined = Object.keys(statement.joinsNotNullableMap ?? {}).length > 1;
  if (statement.customResultMapper || joined || fields?.some(each => each.path.length !== 1)) return prepared;
  const fillers = params.map(makeFiller);
  const columns = fields?.map(({ path, field }) => ({ key: path[0] ?? '', decode: makeDecoder(field) }));
  const filled = (values: Values = {}) => fillers.map(fill => fill(values));
  const toRow = (row: unknown[]) => {
    if (!columns) return row;
    const out: Values = {};
    for (let i = 0; i < columns.length; i++) out[columns[i]!.key] = columns[i]!.decode(row[i]);
    return out;
  };
  return Object.assign(prepared as object, {
    run: (values?: Values) => run(sql, filled(values), false),
    all: (values?: Values) => applyThen(run(sql, filled(values), true), rows => rows.map(toRow)),
    get: (values?: Values) => applyThen(run(sql, filled(values), true), ([first]) => first && toRow(first)),
  }) as Q;
}
