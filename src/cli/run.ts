import { version } from '../../package.json' with { type: 'json' };
import { AppError } from '../errors.ts';
import { suggestWord } from '../nearest.ts';
import { type Command, type Io, parseInvocation, UsageError } from './command.ts';
import { COMMANDS } from './commands.ts';
import { EXIT_INTERNAL, EXIT_TROUBLE, EXIT_USAGE } from './exit.ts';
import { formatCommandHelp, formatOverview } from './help.ts';
import { stripLineControls } from './print.ts';

const GROUPS = [...new Set(COMMANDS.filter(c => c.name.includes(' ')).map(c => c.name.split(' ')[0] ?? ''))];

/** The command that the words begin with, and the words after it. Words that begin with a flag are `serve`'s. */
function find(words: string[]): { command: Command; rest: string[] } {
  const [first = '', second = ''] = words;
  const name = first === '' || first.startsWith('-') ? 'serve' : GROUPS.includes(first) ? `${first} ${second}` : first;
  const command = COMMANDS.find(c => c.name === name);
  if (command) return { command, rest: words.slice(first.startsWith('-') ? 0 : command.name.split(' ').length) };
  if (GROUPS.includes(first) && (second === '' || second.startsWith('-'))) {
    const verbs = COMMANDS.filter(c => c.name.startsWith(`${first} `)).map(c => c.name.slice(first.length + 1));
    throw new UsageError(`inlet ${first} needs one of: ${verbs.join(', ')}. See: inlet ${first} --help`);
  }
  const hint = suggestWord(name, [...COMMANDS.map(c => c.name), ...GROUPS]);
  throw new UsageError(`Unknown command "${name.slice(0, 60)}".${hint} See: inlet --help`);
}

async function dispatch(words: string[], io: Io): Promise<number> {
  const [first = '', second = ''] = words;
  const asksHelp = (word: string) => word === '--help' || word === '-h' || word === 'help';
  if (first === '--version' || first === '-v') {
    io.out(version);
    return 0;
  }
  if (asksHelp(first)) {
    io.out(formatOverview(version));
    return 0;
  }
  if (GROUPS.includes(first) && asksHelp(second)) {
    io.out(formatOverview(version, `${first} `));
    return 0;
  }
  const { command, rest } = find(words);
  const invocation = parseInvocation(
    command,
    rest.map(word => (word === '-h' ? '--help' : word)),
    io,
  );
  if (invocation.switches.has('help')) {
    io.out(formatCommandHelp(command));
    return 0;
  }
  return command.run(invocation);
}

/** What to do about an error of SQLite, or null for any other. Never its own words. */
function explainDatabaseTrouble(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (!code.startsWith('SQLITE_')) return explainDatabaseTrouble(error.cause);
  return /NOTADB|CORRUPT/.test(code)
    ? `The database file is damaged (${code}). Put a backup in its place: inlet restore FILE`
    : `The database file can't be used (${code}). Check its owner and mode, the free space, and that its folder is on a local disk.`;
}

/** Runs one command line; every failure is one line on stderr. Returns the exit code. */
export async function run(words: string[], outside: Io): Promise<number> {
  const io: Io = {
    env: outside.env,
    out: line => outside.out(stripLineControls(line)),
    err: line => outside.err(stripLineControls(line)),
  };
  try {
    return await dispatch(words, io);
  } catch (error) {
    if (error instanceof UsageError) {
      io.err(`inlet: ${error.message}`);
      return EXIT_USAGE;
    }
    if (error instanceof AppError) {
      io.err(`inlet: ${error.message}`);
      return EXIT_TROUBLE;
    }
    const trouble = explainDatabaseTrouble(error);
    if (trouble) {
      io.err(`inlet: ${trouble}`);
      return EXIT_TROUBLE;
    }
    io.err(
      `inlet: unexpected error: ${error instanceof Error ? `${error.name}: ${error.message.split('\n')[0]}` : 'unknown'}`,
    );
    return EXIT_INTERNAL;
  }
}
