import { Database as Sqlite } from 'bun:sqlite';
import { join } from 'node:path';
import type { Postgres } from '../test/support/postgres.ts';

/** Where the measured servers keep their data. */
export interface Database {
  /** Variables that point a server at it. */
  env: Record<string, string>;
  /** Waits until nothing is queued; ms since 1970 of that moment. @throws Error when something was not applied */
  applied(): Promise<number>;
}

const OPEN = `select 1 from deliveries where status <> 'processed' and status in ('queued', 'failed') limit 1`;
const WRONG = `select count(*) as n from deliveries where status in ('dead', 'waiting', 'ignored')`;

function check(count: number): void {
  if (count) throw new Error(`${count} deliveries were not applied`);
}

export const sqlite = (cwd: string): Database => ({
  env: {},
  applied: async () => {
    const db = new Sqlite(join(cwd, 'inlet-data/inlet.db'), { readonly: true });
    const left = db.prepare(OPEN);
    while (left.get()) await Bun.sleep(3);
    const at = Date.now();
    const { n } = db.query<{ n: number }, []>(WRONG).get() ?? { n: 0 };
    db.close();
    check(n);
    return at;
  },
});

let made = 0;

/** A new database on a server. */
export async function postgres(server: Postgres): Promise<Database> {
  const name = `bench${made++}`;
  await server.query('postgres', `create database ${name}`);
  return {
    env: { INLET_DATABASE_URL: server.url(name), INLET_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') },
    applied: async () => {
      while ((await server.query(name, OPEN)).length) await Bun.sleep(3);
      const at = Date.now();
      const [row] = (await server.query(name, WRONG)) as { n: string }[];
      check(Number(row?.n));
      return at;
    },
  };
}
