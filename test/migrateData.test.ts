import { afterAll, describe, expect, test } from 'bun:test';
import { createHmac } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill } from '../bench/fill.ts';
import { run } from '../src/cli/run.ts';
import { openPostgres } from '../src/db/postgres/connect.ts';
import { openSqlite } from '../src/db/sqlite/store.ts';
import type { Store } from '../src/db/store.ts';
import { compare } from '../src/db/transfer/transfer.ts';
import { postgresDatabase, withPostgres } from './support/backends.ts';
import { binary, emptyFolder, inlet, start } from './support/binary.ts';
import { seeded } from './support/crash.ts';

const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
const SECRET = 'whsec_move_0123456789abcdef0123456789';
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

async function cli(words: string[], env: Record<string, string> = {}) {
  const err: string[] = [];
  const code = await run(['migrate-data', ...words], { env, out: () => {}, err: line => err.push(line) });
  return { code, err: err.join('\n') };
}

describe('a wrong command line says what to type', () => {
  const file = join(emptyFolder(), 'inlet-data/inlet.db');
  test.each([
    [[], 2, 'Which way?'],
    [['--from', file], 2, 'Set INLET_DATABASE_URL'],
    [['--from', file, '--to', 'postgres'], 2, 'Set INLET_DATABASE_URL'],
    [['--from', file, '--to', `${file}2`], 2, 'One side must be a SQLite file'],
    [['--from', 'postgres', '--to', 'postgres://u@127.0.0.1:1/x'], 2, 'One side must be a SQLite file'],
    [['--from', file, '--to', 'postgres://u@127.0.0.1:1/x'], 1, `There is no database ${file} to move`],
    [['--from', 'postgres://u:x80x@127.0.0.1:1/x', '--to', file], 1, "can't be reached"],
    [['--from', 'postgres://', '--to', file], 1, 'must start with postgres://'],
  ])('%p', async (words, code, expected) => {
    const result = await cli(words);
    expect(result.err).toContain(expected);
    expect(result.err).not.toContain('x80x');
    expect(result.code).toBe(code);
    expect(existsSync(join(file, '..'))).toBe(false);
  });
});

test('what is not an Inlet database is neither moved nor touched', async () => {
  const folder = emptyFolder();
  const file = join(folder, 'notes.db');
  writeFileSync(file, 'not a database at all'.repeat(100));
  const { code, err } = await cli(['--from', file], { INLET_DATABASE_URL: 'postgres://u@127.0.0.1:1/x' });
  expect([code, err]).toEqual([1, `inlet: ${file} can't be read as an Inlet database. Check the path.`]);
  expect(readdirSync(folder)).toEqual(['notes.db']);
});

const eventOf = (n: number) =>
  JSON.stringify({
    id: `evt_move${n}`,
    object: 'event',
    type: 'customer.created',
    created: Math.floor(Date.now() / 1000),
    livemode: false,
    data: { object: { id: `cus_move${n}`, object: 'customer', email: `move${n}@example.com`, name: 'Mo Ve' } },
  });

async function post(url: string, endpointId: string, body: string): Promise<unknown> {
  const t = Math.floor(Date.now() / 1000);
  const v1 = createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex');
  const headers = { 'stripe-signature': `t=${t},v1=${v1}` };
  const answer = await fetch(`${url}/webhooks/${endpointId}`, { method: 'POST', body, headers });
  return ((await answer.json()) as { result?: string }).result;
}

async function api(url: string, key: string | null, path: string, body?: unknown) {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  return (await answer.json()) as { id: string; pagination: { totalResults: number } };
}

describe.if(withPostgres)('the binary', () => {
  if (withPostgres) binary();

  test('moves a used installation to PostgreSQL and back; each time the secrets, keys and duplicates are known', async () => {
    const cwd = emptyFolder();
    const url = await postgresDatabase(false);
    const withPassword = url.replace('inlet@', 'inlet:x80x@');
    const server = await start({ cwd });
    const { id } = await api(server.url, server.key, '/endpoints', { provider: 'stripe', secret: SECRET });
    expect(await post(server.url, id, eventOf(1))).toBe('accepted');
    const there = ['migrate-data', '--from', './inlet-data/inlet.db', '--to', withPassword];
    const busy = await inlet(there, { cwd });
    expect([busy.code, busy.out]).toEqual([1, '']);
    expect(busy.err).toContain('Another Inlet is already serving');
    expect(await server.stop()).toBe(0);

    const moved = await inlet(there, { cwd });
    expect([moved.code, moved.err]).toEqual([0, expect.stringContaining('a password in a flag shows in ps')]);
    expect(moved.out + moved.err).not.toContain('x80x');
    expect(moved.out).toMatch(/deliveries +1 +[0-9a-f]{16}\n/);
    expect(moved.out).toContain(`export INLET_SECRET_KEY="$(cat ${join(cwd, 'inlet-data/secret.key')})"`);
    const sealingKey = readFileSync(join(cwd, 'inlet-data/secret.key'), 'utf8').trim();
    expect(moved.out).not.toContain(sealingKey);

    const shared = { INLET_SECRET_KEY: sealingKey, INLET_DATABASE_URL: url };
    const elsewhere = emptyFolder();
    const second = await start({ cwd: elsewhere, env: shared });
    expect(second.key).toBeNull();
    expect(await post(second.url, id, eventOf(1))).toBe('duplicate');
    expect(await post(second.url, id, eventOf(2))).toBe('accepted');
    expect((await api(second.url, server.key, '/contacts')).pagination.totalResults).toBe(2);
    const urlFile = join(elsewhere, 'url');
    writeFileSync(urlFile, url);
    const back = (to: string) =>
      inlet(['migrate-data', '--from', 'postgres', '--to', to], {
        cwd: elsewhere,
        env: { INLET_DATABASE_URL_FILE: urlFile },
      });
    const served = await back('./new/inlet.db');
    expect([served.code, served.err]).toEqual([1, expect.stringContaining('A server is running on the PostgreSQL')]);
    expect(existsSync(join(elsewhere, 'new'))).toBe(false);
    expect(await second.stop()).toBe(0);

    const again = await inlet(there, { cwd });
    expect([again.code, again.err]).toEqual([1, expect.stringContaining('The target is not empty')]);

    const returned = await back('./new/inlet.db');
    expect([returned.code, returned.err]).toEqual([0, expect.not.stringContaining('warning')]);
    expect(returned.out).toContain('unset INLET_DATABASE_URL');
    expect(mode(join(elsewhere, 'new'))).toBe('700');
    for (const name of readdirSync(join(elsewhere, 'new'))) expect(mode(join(elsewhere, 'new', name))).toBe('600');
    const env = { INLET_SECRET_KEY: sealingKey };
    const third = await start({ cwd: elsewhere, args: ['--data', './new'], env });
    expect(await post(third.url, id, eventOf(2))).toBe('duplicate');
    expect(await post(third.url, id, eventOf(3))).toBe('accepted');
    expect(await third.stop()).toBe(0);

    const full = await back('./new/inlet.db');
    expect([full.code, full.err]).toEqual([1, expect.stringContaining('The target is not empty')]);
  }, 60_000);

  test("a folder that is not Inlet's own keeps its mode", async () => {
    const cwd = emptyFolder();
    const url = await postgresDatabase();
    mkdirSync(join(cwd, 'shared'), { mode: 0o755 });
    writeFileSync(join(cwd, 'shared/other'), '');
    const named = await inlet(['migrate-data', '--from', url, '--to', './shared'], { cwd });
    expect([named.code, named.err]).toEqual([
      1,
      `inlet: ${cwd}/shared is a folder. Name the file: --to ${cwd}/shared/inlet.db\n`,
    ]);
    const { code, out } = await inlet(['migrate-data', '--from', url, '--to', './shared/copy.db'], { cwd });
    expect(code).toBe(0);
    expect(out).toContain(`mv ${join(cwd, 'shared/copy.db')} ${join(cwd, 'shared/inlet.db')}`);
    expect([mode(join(cwd, 'shared')), mode(join(cwd, 'shared/copy.db'))]).toEqual(['755', '600']);
  });
});

// The guarantee: kill -9 at any moment, the same command again, and the target is whole.
describe.if(withPostgres)('kill -9 in the middle of a move', () => {
  const random = seeded(SEED);
  const cwd = emptyFolder();
  const from = join(cwd, 'inlet-data/inlet.db');
  let url = '';
  const opened: Store[] = [];
  afterAll(async () => {
    for (const store of opened) await store.close();
  });

  /** Kills the command at random moments, each time somewhat later, then lets it end; it must have gone on from a killed one. */
  async function throughKills(words: string[], kills: number): Promise<void> {
    for (let kill = 1; kill <= kills; kill++) {
      const child = Bun.spawn([binary(), 'migrate-data', ...words], { cwd, env: {}, stdout: 'ignore', stderr: 'pipe' });
      // The last one is killed when rows have come, however slow the machine is.
      if (kill === kills) for await (const text of child.stderr) if (Buffer.from(text).includes('copying')) break;
      await Bun.sleep(kill === kills ? random() * 100 : kill * 100 + random() * 200);
      child.kill('SIGKILL');
      expect(await child.exited).toBe(137); // else there are too few rows for this machine
    }
    const last = await inlet(['migrate-data', ...words], { cwd });
    expect([last.code, last.err]).toEqual([0, expect.stringContaining('went on where an earlier run ended')]);
  }

  test('to PostgreSQL and back', async () => {
    console.log(`move: SEED=${SEED}`);
    mkdirSync(join(cwd, 'inlet-data'));
    await openSqlite(from).close();
    fill(from, 'ep_1', 30_000, 5000);
    url = await postgresDatabase(false);
    await throughKills(['--from', from, '--to', url], 5);
    await throughKills(['--from', url, '--to', './back/inlet.db'], 4);
    const [a, b, c] = [openSqlite(from), await openPostgres(url), openSqlite(join(cwd, 'back/inlet.db'))];
    opened.push(a, b, c);
    const { tables } = await compare(a, b);
    expect(tables.find(each => each.table === 'deliveries')?.rows).toBe(30_000);
    expect((await compare(b, c)).tables).toEqual(tables);
  }, 120_000);
});
