import { desc, eq, sql } from 'drizzle-orm';
import { endpoints, events, type Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';

interface EventPattern {
  id: string;
  eventName: string;
  /** The provider whose endpoints trigger it; null for one of the API's own. */
  incomingWebhookPlatform: string | null;
}

const MAX_NAMES = 1000;
const LOOKED_AT = 50; // newest events of a name, for the types of its properties
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

/** The same name always has the same id. */
const makePatternId = (name: string) => `evp_${new Bun.CryptoHasher('sha256').update(name).digest('hex').slice(0, 24)}`;

/** Names that events have, each with its first event: one seek of the index per name, however many events there are. */
const loadSeenNames = (tx: Tx) =>
  tx.all<[name: string, first: string]>(sql`
    with recursive names(name) as (
      select min(event_name) from events
      union all
      select (select min(e.event_name) from events e where e.event_name > names.name) from names where names.name is not null
    )
    select name, (select min(e.id) from events e where e.event_name = names.name) as first
    from names where name is not null limit ${MAX_NAMES}`);

interface Trigger {
  name: string;
  provider: string;
  properties: string[];
}

async function loadTriggers(tx: Tx): Promise<Trigger[]> {
  const rows = await tx.select({ provider: endpoints.provider, events: endpoints.events }).from(endpoints);
  return rows.flatMap(({ provider, events: settings }) =>
    Object.values(settings).flatMap(({ triggerEvent, eventProperties }) =>
      typeof triggerEvent === 'string'
        ? [{ name: triggerEvent, provider, properties: Object.keys((eventProperties as object | undefined) ?? {}) }]
        : [],
    ),
  );
}

interface Placed {
  pattern: EventPattern;
  /** Its first event, or UNSEEN, which sorts above every id of an event. */
  first: string;
}

const UNSEEN = 'unseen';

/** Every event name that was seen or that an endpoint triggers, the newest name first. */
async function listPlacedPatterns(tx: Tx): Promise<Placed[]> {
  const firsts = new Map(await loadSeenNames(tx));
  const set = await loadTriggers(tx);
  for (const { name } of set) if (!firsts.has(name)) firsts.set(name, UNSEEN);
  return [...firsts]
    .map(([name, first]) => ({ pattern: buildPattern(name, set), first }))
    .sort((a, b) => (isAfter(a, b.first, b.pattern.id) ? 1 : -1));
}

const isAfter = ({ first, pattern: { id } }: Placed, otherFirst: string, otherId: string): boolean =>
  first === otherFirst ? id > otherId : first < otherFirst;

/** A page of patterns. `after` is the `last` of the page before: a place in the order, also when its pattern is gone. */
export async function listPatterns(tx: Tx, after: string | null, perPage: number) {
  const all = await listPlacedPatterns(tx);
  const [, first = '', id = ''] = /^(.+)_(evp_[0-9a-f]{24})$/.exec(after ?? '') ?? [];
  if (after !== null && !id) throw invalid('cursor: is not one of ours. Use nextCursor of the page before.');
  const rest = after === null ? all : all.filter(each => isAfter(each, first, id));
  const shown = rest.slice(0, perPage);
  const end = shown.at(-1);
  return {
    shown: shown.map(({ pattern }) => pattern),
    total: all.length,
    last: end && rest.length > perPage ? `${end.first}_${end.pattern.id}` : null,
  };
}

function buildPattern(name: string, set: Trigger[]): EventPattern {
  const providers = new Set(set.filter(each => each.name === name).map(each => each.provider));
  const [platform = null] = providers.size === 1 ? providers : [];
  return { id: makePatternId(name), eventName: name, incomingWebhookPlatform: platform };
}

/** By its name it is found however many names there are. */
async function findName(tx: Tx, by: { id: string } | { name: string }, set: Trigger[]): Promise<string | undefined> {
  if ('id' in by) return (await listPlacedPatterns(tx)).find(each => each.pattern.id === by.id)?.pattern.eventName;
  const [row] = await tx.select({ id: events.id }).from(events).where(eq(events.eventName, by.name)).limit(1);
  return row || set.some(each => each.name === by.name) ? by.name : undefined;
}

type PropertyType = 'string' | 'number' | 'boolean' | 'date';
const inferType = (value: Scalar): PropertyType =>
  typeof value !== 'string' ? (typeof value as 'number' | 'boolean') : DATE.test(value) ? 'date' : 'string';

/** One pattern with the properties its newest events had, and those its triggers set. @throws AppError notFound */
export async function getEventPattern(tx: Tx, by: { id: string } | { name: string }) {
  const set = await loadTriggers(tx);
  const eventName = await findName(tx, by, set);
  if (eventName === undefined) throw new AppError('notFound', 'Event pattern not found.');
  const types = new Map<string, PropertyType>();
  const newest = await tx
    .select({ properties: events.eventProperties })
    .from(events)
    .where(eq(events.eventName, eventName))
    .orderBy(desc(events.id))
    .limit(LOOKED_AT);
  for (const { properties } of newest)
    for (const [name, value] of Object.entries(properties)) if (!types.has(name)) types.set(name, inferType(value));
  for (const { name, properties } of set)
    if (name === eventName) for (const each of properties) if (!types.has(each)) types.set(each, 'string');
  const eventProperties = [...types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, type]) => ({ name, type }));
  return { ...buildPattern(eventName, set), eventProperties };
}
