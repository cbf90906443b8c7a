// databases: sqlite
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import { version } from '../package.json' with { type: 'json' };
import { createKey } from '../src/access/keys.ts';
import { COMMANDS } from '../src/cli/commands.ts';
import { run } from '../src/cli/run.ts';
import type { Env } from '../src/config.ts';
import { endpoints, keys } from '../src/db/schema.ts';
import { TestApp } from './support/app.ts';
import { emptyFolder } from './support/binary.ts';

async function cli(words: string[], env: Env = {}) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await run(words, { env, out: line => out.push(line), err: line => err.push(line) });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

describe('a wrong command line exits 2 with one line that names the nearest match', () => {
  test.each([
    [['sevre'], 'Did you mean serve?'],
    [['--prot', '1'], 'Did you mean --port?'],
    [['serve', '--dtaa=x'], 'Did you mean --data?'],
    [['enpoints', 'add'], 'Did you mean endpoints?'],
    [['endpoints', 'ad'], 'Did you mean endpoints add?'],
    [['endpoints'], 'one of: add, list, show'],
    [['keys', 'create'], 'needs NAME'],
    [['keys', 'create', 'a', 'b'], 'takes no argument "b"'],
    [['keys', 'list', '--data'], '--data needs a value'],
    [['keys', 'list', '--json=1'], '--json takes no value'],
    [['__proto__'], 'Unknown command'],
    [['serve', '--constructor'], 'Unknown flag'],
    [['endpoints', 'set-secret', 'ep_1', '--secret', 'whsec_x'], 'shell history'],
    [['endpoints', 'set-secret', 'ep_1', '--secret=whsec_x'], '--secret-file'],
  ])('inlet %p', async (words, expected) => {
    const { code, out, err } = await cli(words);
    expect(code).toBe(2);
    expect(err).toContain(expected);
    expect(err).not.toMatch(/\n|whsec_x/);
    expect(out).toBe('');
  });
});

test('help of the program, of a group and of every command', async () => {
  for (const words of [['--help'], ['-h'], ['help']])
    expect((await cli(words)).out).toContain('inlet endpoints add PROVIDER');
  expect((await cli(['keys', '--help'])).out).toContain('inlet keys revoke ID');
  expect((await cli(['keys', '--help'])).out).not.toContain('inlet backup');
  for (const command of COMMANDS) {
    const { code, out } = await cli([...command.name.split(' '), '--help']);
    expect(code).toBe(0);
    expect(out).toContain(command.summary);
    for (const option of Object.keys(command.options)) expect(out).toContain(`--${option}`);
  }
});

test('the version is that of package.json', async () => {
  expect(await cli(['--version'])).toEqual({ code: 0, out: version, err: '' });
});

test('commands never make a data folder by a mistyped name', async () => {
  const dataDir = join(emptyFolder(), 'mistyped');
  const lines = [
    ['keys', 'list'],
    ['keys', 'create', 'x'],
    ['keys', 'revoke', 'x'],
    ['login'],
    ['endpoints', 'add', 'stripe'],
    ['endpoints', 'list'],
    ['endpoints', 'show', 'x'],
    ['endpoints', 'remove', 'x'],
    ['endpoints', 'reset-secrets'],
    ['send-test', 'x', 'customer.created'],
    ['backfill', 'x'],
    ['backup', join(dataDir, 'x')],
  ];
  for (const words of lines) {
    const { code, err } = await cli([...words, '--data', dataDir]);
    expect([words.join(' '), code, err]).toEqual([
      words.join(' '),
      1,
      `inlet: No Inlet data in ${dataDir}. Start the server first or pass --data.`,
    ]);
  }
  expect((await cli(['doctor', '--data', dataDir])).code).toBe(1);
  expect(existsSync(dataDir)).toBe(false);
});

test('a bad value is one line with exit code 1', async () => {
  const { code, err } = await cli(['health'], { INLET_PORT: 'eighty' });
  expect(code).toBe(1);
  expect(err).toBe('inlet: INLET_PORT must be a whole number from 0 to 65535.');
});

test('an unknown variable is only a warning', async () => {
  const { err } = await cli(['keys', 'list', '--data', '/nonexistent/x'], { INLET_PROT: '1' });
  expect(err).toContain(
    'inlet: warning: INLET_PROT is not a variable of Inlet and has no effect. Did you mean INLET_PORT?',
  );
});

test('what is stored under an odd name moves no cursor: not as text, not as JSON', async () => {
  const folder = emptyFolder();
  const app = await TestApp.open({}, { dataDir: join(folder, 'data') });
  const odd = 'a\x1b]0;pwned\x07\r\nforged\u009b\u202e\u2028\u{e0001}b';
  const id = await app.endpoint('stripe');
  const { store } = app.app.ctx;
  await store.write(async tx => void (await tx.update(endpoints).set({ name: odd })));
  const { row } = await store.write(tx => createKey(tx, 'odd', 1));
  await store.write(async tx => void (await tx.update(keys).set({ name: odd }).where(eq(keys.id, row.id))));
  await app.stop(true);
  const data = ['--data', join(folder, 'data')];
  for (const words of [
    ['endpoints', 'show', id],
    ['endpoints', 'show', id, '--json'],
    ['endpoints', 'list'],
    ['endpoints', 'list', '--json'],
    ['keys', 'list', '--json'],
    ['keys', 'revoke', row.id],
  ]) {
    const { out, err, code } = await cli([...words, ...data]);
    expect({ words, code, err }).toEqual({ words, code: 0, err: '' });
    expect(out).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\u2028\u2029]|^forged/mu);
    if (words.includes('--json')) expect(JSON.stringify(JSON.parse(out))).toContain(JSON.stringify(odd).slice(1, -1));
    else expect(out).toContain('pwned');
  }
});

test('login prints a link that signs in once; keys create --read-only makes a key that only reads', async () => {
  const folder = emptyFolder();
  const dataDir = join(folder, 'data');
  const app = await TestApp.open({}, { dataDir });
  const data = ['--data', dataDir];
  const { out, code } = await cli(['login', ...data, '--public-url', 'https://x.example/inlet']);
  expect(code).toBe(0);
  const [, token] = /^https:\/\/x\.example\/inlet\/_\/#\/login\/(\w{50})$/.exec(out) ?? [];
  const signIn = () => app.fetch('/api/v1/session', { method: 'POST', body: JSON.stringify({ token }) });
  expect([(await signIn()).status, (await signIn()).status]).toEqual([201, 401]);
  const off = await cli(['login', ...data], { INLET_DASHBOARD: 'false' });
  expect([off.code, off.err]).toEqual([1, 'inlet: INLET_DASHBOARD=false: there is no page to sign in on.']);
  const key = (await cli(['keys', 'create', 'eyes', '--read-only', ...data])).out;
  expect((await app.api('GET', '/lists', undefined, key)).status).toBe(200);
  expect((await app.api('POST', '/lists', { name: 'l' }, key)).status).toBe(403);
  await app.stop();
});
