import { afterAll, beforeEach, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { loadSecretKey, locateDatabase, locateKey, openDataFolder, replaceKey } from '../../src/db/files.ts';
import { takeLock } from '../../src/db/sqlite/lock.ts';

const root = mkdtempSync(join(tmpdir(), 'inlet-files-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
let dataDir = '';
beforeEach(() => {
  dataDir = join(root, `data${count++}`);
});
const config = () => readConfig({ INLET_DATA_DIR: dataDir }).config;
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);

test('the data folder is made private, also one that was open to others', () => {
  openDataFolder(join(dataDir, 'deeper'));
  expect(mode(join(dataDir, 'deeper'))).toBe('700');
  mkdirSync(join(dataDir, 'open'));
  chmodSync(join(dataDir, 'open'), 0o755);
  openDataFolder(join(dataDir, 'open'));
  expect(mode(join(dataDir, 'open'))).toBe('700');
});

test('a file in the place of the data folder is refused with a sentence', () => {
  writeFileSync(dataDir, '');
  expect(() => openDataFolder(dataDir)).toThrow('is a file');
  expect(() => openDataFolder(join(dataDir, 'below'))).toThrow("can't be made");
});

test('the sealing key is made once, 0600, and read back', () => {
  openDataFolder(dataDir);
  const key = loadSecretKey(config());
  expect(key).toHaveLength(32);
  expect(mode(locateKey(dataDir))).toBe('600');
  expect(loadSecretKey(config())).toEqual(key);
  expect(readdirSync(dataDir)).toEqual(['secret.key']);
});

test('a damaged key, or a database without its key, is never given a new one', () => {
  openDataFolder(dataDir);
  writeFileSync(locateKey(dataDir), 'dG9vIHNob3J0\n');
  expect(() => loadSecretKey(config())).toThrow('exactly 32 bytes');
  rmSync(locateKey(dataDir));
  writeFileSync(locateDatabase(dataDir), '');
  expect(() => loadSecretKey(config())).toThrow('is missing');
  expect(existsSync(locateKey(dataDir))).toBe(false);
});

test('a replaced key is kept beside the new one', () => {
  openDataFolder(dataDir);
  const old = loadSecretKey(config());
  const text = readFileSync(locateKey(dataDir), 'utf8');
  expect(replaceKey(config(), 123)).not.toEqual(old);
  expect(readFileSync(`${locateKey(dataDir)}.before-reset-123`, 'utf8')).toBe(text);
});

test('the lock keeps another process out, and kill -9 frees it', async () => {
  openDataFolder(dataDir);
  const code = `import { takeLock } from '${join(import.meta.dir, '../../src/db/sqlite/lock.ts')}'; takeLock(process.argv[1]); console.log('held'); setInterval(() => {}, 1000);`;
  const other = Bun.spawn([process.execPath, '-e', code, dataDir], { stdout: 'pipe' });
  await other.stdout.getReader().read();
  expect(() => takeLock(dataDir)).toThrow(
    `Another Inlet is already serving ${dataDir}; stop it first or choose another --data.`,
  );
  other.kill('SIGKILL');
  await other.exited;
  const mine = takeLock(dataDir);
  expect(() => takeLock(dataDir)).toThrow('Another Inlet');
  mine.release();
  takeLock(dataDir).release();
});

test('files that were brought open to others are made private, the lock too', () => {
  const file = openDataFolder(dataDir);
  const brought = [file, join(dataDir, 'inlet.lock')];
  for (const each of brought) {
    writeFileSync(each, '');
    chmodSync(each, 0o666);
  }
  openDataFolder(dataDir);
  expect(brought.map(mode)).toEqual(['600', '600']);
});
