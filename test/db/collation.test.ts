// databases: sqlite
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { SQL } from 'bun';
import { API_KEY, TestApp } from '../support/app.ts';
import { dropDatabase, postgresDatabase, withPostgres } from '../support/backends.ts';

// By bytes "B" < "Z" < "a" < "ä"; in en-US "a" < "ä" < "B" < "Z", and "-" and "_" hardly count.
const NAMES = ['Zoe', 'abel', 'äbel', 'Bea', 'a-b', 'a_b', 'aB', 'Ab', 'ab'];

describe.skipIf(!withPostgres)('a database whose own order is a language’s', () => {
  let url = '';
  let sql: SQL;
  const apps: TestApp[] = [];
  beforeAll(async () => {
    url = await postgresDatabase();
    sql = new SQL(url, { max: 1 });
    apps.push(await TestApp.open({}, { databaseUrl: url, secretKey: new Uint8Array(32).fill(7) }));
    apps.push(await TestApp.open({}, { databaseUrl: null, secretKey: null }));
    for (const app of apps)
      for (const name of NAMES)
        await app.api('POST', '/contacts/create', { email: `${name}@x.co`, firstName: name, userGroup: name });
  });
  afterAll(async () => {
    for (const app of apps) await app.stop();
    await sql.close();
    await dropDatabase(url);
  });

  test('is one: the test shows something', async () => {
    const [row] = await sql.unsafe(`select 'a' < 'B' as language, 'a' < 'B' collate "C" as bytes`);
    expect(row).toMatchObject({ language: true, bytes: false });
  });

  test('compares every text column and every index on texts by bytes', async () => {
    const columns = await sql.unsafe(
      `select table_name, column_name from information_schema.columns where table_schema = 'public'
       and collation_name is distinct from 'C' and data_type in ('text', 'character varying')`,
    );
    const indexes = await sql.unsafe(
      `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_collation o on o.oid = a.attcollation
       where c.relnamespace = 'public'::regnamespace and c.relkind in ('i', 'r') and o.collname <> 'C'`,
    );
    expect([[...columns], [...indexes]]).toEqual([[], []]);
  });

  test('lists, filters and pages the same people in the same order as SQLite', async () => {
    const queries = [
      '?perPage=3',
      ...NAMES.flatMap(name => [`?q=${encodeURIComponent(name)}`, `?name=${encodeURIComponent(name)}`]),
      ...['a', 'A', 'b', 'z', 'ä'].flatMap(q => [`?q=${encodeURIComponent(q)}`, `?name=${encodeURIComponent(q)}`]),
      ...NAMES.map(name => `?userGroup=${encodeURIComponent(name)}`),
    ];
    for (const query of queries) {
      const [postgres, sqlite] = await Promise.all(apps.map(app => walk(app, `/contacts${query}`)));
      expect({ query, emails: postgres }).toEqual({ query, emails: sqlite });
    }
    const [postgres, sqlite] = await Promise.all(apps.map(app => app.api('GET', '/contacts/properties')));
    expect(postgres?.body).toEqual(sqlite?.body);
  });

  test('answers what begins with something from an index, by both of its ends', async () => {
    await sql.unsafe('set enable_seqscan = off');
    const plans: [string, string][] = [
      [`select id from contacts where email >= 'a' and email < 'a~'`, 'email'],
      [
        `select id from contacts where first_name is not null and lower(first_name) >= 'a' and lower(first_name) < 'a~'`,
        'lower',
      ],
      [`select id from deliveries where id < 'dlv_b' and id >= 'dlv_a' order by id desc limit 20`, 'id'],
    ];
    for (const [text, column] of plans) {
      const rows: { 'QUERY PLAN': string }[] = await sql.unsafe(`explain ${text}`);
      const plan = rows.map(row => row['QUERY PLAN']).join('\n');
      expect(plan).toMatch(
        new RegExp(`Index Cond: .*${column}.* >= .*AND .*< |Index Cond: .*${column}.* < .*AND .*>= `),
      );
      expect(plan).not.toContain('Sort');
    }
  });
});

/** Addresses of all pages, in their order. */
async function walk(app: TestApp, path: string): Promise<string[]> {
  const emails: string[] = [];
  for (let cursor = ''; ; ) {
    const at = cursor && `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await app.fetch(`/api/v1${path}${at}`, { headers: { authorization: `Bearer ${API_KEY}` } });
    expect(answer.status).toBe(200);
    emails.push(...answer.body.data.map((each: { email: string }) => each.email));
    cursor = answer.body.pagination.nextCursor ?? '';
    if (!cursor) return emails;
  }
}
