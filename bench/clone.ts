// Many rows from one that Inlet wrote, straight in a stopped server's database file.
import type { Database } from 'bun:sqlite';

/** Text in the row → SQL for what stands there in its i-th copy. */
type Changes = Record<string, string>;

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** SQL for the i-th id after the manner of `id`: as long, in order. */
export const idOf = (id: string) => `(${quoted(id.slice(0, -8))} || printf('%08d', n.i))`;

/** SQL for a text that has the number of its copy behind it. */
export const numbered = (text: string) => `(${quoted(text)} || n.i)`;

/** Copies the rows of a table that `where` finds so many times, with each text changed in all of their columns that hold text. */
export function clone(db: Database, table: string, where: string, copies: number, changes: Changes): void {
  const columns = db
    .query<{ name: string; type: string }, []>(`select name, type from pragma_table_info('${table}')`)
    .all();
  const value = ({ name, type }: { name: string; type: string }) =>
    /text/i.test(type)
      ? Object.entries(changes).reduce((sql, [from, to]) => `replace(${sql}, ${quoted(from)}, ${to})`, `t.${name}`)
      : `t.${name}`;
  db.run(`insert into ${table} (${columns.map(each => each.name).join(', ')})
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${copies})
    select ${columns.map(value).join(', ')} from (select * from ${table} where ${where}) t, n`);
}
