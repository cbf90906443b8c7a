import { desc, eq, sql } from 'drizzle-orm';
import { endpoints, events, type Scalar } from './db/schema.ts';
import type { Tx } from './db/store.ts';
import { notFound } from './errors.ts';

export interface EventPattern {
  id: string;
  eventName: string;
  /** The provider whose endpoints trigger it; null for one of the API's own. */
  incomingWebhookPlatform: string | null;
}

const MAX_NAMES = 1000;
const LOOKED_AT = 50; // newest events of a name, for the types of its properties
const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;

/** The same name always has the same id. */
const idOf = (name: string) => `evp_${new Bun.CryptoHasher('sha256').update(name).digest('hex').slice(0, 24)}`;

/** Names that events have, each with its first event: one seek of the index per name, however many events there are. */
const seen = (tx: Tx) =>
  tx.all<[string, string] | { name: string; first: string }>(sql`
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

async function triggers(tx: Tx): Promise<Trigger[]> {
  const rows = await tx.select({ provider: endpoints.provider, events: endpoints.events }).from(endpoints);
  return rows.flatMap(({ provider, events: settings }) =>
    Object.values(settings).flatMap(({ triggerEvent, eventProperties }) =>
      typeof triggerEvent === 'string'
        ? [{ name: triggerEvent, provider, properties: Object.keys((eventProperties as object | undefined) ?? {}) }]
        : [],
    ),
  );
}

/** Every event name that was seen or that an endpoint triggers, the newest name first. */
export async function eventPatterns(tx: Tx): Promise<EventPattern[]> {
  const firsts = new Map<string, string>();
  for (const row of await seen(tx)) {
    const [name, first] = Array.isArray(row) ? row : [row.name, row.first];
    firsts.set(name, first);
  }
  const platforms = new Map<string, Set<string>>();
  for (const { name, provider } of await triggers(tx)) {
    platforms.set(name, (platforms.get(name) ?? new Set()).add(provider));
    if (!firsts.has(name)) firsts.set(name, '~'); // not seen yet
  }
  return [...firsts]
    .sort(([a, x], [b, y]) => (x === y ? (a < b ? -1 : 1) : x > y ? -1 : 1))
    .map(([name]) => {
      const [platform = null, other] = [...(platforms.get(name) ?? [])];
      return { id: idOf(name), eventName: name, incomingWebhookPlatform: other === undefined ? platform : null };
    });
}

type PropertyType = 'string' | 'number' | 'boolean' | 'date';
const typeOf = (value: Scalar): PropertyType =>
  typeof value !== 'string' ? (typeof value as 'number' | 'boolean') : DATE.test(value) ? 'date' : 'string';

/** One pattern with the properties its newest events had, and those its triggers set. @throws AppError notFound */
export async function eventPattern(tx: Tx, by: { id: string } | { name: string }) {
  const all = await eventPatterns(tx);
  const found = all.find(each => ('id' in by ? each.id === by.id : each.eventName === by.name));
  if (!found) throw notFound('Event pattern');
  const types = new Map<string, PropertyType>();
  const newest = await tx
    .select({ properties: events.eventProperties })
    .from(events)
    .where(eq(events.eventName, found.eventName))
    .orderBy(desc(events.id))
    .limit(LOOKED_AT);
  for (const { properties } of newest)
    for (const [name, value] of Object.entries(properties)) if (!types.has(name)) types.set(name, typeOf(value));
  for (const { name, properties } of await triggers(tx))
    if (name === found.eventName) for (const each of properties) if (!types.has(each)) types.set(each, 'string');
  const eventProperties = [...types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, type]) => ({ name, type }));
  return { ...found, eventProperties };
}
