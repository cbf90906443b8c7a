import { VARIABLES, type Variable } from '../variables.ts';
import { COMMON_OPTIONS, type Command, collectOptions, type Option } from './command.ts';
import { COMMANDS } from './commands.ts';

function alignColumns(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

const formatOptions = (options: Record<string, Option>): [string, string][] =>
  Object.entries(options).map(([name, o]) => [`--${name}${o.value ? ` ${o.value}` : ''}`, o.help]);

/** Variables that have no flag. */
const listVariables = (): [string, string][] =>
  Object.entries<Variable>(VARIABLES).flatMap(([name, { flag, secret, doc, default: usual }]): [string, string][] =>
    flag ? [] : [[secret ? `${name} *` : name, usual === null ? doc : `${doc} (${usual})`]],
  );

/** The page of `inlet --help`, or with a prefix such as `endpoints` the commands under it. */
export function formatOverview(version: string, prefix = ''): string {
  const commands = COMMANDS.filter(c => c.name.startsWith(prefix));
  const rows = commands.map((c): [string, string] => [['inlet', c.name, ...c.args].join(' '), c.summary]);
  return `Inlet ${version}: verifies webhooks of Stripe, Clerk, Supabase and Polar and keeps your audience in sync.

${alignColumns(rows)}

Flags (each equals a variable; the flag wins):
${alignColumns(formatOptions(COMMON_OPTIONS))}
  More about a command: inlet COMMAND --help

Other variables (those marked * also as NAME_FILE, the name of a file that holds the value):
${alignColumns(listVariables())}`;
}

export function formatCommandHelp(command: Command): string {
  const details = command.details ? `\n${command.details}\n` : '';
  return `inlet ${[command.name, ...command.args].join(' ')} [flags]: ${command.summary}
${details}
${alignColumns(formatOptions(collectOptions(command)))}`;
}
