import { join } from 'node:path';
import { z } from 'zod';
import { COMMON_OPTIONS } from '../cli/command.ts';
import { COMMANDS } from '../cli/commands.ts';
import { EFFECTS } from '../effects.ts';
import { eventSettings } from '../inbound/eventSettings.ts';
import { allProviders } from '../providers/index.ts';
import { VARIABLES, type Variable } from '../variables.ts';

const FILE = join(import.meta.dir, '../../docs/reference.md');
const HEAD = `# Reference

Made by \`bun run reference\` from the commands, the variables, the providers and the effects in the code: change it there.
`;

const writeTable = (head: string[], rows: string[][]): string =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.map(escapeCell).join(' | ')} |`).join('\n');

const escapeCell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '\\<').replaceAll('\n', ' ');

function describeCommands(): string {
  const rows = COMMANDS.map(({ name, args, options, summary, details }) => {
    const flags = Object.entries(options).map(([flag, { value }]) => `[--${flag}${value ? ` ${value}` : ''}]`);
    return [`\`${['inlet', name, ...args, ...flags].join(' ')}\``, [summary, details].filter(Boolean).join('. ')];
  });
  const flags = Object.entries(COMMON_OPTIONS).map(([flag, { value }]) => `\`--${flag}${value ? ` ${value}` : ''}\``);
  return `## Commands

${writeTable(['command', 'does'], rows)}

Every command takes ${flags.join(', ')} too; \`inlet\` alone is \`inlet serve\`. Secrets are asked for without echo or read from a file (\`-\`: standard input),
never given as an argument. An unknown command or flag exits 2 and names the nearest match. Commands open the database beside a running server, which
sees their changes within a second.
`;
}

function describeVariables(): string {
  const rows = Object.entries<Variable>(VARIABLES).map(([name, { default: usual, shown, flag, secret, doc, more }]) => {
    const also = [flag && `also \`--${flag.name}\``, secret && `also \`${name}_FILE\``];
    return [
      `\`${name}\``,
      usual === null ? (shown ?? '–') : `\`${usual}\``,
      [doc, more, ...also].filter(Boolean).join('; '),
    ];
  });
  return `## Variables

${writeTable(['variable', 'default', 'what it is'], rows)}

A flag beats its variable, an empty variable counts as not set. \`…_FILE\` names a file that holds the value (\`INLET_API_KEY_FILE=/run/secrets/key\`).
\`.env\` files are not read. A bad value ends the start with one line that names the variable and never its value; an unknown \`INLET_…\` variable is a warning.
`;
}

interface Property {
  type?: string;
  enum?: string[];
  default?: unknown;
  description?: string;
}

function listSettings(schema: z.ZodType): string[][] {
  const { properties = {} } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as {
    properties?: Record<string, Property>;
  };
  return Object.entries(properties).map(([name, { type, enum: choices, default: usual, description }]) => [
    `\`${name}\``,
    usual === undefined ? '–' : `\`${JSON.stringify(usual)}\``,
    [description, `(${choices?.join(', ') ?? type})`].filter(Boolean).join(' '),
  ]);
}

function describeEndpoints(): string {
  const parts = allProviders.map(({ id, name, settings, types }) => {
    const events = types.map(({ type, description }) => [`\`${type}\``, description]);
    return `### ${name} (\`${id}\`)

${writeTable(['setting', 'default', 'what it is'], listSettings(settings))}

${writeTable(['event type', 'what happened'], events)}
`;
  });
  const keys = Object.keys(eventSettings.shape).map(key => `\`${key}\``);
  return `## Settings and event types of endpoints

Each event type of a provider of people has ${keys.join(', ')} ([what they mean](providers.md#what-an-event-type-does)); one of a mail provider has \`enabled\`.

${parts.join('\n')}`;
}

const describeEffects = (): string => `## Effects

What a delivery did, as the log shows it; each has the details that belong to it.

${writeTable(
  ['effect', 'means'],
  Object.entries(EFFECTS).map(([kind, text]) => [`\`${kind}\``, text]),
)}
`;

/** The text of docs/reference.md. */
export const writeReference = (): string =>
  [HEAD, describeCommands(), describeVariables(), describeEndpoints(), describeEffects()].join('\n');

if (import.meta.main) await Bun.write(FILE, writeReference());
