import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** Schemes of a mail server's URL, and the port where it names none. Each has its transport (mail/transports). */
export const MAIL_SCHEMES = { smtp: 587, smtps: 465 } as const;
export type MailScheme = keyof typeof MAIL_SCHEMES;

/** A mail server. `secure`: TLS from the first byte; else STARTTLS, which only loopback may do without. */
export interface SmtpServer {
  /** Of its URL; absent: as `secure` says. */
  scheme?: MailScheme;
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
  const scheme = (Object.keys(MAIL_SCHEMES) as MailScheme[]).find(each => url?.protocol === `${each}:`);
  if (!url || !scheme || !url.hostname || url.hash || !/^\/?$/.test(url.pathname)) return bad(SMTP_HINT);
  const secure = scheme === 'smtps';
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
      scheme,
      host: url.hostname,
      port: Number(url.port || MAIL_SCHEMES[scheme]),
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

const yesOrNo = z.enum(['true', 'false'], 'must be true or false').transform(text => text === 'true');

/** 32 bytes from base64 (either alphabet, padding optional), or null. */
export function decodeKey(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  return bytes.length === 32 ? bytes : null;
}

/** One variable of the environment: its rule, and what help, doctor and the reference say of it. */
export interface Variable {
  /** Its place in `Config`. */
  field: string;
  /** Makes the value of its text. A message never repeats the text: it may be a secret in the wrong place. */
  schema: z.ZodType<unknown, string>;
  /** The text that counts where none is given; null: there is none, and the value is null. */
  default: string | null;
  /** What stands in the place of a default that is none of these. */
  shown?: string;
  /** A flag that equals it. */
  flag?: { name: string; value: string };
  /** Exists with `_FILE`, too. */
  secret?: true;
  /** What it is, in one line without a full stop. */
  doc: string;
  /** What else is worth knowing, for the reference. */
  more?: string;
}

const define = <const Table extends Record<string, Variable>>(table: Table): Table => table;

/** Every variable, in the order in which they are shown. */
export const VARIABLES = define({
  INLET_HOST: {
    field: 'host',
    schema: z.string().regex(/^[\w.:-]+$/, 'must be a host name or an address, without scheme or port'),
    default: '127.0.0.1',
    flag: { name: 'host', value: 'HOST' },
    doc: 'address to listen on',
  },
  INLET_PORT: {
    field: 'port',
    schema: whole(0, 65535),
    default: '8484',
    flag: { name: 'port', value: 'PORT' },
    doc: 'port to listen on',
    more: '`0`: any free one',
  },
  INLET_DATA_DIR: {
    field: 'dataDir',
    schema: z.string(),
    default: './inlet-data',
    flag: { name: 'data', value: 'DIR' },
    doc: 'folder that holds everything',
    more: 'made with mode 0700',
  },
  INLET_DATABASE_URL: {
    field: 'databaseUrl',
    schema: z.string().regex(/^postgres(ql)?:\/\/./, 'must start with postgres://; leave it out for SQLite'),
    default: null,
    shown: 'SQLite in the data folder',
    flag: { name: 'database-url', value: 'URL' },
    secret: true,
    doc: 'postgres://… instead of SQLite',
    more: 'for [several instances](postgres.md)',
  },
  INLET_PUBLIC_URL: {
    field: 'publicUrl',
    schema: publicUrl,
    default: null,
    shown: '`http://HOST:PORT`',
    flag: { name: 'public-url', value: 'URL' },
    doc: 'where the providers reach this server',
    more: 'used for the URLs of endpoints and the links in mails',
  },
  INLET_API_KEY: {
    field: 'apiKey',
    schema: z.string().regex(/^[\x21-\x7e]{24,200}$/, 'must have 24 to 200 visible ASCII characters'),
    default: null,
    secret: true,
    doc: 'a key that is always valid, at least 24 characters',
    more: 'without it the first start makes one and prints it once',
  },
  INLET_SECRET_KEY: {
    field: 'secretKey',
    schema: secretKey,
    default: null,
    shown: 'made at first start (`secret.key`, 0600)',
    secret: true,
    doc: '32 bytes base64 that seal signing secrets in the database',
    more: 'must be given with PostgreSQL; when it is lost: `inlet endpoints reset-secrets`',
  },
  INLET_RATE_LIMIT: {
    field: 'rateLimit',
    schema: whole(0, 1_000_000),
    default: '100',
    doc: 'management requests per second and key',
    more: '`0`: no limit; never for webhooks',
  },
  INLET_LOG_LEVEL: {
    field: 'logLevel',
    schema: z.enum(LEVELS, `must be one of ${LEVELS.join(', ')}`),
    default: 'info',
    doc: `how much is logged: ${LEVELS.join(', ')}`,
  },
  INLET_LOG_FORMAT: {
    field: 'logFormat',
    schema: z.enum(['pretty', 'json'], 'must be pretty or json'),
    default: null,
    shown: '`pretty` on a terminal, else `json`',
    doc: 'pretty or json, one line each',
  },
  INLET_RETENTION_DAYS: {
    field: 'retentionDays',
    schema: whole(1, DAY_LIMIT),
    default: '30',
    doc: 'how many days payloads are kept',
    more: 'the log row and its dedupe key stay at least 400 days',
  },
  INLET_SMTP_URL: {
    field: 'smtp',
    schema: smtpUrl,
    default: null,
    secret: true,
    doc: 'the mail server, smtps://user:password@host:465 or smtp://…:587 with STARTTLS',
    more: 'may end in `?connections=` (at once), `rate=` (messages per second) and `ca=` (a PEM file); without it mails are held',
  },
  INLET_MAIL_FROM: {
    field: 'mailFrom',
    schema: mailFrom,
    default: null,
    secret: true,
    doc: 'who mails are from, such as Acme <hello@example.com>',
    more: 'needed with `INLET_SMTP_URL`',
  },
  INLET_ROLE: {
    field: 'role',
    schema: z.enum(['all', 'web', 'worker'], 'must be all, web or worker'),
    default: 'all',
    doc: 'web receives and answers, worker works off what is queued, all does both',
    more: 'with PostgreSQL',
  },
  INLET_DASHBOARD: {
    field: 'dashboard',
    schema: yesOrNo,
    default: 'true',
    doc: 'false: no page at /_/, and nothing at /',
  },
  INLET_ALLOW_PRIVATE_TARGETS: {
    field: 'allowPrivateTargets',
    schema: yesOrNo,
    default: 'false',
    doc: 'true: outgoing webhooks and API bases may lead to private networks and plain http there',
  },
});
