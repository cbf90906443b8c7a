import type { Scalar } from '../db/schema.ts';

export type PropertyType = 'string' | 'number' | 'boolean' | 'date';

export const inferType = (value: Scalar): PropertyType => {
  const type = typeof value;
  return type === 'number' || type === 'boolean' ? type : 'string';
};

const NUMBER = /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/;
const SECONDS_BELOW = 1e11; // as seconds the year 5138, as ms 1973: Stripe's times are seconds

/**
 * The value as the type has it where nothing is lost, else undefined. A date becomes ISO 8601 in UTC; of Stripe whole numbers are
 * seconds, elsewhere ms.
 */
export function coerce(value: Scalar, type: PropertyType, provider = ''): Scalar | undefined {
  if (type === 'date') {
    const seconds = provider.startsWith('stripe') && typeof value === 'number' && Math.abs(value) < SECONDS_BELOW;
    return coerceDate(seconds ? value * 1000 : value);
  }
  if (typeof value === type) return value;
  if (type === 'string') return String(value);
  if (type === 'number') return typeof value === 'string' && NUMBER.test(value.trim()) ? Number(value) : undefined;
  const text = typeof value === 'string' ? value.trim() : '';
  return text === 'true' ? true : text === 'false' ? false : undefined;
}

const DATE = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?)?$/;
const MAX_DATE_MS = 8.64e15;

/** ms since 1970 (number or digits), a day, or a day with a time, UTC where no offset is given. */
function coerceDate(value: Scalar): string | undefined {
  let ms = Number.NaN;
  if (typeof value === 'number') ms = value;
  else if (typeof value === 'string') {
    const text = value.trim();
    const [, day, clock = '00:00', zone = 'Z'] = DATE.exec(text) ?? [];
    ms = /^-?\d{1,16}$/.test(text)
      ? Number(text)
      : Date.parse(`${day}T${clock}${zone.replace(/(\d\d)(\d\d)$/, '$1:$2')}`);
  }
  return Number.isFinite(ms) && Math.abs(ms) <= MAX_DATE_MS ? new Date(ms).toISOString() : undefined;
}
