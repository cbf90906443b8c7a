import type { ImportTarget, Scalar } from '../../db/schema.ts';
import { peopleProviders } from '../../providers/index.ts';
import { pickEmail as plausible } from '../../providers/pick.ts';
import type { ContactWrite } from '../apiWrite.ts';
import { coerce } from '../coerce.ts';
import { type CsvRow, decodeLatin1, unescapeCell } from '../csv.ts';
import { readConsent, saysNothing } from './consent.ts';
import { numberOf } from './plan.ts';
import { findInvisible, trimInvisible } from './signs.ts';
import { isConsent, type Plan, type Target } from './targets.ts';

/** What one row asks for. */
export interface Wanted {
  write: ContactWrite & { email: string };
  /** Provider's persons who are this contact: `stripe:cus_…`. */
  aliases: string[];
}

/** Why a row can't be applied; `column` null: the row as a whole. */
export interface Problem {
  column: number | null;
  message: string;
}

const MAX_TEXT = 500; // characters
const MAX_IDS = 20; // provider ids in one row
const YES = /^(true|yes|y|1|subscribed)$/i;
const NO = /^(false|no|n|0|unsubscribed)$/i;
const NUMBER = /^-?\d{1,300}(\.\d{1,300})?(e[+-]?\d{1,3})?$/i;

const NO_NUMBER = 'is no number, as the property is.';

class Bad extends Error {}
const refuseRow = (message: string): never => {
  throw new Bad(message);
};

const splitCell = (text: string) =>
  text
    .split(';')
    .map(each => each.trim())
    .filter(each => each !== '');

function coerceCell(text: string, type: Extract<ImportTarget, { kind: 'property' }>['type']): Scalar {
  if (type === 'number')
    return numberOf(text) ?? refuseRow(NUMBER.test(text.trim()) ? 'would lose digits as a number.' : NO_NUMBER);
  return coerce(type === 'boolean' ? readBoolean(text) : text, type) ?? refuseRow(`is no ${type}, as the property is.`);
}

const readBoolean = (text: string): boolean =>
  YES.test(text.trim()) ? true : NO.test(text.trim()) ? false : refuseRow('is neither true nor false.');

function makeAlias(provider: string, personId: string): string {
  if (!peopleProviders.some(each => each.id === provider))
    refuseRow(`names no provider. Use ${peopleProviders.map(each => `${each.id}:…`).join(', ')}.`);
  return /^[\x21-\x7e]{1,200}$/.test(personId) ? `${provider}:${personId}` : refuseRow('is no id of a provider.');
}

/** Takes one cell into what the row asks for. `lists`: id by id and by name. @throws Bad */
function takeCell({ write, aliases }: Wanted, target: Target, text: string, lists: Map<string, string>): void {
  if (target.kind === 'field') write[target.field] = text;
  else if (isConsent(target)) {
    const said = readConsent(text, target.kind);
    if (said === null)
      refuseRow(`says neither that this person is subscribed nor that they left: "${text.slice(0, 40)}".`);
    if (said === 'out') write.subscribed = false;
  } else if (target.kind === 'provider') for (const id of splitCell(text)) aliases.push(makeAlias(target.provider, id));
  else if (target.kind === 'providerIds') {
    for (const each of splitCell(text)) {
      const colon = each.indexOf(':');
      aliases.push(makeAlias(each.slice(0, Math.max(0, colon)), each.slice(colon + 1)));
    }
  } else if (target.kind === 'mailingLists') {
    for (const name of splitCell(text)) {
      const id = lists.get(name) ?? refuseRow(`names a list that does not exist: ${name.slice(0, 60)}.`);
      write.mailingLists = { ...write.mailingLists, [id]: true };
    }
  } else if (target.kind === 'property')
    write.properties = { ...write.properties, [target.key]: coerceCell(text, target.type) };
}

/**
 * What a row asks for, or why it can't be. An empty cell says nothing. Consent is passed on only where somebody opted out: who is
 * new is subscribed by default, and a file brings nobody back.
 */
export function readRow({ cells, width }: CsvRow, plan: Plan, lists: Map<string, string>): Wanted | Problem {
  const columns = plan.header.length;
  if (width > columns && (width > cells.length || cells.slice(columns).some(text => text !== '')))
    return {
      column: null,
      message: `has ${width} cells, the header ${columns}. Is a cell with the separator not quoted?`,
    };
  const wanted: Wanted = { write: { email: '' }, aliases: [] };
  for (const id of plan.mailingLists) wanted.write.mailingLists = { ...wanted.write.mailingLists, [id]: true };
  for (const [column, target] of plan.targets.entries()) {
    const raw = cells[column] ?? '';
    if (!target || saysNothing(raw)) continue;
    try {
      const text = unescapeCell(decodeLatin1(raw) ?? refuseRow('is not UTF-8.'));
      if (text.includes('\0')) refuseRow('holds a NUL.');
      const whole = target.kind === 'mailingLists' || target.kind === 'providerIds' || target.kind === 'provider';
      if (!whole && !isConsent(target) && text.length > MAX_TEXT) refuseRow(`is longer than ${MAX_TEXT} characters.`);
      takeCell(wanted, target, text, lists);
    } catch (error) {
      if (error instanceof Bad) return { column, message: error.message };
      throw error;
    }
  }
  if (plan.subscribed === false) wanted.write.subscribed = false;
  const given = trimInvisible(wanted.write.email);
  const email = plausible(given);
  const column = plan.targets.findIndex(each => each?.kind === 'field' && each.field === 'email');
  if (email === null) return { column, message: describeNoAddress(given) };
  if (wanted.aliases.length > MAX_IDS) return { column: null, message: `has more than ${MAX_IDS} ids of providers.` };
  return { write: { ...wanted.write, email }, aliases: wanted.aliases };
}

function describeNoAddress(given: string): string {
  if (given === '') return 'is empty.';
  const sign = findInvisible(given);
  return sign === null ? 'is no email address.' : `holds an invisible character (${sign}).`;
}
