// Where the measured servers keep their data, and when all that they took is applied.
import { Database as Sqlite } from 'bun:sqlite';
import { join } from 'node:path';
import type { Postgres } from '../test/support/postgres.ts';

export interface Database {
  /** Variables that point a server at it. */
  env: Record<string, string>;
  query<Row>(text: string): Promise<Row[]>;
  /** Waits until nothing is queued; ms since 1970 of when the last one was applied. @throws Error when something was not applied */
  applied(): Promise<number>;
  /** Gone, with its files; only once nobody uses it. */
  drop(): Promise<void>;
}

const OPEN = `select 1 from deliveries where status <> 'processed' and status in ('queued', 'failed') limit 1`;
const WRONG = `select count(*) as n from deliveries where status in ('dead', 'waiting', 'ignored')`;
const LAST = 'select max(processed_at) as at from deliveries';

function applied(query: Database['query']): Database['applied'] {
  return async () => {
    while ((await query(OPEN)).length) await Bun.sleep(3);
    const [wrong] = await query<{ n: number | string }>(WRONG);
    if (Number(wrong?.n)) throw new Error(`${wrong?.n} deliveries were not applied`);
    const [last] = await query<{ at: number | string | null }>(LAST);
    return Number(last?.at ?? 0);
  };
}

/** The database file of a server that runs in `cwd`. */
export const fileIn = (cwd: string) => join(cwd, 'inlet-data/inlet.db');

export function sqlite(cwd: string): Database {
  const query = async <Row>(text: string): Promise<Row[]> => {
    const db = new Sqlite(fileIn(cwd));
    db.run('pragma busy_timeout = 10000');
    try {
      return db.query<Row, []>(text).all();
    } finally {
      db.close();
    }
  };
  return { env: {}, query, applied: applied(query), drop: async () => undefined };
}

let made = 0;

/** A new database on a server. */
export async function postgres(server: Postgres): Promise<Database> {
  const name = `bench${made++}`;
  await server.query('postgres', `create database ${name}`);
  let sql: Bun.SQL | undefined;
  const query = async <Row>(text: string): Promise<Row[]> => {
    sql ??= new Bun.SQL(server.url(name), { max: 1 });
    return [...(await sql.unsafe(text))] as Row[];
  };
  return {
    env: { INLET_DATABASE_URL: server.url(name), INLET_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') },
    query,
    applied: applied(query),
    drop: async () => {
      await sql?.close();
      await server.query('postgres', `drop database ${name} with (force)`);
    },
  };
}
