import { z } from 'zod';
import type { Scalar } from '../db/schema.ts';

type Value = Scalar | null;
export type PropertyType = 'string' | 'number' | 'boolean' | 'date';

/** A contact as conditions see it, with the properties of the event that started the run. */
export interface Person {
  id: string;
  email: string;
  subscribed: boolean;
  /** Loops' default properties and the custom ones. */
  properties: Record<string, Value>;
  lists: ReadonlySet<string>;
  eventProperties: Record<string, Scalar>;
}

/** Types of the properties that every contact has and conditions may ask for. */
export const DEFAULT_PROPERTIES: Record<string, PropertyType> = {
  email: 'string',
  userId: 'string',
  firstName: 'string',
  lastName: 'string',
  source: 'string',
  userGroup: 'string',
  subscribed: 'boolean',
};

const scalar = z.union([z.string().max(500), z.number(), z.boolean()]);
const moment = z.union([z.string().max(40), z.number()]);
const range = z.strictObject({ from: moment, to: moment });
const OPERATORS = [
  'any',
  'contains',
  'notContains',
  'equals',
  'notEquals',
  'greaterThan',
  'lessThan',
  'isTrue',
  'isFalse',
  'empty',
  'notEmpty',
  'dateEmpty',
  'dateNotEmpty',
  'after',
  'before',
  'between',
] as const;
type Operator = (typeof OPERATORS)[number];

const key = z.string().min(1).max(100);
const compared = {
  key,
  operator: z.enum(OPERATORS),
  value: z.union([scalar, range]).optional(),
};
const condition = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('property'), ...compared }),
  z.strictObject({ type: z.literal('eventProperty'), ...compared }),
  z.strictObject({ type: z.literal('list'), listId: z.string().max(64), negate: z.boolean().default(false) }),
]);
/** Loops' AudienceFilter with conditions of type `property`, and ours: `eventProperty` and `list`. */
export const audienceFilter = z.strictObject({
  match: z.enum(['all', 'any']),
  conditions: z.array(condition).min(1).max(50),
});
type Filter = z.output<typeof audienceFilter>;
type Condition = Filter['conditions'][number];
type Compared = Exclude<Condition, { type: 'list' }>;

const QUERY_OPERATORS = {
  string: ['any', 'equal', 'not_equal', 'contains', 'not_contains', 'empty', 'not_empty'],
  number: ['any', 'greater_than', 'less_than', 'numeric_equal', 'numeric_not_equal', 'empty', 'not_empty'],
  boolean: ['any', 'true', 'false', 'empty', 'not_empty'],
  date: ['any', 'empty', 'not_empty', 'after', 'before', 'between'],
} as const satisfies Record<PropertyType, readonly string[]>;
const side = z.strictObject({
  operator: z.enum([...new Set(Object.values(QUERY_OPERATORS).flat())]),
  value: z.union([scalar, range]).nullish(),
});
type Side = z.output<typeof side>;
/** Loops' contactPropertyQuery: from what to what a property must change. */
export const propertyQuery = z.strictObject({ key, is: side, was: side });
type PropertyQuery = z.output<typeof propertyQuery>;

const AS_FILTER: Record<Side['operator'], Operator> = {
  any: 'any',
  equal: 'equals',
  not_equal: 'notEquals',
  contains: 'contains',
  not_contains: 'notContains',
  empty: 'empty',
  not_empty: 'notEmpty',
  greater_than: 'greaterThan',
  less_than: 'lessThan',
  numeric_equal: 'equals',
  numeric_not_equal: 'notEquals',
  true: 'isTrue',
  false: 'isFalse',
  after: 'after',
  before: 'before',
  between: 'between',
};

const BY_TYPE: Record<PropertyType, readonly Operator[]> = {
  string: ['any', 'contains', 'notContains', 'equals', 'notEquals', 'empty', 'notEmpty'],
  number: ['any', 'equals', 'notEquals', 'greaterThan', 'lessThan', 'between', 'empty', 'notEmpty'],
  boolean: ['any', 'equals', 'notEquals', 'isTrue', 'isFalse', 'empty', 'notEmpty'],
  date: ['any', 'after', 'before', 'between', 'dateEmpty', 'dateNotEmpty', 'empty', 'notEmpty'],
};
const VALUELESS = new Set<Operator>(['any', 'isTrue', 'isFalse', 'empty', 'notEmpty', 'dateEmpty', 'dateNotEmpty']);
const TIMED = new Set<Operator>(['after', 'before']);

/** ms of a stored or given date: a number or digits are ms, text is a date; NaN for anything else. */
export function parseTime(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value === '') return Number.NaN;
  return /^-?\d{6,}$/.test(value) ? Number(value) : Date.parse(value);
}

/** What is wrong with an operator's value, or null. `type` null: any may come (an event's property). */
function findValueProblem(operator: Operator, value: unknown, type: PropertyType | null): string | null {
  if (VALUELESS.has(operator)) return value === undefined || value === null ? null : `${operator} takes no value`;
  if (value === undefined || value === null) return `${operator} needs a value`;
  const isRange = typeof value === 'object';
  if ((operator === 'between') !== isRange) return isRange ? `${operator} takes one value` : 'between takes {from, to}';
  const parts: unknown[] = isRange ? Object.values(value) : [value];
  const dated = TIMED.has(operator) || type === 'date';
  if (dated && parts.some(part => Number.isNaN(parseTime(part)))) return `${operator} needs a date`;
  const numeric = type === 'number' || operator === 'greaterThan' || operator === 'lessThan';
  if (numeric && parts.some(part => typeof part !== 'number')) return `${operator} needs a number`;
  if (type === 'boolean' && parts.some(part => typeof part !== 'boolean')) return `${operator} needs true or false`;
  if (type === 'string' && parts.some(part => typeof part !== 'string')) return `${operator} needs a text`;
  return null;
}

/** What is wrong with a property query, or null. `typeOf` gives a property's type, undefined for one that does not exist. */
export function queryProblem(query: PropertyQuery, typeOf: (key: string) => PropertyType | undefined): string | null {
  const type = typeOf(query.key);
  if (type === undefined) return `contactPropertyQuery.key: there is no property ${query.key}`;
  for (const name of ['is', 'was'] as const) {
    const { operator, value } = query[name];
    const allowed: readonly string[] = QUERY_OPERATORS[type];
    const refused = name === 'is' && operator === 'empty' && (type === 'number' || type === 'boolean');
    if (!allowed.includes(operator) || refused)
      return `contactPropertyQuery.${name}.operator: a ${type} takes ${allowed.filter(each => name === 'was' || each !== 'empty' || type === 'string' || type === 'date').join(', ')}`;
    const problem = findValueProblem(AS_FILTER[operator], value, type);
    if (problem) return `contactPropertyQuery.${name}.value: ${problem}`;
  }
  return null;
}

/** What is wrong with a filter, or null. */
export function filterProblem(
  filter: Filter,
  typeOf: (key: string) => PropertyType | undefined,
  isList: (id: string) => boolean,
): string | null {
  for (const [i, each] of filter.conditions.entries()) {
    const at = `audienceFilter.conditions.${i}`;
    if (each.type === 'list') {
      if (!isList(each.listId)) return `${at}.listId: there is no list ${each.listId}`;
      continue;
    }
    const type = each.type === 'property' ? typeOf(each.key) : null;
    if (type === undefined) return `${at}.key: there is no property ${each.key}`;
    if (type !== null && !BY_TYPE[type].includes(each.operator))
      return `${at}.operator: a ${type} takes ${BY_TYPE[type].join(', ')}`;
    const problem = findValueProblem(each.operator, each.value, type);
    if (problem) return `${at}.value: ${problem}`;
  }
  return null;
}

const isEmpty = (value: Value) => value === null || value === '';

function holds(operator: Operator, actual: Value, wanted: unknown): boolean {
  const ms = () => parseTime(actual);
  switch (operator) {
    case 'any':
      return true;
    case 'equals':
      return actual === wanted;
    case 'notEquals':
      return actual !== wanted;
    case 'contains':
      return typeof actual === 'string' && actual.includes(String(wanted));
    case 'notContains':
      return typeof actual !== 'string' || !actual.includes(String(wanted));
    case 'greaterThan':
      return typeof actual === 'number' && actual > Number(wanted);
    case 'lessThan':
      return typeof actual === 'number' && actual < Number(wanted);
    case 'isTrue':
      return actual === true;
    case 'isFalse':
      return actual === false;
    case 'empty':
    case 'dateEmpty':
      return isEmpty(actual);
    case 'notEmpty':
    case 'dateNotEmpty':
      return !isEmpty(actual);
    case 'after':
      return ms() > parseTime(wanted);
    case 'before':
      return ms() < parseTime(wanted);
    case 'between': {
      const { from, to } = wanted as z.output<typeof range>;
      return ms() >= parseTime(from) && ms() <= parseTime(to);
    }
  }
}

const readOwnValue = (record: Record<string, Value>, name: string): Value =>
  Object.hasOwn(record, name) ? (record[name] ?? null) : null;

const compare = ({ operator, value }: Compared, record: Record<string, Value>, name: string) =>
  holds(operator, readOwnValue(record, name), value);

function meetsCondition(person: Person, each: Condition): boolean {
  if (each.type === 'list') return person.lists.has(each.listId) !== each.negate;
  return compare(each, each.type === 'property' ? person.properties : person.eventProperties, each.key);
}

/** Whether a person is one the filter means. */
export function passes(person: Person, { match, conditions }: Filter): boolean {
  return match === 'all'
    ? conditions.every(each => meetsCondition(person, each))
    : conditions.some(each => meetsCondition(person, each));
}

/** Whether a change is one the query means: the property is among what changed, from what it was to what it is. */
export function matchesChange(
  { key: name, is, was }: PropertyQuery,
  before: Record<string, Value>,
  after: Record<string, Value>,
) {
  if (!Object.hasOwn(after, name)) return false;
  return (
    holds(AS_FILTER[was.operator], readOwnValue(before, name), was.value) &&
    holds(AS_FILTER[is.operator], readOwnValue(after, name), is.value)
  );
}
