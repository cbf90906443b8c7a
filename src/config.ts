import { readFileSync } from 'node:fs';
import type { z } from 'zod';
import { invalid } from './errors.ts';
import { suggestWord } from './nearest.ts';
import { VARIABLES, type Variable } from './variables.ts';

type Table = typeof VARIABLES;
type Name = keyof Table;
type Entry = Table[Name];
type ValueOf<V extends Variable> = V['default'] extends string ? z.output<V['schema']> : z.output<V['schema']> | null;

/** One value for each variable; null: not given. */
type Values = { [N in Name as Table[N]['field']]: ValueOf<Table[N]> };

/** What the variables come to; `variables.ts` says of each what it is. */
export interface Config extends Values {
  /** Without trailing slash. */
  publicUrl: string;
  logFormat: 'pretty' | 'json';
}

/** Values of the flags that equal a variable; a flag wins over its variable. */
export type Flags = {
  [V in Entry as V extends { flag: { name: infer F extends string } } ? F : never]?: string | undefined;
};
export type Env = Record<string, string | undefined>;

const ENTRIES = Object.entries(VARIABLES) as [Name, Variable][];
const KNOWN: string[] = ENTRIES.flatMap(([name, { secret }]) => (secret ? [name, `${name}_FILE`] : [name]));
const SERVICE_LINK = /^INLET_(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)$/;
const SERVICE_LINK_HELP =
  'set enableServiceLinks: false in the pod, or rename the Service to something other than "inlet"';

/** A host as it stands in a URL; a wildcard address becomes one that can be opened. */
export function formatUrlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}

function readSecret(env: Env, name: Name): string | undefined {
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

/** What was given for a variable, by its flag or in the environment; an empty variable counts as not set, an empty flag as a mistake. */
function findGiven(env: Env, flags: Flags, name: Name, { flag, secret }: Variable): string | undefined {
  const flagged = flag && flags[flag.name as keyof Flags];
  if (flag && flagged !== undefined) {
    if (!flagged) throw invalid(`--${flag.name} needs a value.`);
    return flagged;
  }
  const value = secret ? readSecret(env, name) : env[name];
  if (name === 'INLET_PORT' && value?.startsWith('tcp://'))
    throw invalid(`INLET_PORT holds a Kubernetes service link, not a port: ${SERVICE_LINK_HELP}.`);
  return value || undefined;
}

/** What to say of a database URL in an argument; null: it holds no password. */
export function judgeFlag(databaseUrl: string): string | null {
  return /^\w+:\/\/[^/?@]*:[^/?@]+@|[?&]password=/.test(databaseUrl)
    ? 'a password in a flag shows in ps and the shell history. Better: INLET_DATABASE_URL_FILE'
    : null;
}

function collectWarnings(env: Env, flags: Flags): string[] {
  const unknown = Object.keys(env).filter(name => name.startsWith('INLET_') && !KNOWN.includes(name));
  const links = unknown.filter(name => SERVICE_LINK.test(name));
  const warnings = unknown
    .filter(name => !links.includes(name))
    .map(name => `${name} is not a variable of Inlet and has no effect.${suggestWord(name, KNOWN)}`);
  if (links.length)
    warnings.push(`Kubernetes injected ${links.join(', ')}, without effect; to be rid of them ${SERVICE_LINK_HELP}.`);
  const shown = judgeFlag(flags['database-url'] ?? '');
  if (shown !== null) warnings.push(shown);
  return warnings;
}

/** The variables that are given, by a flag or in the environment. @throws AppError invalid */
export const listGiven = (env: Env, flags: Flags): string[] =>
  ENTRIES.flatMap(([name, variable]) => (findGiven(env, flags, name, variable) === undefined ? [] : [name]));

/**
 * The configuration from variables and flags. The only reader of the environment.
 * @throws AppError invalid, naming the variable or flag and never its value
 */
export function readConfig(env: Env, flags: Flags = {}, terminal = false): { config: Config; warnings: string[] } {
  const texts = ENTRIES.map(([name, variable]) => findGiven(env, flags, name, variable));
  const values = ENTRIES.map(([name, { field, schema, flag, default: usual }], n): [string, unknown] => {
    const text = texts[n] ?? usual;
    if (text === null) return [field, null];
    const read = schema.safeParse(text);
    if (read.success) return [field, read.data];
    const isFlag = flag && flags[flag.name as keyof Flags] !== undefined;
    throw invalid(`${isFlag ? `--${flag.name}` : name} ${read.error.issues[0]?.message}.`);
  });
  const given = Object.fromEntries(values) as Values; // each made by its own schema
  if (given.smtp && !given.mailFrom)
    throw invalid('INLET_SMTP_URL needs INLET_MAIL_FROM, such as Acme <hello@example.com>.');
  const config = {
    ...given,
    publicUrl: given.publicUrl ?? `http://${formatUrlHost(given.host)}:${given.port}`,
    logFormat: given.logFormat ?? (terminal ? 'pretty' : 'json'),
  };
  return { config, warnings: collectWarnings(env, flags) };
}
