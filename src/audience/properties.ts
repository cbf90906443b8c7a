import { asc, count } from 'drizzle-orm';
import { properties, type Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { invalid } from '../errors.ts';
import { coerce, inferType, type PropertyType } from './coerce.ts';
import { MAX_PROPERTIES, type People } from './people.ts';

/** Names that are not custom properties. */
const DEFAULT_KEYS = [
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

/**
 * Custom properties as an API write gives them: coerced to their type where nothing is lost; one that does not exist yet is
 * made with its value's type. null stays. @throws AppError invalid
 */
export function coerceProperties(people: People, values: Record<string, Scalar | null>): Record<string, Scalar | null> {
  const out: Record<string, Scalar | null> = {};
  for (const [key, value] of Object.entries(values)) {
    if (key.length > MAX_TEXT || (typeof value === 'string' && value.length > MAX_TEXT))
      throw invalid('Some body key or value is longer than allowable');
    if (!PROPERTY_KEY.test(key) || RESERVED_KEYS.has(key))
      throw invalid(`${key.slice(0, 60)}: not the name of a property. Use letters, digits and _, like planName.`);
    const type = people.definitions.typeOf(key);
    if (value === null) {
      if (type !== undefined) out[key] = null;
      continue;
    }
    if (type === undefined && people.defineProperty(key, inferType(value)) === null) throw makeTooMany();
    const fitting = type === undefined ? value : coerce(value, type);
    if (fitting === undefined) throw invalid(`${key}: must be a ${type}, as the property is.`);
    out[key] = fitting;
  }
  return out;
}

const makeTooMany = () =>
  invalid(`There are ${MAX_PROPERTIES} contact properties already, which is as many as there may be.`);

const makeLabel = (key: string) =>
  key
    .replace(/_/g, ' ')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/^./, letter => letter.toUpperCase());

/** Loops' list of what a contact can hold: the defaults (unless `custom`), then custom properties, oldest first. */
export async function listProperties(tx: Tx, which: 'all' | 'custom') {
  const rows = await tx.select().from(properties).orderBy(asc(properties.createdAt), asc(properties.key));
  const defaults = which === 'custom' ? [] : DEFAULT_KEYS.map(key => ({ key, type: DEFAULT_TYPES[key] ?? 'string' }));
  return [...defaults, ...rows].map(({ key, type }) => ({ key, label: makeLabel(key), type }));
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
  if (Number(row?.n ?? 0) >= MAX_PROPERTIES) throw makeTooMany();
}
