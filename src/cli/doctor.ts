import { closeSync, fsyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { eq } from 'drizzle-orm';
import { findDifferences } from '../audience/selfCheck.ts';
import { type Config, listGiven } from '../config.ts';
import { hasData, loadSecretKey, locateDatabase, locateKey } from '../db/files.ts';
import { findLostLimits } from '../db/postgres/pooler.ts';
import { meta } from '../db/schema.ts';
import { checkIntegrity, readSchemaVersion, readSqliteVersion, readStoredFingerprint } from '../db/sqlite/inspect.ts';
import type { Store } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { makeRandomText } from '../id.ts';
import { listEndpoints } from '../inbound/endpoints.ts';
import { judgeSignUps } from '../inbound/unproven.ts';
import { countDeadJobs } from '../jobs/jobViews.ts';
import { makeSealer } from '../sealing.ts';
import type { Invocation } from './command.ts';
import { examineMailServer, examinePublicUrl, type Finding, judgeMail, makeFinding } from './doctorMail.ts';
import { askServer, buildLocalUrl } from './health.ts';
import { FINGERPRINT, readInvocationConfig, useStore } from './open.ts';
import { formatJson, stripControls } from './print.ts';

const OLDEST_SQLITE = '3.51.3';
const SYNC_SAMPLES = 50;
const SYNC_TOO_FAST_MS = 0.05;
const SYNC_TOO_SLOW_MS = 50;
const LOW_SPACE_BYTES = 512 * 1024 * 1024;
const LAST_SPACE_BYTES = 64 * 1024 * 1024;
const SKEW_SECONDS = 30;
const SIGN_UPS_WINDOW = 100_000; // deliveries

function checkFolder({ dataDir }: Config): Finding {
  const open = [dataDir, locateDatabase(dataDir), locateKey(dataDir)].filter(path => {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat && stat.mode & 0o077;
  });
  if (open.length) {
    return makeFinding('data folder', 'fail', `Other users may read ${open.join(', ')}. Run: chmod -R go= ${dataDir}`);
  }
  if (statSync(dataDir).uid !== process.getuid?.())
    return makeFinding(
      'data folder',
      'warn',
      `${dataDir} is another user's, who can change it. Run Inlet as that user, or chown it.`,
    );
  return makeFinding('data folder', 'ok', `${dataDir}, private to this user`);
}

function checkDatabase({ dataDir }: Config): Finding {
  const file = locateDatabase(dataDir);
  const result = checkIntegrity(file);
  if (result !== 'ok')
    return makeFinding('database', 'fail', `${file} is damaged (${result}). Stop the server and restore a backup.`);
  return makeFinding('database', 'ok', `integrity checked, schema ${readSchemaVersion(file)}`);
}

function checkSqlite(): Finding {
  const version = readSqliteVersion();
  if (Bun.semver.order(version, OLDEST_SQLITE) < 0) {
    const help = `use a build with ${OLDEST_SQLITE} or newer.`;
    return makeFinding('sqlite', 'fail', `SQLite ${version} can corrupt its log: ${help}`);
  }
  return makeFinding('sqlite', 'ok', `SQLite ${version}`);
}

const checkSealingKey = (config: Config) =>
  judgeSealingKey(makeSealer(loadSecretKey(config)).fingerprint, readStoredFingerprint(locateDatabase(config.dataDir)));

function judgeSealingKey(fingerprint: string, stored: string | null): Finding {
  if (stored !== null && stored !== fingerprint) {
    const help = 'Bring back the old key, or stop the server and run: inlet endpoints reset-secrets';
    return makeFinding(
      'sealing key',
      'fail',
      `The key at hand is ${fingerprint}, the database was sealed with ${stored}. ${help}`,
    );
  }
  return makeFinding('sealing key', 'ok', `fingerprint ${fingerprint}`);
}

/** Times of writing 4 KiB and syncing it, ms, sorted. */
export function syncTimes(dataDir: string): number[] {
  const file = join(dataDir, `doctor.${makeRandomText(8)}.tmp`);
  const fd = openSync(file, 'wx', 0o600);
  try {
    const page = new Uint8Array(4096);
    const times = Array.from({ length: SYNC_SAMPLES }, () => {
      const start = performance.now();
      writeSync(fd, page);
      fsyncSync(fd);
      return performance.now() - start;
    });
    return times.sort((a, b) => a - b);
  } finally {
    closeSync(fd);
    rmSync(file);
  }
}

function checkDiskSync({ dataDir }: Config): Finding {
  const times = syncTimes(dataDir);
  const at = (share: number) => times[Math.floor(share * (times.length - 1))] ?? 0;
  const [p50, p99] = [at(0.5), at(0.99)];
  const figures = `sync p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`;
  if (p50 < SYNC_TOO_FAST_MS) {
    return makeFinding(
      'disk sync',
      'warn',
      `${figures}: too fast to be true unless the drive has power protection; a power cut may lose commits.`,
    );
  }
  if (p99 > SYNC_TOO_SLOW_MS)
    return makeFinding(
      'disk sync',
      'warn',
      `${figures}: every answer waits for it. Use a faster disk for the data folder.`,
    );
  return makeFinding('disk sync', 'ok', figures);
}

function checkSpace({ dataDir }: Config): Finding {
  const disk = statfsSync(dataDir);
  const free = disk.bavail * disk.bsize;
  const figure = `${Math.round(free / 1024 / 1024)} MiB free`;
  if (free < LAST_SPACE_BYTES)
    return makeFinding('disk space', 'fail', `${figure}: webhooks will be refused soon. Make room.`);
  if (free < LOW_SPACE_BYTES) return makeFinding('disk space', 'warn', `${figure}: make room before it runs out.`);
  return makeFinding('disk space', 'ok', figure);
}

async function checkServer(config: Config): Promise<Finding[]> {
  const url = buildLocalUrl(config);
  const answer = await askServer(config);
  if (!answer) return [makeFinding('server', 'warn', `No server answers on ${url}; the clock can't be compared.`)];
  const { status, body } = answer;
  const up = makeFinding(
    'server',
    status === 200 ? 'ok' : 'fail',
    `${url} answers ${status}${status === 200 ? '' : ': see the log'}`,
  );
  const mail = judgeMail(body.mailTrouble);
  const skew = typeof body.clockSkewSeconds === 'number' ? body.clockSkewSeconds : 0;
  if (Math.abs(skew) <= SKEW_SECONDS)
    return [up, ...mail, makeFinding('clock', 'ok', "agrees with the senders' signatures, as far as seen")];
  const side = skew > 0 ? 'ahead of' : 'behind';
  const trouble = `This machine's clock is ${Math.abs(skew)} s ${side} the senders'. Switch on time synchronisation (NTP).`;
  return [up, ...mail, makeFinding('clock', 'fail', trouble)];
}

function guardCheck(check: string, fn: () => Finding): Finding {
  try {
    return fn();
  } catch (error) {
    return makeFinding(
      check,
      'fail',
      error instanceof AppError
        ? error.message
        : `This check failed: ${error instanceof Error ? error.message : 'unknown'}`,
    );
  }
}

/** Endpoints whose users all come without proof of their address. */
async function signUps(store: Store): Promise<Finding[]> {
  return store.read(async tx => {
    const found: Finding[] = [];
    for (const row of await listEndpoints(tx)) {
      const { note, help } = await judgeSignUps(tx, row, SIGN_UPS_WINDOW);
      if (help !== null) found.push(makeFinding('sign-ups', 'warn', `${row.name} (${row.id}): ${note} ${help}`));
    }
    return found;
  });
}

/** Work that was given up: nobody else says so. */
async function findDeadJobs(store: Store): Promise<Finding[]> {
  const { count, kinds } = await store.read(countDeadJobs);
  const help =
    'The log has the causes. GET /api/v1/jobs?status=dead shows them, POST /api/v1/jobs/ID/retry runs one again.';
  return count ? [makeFinding('jobs', 'warn', `${count} given up (${kinds.join(', ')}). ${help}`)] : [];
}

/** Nothing to say where the database can't be read: other checks say why. */
async function signUpsOf(config: Config): Promise<Finding[]> {
  try {
    return await useStore(config, async store => [...(await signUps(store)), ...(await findDeadJobs(store))]);
  } catch {
    return [];
  }
}

/** The PostgreSQL server: whether it answers, its schema and fingerprint, and how far away it is. */
async function checkPostgres(config: Config): Promise<Finding[]> {
  try {
    const sealer = makeSealer(loadSecretKey(config));
    return await useStore(config, async store => {
      const stored = await store.read(tx => tx.select().from(meta).where(eq(meta.key, FINGERPRINT)));
      const times: number[] = [];
      for (let i = 0; i < 20; i++) {
        const start = performance.now();
        await store.write(tx => tx.select().from(meta).where(eq(meta.key, FINGERPRINT)));
        times.push(performance.now() - start);
      }
      const p50 = times.sort((a, b) => a - b)[10] ?? 0;
      const lost = await findLostLimits(store);
      const answer = `answers in ${p50.toFixed(1)} ms (p50 of a transaction)`;
      return [
        makeFinding('postgres', p50 > SYNC_TOO_SLOW_MS ? 'warn' : 'ok', answer),
        judgeSealingKey(sealer.fingerprint, stored[0]?.value ?? null),
        ...(lost === null ? [] : [makeFinding('pooler', 'warn', lost)]),
        ...(await signUps(store)),
        ...(await findDeadJobs(store)),
      ];
    });
  } catch (error) {
    if (error instanceof AppError) return [makeFinding('postgres', 'fail', error.message)];
    throw error;
  }
}

export async function examine(config: Config): Promise<Finding[]> {
  if (config.databaseUrl !== null)
    return [
      ...(await checkPostgres(config)),
      ...(await checkServer(config)),
      await examinePublicUrl(config),
      await examineMailServer(config),
    ];
  if (!hasData(config.dataDir)) {
    return [
      makeFinding('data folder', 'fail', `No Inlet data in ${config.dataDir}. Start the server first or pass --data.`),
      checkSqlite(),
    ];
  }
  return [
    guardCheck('data folder', () => checkFolder(config)),
    guardCheck('database', () => checkDatabase(config)),
    guardCheck('sqlite', checkSqlite),
    guardCheck('sealing key', () => checkSealingKey(config)),
    guardCheck('disk sync', () => checkDiskSync(config)),
    guardCheck('disk space', () => checkSpace(config)),
    ...(await signUpsOf(config)),
    ...(await checkServer(config)),
    await examinePublicUrl(config),
    await examineMailServer(config),
  ];
}

/** Works out every contact anew from what is known of its identities. */
async function checkContacts(config: Config): Promise<Finding> {
  const found = await useStore(config, store => findDifferences(store, Date.now()));
  if (!found.length) return makeFinding('contacts', 'ok', 'every contact is what follows from its identities');
  const said = found.map(({ contactId, message }) => `${contactId} ${message}`).join('\n      ');
  const help = 'While a server runs, ask again: one may just have been written. Else please report it.';
  return makeFinding(
    'contacts',
    'fail',
    `${found.length} differ from what follows from their identities. ${help}\n      ${said}`,
  );
}

/** Which variables count, by their names: values may be secrets. */
function examineVariables({ io, options }: Invocation): Finding {
  const given = listGiven(io.env, options);
  const said = given.length ? `${given.join(', ')}; the others have their defaults` : 'all have their defaults';
  return makeFinding('variables', 'ok', said);
}

/** Exit code 1 when anything failed; warnings alone are 0. */
export async function runDoctor(i: Invocation): Promise<number> {
  const config = readInvocationConfig(i);
  const findings = [examineVariables(i), ...(await examine(config))];
  if (i.switches.has('deep')) findings.push(await checkContacts(config));
  const ok = findings.every(f => f.status !== 'fail');
  if (i.switches.has('json')) i.io.out(formatJson({ ok, findings }));
  else for (const f of findings) i.io.out(`${f.status.padEnd(4)}  ${f.check.padEnd(11)}  ${stripControls(f.message)}`);
  return ok ? 0 : 1;
}
