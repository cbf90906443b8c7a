import { describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Env, type Flags, readConfig } from '../src/config.ts';
import { AppError } from '../src/errors.ts';

const KEY = Buffer.alloc(32, 7).toString('base64');

test('without anything set it has the documented defaults', () => {
  expect(readConfig({}).config).toEqual({
    host: '127.0.0.1',
    port: 8484,
    dataDir: './inlet-data',
    databaseUrl: null,
    publicUrl: 'http://127.0.0.1:8484',
    apiKey: null,
    secretKey: null,
    rateLimit: 100,
    logLevel: 'info',
    logFormat: 'json',
    retentionDays: 30,
    role: 'all',
    dashboard: true,
    smtp: null,
    mailFrom: null,
    allowPrivateTargets: false,
  });
  expect(readConfig({}, {}, true).config.logFormat).toBe('pretty');
});

describe('accepted', () => {
  const cases: [string, Env, Flags, object][] = [
    [
      'a flag wins over its variable',
      { INLET_PORT: '1' },
      { port: '9000' },
      { port: 9000, publicUrl: 'http://127.0.0.1:9000' },
    ],
    ['a flag hides a bad variable', { INLET_PORT: 'tcp://10.0.0.1:80' }, { port: '9000' }, { port: 9000 }],
    [
      'an empty variable counts as not set',
      { INLET_HOST: '', INLET_API_KEY: '' },
      {},
      { host: '127.0.0.1', apiKey: null },
    ],
    [
      'the public URL loses its trailing slashes',
      { INLET_PUBLIC_URL: 'https://h.example/in//' },
      {},
      { publicUrl: 'https://h.example/in' },
    ],
    ['a wildcard host gets a URL that opens', { INLET_HOST: '0.0.0.0' }, {}, { publicUrl: 'http://localhost:8484' }],
    ['an IPv6 host gets brackets', {}, { host: '::1' }, { publicUrl: 'http://[::1]:8484' }],
    ['PostgreSQL', {}, { 'database-url': 'postgres://u:p@db/inlet' }, { databaseUrl: 'postgres://u:p@db/inlet' }],
    ['a rate limit of 0 switches it off', { INLET_RATE_LIMIT: '0' }, {}, { rateLimit: 0 }],
    ['32 bytes', { INLET_SECRET_KEY: KEY }, {}, { secretKey: new Uint8Array(32).fill(7) }],
  ];
  test.each(cases)('%s', (_, env, flags, expected) => {
    expect(readConfig(env, flags).config).toMatchObject(expected);
  });
});

describe('refused, naming the variable and never its value', () => {
  const cases: [string, Env, Flags][] = [
    ['INLET_PORT', { INLET_PORT: '70000' }, {}],
    ['INLET_PORT', { INLET_PORT: '80x' }, {}],
    ['INLET_PORT', { INLET_PORT: '-1' }, {}],
    ['--port', {}, { port: 'x80x' }],
    ['--data', {}, { data: '' }],
    ['INLET_HOST', { INLET_HOST: 'http://x80x' }, {}],
    ['INLET_PUBLIC_URL', { INLET_PUBLIC_URL: 'ftp://x80x' }, {}],
    ['INLET_PUBLIC_URL', { INLET_PUBLIC_URL: 'https://user:x80x@h.example' }, {}],
    ['INLET_PUBLIC_URL', { INLET_PUBLIC_URL: 'https://h.example/?a=x80x' }, {}],
    ['INLET_API_KEY', { INLET_API_KEY: 'x80x-too-short' }, {}],
    ['INLET_API_KEY', { INLET_API_KEY: 'x80x with spaces in it, long' }, {}],
    ['INLET_SECRET_KEY', { INLET_SECRET_KEY: `x80x${KEY}` }, {}],
    ['INLET_SECRET_KEY', { INLET_SECRET_KEY: Buffer.alloc(31).toString('base64') }, {}],
    ['INLET_DATABASE_URL', { INLET_DATABASE_URL: 'mysql://u:x80x@db' }, {}],
    ['INLET_LOG_LEVEL', { INLET_LOG_LEVEL: 'x80x' }, {}],
    ['INLET_LOG_FORMAT', { INLET_LOG_FORMAT: 'x80x' }, {}],
    ['INLET_RETENTION_DAYS', { INLET_RETENTION_DAYS: '0' }, {}],
    ['INLET_API_KEY_FILE', { INLET_API_KEY_FILE: '/nowhere/x80x' }, {}],
  ];
  test.each(cases)('%s', (name, env, flags) => {
    let error: unknown;
    try {
      readConfig(env, flags);
    } catch (caught) {
      error = caught;
    }
    if (!(error instanceof AppError)) throw new Error('it was accepted');
    expect(error.code).toBe('invalid');
    expect(error.message.split(' ')[0]).toBe(name);
    expect(error.message).not.toMatch(/x80x|undefined|\n/);
  });
});

describe('secrets from files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'inlet-config-'));
  const file = join(folder, 'value');

  test('are read and trimmed', () => {
    writeFileSync(file, `${KEY}\n`);
    expect(readConfig({ INLET_SECRET_KEY_FILE: file }).config.secretKey).toEqual(new Uint8Array(32).fill(7));
    writeFileSync(file, 'postgres://u:p@db/x\n');
    expect(readConfig({ INLET_DATABASE_URL_FILE: file }).config.databaseUrl).toBe('postgres://u:p@db/x');
  });
  test('both the variable and its file is a mistake', () => {
    expect(() => readConfig({ INLET_SECRET_KEY: KEY, INLET_SECRET_KEY_FILE: file })).toThrow('both set');
  });
  test('an empty file is a mistake', () => {
    writeFileSync(file, ' \n');
    expect(() => readConfig({ INLET_API_KEY_FILE: file })).toThrow('empty file');
    rmSync(folder, { recursive: true });
  });
});

test('Kubernetes service links get a message of their own', () => {
  expect(() => readConfig({ INLET_PORT: 'tcp://10.1.2.3:8484' })).toThrow('enableServiceLinks: false');
  const { warnings } = readConfig({ INLET_SERVICE_HOST: '10.1.2.3', INLET_PORT_8484_TCP_ADDR: '10.1.2.3' });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain('enableServiceLinks: false');
});

test('an unknown variable is a warning with the nearest name', () => {
  const { warnings } = readConfig({ INLET_RETENTION_DAY: '3', INLET_QUITE_ELSEWHERE: '1', OTHER: '1' });
  expect(warnings).toEqual([
    'INLET_RETENTION_DAY is not a variable of Inlet and has no effect. Did you mean INLET_RETENTION_DAYS?',
    'INLET_QUITE_ELSEWHERE is not a variable of Inlet and has no effect.',
  ]);
});

test('a password in an argument is a warning that does not repeat it; one in a variable or a URL without is none', () => {
  const warningsFor = (url: string, env = {}) => readConfig(env, url ? { 'database-url': url } : {}).warnings;
  for (const url of ['postgres://u:hush@db/inlet', 'postgres://db/inlet?password=hush']) {
    const warnings = warningsFor(url);
    expect(warnings).toEqual([expect.stringContaining('INLET_DATABASE_URL_FILE')]);
    expect(warnings.join()).not.toContain('hush');
  }
  expect(warningsFor('postgres://u@db/inlet')).toEqual([]);
  expect(warningsFor('', { INLET_DATABASE_URL: 'postgres://u:hush@db/inlet' })).toEqual([]);
});

test('a mail password with / # ? in the URL is refused with how to write it, and not repeated', () => {
  for (const sign of ['/', '#', '?']) {
    const url = `smtps://ada:se${sign}cret-word@smtp.example.com:465`;
    const read = () => readConfig({ INLET_SMTP_URL: url, INLET_MAIL_FROM: 'a@example.com' }, {});
    expect(read).toThrow('/ as %2F');
    expect(read).not.toThrow('cret-word');
  }
  const url = 'smtps://ada:se%2Fcret@smtp.example.com:465';
  const { smtp } = readConfig({ INLET_SMTP_URL: url, INLET_MAIL_FROM: 'a@example.com' }, {}).config;
  expect(smtp?.password).toBe('se/cret');
});
