import { and, eq, inArray, sql } from 'drizzle-orm';
import type { Contact, People } from '../audience/people.ts';
import type { Context } from '../context.ts';
import { deliveries, type Effect, payloads, type Scalar } from '../db/schema.ts';
import { avoidIndex, scanNewest } from '../db/search.ts';
import { formatTime, HOUR_MS, yieldTurn } from '../time.ts';
import { decide } from './decide.ts';
import { parseBody } from './deliveries.ts';
import type { ReadyEndpoint } from './endpointCache.ts';
import { getEndpoint, mergePatch, requireProvider } from './endpoints.ts';
import { resolveEvents } from './eventSettings.ts';
import { applyFact } from './ingest.ts';
import { buildOrigin, describeSeen } from './origin.ts';
import { collectKeys, type ReadyFact } from './recordDelivery.ts';

const AT_ONCE = 20; // deliveries that are worked out without letting webhooks go first

type Row = typeof deliveries.$inferSelect;
type State = Record<string, Scalar | null>;

/** Settings to try, as in a PATCH of the endpoint, and on how many of its last deliveries. */
interface Trial {
  settings?: Record<string, unknown> | undefined;
  events?: Record<string, Record<string, unknown> | null> | undefined;
  limit: number;
}

/** What one delivery would do. `before` and `after` hold the fields of its contact that differ. */
interface Tried {
  deliveryId: string;
  type: string;
  receivedAt: string;
  wasStatus: string;
  status: 'processed' | 'waiting' | 'ignored' | 'skipped';
  message: string;
  contactId: string | null;
  before: State | null;
  after: State | null;
  effects: Effect[];
}

/** What the last deliveries of an endpoint would do to the contacts of now with other settings. Writes nothing. @throws AppError notFound, invalid */
export async function previewSettings(
  ctx: Pick<Context, 'store' | 'people' | 'live' | 'now'>,
  endpointId: string,
  trial: Trial,
) {
  const live = await tryOn(ctx, endpointId, trial);
  const stored = await listStored(ctx, endpointId, trial.limit);
  const tried: Tried[] = [];
  for (let at = 0; at < stored.length; at += AT_ONCE) {
    tried.push(...(await tryDeliveries(ctx, live, stored.slice(at, at + AT_ONCE))));
    await yieldTurn(); // webhooks first
  }
  const count = (matches: (each: Tried) => boolean) => tried.filter(matches).length;
  return {
    summary: {
      deliveries: tried.length,
      changing: count(each => each.before !== null || each.after !== null),
      ignored: count(each => each.status === 'ignored'),
      waiting: count(each => each.status === 'waiting'),
      events: count(each => each.effects.some(effect => effect.kind === 'event.triggered')),
    },
    deliveries: tried,
  };
}

/** The endpoint as it would be. */
async function tryOn(
  { store, live }: Pick<Context, 'store' | 'live'>,
  id: string,
  trial: Trial,
): Promise<ReadyEndpoint> {
  const now = await live.get(id);
  return store.read(async tx => {
    const row = await getEndpoint(tx, id);
    const provider = requireProvider(row.provider);
    const { merged, events } = await mergePatch(tx, row, trial);
    const settings = provider.settings.parse(merged?.settings ?? row.settings) as ReadyEndpoint['settings'];
    const base = { id, provider, paused: false, secrets: now?.secrets ?? [] };
    return { ...base, settings, events: resolveEvents(provider, events ?? row.events) };
  });
}

/** The newest deliveries of an endpoint whose payload is there, newest first. */
async function listStored({ store }: Pick<Context, 'store'>, endpointId: string, limit: number) {
  const ofEndpoint = eq(deliveries.endpointId, endpointId);
  const hasBody = sql`exists (select 1 from payloads where payloads.delivery_id = deliveries.id and payloads.body is not null)`;
  const where = and(
    eq(avoidIndex(deliveries.endpointId), endpointId),
    sql`${deliveries.status} <> 'rejected'`,
    hasBody,
  );
  const { ids } = await scanNewest(store, deliveries, { where, narrow: ofEndpoint }, null, limit);
  const found = await store.read(async tx => ({
    rows: ids.length ? await tx.select().from(deliveries).where(inArray(deliveries.id, ids)) : [],
    bodies: ids.length ? await tx.select().from(payloads).where(inArray(payloads.deliveryId, ids)) : [],
  }));
  const bodies = new Map(found.bodies.map(each => [each.deliveryId, each.body]));
  return found.rows
    .map(row => ({ row, body: parseBody(bodies.get(row.id) ?? null) }))
    .sort((a, b) => (a.row.id < b.row.id ? 1 : -1));
}

const NOTHING = { contactId: null, before: null, after: null, effects: [] };

/** Each from the contacts as they are now: none sees what another would have done. */
async function tryDeliveries(
  { people, now }: Pick<Context, 'people' | 'now'>,
  live: ReadyEndpoint,
  stored: { row: Row; body: unknown }[],
): Promise<Tried[]> {
  const read = stored.map(({ row, body }) => ({ row, read: readFact(live, row, body, now()) }));
  const ready = read.flatMap(each => ('ready' in each.read ? [{ ...each.read.ready, row: each.row }] : []));
  const keys = ready.map(each => collectKeys(each));
  const apply = (all: People, at: number) => {
    const done = new Map<string, Omit<Tried, 'deliveryId' | 'type' | 'receivedAt' | 'wasStatus'>>();
    for (const { row, fact, origin } of ready) {
      all.begin();
      try {
        done.set(row.id, tryFact(all, { fact, origin }, at));
      } catch {
        // One that can't be applied hides none of the others.
        done.set(row.id, {
          status: 'skipped',
          message: 'This one can not be applied; see what became of it in the log.',
          ...NOTHING,
        });
      }
      all.undo();
    }
    return { result: done };
  };
  const done = await people.preview({
    keys: {
      ids: keys.flatMap(each => each.ids ?? []),
      ties: keys.flatMap(each => each.ties ?? []),
      payments: keys.flatMap(each => each.payments ?? []),
      lists: keys.flatMap(each => each.lists),
      effects: ready.flatMap(({ origin: { key, settings } }) =>
        settings.triggerEvent === null ? [] : [`${key}:event:${settings.triggerEvent}`],
      ),
    },
    apply,
  });
  return read.map(({ row, read: each }) => ({
    ...{ deliveryId: row.id, type: row.type, receivedAt: formatTime(row.receivedAt), wasStatus: row.status },
    ...('status' in each
      ? { ...each, ...NOTHING }
      : (done.get(row.id) ?? { status: 'skipped' as const, message: '', ...NOTHING })),
  }));
}

/** The fact in a stored payload with the settings to try; its trigger fires as it would have when it came. */
function readFact(
  live: ReadyEndpoint,
  row: Row,
  body: unknown,
  now: number,
): { ready: ReadyFact } | { status: 'ignored' | 'skipped'; message: string } {
  const decided = decide(live, body, describeSeen(row));
  if (decided.status === 'ignored') return { status: 'ignored', message: decided.message };
  if (decided.status === 'reported') return { status: 'skipped', message: decided.message }; // of a mail, not of a contact
  const origin = buildOrigin(live, row, body, decided.fact);
  const age = Math.max(0, now - row.receivedAt) / HOUR_MS;
  const settings = { ...origin.settings, triggerMaxAgeHours: origin.settings.triggerMaxAgeHours + age };
  return { ready: { fact: decided.fact, origin: { ...origin, settings } } };
}

function tryFact(people: People, { fact, origin }: ReadyFact, now: number) {
  const shown = new Map(people.contacts);
  const applied = applyFact(people, fact, origin, now);
  const { contactId, status, message, effects } = applied;
  const [before, after] = compareContacts(shown.get(contactId ?? ''), people.contacts.get(contactId ?? ''));
  return { status, message, contactId: shown.has(contactId ?? '') ? contactId : null, before, after, effects };
}

function flattenContact(contact: Contact | undefined): State | null {
  if (!contact || contact.parked) return null;
  const { email, userId, firstName, lastName, source, userGroup, subscribed, properties, lists } = contact;
  return {
    ...{ email, userId, firstName, lastName, source, userGroup, subscribed },
    ...Object.fromEntries(Object.entries(properties).map(([key, value]) => [`properties.${key}`, value])),
    ...Object.fromEntries(lists.map(id => [`lists.${id}`, true])),
  };
}

/** The fields that differ; both null: none does. */
function compareContacts(was: Contact | undefined, is: Contact | undefined): [State | null, State | null] {
  const [before, after] = [flattenContact(was), flattenContact(is)];
  const keys = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter(
    key => (before?.[key] ?? null) !== (after?.[key] ?? null),
  );
  if (!keys.length) return [null, null];
  const pick = (from: State | null) => from && Object.fromEntries(keys.map(key => [key, from[key] ?? null]));
  return [pick(before), pick(after)];
}
