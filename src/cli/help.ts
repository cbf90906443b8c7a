import { VARIABLES, type Variable } from '../variables.ts';
import { COMMON_OPTIONS, type Command, type Option, optionsOf } from './command.ts';
import { COMMANDS } from './commands.ts';

function columns(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

const optionRows = (options: Record<string, Option>): [string, string][] =>
  Object.entries(options).map(([name, o]) => [`--${name}${o.value ? ` ${o.value}` : ''}`, o.help]);

/** Variables that have no flag. */
const listVariables = (): [string, string][] =>
  Object.entries<Variable>(VARIABLES).flatMap(([name, { flag, secret, doc, default: usual }]): [string, string][] =>
    flag ? [] : [[secret ? `${name} *` : name, usual === null ? doc : `${doc} (${usual})`]],
  );

/** The page of `inlet --help`, or with a prefix such as `endpoints` the commands under it. */
export function overview(version: string, prefix = ''): string {
  const commands = COMMANDS.filter(c => c.name.startsWith(prefix));
  const rows = commands.map((c): [string, string] => [['inlet', c.name, ...c.args].join(' '), c.summary]);
  return `Inlet ${version}: verifies webhooks of Stripe, Clerk, Supabase and Polar and keeps your audience in sync.

${columns(rows)}

Flags (each equals a variable; the flag wins):
${columns(optionRows(COMMON_OPTIONS))}
  More about a command: inlet COMMAND --help

Other variables (those marked * also as NAME_FILE, the name of a file that holds the value):
${columns(listVariables())}`;
}

export function commandHelp(command: Command): string {
  const details = command.details ? `\n${command.details}\n` : '';
  return `inlet ${[command.name, ...command.args].join(' ')} [flags]: ${command.summary}
${details}
${columns(optionRows(optionsOf(command)))}`;
}
