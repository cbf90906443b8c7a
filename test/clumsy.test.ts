import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { emptyFolder, freePort, inlet, type Running, start } from './support/binary.ts';

// A clumsy admin at the built binary: every mistake is one line that says what to do, and changes nothing.
const cwd = emptyFolder();
const DATA = join(cwd, 'data');
let server: Running;
let id = '';
const run = (words: string, env: Record<string, string> = {}) => inlet(words.split(' '), { cwd, env });
const at = () => `--data data --port ${server.port}`;

beforeAll(async () => {
  server = await start({ cwd, args: ['--data', 'data'] });
  writeFileSync(join(cwd, 'secret'), ' whsec_0123456789abcdef0123456789\n\n');
  id = /ep_\w+/.exec((await run(`endpoints add stripe --secret-file secret ${at()}`)).out)?.[0] ?? '';
});
afterAll(async () => void (await server.stop()));

/** One line on stderr, nothing of ours about a stack, nothing on stdout. */
async function refused(words: string, why: string | RegExp, code = 1, env: Record<string, string> = {}) {
  const answer = await run(words, env);
  expect({ words, code: answer.code, err: answer.err }).toEqual({ words, code, err: expect.stringMatching(why) });
  expect(answer.err.trimEnd()).not.toMatch(/\n|unexpected error|\.ts:|SQLiteError|at \w+ \(/);
  expect(answer.out).toBe('');
}

test('a first start that fails makes nothing: a port in use, an address that is not ours', async () => {
  const before = readdirSync(cwd);
  await refused(`--data new --port ${server.port}`, 'in use by another program');
  await refused(`--data new --port ${server.port}`, 'in use by another program', 1, { NODE_ENV: 'production' });
  await refused(`--data new --host 203.0.113.7 --port ${await freePort()}`, 'can not be listened on');
  await refused('restore /no/such/file --data new', "can't be read as an Inlet backup");
  expect(readdirSync(cwd)).toEqual(before);
});

test('beside a running server: what needs it to be stopped says so', async () => {
  await refused('serve --data data', 'already serving');
  await refused('endpoints reset-secrets --data data', 'already serving');
  expect((await run('backup copy --data data')).code).toBe(0);
  expect(statSync(join(cwd, 'copy')).mode & 0o777).toBe(0o600);
  await refused('restore copy --data data', 'already serving');
  await refused('backup copy --data data', 'exists already');
  await refused('backup /no/such/folder/copy --data data', "Can't write the backup");
});

describe('wrong arguments', () => {
  test.each([
    ['endpoints add strpe', 'Did you mean stripe'],
    ['endpoints show nope', 'Endpoint not found'],
    ['endpoints remove nope', 'Endpoint not found'],
    ['endpoints set-secret nope --secret-file secret', 'Endpoint not found'],
    ['endpoints add stripe --secret-file /no/such/file', 'can not be read'],
    ['endpoints add stripe --secret-file /', 'can not be read'],
    ['endpoints add stripe --secret-file /dev/zero', 'can not be read'],
    ['endpoints add stripe --secret-file /dev/null', 'can not be read'],
    ['keys revoke nope', 'Key not found'],
    ['send-test nope customer.created', 'Endpoint not found'],
    ['backfill nope', 'Endpoint not found'],
  ])('%s', async (words, why) => refused(`${words} ${at()}`, why));

  test('a type that is none, a port where nobody listens', async () => {
    await refused(`send-test ${id} customer.creatd ${at()}`, 'Did you mean customer.created');
    await refused(`send-test ${id} customer.created --data data --port 1`, /no server|answer|reach/i);
    await refused('health --port 1', 'no server answers');
  });

  test('a secret without a terminal or a file is asked for by exit 2', () =>
    refused(`endpoints set-secret ${id} ${at()}`, '--secret-file', 2));

  test('names with control characters are refused', async () => {
    const { code, err } = await inlet(['keys', 'create', 'a\nb\u001b[2J', '--data', 'data'], { cwd });
    expect([code, err.trimEnd()]).toEqual([1, expect.stringMatching(/^inlet: name: holds control characters[^\n]*$/)]);
  });

  test('another sealing key is refused wherever secrets are touched', async () => {
    const env = { INLET_SECRET_KEY: Buffer.alloc(32, 9).toString('base64') };
    await refused(`endpoints set-secret ${id} --secret-file secret --data data`, 'not the key that sealed', 1, env);
    await refused(`send-test ${id} customer.created ${at()}`, 'not the key that sealed', 1, env);
  });
});

describe('a data folder in trouble', () => {
  const broken = (name: string, breakIt: (folder: string) => void) => {
    const folder = join(cwd, name);
    mkdirSync(folder);
    for (const file of ['secret.key']) cpSync(join(DATA, file), join(folder, file));
    cpSync(join(cwd, 'copy'), join(folder, 'inlet.db'));
    breakIt(folder);
    return folder;
  };
  const commands = ['serve', 'keys list', 'endpoints list', 'backup b'];

  test('a damaged database', async () => {
    const folder = broken('damaged', each => writeFileSync(join(each, 'inlet.db'), 'no database at all'.repeat(100)));
    for (const words of commands) await refused(`${words} --data damaged --port 0`, /damaged|Can't write|can't be/);
    const doctor = await run('doctor --data damaged');
    expect(doctor.code).toBe(1);
    expect(doctor.out + doctor.err).not.toMatch(/SQLiteError|\.ts:/);
    expect(existsSync(join(folder, 'b'))).toBe(false);
  });

  test('a folder in the place of the database', async () => {
    broken('folder', each => {
      rmSync(join(each, 'inlet.db'));
      mkdirSync(join(each, 'inlet.db'));
    });
    for (const words of commands) await refused(`${words} --data folder --port 0`, /can't be used|Can't write/);
  });

  test('a backup that is none, or only its beginning', async () => {
    writeFileSync(join(cwd, 'garbage'), 'garbage');
    await refused('restore garbage --data elsewhere', "can't be read as an Inlet backup");
    expect(existsSync(join(cwd, 'elsewhere'))).toBe(false);
  });

  test('modes that were opened to others are closed at the next start', async () => {
    const folder = broken('open', each => {
      chmodSync(each, 0o777);
      chmodSync(join(each, 'secret.key'), 0o644);
      chmodSync(join(each, 'inlet.db'), 0o666);
    });
    const opened = await start({ cwd, args: ['--data', 'open'] });
    const modes = ['.', 'secret.key', 'inlet.db'].map(name => (statSync(join(folder, name)).mode & 0o777).toString(8));
    await opened.stop();
    expect(modes).toEqual(['700', '600', '600']);
  });
});
