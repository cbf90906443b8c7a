import { domainToASCII } from 'node:url';

type Scalar = string | number | boolean;

/** Characters of a picked text; the rest is cut off. */
export const MAX_TEXT = 500;
const MAX_MS = 8_640_000_000_000_000;

/** The own property of an object or array; never one of its prototype. */
export function readOwn(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** The value at a path such as `data.object.items.0.id` or `items[0].id`; own keys only. */
export function pickAt(value: unknown, path: string): unknown {
  let here = value;
  for (const key of path.replace(/\[(\d{1,6})\]/g, '.$1').split('.')) {
    if (here === undefined || (Array.isArray(here) && !/^\d{1,6}$/.test(key))) return undefined;
    here = readOwn(here, key);
  }
  return here;
}

/** The scalar at a path: well-formed text of at most 500 characters, finite number, boolean. Anything else is undefined. */
export function pick(value: unknown, path: string): Scalar | undefined {
  const found = pickAt(value, path);
  if (typeof found === 'string') return clean(found).slice(0, MAX_TEXT).toWellFormed();
  if (typeof found === 'boolean') return found;
  return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
}

/** Whether `pick` leaves out the end of the text at a path. */
export function isCut(value: unknown, path: string): boolean {
  const found = pickAt(value, path);
  return typeof found === 'string' && clean(found).length > MAX_TEXT;
}

/** Well-formed and without NUL, so that memory and disk agree on it. */
const clean = (value: string): string => value.toWellFormed().replaceAll('\0', '');

/** Trimmed text of 1 to 500 characters, or null. */
export function pickText(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  return clean(value).trim().slice(0, MAX_TEXT).toWellFormed().trim() || null;
}

/** An id as a provider makes them: 1 to 200 visible ASCII characters, or null. */
export const pickId = (value: unknown): string | null =>
  typeof value === 'string' && /^[\x21-\x7e]{1,200}$/.test(value) ? value : null;

const INVISIBLE = /[\s\p{Cf}\p{DI}]/u;
const LOCAL = /^[^\s@"(),:;<>[\\\]\p{Cc}\p{Cf}\p{DI}]{1,64}$/u;
const DOMAIN = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/;
const FOREIGN_DOMAIN = /^(?:[a-z0-9._-]|[^\0-\x7f\s\p{Cf}\p{DI}])+$/u;
const PLAIN = /^[\x21-\x7e]+$/;
const NUMERIC_END = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/**
 * A plausible address, or null: trimmed, invisible characters at its borders removed, NFC, ASCII letters lower-cased, the domain in its
 * ASCII form. Two spellings that a mail server takes for one mailbox become one text.
 */
export function pickEmail(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > 1000) return null;
  const shown = PLAIN.test(value) ? value : trimInvisible(clean(value)).normalize('NFC');
  const spelled = shown.replace(/[A-Z]+/g, letters => letters.toLowerCase());
  const at = spelled.lastIndexOf('@');
  const local = spelled.slice(0, at);
  if (at < 1 || !LOCAL.test(local)) return null;
  const domain = encodeDomain(spelled.slice(at + 1));
  return domain === null || local.length + domain.length > 253 ? null : `${local}@${domain}`;
}

/** By characters: a pattern that looks for the last run of white space takes the square of its length. */
function trimInvisible(value: string): string {
  const characters = [...value];
  let [from, to] = [0, characters.length];
  while (from < to && INVISIBLE.test(characters[from] ?? '')) from++;
  while (from < to && INVISIBLE.test(characters[to - 1] ?? '')) to--;
  return characters.slice(from, to).join('');
}

/** A domain as it is asked for in DNS. What the URL rules would read as a path, a port, an escape or an IPv4 address is no domain. */
function encodeDomain(domain: string): string | null {
  const ascii = DOMAIN.test(domain) || !FOREIGN_DOMAIN.test(domain) ? domain : domainToASCII(domain);
  return DOMAIN.test(ascii) && !NUMERIC_END.test(ascii) ? ascii : null;
}

/** A person's name or a part of it, or null. What holds an address is no name: forms put one where they have nothing else. */
export function pickName(value: unknown): string | null {
  const name = pickText(value);
  return name !== null && /\S[@\uff20\ufe6b]\S/u.test(name) ? null : name;
}

/** First and last name from one string, split at the first space. */
export function splitName(value: unknown): { firstName: string | null; lastName: string | null } {
  const name = pickName(value);
  if (name === null) return { firstName: null, lastName: null };
  const space = name.search(/\s/);
  return space < 0
    ? { firstName: name, lastName: null }
    : { firstName: name.slice(0, space), lastName: pickText(name.slice(space)) };
}

/** A time in ms from a number of ms. */
export const pickMs = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= MAX_MS ? Math.trunc(value) : null;

/** A time with all its digits: ms since 1970, and the 0 to 999 µs beyond them. */
interface FineTime {
  ms: number;
  micros: number;
}

/** A time from ISO 8601 or PostgreSQL text, UTC where no offset is given; null for anything else, 30 February included. */
export function parseTime(value: unknown): FineTime | null {
  if (typeof value !== 'string') return null;
  const m = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d(?::?\d\d)?)?$/.exec(
    value.trim(),
  );
  if (!m) return null;
  const [year, month, day, hour, minute, second] = m.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  if (month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59) return null;
  if (day < 1 || day > new Date(Date.UTC(year, month, 0)).getUTCDate()) return null;
  const fraction = (m[7] ?? '').padEnd(6, '0');
  const utc = Date.UTC(year, month - 1, day, hour, minute, second) + Number(fraction.slice(0, 3));
  const ms = pickMs(utc - parseOffset(m[8] ?? 'Z'));
  return ms === null ? null : { ms, micros: Number(fraction.slice(3, 6)) };
}

/** `parseTime` in whole ms. */
export const parseMs = (value: unknown): number | null => parseTime(value)?.ms ?? null;

function parseOffset(offset: string): number {
  if (offset === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0);
  return (offset[0] === '-' ? -minutes : minutes) * 60_000;
}
