import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import { makeRandomText } from '../id.ts';
import { decodeKey } from '../variables.ts';

export const locateDatabase = (dataDir: string) => join(dataDir, 'inlet.db');
export const locateKey = (dataDir: string) => join(dataDir, 'secret.key');

/** See lock.ts: whoever may read it could hold the lock. */
export const LOCK_FILE = 'inlet.lock';

const makeUnavailable = (message: string, cause?: unknown) => new AppError('unavailable', message, cause);

/** Makes renames and new names in the folder durable. */
export function syncFolder(folder: string): void {
  syncFile(folder);
}

/** Never for the live database: closing a second handle on it would drop its locks. */
export function syncFile(file: string): void {
  const fd = openSync(file, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Makes the data folder with mode 0700, or gives that mode to an existing one. Returns the database file's path in it.
 * @throws AppError unavailable
 */
export function openDataFolder(dataDir: string): string {
  try {
    if (!existsSync(dataDir)) {
      mkdirSync(dataDir, { recursive: true, mode: 0o700 });
      syncFolder(dirname(resolve(dataDir)));
    }
    const stat = statSync(dataDir);
    if (!stat.isDirectory())
      throw makeUnavailable(`${dataDir} is a file. Choose a folder with --data or INLET_DATA_DIR.`);
    if (stat.mode & 0o077) chmodSync(dataDir, 0o700);
    accessSync(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    const file = locateDatabase(dataDir);
    for (const each of [file, `${file}-wal`, `${file}-shm`, join(dataDir, LOCK_FILE)]) {
      const stat = statSync(each, { throwIfNoEntry: false });
      if (stat?.isFile() && stat.mode & 0o077) chmodSync(each, 0o600); // a copy brought by hand
    }
    return file;
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw makeUnavailable(
      `The data folder ${dataDir} can't be made, written or kept private by this user. Give it to this user or choose another with --data.`,
      error,
    );
  }
}

/** Whether `inlet serve` or `inlet restore` ever worked in this folder. */
export const hasData = (dataDir: string) => existsSync(locateDatabase(dataDir));

/** A complete new file with mode 0600, on disk before the name shows up. @throws when the name is taken */
function publish(file: string, text: string): void {
  const part = `${file}.${makeRandomText(8)}.part`;
  const fd = openSync(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  try {
    linkSync(part, file);
  } finally {
    rmSync(part, { force: true });
  }
  syncFolder(dirname(file));
}

function makeKey(file: string): void {
  const key = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64');
  publish(file, `${key}\n`);
}

/**
 * The sealing key: INLET_SECRET_KEY, else `secret.key` in the data folder, made there on the very first start.
 * A database without its key is never given a new one. @throws AppError unavailable
 */
export function loadSecretKey(config: Config): Uint8Array {
  if (config.secretKey) return config.secretKey;
  if (config.databaseUrl)
    throw new AppError(
      'invalid',
      'With PostgreSQL, set INLET_SECRET_KEY, the same on every instance. Make one with: openssl rand -base64 32',
    );
  const file = locateKey(config.dataDir);
  if (!existsSync(file)) {
    if (hasData(config.dataDir)) {
      throw makeUnavailable(
        `${file} is missing, and the signing secrets in the database are sealed with it. Put it back (or set INLET_SECRET_KEY); if it is lost, stop the server and run: inlet endpoints reset-secrets`,
      );
    }
    makeKey(file);
  }
  let text: string;
  try {
    if (statSync(file).mode & 0o077) chmodSync(file, 0o600);
    text = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw makeUnavailable(`${file} can't be read. Give it to the user who runs Inlet, with mode 0600.`, error);
  }
  const key = decodeKey(text);
  if (!key)
    throw makeUnavailable(
      `${file} must hold exactly 32 bytes in base64. Put back the original file; a new key can't open the stored secrets.`,
    );
  return key;
}

/** A fresh sealing key in place of the lost one, which is kept beside it. The stored secrets can't be opened any more. */
export function replaceKey(config: Config, now: number): Uint8Array {
  const file = locateKey(config.dataDir);
  if (existsSync(file)) {
    linkSync(file, `${file}.before-reset-${now}`);
    rmSync(file);
  }
  makeKey(file);
  return loadSecretKey(config);
}
