import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { invalid } from './errors.ts';
import { didYouMean } from './nearest.ts';

export interface Config {
  host: string;
  /** 0: any free port. */
  port: number;
  dataDir: string;
  /** `postgres://…`; null: SQLite in the data folder. */
  databaseUrl: string | null;
  /** Without trailing slash. */
  publicUrl: string;
  apiKey: string | null;
  /** 32 bytes; null: `secret.key` in the data folder. */
  secretKey: Uint8Array | null;
  /** Management requests per second and key; 0: no limit. */
  rateLimit: number;
  logLevel: string;
  logFormat: 'pretty' | 'json';
  retentionDays: number;
  /** `web` answers and `worker` works, `all` does both. */
  role: 'all' | 'web' | 'worker';
  /** The page at /_/ is served. */
  dashboard: boolean;
  /** Outgoing webhooks and API bases may lead to private networks and this machine. */
  allowPrivateTargets: boolean;
  /** Null: mails are rendered and held. */
  smtp: SmtpServer | null;
  /** Who mails are from. */
  mailFrom: { name: string; address: string } | null;
}

/** A mail server. `secure`: TLS from the first byte; else STARTTLS, which only loopback may do without. */
export interface SmtpServer {
  host: string;
  port: number;
  secure: boolean;
  loopback: boolean;
  user: string | null;
  password: string | null;
  /** At once. */
  connections?: number | undefined;
  /** Messages per second; absent: as many as go. */
  rate?: number | undefined;
  /** A certificate authority of its own, PEM. */
  ca?: string | undefined;
}

/** Values of the flags that equal a variable; a flag wins over its variable. */
export interface Flags {
  host?: string | undefined;
  port?: string | undefined;
  data?: string | undefined;
  'database-url'?: string | undefined;
  'public-url'?: string | undefined;
}
export type Env = Record<string, string | undefined>;

const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const DAY_LIMIT = 3650;

const whole = (least: number, most: number) => {
  const message = `must be a whole number from ${least} to ${most}`;
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .pipe(z.number().min(least, message).max(most, message));
};
const publicUrl = z.string().transform((text, ctx) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash) {
    return url.href.replace(/\/+$/, '');
  }
  ctx.addIssue('must look like https://hooks.example.com, without user, password, ? or #');
  return z.NEVER;
});
const secretKey = z.string().transform((text, ctx) => {
  const key = decodeKey(text);
  if (key) return key;
  ctx.addIssue('must be exactly 32 bytes in base64; make one with: openssl rand -base64 32');
  return z.NEVER;
});

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;
const SMTP_HINT =
  'must look like smtps://user:password@smtp.example.com:465 (or smtp:// for STARTTLS); in user and password write / as %2F, # as %23, ? as %3F, @ as %40, % as %25';
const SMTP_EXTRAS = z.strictObject({
  connections: whole(1, 50).optional(),
  rate: whole(1, 1000).optional(),
  ca: z.string().optional(),
});
/** `smtps://user:password@host:port?connections=5&rate=14&ca=/path/ca.pem` */
const smtpUrl = z.string().transform((text, ctx): SmtpServer => {
  const bad = (message: string) => {
    ctx.addIssue(message);
    return z.NEVER;
  };
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^smtps?:$/.test(url.protocol) || !url.hostname || url.hash || !/^\/?$/.test(url.pathname))
    return bad(SMTP_HINT);
  const secure = url.protocol === 'smtps:';
  const loopback = LOOPBACK.test(url.hostname);
  const extras = SMTP_EXTRAS.safeParse(Object.fromEntries(url.searchParams));
  if (!extras.success)
    return bad('may end in ?connections= (1 to 50), rate= (messages per second, 1 to 1000) and ca= (a PEM file) only');
  try {
    const user = url.username ? decodeURIComponent(url.username) : null;
    const password = url.password ? decodeURIComponent(url.password) : null;
    const { connections, rate, ca: file } = extras.data;
    const ca = file === undefined ? undefined : readFileSync(file, 'utf8');
    return {
      host: url.hostname,
      port: Number(url.port || (secure ? 465 : 587)),
      secure,
      loopback,
      user,
      password,
      connections,
      rate,
      ca,
    };
  } catch (error) {
    return bad(
      error instanceof URIError
        ? 'has a % in user or password that is not %25'
        : 'names a ca file that can not be read',
    );
  }
});
const FROM = /^(?:"?([^"<>]*?)"?\s*<)?([^\s<>@]+@[^\s<>@]+\.[^\s<>@]+|[^\s<>@]+@localhost)>?$/;
const mailFrom = z.string().transform((text, ctx) => {
  const [, name = '', address] = FROM.exec(text.trim()) ?? [];
  if (address) return { name: name.trim(), address };
  ctx.addIssue('must look like Acme <hello@example.com>');
  return z.NEVER;
});

/** Every variable with its rule. A message never repeats the value: it may be a secret in the wrong place. */
const variables = z.object({
  INLET_HOST: z
    .string()
    .regex(/^[\w.:-]+$/, 'must be a host name or an address, without scheme or port')
    .default('127.0.0.1'),
  INLET_PORT: whole(0, 65535).default(8484),
  INLET_DATA_DIR: z.string().default('./inlet-data'),
  INLET_DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\/./, 'must start with postgres://; leave it out for SQLite')
    .optional(),
  INLET_PUBLIC_URL: publicUrl.optional(),
  INLET_API_KEY: z
    .string()
    .regex(/^[\x21-\x7e]{24,200}$/, 'must have 24 to 200 visible ASCII characters')
    .optional(),
  INLET_SECRET_KEY: secretKey.optional(),
  INLET_RATE_LIMIT: whole(0, 1_000_000).default(100),
  INLET_LOG_LEVEL: z.enum(LEVELS, `must be one of ${LEVELS.join(', ')}`).default('info'),
  INLET_LOG_FORMAT: z.enum(['pretty', 'json'], 'must be pretty or json').optional(),
  INLET_RETENTION_DAYS: whole(1, DAY_LIMIT).default(30),
  INLET_SMTP_URL: smtpUrl.optional(),
  INLET_MAIL_FROM: mailFrom.optional(),
  INLET_ROLE: z.enum(['all', 'web', 'worker'], 'must be all, web or worker').default('all'),
  INLET_DASHBOARD: z.enum(['true', 'false'], 'must be true or false').default('true'),
  INLET_ALLOW_PRIVATE_TARGETS: z.enum(['true', 'false'], 'must be true or false').default('false'),
});
type Name = keyof z.infer<typeof variables>;

const NAMES = Object.keys(variables.shape) as Name[];
const SECRETS: Name[] = [
  'INLET_API_KEY',
  'INLET_SECRET_KEY',
  'INLET_DATABASE_URL',
  'INLET_SMTP_URL',
  'INLET_MAIL_FROM',
];
const KNOWN = [...NAMES, ...SECRETS.map(name => `${name}_FILE`)];
const FLAGS: Record<keyof Flags, Name> = {
  host: 'INLET_HOST',
  port: 'INLET_PORT',
  data: 'INLET_DATA_DIR',
  'database-url': 'INLET_DATABASE_URL',
  'public-url': 'INLET_PUBLIC_URL',
};
const SERVICE_LINK = /^INLET_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_LINK_HELP =
  'set enableServiceLinks: false in the pod, or rename the Service to something other than "inlet"';

/** 32 bytes from base64 (either alphabet, padding optional), or null. */
export function decodeKey(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  return bytes.length === 32 ? bytes : null;
}

/** A host as it stands in a URL; a wildcard address becomes one that can be opened. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

function secretFrom(env: Env, name: Name): string | undefined {
  const file = env[`${name}_FILE`];
  if (!file) return env[name];
  if (env[name]) throw invalid(`${name} and ${name}_FILE are both set. Keep one of them.`);
  let text: string;
  try {
    text = readFileSync(file, 'utf8').trim();
  } catch {
    throw invalid(`${name}_FILE names a file that can't be read. Check that it exists and that this user may read it.`);
  }
  if (!text) throw invalid(`${name}_FILE names an empty file. Put the value into it or unset the variable.`);
  return text;
}

/** One text per variable; an empty variable counts as not set, an empty flag as a mistake. */
function gather(env: Env, flags: Flags): Partial<Record<Name, string>> {
  const given: Partial<Record<Name, string>> = {};
  const flagged = new Set<Name>();
  for (const [flag, name] of Object.entries(FLAGS) as [keyof Flags, Name][]) {
    const value = flags[flag];
    if (value === undefined) continue;
    if (!value) throw invalid(`--${flag} needs a value.`);
    given[name] = value;
    flagged.add(name);
  }
  for (const name of NAMES) {
    if (flagged.has(name)) continue;
    const value = SECRETS.includes(name) ? secretFrom(env, name) : env[name];
    if (value) given[name] = value;
  }
  if (!flagged.has('INLET_PORT') && given.INLET_PORT?.startsWith('tcp://')) {
    throw invalid(`INLET_PORT holds a Kubernetes service link, not a port: ${SERVICE_LINK_HELP}.`);
  }
  return given;
}

/** What to say of a database URL in an argument; null: it holds no password. */
export function judgeFlag(databaseUrl: string): string | null {
  return /^\w+:\/\/[^/?@]*:[^/?@]+@|[?&]password=/.test(databaseUrl)
    ? 'a password in a flag shows in ps and the shell history. Better: INLET_DATABASE_URL_FILE'
    : null;
}

function warningsOf(env: Env, flags: Flags): string[] {
  const unknown = Object.keys(env).filter(name => name.startsWith('INLET_') && !KNOWN.includes(name));
  const links = unknown.filter(name => SERVICE_LINK.test(name));
  const warnings = unknown
    .filter(name => !links.includes(name))
    .map(name => `${name} is not a variable of Inlet and has no effect.${didYouMean(name, KNOWN)}`);
  if (links.length)
    warnings.push(`Kubernetes injected ${links.join(', ')}, without effect; to be rid of them ${SERVICE_LINK_HELP}.`);
  const shown = judgeFlag(flags['database-url'] ?? '');
  if (shown !== null) warnings.push(shown);
  return warnings;
}

/**
 * The configuration from variables and flags. The only reader of the environment.
 * @throws AppError invalid, naming the variable or flag and never its value
 */
export function readConfig(env: Env, flags: Flags = {}, terminal = false): { config: Config; warnings: string[] } {
  const read = variables.safeParse(gather(env, flags));
  if (!read.success) {
    const issue = read.error.issues[0];
    const name = String(issue?.path[0]);
    const flag = (Object.keys(FLAGS) as (keyof Flags)[]).find(f => FLAGS[f] === name && flags[f] !== undefined);
    throw invalid(`${flag ? `--${flag}` : name} ${issue?.message}.`);
  }
  const v = read.data;
  if (v.INLET_SMTP_URL && !v.INLET_MAIL_FROM)
    throw invalid('INLET_SMTP_URL needs INLET_MAIL_FROM, such as Acme <hello@example.com>.');
  const config: Config = {
    host: v.INLET_HOST,
    port: v.INLET_PORT,
    dataDir: v.INLET_DATA_DIR,
    databaseUrl: v.INLET_DATABASE_URL ?? null,
    publicUrl: v.INLET_PUBLIC_URL ?? `http://${urlHost(v.INLET_HOST)}:${v.INLET_PORT}`,
    apiKey: v.INLET_API_KEY ?? null,
    secretKey: v.INLET_SECRET_KEY ?? null,
    rateLimit: v.INLET_RATE_LIMIT,
    logLevel: v.INLET_LOG_LEVEL,
    logFormat: v.INLET_LOG_FORMAT ?? (terminal ? 'pretty' : 'json'),
    retentionDays: v.INLET_RETENTION_DAYS,
    role: v.INLET_ROLE,
    dashboard: v.INLET_DASHBOARD === 'true',
    smtp: v.INLET_SMTP_URL ?? null,
    mailFrom: v.INLET_MAIL_FROM ?? null,
    allowPrivateTargets: v.INLET_ALLOW_PRIVATE_TARGETS === 'true',
  };
  return { config, warnings: warningsOf(env, flags) };
}
