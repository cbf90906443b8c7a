type Scalar = string | number | boolean;

const MAX_TEXT = 500;
const MAX_MS = 8_640_000_000_000_000;

/** The own property of an object or array; never one of its prototype. */
export function own(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

/** The value at a path such as `data.object.items.0.id` or `items[0].id`; own keys only. */
export function at(value: unknown, path: string): unknown {
  let here = value;
  for (const key of path.replace(/\[(\d{1,6})\]/g, '.$1').split('.')) {
    if (here === undefined || (Array.isArray(here) && !/^\d{1,6}$/.test(key))) return undefined;
    here = own(here, key);
  }
  return here;
}

/** The scalar at a path: well-formed text of at most 500 characters, finite number, boolean. Anything else is undefined. */
export function pick(value: unknown, path: string): Scalar | undefined {
  const found = at(value, path);
  if (typeof found === 'string') return clean(found).slice(0, MAX_TEXT).toWellFormed();
  if (typeof found === 'boolean') return found;
  return typeof found === 'number' && Number.isFinite(found) ? found : undefined;
}

/** Well-formed and without NUL, so that memory and disk agree on it. */
export const clean = (value: string): string => value.toWellFormed().replaceAll('\0', '');

/** Trimmed text of 1 to 500 characters, or null. */
export function text(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  return clean(value).trim().slice(0, MAX_TEXT).toWellFormed().trim() || null;
}

/** An id as a provider makes them: 1 to 200 visible ASCII characters, or null. */
export const id = (value: unknown): string | null =>
  typeof value === 'string' && /^[\x21-\x7e]{1,200}$/.test(value) ? value : null;

/** A plausible address, trimmed and lower-cased, or null. Only ASCII letters change case: the Kelvin sign is no k. */
export function email(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > 1000) return null;
  const trimmed = clean(value)
    .trim()
    .normalize('NFC')
    .replace(/[A-Z]/g, letter => letter.toLowerCase());
  if (trimmed.length > 254) return null;
  return /^[^\s@"(),:;<>[\\\]\p{Cc}\p{Cf}]{1,64}@[^\s@"(),:;<>[\\\]\p{Cc}\p{Cf}.]+(?:\.[^\s@"(),:;<>[\\\]\p{Cc}\p{Cf}.]+)*$/u.test(
    trimmed,
  )
    ? trimmed
    : null;
}

/** First and last name from one string, split at the first space. */
export function splitName(value: unknown): { firstName: string | null; lastName: string | null } {
  const name = text(value);
  if (name === null) return { firstName: null, lastName: null };
  const space = name.search(/\s/);
  return space < 0
    ? { firstName: name, lastName: null }
    : { firstName: name.slice(0, space), lastName: text(name.slice(space)) };
}

/** A time in ms from a number of ms. */
export const msOfNumber = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= MAX_MS ? Math.trunc(value) : null;

/** A time in ms from ISO 8601 or PostgreSQL text, UTC where no offset is given; null for anything else, 30 February included. */
export function msOfText(value: unknown): number | null {
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
  const ms = Date.UTC(year, month - 1, day, hour, minute, second) + Number((m[7] ?? '').padEnd(3, '0').slice(0, 3));
  return msOfNumber(ms - offsetMs(m[8] ?? 'Z'));
}

function offsetMs(offset: string): number {
  if (offset === 'Z') return 0;
  const digits = offset.slice(1).replace(':', '');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0);
  return (offset[0] === '-' ? -minutes : minutes) * 60_000;
}
