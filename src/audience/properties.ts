import { asc, count, eq, sql } from 'drizzle-orm';
import { type Effect, properties, type Scalar } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { invalid } from '../errors.ts';

export type PropertyType = (typeof properties.$inferSelect)['type'];

const typeOf = (value: Scalar): PropertyType => {
  const type = typeof value;
  return type === 'number' || type === 'boolean' ? type : 'string';
};

const typeOfKey = (tx: Tx) =>
  prepare(tx, 'property', t =>
    t
      .select({ type: properties.type })
      .from(properties)
      .where(eq(properties.key, sql.placeholder('key')))
      .prepare(),
  );
const makeProperty = (tx: Tx) =>
  prepare(tx, 'property+', t =>
    t
      .insert(properties)
      .values({ key: sql.placeholder('key'), type: sql.placeholder('type'), createdAt: sql.placeholder('now') })
      .onConflictDoNothing()
      .prepare(),
  );

/** Keeps the values whose type fits the property, making properties that do not exist yet; the rest is named in `effects`. */
export async function fitProperties(
  tx: Tx,
  values: Record<string, Scalar>,
  now: number,
  effects: Effect[],
): Promise<Record<string, Scalar>> {
  const fitting: Record<string, Scalar> = {};
  for (const [key, value] of Object.entries(values)) {
    const type = typeOf(value);
    const known = (await typeOfKey(tx).get({ key }))?.type;
    if (known === undefined) await makeProperty(tx).run({ key, type, now });
    if (known === undefined || known === type || (known === 'date' && type !== 'boolean')) fitting[key] = value;
    else
      effects.push({ kind: 'property.dropped', property: key, reason: `is a ${known}, the webhook holds a ${type}` });
  }
  return fitting;
}

/** Names that are not custom properties. */
export const DEFAULT_KEYS = [
  'firstName',
  'lastName',
  'email',
  'notes',
  'source',
  'userGroup',
  'userId',
  'subscribed',
  'createdAt',
] as const;
export const RESERVED_KEYS: ReadonlySet<string> = new Set([
  ...DEFAULT_KEYS,
  'id',
  'mailingLists',
  'optInStatus',
  'listId',
  'softDeleteAt',
  'teamId',
  'updatedAt',
]);
export const PROPERTY_KEY = /^[A-Za-z][A-Za-z0-9_]{0,99}$/;
const MAX_TEXT = 500; // characters, as Loops has it
const MAX_PROPERTIES = 1000;
const NUMBER = /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/;

/** The value as the type has it where nothing is lost, else undefined. A date becomes ISO 8601 in UTC. */
export function coerce(value: Scalar, type: PropertyType): Scalar | undefined {
  if (type === 'date') return isoDate(value);
  if (typeof value === type) return value;
  if (type === 'string') return String(value);
  if (type === 'number') return typeof value === 'string' && NUMBER.test(value.trim()) ? Number(value) : undefined;
  const text = typeof value === 'string' ? value.trim() : '';
  return text === 'true' ? true : text === 'false' ? false : undefined;
}

const DATE = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:?\d\d)?)?$/;
const MAX_DATE_MS = 8.64e15;

/** ms since 1970 (number or digits), a day, or a day with a time, UTC where no offset is given. */
function isoDate(value: Scalar): string | undefined {
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

/**
 * Custom properties as an API write gives them: coerced to their type where nothing is lost; one that does not exist yet is
 * made with its value's type. null stays. @throws AppError invalid
 */
export async function coerceProperties(
  tx: Tx,
  values: Record<string, Scalar | null>,
  now: number,
): Promise<Record<string, Scalar | null>> {
  const out: Record<string, Scalar | null> = {};
  for (const [key, value] of Object.entries(values)) {
    if (key.length > MAX_TEXT || (typeof value === 'string' && value.length > MAX_TEXT))
      throw invalid('Some body key or value is longer than allowable');
    if (!PROPERTY_KEY.test(key) || RESERVED_KEYS.has(key))
      throw invalid(`${key.slice(0, 60)}: not the name of a property. Use letters, digits and _, like planName.`);
    const type = (await typeOfKey(tx).get({ key }))?.type;
    if (value === null) {
      if (type !== undefined) out[key] = null;
      continue;
    }
    if (type === undefined) {
      await requireRoom(tx);
      await makeProperty(tx).run({ key, type: typeOf(value), now });
    }
    const fitting = type === undefined ? value : coerce(value, type);
    if (fitting === undefined) throw invalid(`${key}: must be a ${type}, as the property is.`);
    out[key] = fitting;
  }
  return out;
}

const labelOf = (key: string) =>
  key
    .replace(/_/g, ' ')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/^./, letter => letter.toUpperCase());

/** Loops' list of what a contact can hold: the defaults (unless `custom`), then custom properties, oldest first. */
export async function listProperties(tx: Tx, which: 'all' | 'custom') {
  const rows = await tx.select().from(properties).orderBy(asc(properties.createdAt), asc(properties.key));
  const defaults = which === 'custom' ? [] : DEFAULT_KEYS.map(key => ({ key, type: DEFAULT_TYPES[key] ?? 'string' }));
  return [...defaults, ...rows].map(({ key, type }) => ({ key, label: labelOf(key), type }));
}
const DEFAULT_TYPES: Record<string, PropertyType> = { subscribed: 'boolean', createdAt: 'date' };

/** @throws AppError invalid when it exists or can't be one */
export async function createProperty(tx: Tx, key: string, type: PropertyType, now: number): Promise<void> {
  if ((DEFAULT_KEYS as readonly string[]).includes(key)) throw invalid('Property already exists.');
  if (!PROPERTY_KEY.test(key) || RESERVED_KEYS.has(key))
    throw invalid('name: must be letters, digits and _ only, like planName, and no reserved name.');
  await requireRoom(tx);
  const [row] = await tx.insert(properties).values({ key, type, createdAt: now }).onConflictDoNothing().returning();
  if (!row) throw invalid('Property already exists.');
}

/** @throws AppError invalid when there are as many properties as there may be */
async function requireRoom(tx: Tx): Promise<void> {
  const [row] = await tx.select({ n: count() }).from(properties);
  if (Number(row?.n ?? 0) >= MAX_PROPERTIES)
    throw invalid(`There are ${MAX_PROPERTIES} contact properties already, which is as many as there may be.`);
}
