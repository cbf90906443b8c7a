import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary, emptyFolder, freePort, inlet, start } from './support/binary.ts';

binary(); // built once, outside the tests' time limit

const auth = (key: string | null) => ({ authorization: `Bearer ${key}`, 'content-type': 'application/json' });
const json = async (answer: Response | Promise<Response>) => (await (await answer).json()) as Record<string, unknown>;
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('alone in an empty folder: starts without configuration, answers, keeps everything private, stops with 0', async () => {
  const cwd = emptyFolder();
  const server = await start({ cwd });
  expect(server.output()).toContain(`${server.url}/swagger`);
  expect(server.output()).toContain('endpoints add stripe');
  const { key } = server;
  if (!key) throw new Error('the first start printed no key');
  expect((await fetch(`${server.url}/health`)).status).toBe(200);
  expect((await fetch(`${server.url}/api/v1/endpoints`, { headers: auth(key) })).status).toBe(200);
  expect((await fetch(`${server.url}/api/v1/endpoints`, { headers: auth(`${key}x`) })).status).toBe(401);
  expect(readdirSync(cwd)).toEqual(['inlet-data']);
  const data = join(cwd, 'inlet-data');
  expect(mode(data)).toBe('700');
  for (const name of readdirSync(data)) expect([name, mode(join(data, name))]).toEqual([name, '600']);
  expect(await server.stop()).toBe(0);

  const lines = server.output().split('\n');
  expect(lines.filter(line => line.includes(key))).toHaveLength(1);
  expect(lines.filter(line => line.startsWith('{') && line.includes(key))).toEqual([]);
  for (const name of readdirSync(data)) expect(readFileSync(join(data, name)).includes(key)).toBe(false);
  expect(readFileSync(join(data, 'inlet.db')).includes(createHash('sha256').update(key).digest('hex'))).toBe(true);

  const again = await start({ cwd });
  expect(again.key).toBeNull();
  expect((await fetch(`${again.url}/api/v1/endpoints`, { headers: auth(key) })).status).toBe(200);
  expect(await again.stop()).toBe(0);
}, 20_000);

test('.env and bunfig.toml of the working directory are ignored', async () => {
  const cwd = emptyFolder();
  writeFileSync(join(cwd, 'evil.ts'), `require('fs').writeFileSync('owned', '1');`);
  writeFileSync(join(cwd, 'bunfig.toml'), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(cwd, '.env'), 'INLET_PORT=1\nINLET_DATA_DIR=./elsewhere\nINLET_LOG_LEVEL=nonsense\n');
  writeFileSync(join(cwd, 'package.json'), '{"name":"x","type":"commonjs"}');
  const server = await start({ cwd });
  expect(await server.stop()).toBe(0);
  expect(readdirSync(cwd).sort()).toEqual(['.env', 'bunfig.toml', 'evil.ts', 'inlet-data', 'package.json']);
}, 20_000);

test('a second server, a port in use, a newer database, a wrong or missing key: one line, exit 1, nothing changed', async () => {
  const cwd = emptyFolder();
  const server = await start({ cwd });
  const refused = async (args: string[], expected: string, env: Record<string, string> = {}) => {
    const { code, out, err } = await inlet(args, { cwd, env });
    expect(err).toContain(expected);
    expect(err.trim()).not.toMatch(/\n|x80x/);
    expect([code, out]).toEqual([1, '']);
  };
  await refused(['--port', String(await freePort())], 'Another Inlet is already serving ./inlet-data');
  await refused(['--port', String(server.port), '--data', './other'], `127.0.0.1:${server.port} is in use`);
  const second = await start({ cwd, args: ['--data', './other'] });
  expect(second.key).not.toBeNull(); // a start that failed must not have used up the one showing of the key
  expect(await second.stop()).toBe(0);
  expect(await server.stop()).toBe(0);

  const keyPath = join(cwd, 'inlet-data/secret.key');
  await refused([], 'inlet endpoints reset-secrets', { INLET_SECRET_KEY: Buffer.alloc(32).toString('base64') });
  renameSync(keyPath, `${keyPath}.away`);
  await refused([], 'secret.key is missing');
  expect(existsSync(keyPath)).toBe(false);
  renameSync(`${keyPath}.away`, keyPath);

  const db = new Database(join(cwd, 'inlet-data/inlet.db'));
  db.run('pragma user_version = 999');
  db.close();
  await refused([], 'written by a newer Inlet');
  const shared = { INLET_DATABASE_URL: 'postgres://u:x80x@127.0.0.1:1/inlet' };
  await refused([], 'set INLET_SECRET_KEY', shared);
  await refused([], "can't be reached", { ...shared, INLET_SECRET_KEY: Buffer.alloc(32).toString('base64') });
  await refused([], 'INLET_ROLE needs PostgreSQL', { INLET_ROLE: 'web' });
  writeFileSync(join(cwd, 'file'), '');
  await refused(['--data', './file'], './file is a file');
}, 30_000);

test('kill -9 frees the lock, and an idle connection does not hold up the end', async () => {
  const cwd = emptyFolder();
  const server = await start({ cwd });
  await server.kill9();
  const again = await start({ cwd, port: server.port });
  const idle = await Bun.connect({ hostname: '127.0.0.1', port: again.port, socket: { data() {} } });
  idle.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
  const begun = performance.now();
  expect(await again.stop()).toBe(0);
  expect(performance.now() - begun).toBeLessThan(5000);
  idle.end();
}, 20_000);

test('the commands work beside a running server, which sees their changes', async () => {
  const cwd = emptyFolder();
  const server = await start({ cwd });
  const port = ['--port', String(server.port)];
  const run = async (args: string[], stdin?: string) => {
    const result = await inlet([...args, ...port], { cwd, ...(stdin === undefined ? {} : { stdin }) });
    if (result.code !== 0) throw new Error(`inlet ${args.join(' ')} exited ${result.code}: ${result.err}`);
    return result.out;
  };
  await run(['health']);
  const endpoint = JSON.parse(await run(['endpoints', 'add', 'stripe', '--name', 'Shop', '--json'])) as {
    id: string;
    state: string;
  };
  expect(endpoint).toMatchObject({ name: 'Shop', provider: 'stripe', state: 'needsSecret' });
  const secret = 'whsec_canary_5f0b1c2d3e4f5a6b7c8d9e0f';
  const saved = await run(['endpoints', 'set-secret', endpoint.id, '--secret-file', '-'], `${secret}\n`);
  expect(saved).not.toContain(secret.slice(6, -4));
  expect(await run(['endpoints', 'show', endpoint.id])).toContain(`/webhooks/${endpoint.id}`);
  expect(await run(['send-test', endpoint.id, 'customer.created', '--email', 'ada@example.com'])).toContain(
    '"accepted"',
  );
  expect(await run(['endpoints', 'list'])).toContain('Shop');

  const key = (await run(['keys', 'create', 'ci'])).trim();
  const shown = await json(fetch(`${server.url}/api/v1/endpoints/${endpoint.id}`, { headers: auth(key) }));
  expect(shown).toMatchObject({ id: endpoint.id, state: 'live' });
  const keys = JSON.parse(await run(['keys', 'list', '--json'])) as { id: string; name: string }[];
  await run(['keys', 'revoke', keys.find(k => k.name === 'ci')?.id ?? '']);
  const until = performance.now() + 3000;
  let status = 200;
  while (status !== 401 && performance.now() < until) {
    status = (await fetch(`${server.url}/api/v1/endpoints`, { headers: auth(key) })).status;
  }
  expect(status).toBe(401);

  const report = JSON.parse((await inlet(['doctor', '--json', ...port], { cwd })).out) as {
    findings: { check: string; status: string }[];
  };
  expect(report.findings.filter(f => f.status === 'fail')).toEqual([]);
  expect(report.findings.map(f => f.check)).toContain('disk sync');
  expect(await run(['backup', 'copy.db'])).toContain('sealing key');
  expect((await inlet(['restore', 'copy.db'], { cwd })).err).toContain('Another Inlet is already serving');
  await run(['endpoints', 'remove', endpoint.id]);
  expect((await fetch(`${server.url}/api/v1/endpoints/${endpoint.id}`, { headers: auth(server.key) })).status).toBe(
    404,
  );
  expect(await server.stop()).toBe(0);
  expect((await inlet(['health', ...port], { cwd })).code).toBe(1);

  rmSync(join(cwd, 'inlet-data/inlet.db'));
  await run(['restore', 'copy.db']);
  const restored = await start({ cwd });
  const back = await json(fetch(`${restored.url}/api/v1/endpoints/${endpoint.id}`, { headers: auth(server.key) }));
  expect(back).toMatchObject({ id: endpoint.id, name: 'Shop' });
  expect(await restored.stop()).toBe(0);
  for (const text of [server.output(), restored.output()]) expect(text).not.toContain(secret.slice(6));
  for (const name of readdirSync(join(cwd, 'inlet-data'))) {
    expect(readFileSync(join(cwd, 'inlet-data', name)).includes(secret.slice(6))).toBe(false);
  }
}, 60_000);

test('messages are filled in by a thread that is ended when it takes too long, and with the server', async () => {
  const server = await start({ cwd: emptyFolder() });
  const api = async (path: string, body: unknown) => {
    const init = { method: 'POST', headers: auth(server.key), body: JSON.stringify(body) };
    const answer = await fetch(`${server.url}/api/v1/email-messages${path}`, init);
    return { status: answer.status, body: await json(answer) };
  };
  const good = await api('', { subject: 's', html: '<a href="https://a.example/?t={{ data.t }}">x</a>' });
  const slow = await api('', { subject: 's', html: "{% assign a = (1..990000) | where_exp: 'i','i' %}" });
  expect([good.status, slow.status]).toEqual([201, 201]);
  const shown = () => api(`/${good.body.id}/render`, { dataVariables: { t: 'a&b' } });
  const html = '<a href="https://a.example/?t=a%26b">x</a>';
  expect((await shown()).body).toMatchObject({ html, text: 'x [https://a.example/?t=a%26b]' });
  const given = await api(`/${slow.body.id}/render`, {});
  expect([given.status, given.body.message]).toEqual([400, expect.stringContaining('250 ms')]);
  expect((await shown()).body).toMatchObject({ html });
  const left = api(`/${slow.body.id}/render`, {}).catch(() => null);
  await Bun.sleep(20);
  expect(await server.stop()).toBe(0);
  await left;
}, 20_000);

test('after the sealing key is lost, reset-secrets makes the server start again', async () => {
  const cwd = emptyFolder();
  const server = await start({ cwd });
  const created = await fetch(`${server.url}/api/v1/endpoints`, {
    method: 'POST',
    headers: auth(server.key),
    body: JSON.stringify({ provider: 'stripe', secret: 'whsec_0123456789abcdef0123456789abcdef' }),
  });
  const { id } = await json(created);
  expect((await inlet(['endpoints', 'reset-secrets'], { cwd })).err).toContain('Another Inlet is already serving');
  expect(await server.stop()).toBe(0);
  rmSync(join(cwd, 'inlet-data/secret.key'));
  const { code, out } = await inlet(['endpoints', 'reset-secrets'], { cwd });
  expect([code, out]).toEqual([0, expect.stringContaining('set-secret')]);
  const again = await start({ cwd });
  const shown = await json(fetch(`${again.url}/api/v1/endpoints/${id}`, { headers: auth(server.key) }));
  expect(shown).toMatchObject({ state: 'needsSecret', secrets: [] });
  expect(await again.stop()).toBe(0);
}, 20_000);

test('a data folder that can not be made is one clear line', async () => {
  const cwd = emptyFolder();
  mkdirSync(join(cwd, 'x'));
  writeFileSync(join(cwd, 'x/file'), '');
  const { code, err } = await inlet(['--data', './x/file/below'], { cwd });
  expect(code).toBe(1);
  expect(err).toMatch(/^inlet: The data folder .* can't be made[^\n]*\n$/);
});
