import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Config, judgeFlag, readConfig } from '../config.ts';
import { locateDatabase, locateKey } from '../db/files.ts';
import { splitHosts } from '../db/postgres/hosts.ts';
import { type Store, StoreUnavailable } from '../db/store.ts';
import { type End, openSource, openTarget, type Place } from '../db/transfer/sides.ts';
import { type Compared, compare, copy, finish, type Step } from '../db/transfer/transfer.ts';
import { AppError } from '../errors.ts';
import { isServed, readHeartbeats } from '../inbound/safeMode.ts';
import { type Invocation, type Io, UsageError } from './command.ts';
import { readInvocationConfig } from './open.ts';
import { describeSelf, formatTable } from './print.ts';

const SHOW_MS = 1000;
const URL_START = /^postgres(ql)?:\/\//i;

const isPostgres = (value: string) => value === 'postgres' || URL_START.test(value);

/** A flag's URL is checked like the variable it stands for. */
function parsePostgres(i: Invocation, config: Config, value: string | undefined): Place {
  const given = value !== undefined && URL_START.test(value) ? value : undefined;
  const url = given
    ? readConfig(i.io.env, { ...i.options, 'database-url': given }).config.databaseUrl
    : config.databaseUrl;
  if (url === null)
    throw new UsageError(
      'Where is PostgreSQL? Set INLET_DATABASE_URL (or _FILE), or name it: postgres://user@host/inlet',
    );
  const shown = judgeFlag(given ?? '');
  if (shown !== null) i.io.err(`inlet: warning: ${shown}`);
  return { kind: 'postgres', url };
}

/** Both sides; one that was left out is PostgreSQL opposite a file, the data folder opposite PostgreSQL. */
function parsePlaces(i: Invocation, config: Config): { from: Place; to: Place } {
  const { from, to } = i.options;
  if (from === undefined && to === undefined)
    throw new UsageError('Which way? Type: inlet migrate-data --from ./inlet-data/inlet.db --to postgres, or back');
  const [fromPostgres, toPostgres] = [
    from === undefined ? !isPostgres(to ?? '') : isPostgres(from),
    to === undefined ? !isPostgres(from ?? '') : isPostgres(to),
  ];
  if (fromPostgres === toPostgres)
    throw new UsageError(
      'One side must be a SQLite file and the other postgres. From file to file: inlet backup and restore; between PostgreSQL servers: pg_dump.',
    );
  const file = resolve((fromPostgres ? to : from) ?? locateDatabase(config.dataDir));
  const postgres = parsePostgres(i, config, fromPostgres ? from : to);
  return fromPostgres
    ? { from: postgres, to: { kind: 'sqlite', file } }
    : { from: { kind: 'sqlite', file }, to: postgres };
}

/** Without user and password. */
function describePlace(place: Place): string {
  if (place.kind === 'sqlite') return place.file;
  const urls = splitHosts(place.url).map(url => new URL(url));
  return `postgres://${urls.map(url => url.host).join()}${urls[0]?.pathname}`;
}

/** One line a second, and one at the end of every table that has rows. */
function makeProgressPrinter(io: Io): (step: Step) => void {
  let [printed, stepped] = [performance.now(), performance.now()];
  let at = { key: '', since: stepped };
  return ({ doing, table, rows, of }) => {
    const now = performance.now();
    const key = `${doing} ${table}`;
    if (at.key !== key) at = { key, since: stepped };
    stepped = now;
    if (now - printed < SHOW_MS && rows < of) return;
    printed = now;
    const rate = Math.round((1000 * rows) / Math.max(1, now - at.since));
    io.err(`${key}: ${formatCount(rows)} of ${formatCount(of)} rows, ${formatCount(rate)} rows/s`);
  };
}

const formatCount = (n: number) => n.toLocaleString('en');
const quoteForShell = (path: string) => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);

/** The sealing key is named and never shown. */
function describeStart(from: Place, to: Place, config: Config): string[] {
  const self = describeSelf();
  if (from.kind === 'sqlite') {
    const key = locateKey(dirname(from.file));
    const inFile = config.secretKey === null && existsSync(key);
    return [
      inFile
        ? `  export INLET_SECRET_KEY="$(cat ${quoteForShell(key)})"`
        : '  export INLET_SECRET_KEY=…      # the same as before',
      '  export INLET_DATABASE_URL=…    # the target, as here',
      `  ${self} serve`,
    ];
  }
  if (to.kind !== 'sqlite') return [];
  const folder = dirname(to.file);
  const home = locateDatabase(folder);
  return [
    `  # keep INLET_SECRET_KEY, or put it into ${locateKey(folder)} with mode 600`,
    '  unset INLET_DATABASE_URL INLET_DATABASE_URL_FILE',
    ...(to.file === home ? [] : [`  mv ${quoteForShell(to.file)} ${quoteForShell(home)}`]),
    `  ${self} serve --data ${quoteForShell(folder)}`,
  ];
}

function report(io: Io, from: Place, to: Place, tables: Compared[], altered: string[]): void {
  const rows = tables.reduce((sum, each) => sum + each.rows, 0);
  io.out(
    formatTable(
      ['TABLE', 'ROWS', 'HASH'],
      tables.map(each => [each.table, String(each.rows), each.hash.slice(0, 16)]),
    ),
  );
  io.out(
    `Moved ${rows} rows from ${describePlace(from)} to ${describePlace(to)}. Every table has the same count and hash on both sides.`,
  );
  if (altered.length)
    io.out(`PostgreSQL can't hold NUL characters; they became U+FFFD in: ${altered.join(', ')}. All else is equal.`);
}

async function move(i: Invocation, from: Store, to: Store) {
  const watch = makeProgressPrinter(i.io);
  const marks = await readHeartbeats(from);
  const { resumed } = await copy(from, to, watch);
  if (resumed) i.io.err('went on where an earlier run ended');
  const compared = await compare(from, to, watch);
  if ((await readHeartbeats(from)) !== marks)
    throw new AppError(
      'conflict',
      'A server was started on the source meanwhile. Stop it, and move into a new, empty database.',
    );
  await finish(to);
  return compared;
}

/** Says why it takes long. */
async function checkServed(io: Io, store: Store): Promise<boolean> {
  if (await readHeartbeats(store)) io.err('a server did not end well or still runs: looking for 20 s whether it lives');
  return isServed(store);
}

async function openBothEnds<T>(io: Io, from: Place, to: Place, fn: (from: Store, to: Store) => Promise<T>): Promise<T> {
  let source: End | undefined;
  let target: End | undefined;
  try {
    source = await openSource(from, store => checkServed(io, store));
    target = await openTarget(to);
    return await fn(source.store, target.store);
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    throw new AppError(
      'unavailable',
      'A database stopped answering or is full. Nothing is lost: run the same command again, it goes on where it was.',
      error,
    );
  } finally {
    await target?.close();
    await source?.close();
  }
}

/** Moves an installation between SQLite and PostgreSQL, server stopped. Ended at any moment, it goes on when run again. */
export async function migrateData(i: Invocation): Promise<number> {
  const config = readInvocationConfig(i);
  const { from, to } = parsePlaces(i, config);
  const { tables, altered } = await openBothEnds(i.io, from, to, (source, target) => move(i, source, target));
  report(i.io, from, to, tables, altered);
  i.io.out('The source was left as it is. Start on the target, with the same sealing key:');
  for (const line of describeStart(from, to, config)) i.io.out(line);
  return 0;
}
