import { COMMON_OPTIONS, type Command, type Option, optionsOf } from './command.ts';
import { COMMANDS } from './commands.ts';

function columns(rows: [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n');
}

const optionRows = (options: Record<string, Option>): [string, string][] =>
  Object.entries(options).map(([name, o]) => [`--${name}${o.value ? ` ${o.value}` : ''}`, o.help]);

/** The page of `inlet --help`, or with a prefix such as `endpoints` the commands under it. */
export function overview(version: string, prefix = ''): string {
  const commands = COMMANDS.filter(c => c.name.startsWith(prefix));
  const rows = commands.map((c): [string, string] => [['inlet', c.name, ...c.args].join(' '), c.summary]);
  return `Inlet ${version}: verifies webhooks of Stripe, Clerk, Supabase and Polar and keeps your audience in sync.

${columns(rows)}

Flags (each equals a variable; the flag wins):
${columns(optionRows(COMMON_OPTIONS))}
  More about a command: inlet COMMAND --help
  Other variables: INLET_API_KEY, INLET_SECRET_KEY (each also as _FILE), INLET_RATE_LIMIT, INLET_LOG_LEVEL,
  INLET_LOG_FORMAT, INLET_RETENTION_DAYS, INLET_DASHBOARD, INLET_ALLOW_PRIVATE_TARGETS`;
}

export function commandHelp(command: Command): string {
  const details = command.details ? `\n${command.details}\n` : '';
  return `inlet ${[command.name, ...command.args].join(' ')} [flags]: ${command.summary}
${details}
${columns(optionRows(optionsOf(command)))}`;
}
