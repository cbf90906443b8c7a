import { parseMs, pickAt, pickEmail, pickName, pickText, readOwn, splitName } from './pick.ts';
import { leadsToWithheld, redactBody, soundsSecret } from './redaction.ts';

/** The columns of auth.users that are kept: the others hold the password hash, one-time tokens, phone numbers and pending addresses. */
const COLUMNS = [
  'id', 'aud', 'role', 'email', 'email_confirmed_at', 'confirmation_sent_at', 'invited_at', 'last_sign_in_at', 'created_at',
  'updated_at', 'deleted_at', 'is_anonymous', 'is_sso_user', 'is_super_admin', 'banned_until', 'raw_user_meta_data', 'raw_app_meta_data',
]; // biome-ignore format: one glance
const APP_META = ['provider', 'providers'];
const TIMES_ONLY = ['confirmation_sent_at'];
const METADATA = ['raw_user_meta_data', 'raw_app_meta_data'];
const AUTO_CONFIRM_MS = 2_000;
const NO_OAUTH = ['email', 'phone'];

/** An allow-list of columns; of the metadata what does not sound like a secret. `keys` begin with the column. */
function withholdsColumn(keys: readonly string[]): boolean {
  const [column = '', key] = keys;
  if (keys.length === 1) return !COLUMNS.includes(column);
  if (column === 'raw_app_meta_data' && key !== undefined && !APP_META.includes(key)) return true;
  return soundsSecret(keys.at(-1) ?? '');
}

/** Whether a mapping path leads to something in a row that is not kept. */
export const withholds = (path: string): boolean =>
  /^(record|old_record)\./.test(path) && leadsToWithheld(path.replace(/^\w+\./, ''), withholdsColumn);

/** What may be stored of a row of auth.users; null for anything that is no row. */
export function redactRow(row: unknown): unknown {
  if (typeof row !== 'object' || row === null || Array.isArray(row)) return null;
  const entries = Object.entries(redactBody(row, withholdsColumn) as object).map(([key, value]): [string, unknown] => {
    const wanted = METADATA.includes(key) ? typeof value === 'object' : typeof value !== 'object';
    return [key, wanted && !(TIMES_ONLY.includes(key) && parseMs(value) === null) ? value : null];
  });
  return Object.fromEntries(entries);
}

function pickNames(row: unknown) {
  const meta = readOwn(row, 'raw_user_meta_data');
  const first = pickName(readOwn(meta, 'first_name')) ?? pickName(readOwn(meta, 'given_name'));
  const last = pickName(readOwn(meta, 'last_name')) ?? pickName(readOwn(meta, 'family_name'));
  if (first !== null || last !== null) return { firstName: first, lastName: last };
  return splitName(pickName(readOwn(meta, 'full_name')) ?? readOwn(meta, 'name'));
}

/** Whether Supabase had the address confirmed by its owner; a project that confirms by itself proves nothing, unless it is trusted to. */
function isProven(row: unknown, trustAutoConfirmed: boolean): boolean {
  if (pickText(readOwn(row, 'email_confirmed_at')) === null) return false;
  return trustAutoConfirmed || !wasConfirmedItself(row);
}

/** Confirmed as soon as it was made, without a mail that asked for it, and not vouched for by Google, GitHub and the like. */
function wasConfirmedItself(row: unknown): boolean {
  if (['confirmation_sent_at', 'invited_at'].some(key => pickText(readOwn(row, key)) !== null)) return false;
  const listed = pickAt(row, 'raw_app_meta_data.providers');
  const identities = [
    ...(Array.isArray(listed) ? (listed as unknown[]) : []),
    pickAt(row, 'raw_app_meta_data.provider'),
  ];
  if (identities.some(each => pickText(each) !== null && !NO_OAUTH.includes(pickText(each) ?? ''))) return false;
  const confirmed = parseMs(readOwn(row, 'email_confirmed_at'));
  const created = parseMs(readOwn(row, 'created_at'));
  return confirmed === null || created === null || Math.abs(confirmed - created) <= AUTO_CONFIRM_MS;
}

/** Whether the address counts as confirmed although nobody was asked; null: none, or not confirmed yet. */
export function lacksProof(row: unknown): boolean | null {
  if (pickEmail(readOwn(row, 'email')) === null || pickText(readOwn(row, 'email_confirmed_at')) === null) return null;
  return wasConfirmedItself(row);
}

interface Shown {
  email: string | null;
  proven: boolean;
  firstName: string | null;
  lastName: string | null;
}

/** What a row says of its person. With `confirmedOnly`, one whose address is not proven says nothing: it neither makes nor names anybody. */
export function readShown(row: unknown, set: { confirmedOnly: boolean; trustAutoConfirmed: boolean }): Shown {
  const found = pickEmail(readOwn(row, 'email'));
  const proven = found !== null && isProven(row, set.trustAutoConfirmed);
  if (set.confirmedOnly && found !== null && !proven)
    return { email: null, proven: false, firstName: null, lastName: null };
  return { email: found, proven, ...pickNames(row) };
}
