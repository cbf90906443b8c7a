import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, emptyFolder, freePort, inlet, start } from '../support/binary.ts';
import { seeded } from '../support/crash.ts';
import { crowd, FakeApi, KEYS } from '../support/fakeApi.ts';
import { findWrongContacts } from '../support/selfCheck.ts';

binary(); // built once, outside the tests' time limit

const KEY = 'backfill-key-0123456789abcdefg';
const env = {
  INLET_API_KEY: KEY,
  INLET_ALLOW_PRIVATE_TARGETS: 'true',
  INLET_LOG_LEVEL: 'error',
  INLET_LOG_FORMAT: 'json',
};
const PEOPLE = 1500;

interface Report {
  id: string;
  state: string;
  read: number;
}
const caller = (port: number) => async (method: string, path: string, body?: unknown) => {
  const init = {
    method,
    headers: { authorization: `Bearer ${KEY}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  };
  return (await (await fetch(`http://127.0.0.1:${port}/api/v1${path}`, init)).json()) as Report;
};

/** How often each address is there, and what is wrong with the file. */
function contactsIn(cwd: string) {
  const db = new Database(join(cwd, 'inlet-data/inlet.db'), { readonly: true });
  const emails = db.query<{ email: string }, []>('select email from contacts order by email').all();
  const integrity = db.query<{ integrity_check: string }, []>('pragma integrity_check').get()?.integrity_check;
  db.close();
  return { emails: emails.map(row => row.email), integrity };
}

// The guarantee: killed anywhere, a back-fill goes on by itself, has everybody, and counts everybody once.
for (const provider of ['stripe', 'supabase']) {
  test(`${provider}: kill -9 at random moments, with rate limits and errors between`, async () => {
    const seed = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
    console.log(`back-fill crash: SEED=${seed}`);
    const random = seeded(seed);
    const api = new FakeApi(provider);
    api.people = crowd(provider, PEOPLE);
    api.mishaps = Array.from({ length: 60 }, () => () => {
      const dice = random();
      if (dice < 0.04) return new Response('', { status: 500 });
      return dice < 0.12 ? new Response('', { status: 429, headers: { 'retry-after': '0' } }) : 'pass';
    });
    const cwd = emptyFolder();
    const port = await freePort();
    const call = caller(port);
    let server = await start({ cwd, env, port });
    const { id } = await call('POST', '/endpoints', { provider, settings: api.settings });
    const { id: job } = await call('POST', `/endpoints/${id}/backfill`, { requestsPerSecond: 15 });
    let kills = 0;
    while (kills < 12 && (await call('GET', `/backfills/${job}`)).state !== 'done') {
      await Bun.sleep(20 + random() * 150);
      await server.kill9();
      kills++;
      server = await start({ cwd, env, port });
    }
    expect(kills).toBeGreaterThan(2);
    let report = await call('GET', `/backfills/${job}`);
    for (let i = 0; report.state === 'running' && i < 2000; i++) {
      await Bun.sleep(50);
      report = await call('GET', `/backfills/${job}`);
    }
    expect(report).toMatchObject({ state: 'done', read: PEOPLE, created: PEOPLE, known: 0, updated: 0 });
    expect(await server.stop()).toBe(0);
    api.stop();
    const { emails, integrity } = contactsIn(cwd);
    expect(integrity).toBe('ok');
    expect(emails).toEqual(api.people.map(each => each.email ?? ''));
    expect(await findWrongContacts(cwd)).toEqual([]);
  }, 180_000);
}

test('inlet backfill: beside a server it follows, without one it works; the key comes from a file and is kept sealed', async () => {
  const api = new FakeApi('clerk');
  api.people = crowd('clerk', 240);
  const cwd = emptyFolder();
  const port = await freePort();
  const call = caller(port);
  const server = await start({ cwd, env, port });
  const { id } = await call('POST', '/endpoints', { provider: 'clerk', settings: { apiBase: api.url } });
  writeFileSync(join(cwd, 'key'), `${KEYS.clerk}\n`);
  const run = (...more: string[]) => inlet(['backfill', id, '--port', String(port), ...more], { cwd, env });

  const keyless = await run();
  expect([keyless.code, keyless.err]).toEqual([2, expect.stringContaining('--key-file')]);
  const dry = await run('--key-file', 'key', '--dry-run');
  expect(dry.code).toBe(0);
  expect(dry.out).toMatch(/dry run: nothing was changed[\s\S]* 240 created/);
  const first = await run();
  expect(first.code).toBe(0);
  expect(first.out).toContain('240 created, 0 updated, 0 known');
  expect(first.err).not.toContain('No server runs');

  api.mishaps = [() => Bun.sleep(3000).then(() => 'pass' as const)];
  const followed = Bun.spawn([binary(), 'backfill', id, '--port', String(port)], {
    cwd,
    env,
    stderr: 'pipe',
    stdout: 'pipe',
  });
  while (api.mishaps.length) await Bun.sleep(20);
  followed.kill('SIGINT');
  expect([await followed.exited, await followed.stderr.text()]).toEqual([
    130,
    expect.stringContaining('It goes on in the server'),
  ]);
  const attached = await run();
  expect(attached.err).toContain('is under way already; this follows it');
  expect(attached.out).toContain('0 created, 0 updated, 240 known');
  expect(await server.stop()).toBe(0);

  api.people.push(...crowd('clerk', 2, 900));
  const alone = await run();
  expect(alone.code).toBe(0);
  expect(alone.out).toContain('2 created, 0 updated, 240 known');
  expect(alone.err).toContain('No server runs, so this command does the work');
  api.key = 'another';
  const refused = await run();
  expect(refused.code).toBe(1);
  expect(refused.out).toContain('Clerk answered 401. It refused the key');
  expect((await run('--key-file', 'none')).err).toContain('--key-file: this file can not be read');
  expect((await inlet(['backfill', 'ep_none'], { cwd, env })).err).toContain('Endpoint not found');
  for (const { out, err } of [dry, alone, refused]) expect(out + err).not.toContain(KEYS.clerk ?? '');
  expect(await Bun.file(join(cwd, 'inlet-data/inlet.db')).text()).not.toContain(KEYS.clerk ?? '');
  expect(contactsIn(cwd).emails).toHaveLength(242);
  api.stop();
}, 60_000);
