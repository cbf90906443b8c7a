import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { MIGRATIONS } from '../../src/db/migrate.ts';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { lists } from '../../src/db/schema.ts';
import { StoreUnavailable } from '../../src/db/store.ts';
import { AppError } from '../../src/errors.ts';
import { withPostgres } from '../support/backends.ts';
import { emptyFolder, inlet } from '../support/binary.ts';
import { certificates, withOpenssl } from '../support/certificates.ts';
import { Postgres } from '../support/postgres.ts';

const PASSWORD = 'hush-p%w@:/ü';
const ACCESS = [
  'host all secured 127.0.0.1/32 scram-sha-256',
  'hostssl all onlytls 127.0.0.1/32 trust',
  'hostnossl all onlytls 127.0.0.1/32 reject',
  'host all all 127.0.0.1/32 trust',
];
const pem = (name: string) => join(folder, `${name}.pem`);

let folder: string;
let postgres: Postgres;
let databases = 0;

async function database(options = ''): Promise<string> {
  const name = `c${databases++}`;
  await postgres.query('postgres', `create database ${name} ${options}`);
  return name;
}

/** The URL of a database with parts replaced. */
function url(name: string, parts: Partial<URL> = {}, query: Record<string, string> = {}): string {
  const made = Object.assign(new URL(postgres.url(name)), parts);
  for (const [key, value] of Object.entries(query)) made.searchParams.set(key, value);
  return made.href;
}

/** What opening is refused with. Nothing of the URL beyond names of parameters may be in it. */
async function refusal(of: string): Promise<string> {
  const error = await openPostgres(of).then(
    async store => {
      await store.close();
      return null;
    },
    error => error,
  );
  expect(error).toBeInstanceOf(AppError);
  for (const hidden of ['hush', 'secured', '127.0.0.1', 'localhost', folder])
    expect(error.message).not.toContain(hidden);
  return error.message;
}

async function opens(of: string): Promise<void> {
  const store = await openPostgres(of);
  await store.write(tx => tx.select().from(lists));
  await store.close();
}

const tables = async (name: string) =>
  (await postgres.query(name, `select tablename as t from pg_tables where schemaname = 'public' order by 1`)) as {
    t: string;
  }[];

describe.skipIf(!withPostgres)('opening PostgreSQL', () => {
  beforeAll(async () => {
    folder = withOpenssl ? certificates() : mkdtempSync(join(tmpdir(), 'inlet-tls-'));
    chmodSync(folder, 0o755);
    writeFileSync(join(folder, 'access'), `${ACCESS.join('\n')}\n`);
    const tls = ['ssl=on', `ssl_cert_file=${pem('server')}`, `ssl_key_file=${join(folder, 'server.key')}`];
    const settings = ['fsync=off', 'max_connections=40', `hba_file=${join(folder, 'access')}`];
    postgres = await Postgres.start([...settings, ...(withOpenssl ? tls : [])]);
    await postgres.query('postgres', `create role secured superuser login password '${PASSWORD}'`);
    await postgres.query('postgres', 'create role onlytls superuser login');
    await postgres.query('postgres', 'create role plain login');
  }, 120_000);
  afterAll(async () => {
    await postgres?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test('8 that open one empty database at once all succeed and leave one schema', async () => {
    const name = await database();
    const stores = await Promise.all(Array.from({ length: 8 }, () => openPostgres(url(name, {}, { pool: '3' }))));
    await Promise.all(stores.map(store => store.write(tx => tx.select().from(lists))));
    for (const store of stores) await store.close();
    const versions = await postgres.query(name, 'select version from inlet_migrations order by version');
    expect(versions).toEqual(MIGRATIONS.map((_, i) => ({ version: i + 1 })) as unknown[]);
  }, 30_000);
  test('a schema newer than the binary is refused with what to do, and left alone', async () => {
    const name = await database();
    await opens(url(name));
    await postgres.query(name, `insert into inlet_migrations values (${MIGRATIONS.length + 1})`);
    expect(await refusal(url(name))).toMatch(/written by a newer Inlet \(schema \d+; .*Start the newer binary/);
    const beside = await openPostgres(url(name), undefined, false).catch(error => error);
    expect(beside).toBeInstanceOf(AppError);
  });
  test.each([
    ['a table of a name of ours', 'create table contacts (id int primary key, owner text)', 'contacts'],
    ['the last of our tables', 'create table jobs (id int)', 'jobs'],
    ['another inlet_migrations', 'create table inlet_migrations (name text)', 'inlet_migrations'],
  ])('a database with %s is refused at once and not touched', async (_, statement, table) => {
    const name = await database();
    await postgres.query(name, statement);
    const begin = performance.now();
    expect(await refusal(url(name))).toContain('tables that are not of Inlet');
    expect(performance.now() - begin).toBeLessThan(2000);
    expect(await tables(name)).toEqual([{ t: table }]);
  });
  test('tables of other names beside ours are nobody’s business', async () => {
    const name = await database();
    await postgres.query(name, 'create table invoices (id int)');
    await opens(url(name));
  });
  test('a user who may not make tables serves what another one made, and is told so where nothing was made', async () => {
    const name = await database();
    expect(await refusal(url(name, { username: 'plain' }))).toContain('createdb -O USER inlet');
    await opens(url(name));
    await postgres.query(name, 'grant select, insert, update, delete on all tables in schema public to plain');
    await opens(url(name, { username: 'plain' }));
  });
  test('a database that can not hold every character is refused', async () => {
    const name = await database(`encoding 'LATIN1' locale 'C' template template0`);
    expect(await refusal(url(name))).toContain('createdb -E UTF8');
    expect(await tables(name)).toEqual([]);
  });
  test('a database that only reads, a full server, a missing database, a port without server', async () => {
    const name = await database();
    await postgres.query('postgres', `alter database ${name} set default_transaction_read_only = on`);
    expect(await refusal(url(name))).toContain('only reads');
    const holding = Array.from({ length: 40 }, () => new Bun.SQL(postgres.url('postgres'), { max: 1 }));
    await Promise.allSettled(holding.map(each => each.unsafe('select 1')));
    expect(await refusal(url(name, { username: 'plain' }))).toContain('Lower ?pool=');
    await Promise.all(holding.map(each => each.close()));
    expect(await refusal(url('nowhere'))).toContain('no such database');
    expect(await refusal('postgres://hush:hush@127.0.0.1:1/x')).toContain('Check host, port');
  });
  test('a wrong user or password, and the right one with every awkward character', async () => {
    const name = await database();
    expect(await refusal(url(name, { username: 'secured', password: 'hush-wrong' }))).toContain('user or password');
    expect(await refusal(url(name, { username: 'secured' }))).toContain('user or password');
    expect(await refusal(url(name, { username: 'ghost' }))).toContain('user or password');
    await opens(url(name, { username: 'secured', password: encodeURIComponent(PASSWORD) }));
  });
  test('parameters of the URL that mean nothing are refused before or by the server', async () => {
    const name = await database();
    expect(await refusal(url(name, {}, { sslmode: 'hush' }))).toContain('sslmode must be one of');
    expect(await refusal(url(name, {}, { pool: '0' }))).toContain('pool must be');
    expect(await refusal(url(name, {}, { pool: '1' }))).toContain('pool must be a whole number from 3 to 200');
    expect(await refusal(url(name, {}, { statement_timeout: '5s' }))).toContain('statement_timeout must be');
    expect(await refusal(url(name, {}, { sslrootcert: '/nowhere/hush' }))).toContain('sslrootcert');
    expect(await refusal(url(name, {}, { hushed: '1' }))).toContain('parameter of the URL');
  });
  test('statement_timeout of the URL ends a statement that takes longer, as a moment without database', async () => {
    const name = await database();
    const store = await openPostgres(url(name, {}, { statement_timeout: '200' }));
    const begin = performance.now();
    const slow = await store.write(tx => tx.all(sql`select pg_sleep(10)`)).catch(error => error);
    expect(slow).toBeInstanceOf(StoreUnavailable);
    expect(performance.now() - begin).toBeLessThan(5000);
    expect(await store.write(tx => tx.select().from(lists))).toEqual([]);
    await store.close();
  });
  test('pool of the URL bounds the connections under any load', async () => {
    const name = await database();
    const store = await openPostgres(url(name, {}, { pool: '4' }));
    const load = Array.from({ length: 60 }, (_, i) =>
      i % 2
        ? store.read(tx => tx.all(sql`select pg_sleep(0.05)`))
        : store.write(tx => tx.all(sql`select pg_sleep(0.01)`)),
    );
    await Bun.sleep(200);
    const [{ n }] = (await postgres.query(
      'postgres',
      `select count(*)::int as n from pg_stat_activity where datname = '${name}' and application_name = 'inlet'`,
    )) as [{ n: number }];
    await Promise.all(load);
    await store.close();
    expect(n).toBeGreaterThan(1);
    expect(n).toBeLessThanOrEqual(4);
  });
  test('the executable refuses in one line and exits 1, without the URL', async () => {
    const env = {
      INLET_DATABASE_URL: url('nowhere', { username: 'secured', password: 'hush-hush' }),
      INLET_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    };
    const { code, out, err } = await inlet(['serve', '--port', '0'], { cwd: emptyFolder(), env });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/^inlet: The PostgreSQL server of INLET_DATABASE_URL [^\n]+\n$/);
    expect(err).not.toContain('hush');
  }, 60_000);

  if (!withOpenssl) console.log('openssl is missing: TLS to PostgreSQL is not tested');
  describe.skipIf(!withOpenssl)('over TLS', () => {
    const over = (hostname: string, query: Record<string, string>) =>
      url('postgres', { hostname, username: 'onlytls' }, query);
    test('the right CA and host name, and a user whom the server takes only so', async () => {
      await opens(over('localhost', { sslmode: 'verify-full', sslrootcert: pem('ca') }));
      await opens(over('127.0.0.1', { sslmode: 'verify-ca', sslrootcert: pem('ca') }));
      await opens(over('localhost', { sslmode: 'require' }));
      const scram = { username: 'secured', password: encodeURIComponent(PASSWORD), hostname: 'localhost' };
      await opens(url('postgres', scram, { sslmode: 'require', channel_binding: 'require' }));
    });
    test('without TLS, a wrong CA, a wrong host name, a file that holds no certificate', async () => {
      const full = { sslmode: 'verify-full' };
      expect(await refusal(over('localhost', { sslmode: 'disable' }))).toContain('sslmode');
      expect(await refusal(over('localhost', { ...full, sslrootcert: pem('other') }))).toContain('can not be verified');
      expect(await refusal(over('localhost', full))).toContain('can not be verified');
      expect(await refusal(over('127.0.0.1', { ...full, sslrootcert: pem('ca') }))).toContain('another host name');
      expect(await refusal(over('localhost', { ...full, sslrootcert: join(folder, 'access') }))).toContain('TLS');
    });
  });
});
