import { readFileSync } from 'node:fs';
import { SQL } from 'bun';
import { AppError, invalid } from '../../errors.ts';
import { migratePostgres, requireSchema } from '../migrate.ts';
import { Hosts, splitHosts } from './hosts.ts';
import { requireSessions } from './pooler.ts';
import { findPostgresCode, PostgresStore, type Server, type Watch } from './store.ts';

interface Connection {
  /** For Bun.SQL. */
  url: string;
  /** Connections of this instance, at least 3: two are kept to write. */
  pool: number;
  /** ms that one statement may take. */
  statementTimeout: number;
  tls: { ca: string; rejectUnauthorized: true } | null;
}

const WHOLE = /^[1-9]\d{0,6}$/;
const TLS_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];

/**
 * Splits what is ours off `postgres://…?pool=10&statement_timeout=30000&sslmode=verify-full&sslrootcert=/path/ca.pem`.
 * @throws AppError invalid
 */
function parseConnection(databaseUrl: string): Connection {
  if (!URL.canParse(databaseUrl))
    throw invalid('INLET_DATABASE_URL must look like postgres://user:password@host:5432/database.');
  const url = new URL(databaseUrl);
  const number = (name: string, usual: number, least: number, most: number) => {
    const value = url.searchParams.get(name);
    url.searchParams.delete(name);
    if (value === null) return usual;
    if (!WHOLE.test(value) || Number(value) < least || Number(value) > most)
      throw invalid(`INLET_DATABASE_URL: ${name} must be a whole number from ${least} to ${most}.`);
    return Number(value);
  };
  const pool = number('pool', 10, 3, 200);
  const statementTimeout = number('statement_timeout', 30_000, 1, 600_000);
  const mode = url.searchParams.get('sslmode');
  if (mode !== null && !TLS_MODES.includes(mode))
    throw invalid(`INLET_DATABASE_URL: sslmode must be one of ${TLS_MODES.join(', ')}.`);
  const root = url.searchParams.get('sslrootcert');
  url.searchParams.delete('sslrootcert');
  let tls: Connection['tls'] = null;
  if (root) {
    try {
      tls = { ca: readFileSync(root, 'utf8'), rejectUnauthorized: true };
    } catch {
      throw invalid('INLET_DATABASE_URL: the file that sslrootcert names can not be read.');
    }
  }
  return { url: url.href, pool, statementTimeout, tls };
}

const LOCK_MS = 10_000;
const MARGIN_MS = 5000;
/** Databases that speak the protocol without being PostgreSQL: its locks are other ones there, or none. */
const OTHERS: [RegExp, string][] = [
  [/CockroachDB/i, 'CockroachDB'],
  [/Yugabyte|-YB-/i, 'YugabyteDB'],
];

/** A pool to a server that answers (of several hosts the one that writes), and how to open another one like it. @throws AppError invalid or unavailable, never repeating the URL */
export async function connect(databaseUrl: string): Promise<Server> {
  const [first, ...rest] = splitHosts(databaseUrl).map(parseConnection);
  if (first === undefined) throw invalid('INLET_DATABASE_URL names no host.');
  const { pool, statementTimeout, tls } = first;
  const settings = {
    application_name: 'inlet',
    statement_timeout: String(statementTimeout),
    idle_in_transaction_session_timeout: '3000', // a process that stands still must not hold its locks
    lock_timeout: String(LOCK_MS),
  };
  const openAt = (url: string, max: number) =>
    new SQL({
      url,
      max,
      connectionTimeout: 10,
      idleTimeout: 0,
      connection: settings,
      ...(tls && { tls }),
    });
  const hosts = new Hosts([first.url, ...rest.map(each => each.url)], openAt);
  if ((await hosts.findWriter()) === null)
    throw new AppError(
      'unavailable',
      'No host of INLET_DATABASE_URL takes writes now. Check that one of them runs and is no standby.',
    );
  const open = () => openAt(hosts.url, pool);
  const sql = open();
  try {
    const [server] = await sql.unsafe(`select current_setting('server_encoding') as encoding, version() as version`);
    if (server.encoding !== 'UTF8')
      throw new AppError(
        'conflict',
        'The database of INLET_DATABASE_URL can not hold every character. Make one in UTF-8: createdb -E UTF8 -T template0 inlet',
      );
    const [, other] = OTHERS.find(([pattern]) => pattern.test(server.version)) ?? [];
    if (other !== undefined)
      throw new AppError(
        'conflict',
        `The database of INLET_DATABASE_URL is ${other}, which has not the locks that Inlet needs. Use PostgreSQL, or leave the variable out for SQLite.`,
      );
    await requireSessions(sql);
    const lanes = pool > 5 ? 2 : 1;
    const writers = Math.max(1, Math.min(4, Math.floor(pool / 2) - 1));
    const findWriter = () => hosts.findWriter();
    return { sql, open, findWriter, lanes, writers, deadlineMs: statementTimeout + LOCK_MS + MARGIN_MS };
  } catch (error) {
    await sql.close({ timeout: 0 }); // a pooler may have one of its questions wait
    throw describeRefusal(error);
  }
}

const LIMITS = 'statement_timeout,lock_timeout,idle_in_transaction_session_timeout';
/** PgBouncer's own words, which share their code with errors of the server. */
const POOLED: [RegExp, string][] = [
  [
    /unsupported startup parameter/,
    `is behind a pooler that refuses the limits of a session. In pgbouncer.ini: pool_mode = session and ignore_startup_parameters = ${LIMITS} (and give these to Inlet's role, see docs/postgres.md). Or connect directly.`,
  ],
  [
    /statement pooling mode/,
    'is behind a pooler that has no transactions. Connect directly, or to a pooler in session mode.',
  ],
];

/** Why the server could not be used, said without the URL and without the server's own words. Other errors as they are. */
function describeRefusal(error: unknown): unknown {
  if (error instanceof AppError || !(error instanceof Error && 'code' in error)) return error;
  const why =
    POOLED.find(([words]) => words.test(error.message))?.[1] ??
    explainCode(findPostgresCode(error) || String(error.code));
  return new AppError('unavailable', `The PostgreSQL server of INLET_DATABASE_URL ${why}`, error);
}

function explainCode(code: string): string {
  if (/^28/.test(code)) return 'refuses this user or password. Check both, sslmode, and pg_hba.conf on the server.';
  if (code === '3D000') return 'has no such database. Create it first: createdb inlet';
  if (code === '53300') return 'has no connection left. Lower ?pool= or raise max_connections.';
  if (code === '57P03') return 'is starting or stopping. Try again in a moment.';
  if (code === '42501' || code === '3F000')
    return 'does not let this user make tables there. Give Inlet a database of its own: createdb -O USER inlet';
  if (code === '25006') return 'only reads (a standby?). Point the URL at the one that writes.';
  if (/^(42704|22023|0A000|08P01)$/.test(code))
    return 'does not take a parameter of the URL. Remove what is after the ?';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'has a certificate for another host name. Use a name that is in it.';
  if (/CERT|SIGNATURE|INVALID_CA/.test(code))
    return 'has a certificate that can not be verified. Check that sslrootcert names the CA that signed it.';
  if (/TLS|SSL|CHANNEL_BINDING/.test(code))
    return 'and Inlet can not agree on TLS. Check sslmode and sslrootcert in the URL.';
  if (/^[0-9A-Z]{5}$/.test(code)) return `answers with the error ${code}, which appendix A of its manual explains.`;
  return "can't be reached or does not answer. Check host, port and that it runs.";
}

/** Connects, and migrates unless it runs beside servers. `pool` connections in all: one or two write about people, one to four the rest. @throws AppError */
export async function openPostgres(databaseUrl: string, watch?: Watch, migrate = true): Promise<PostgresStore> {
  const server = await connect(databaseUrl);
  try {
    await (migrate ? migratePostgres(server.sql) : requireSchema(server.sql));
  } catch (error) {
    await server.sql.close();
    throw describeRefusal(error);
  }
  return new PostgresStore(server, watch);
}
