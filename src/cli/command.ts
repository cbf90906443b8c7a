import { parseArgs } from 'node:util';
import type { Env } from '../config.ts';
import { suggestWord } from '../nearest.ts';
import { VARIABLES, type Variable } from '../variables.ts';

/** What a command sees of the outside. */
export interface Io {
  env: Env;
  /** One line to stdout. */
  out(line: string): void;
  /** One line to stderr. */
  err(line: string): void;
}

export interface Option {
  /** Name of the value; without it the option is a switch. */
  value?: string;
  help: string;
}

export interface Invocation {
  io: Io;
  /** Positional arguments, as many as the command names. */
  args: string[];
  options: Record<string, string | undefined>;
  switches: Set<string>;
}

export interface Command {
  /** `endpoints add` */
  name: string;
  summary: string;
  /** `PROVIDER`; all of them must be given. */
  args: string[];
  options: Record<string, Option>;
  details?: string;
  /** Exit code. Imports what it needs by itself, so that `--help` stays fast. */
  run(invocation: Invocation): Promise<number>;
}

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {}

const VARIABLE_FLAGS = Object.entries<Variable>(VARIABLES).flatMap(
  ([name, { flag, doc, default: usual }]): [string, Option][] =>
    flag ? [[flag.name, { value: flag.value, help: `${doc} (${usual === null ? name : `${name}, ${usual}`})` }]] : [],
);

export const COMMON_OPTIONS: Record<string, Option> = {
  ...Object.fromEntries(VARIABLE_FLAGS),
  help: { help: 'show this help' },
};

const WHY_NO_SECRET =
  'A secret on the command line would be kept in the shell history and shown by ps. Leave it out to be asked, or use --secret-file FILE (- reads standard input).';

export const collectOptions = (command: Command) => ({ ...command.options, ...COMMON_OPTIONS });

function checkArgs(command: Command, given: string[]): void {
  const missing = command.args[given.length];
  if (missing)
    throw new UsageError(
      `inlet ${command.name} needs ${missing}. Type: inlet ${[command.name, ...command.args].join(' ')}`,
    );
  const extra = given[command.args.length];
  if (extra !== undefined)
    throw new UsageError(
      `inlet ${command.name} takes no argument "${extra.slice(0, 60)}". See: inlet ${command.name} --help`,
    );
}

/** Splits the words after the command's name. @throws UsageError naming the nearest flag for an unknown one */
export function parseInvocation(command: Command, words: string[], io: Io): Invocation {
  const known = collectOptions(command);
  const options = Object.fromEntries(
    Object.entries(known).map(([name, o]) => [name, { type: o.value ? ('string' as const) : ('boolean' as const) }]),
  );
  const { tokens } = parseArgs({ args: words, options, strict: false, allowPositionals: true, tokens: true });
  const invocation: Invocation = { io, args: [], options: {}, switches: new Set() };
  for (const token of tokens) {
    if (token.kind === 'positional') invocation.args.push(token.value);
    if (token.kind !== 'option') continue;
    if (token.name === 'secret') throw new UsageError(WHY_NO_SECRET);
    const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined;
    if (!option) {
      const hint = suggestWord(
        `--${token.name}`,
        Object.keys(known).map(name => `--${name}`),
      );
      throw new UsageError(`Unknown flag ${token.rawName.slice(0, 60)}.${hint} See: inlet ${command.name} --help`);
    }
    if (!option.value) {
      if (token.value !== undefined) throw new UsageError(`--${token.name} takes no value.`);
      invocation.switches.add(token.name);
    } else {
      if (!token.value) throw new UsageError(`--${token.name} needs a value: --${token.name} ${option.value}`);
      invocation.options[token.name] = token.value;
    }
  }
  if (!invocation.switches.has('help')) checkArgs(command, invocation.args);
  return invocation;
}
