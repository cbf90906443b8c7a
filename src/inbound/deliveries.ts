import { and, eq, exists, gte, inArray, lte, not, or, type SQL, sql } from 'drizzle-orm';
import { findContactIdsOfEmail } from '../audience/contacts.ts';
import { loadMergedIds, loadMergedIdsOf } from '../audience/merges.ts';
import { type DeliveryStatus, deliveries, endpoints, payloads, unprocessed } from '../db/schema.ts';
import { avoidIndex, countMatches, type Search, scanNewest } from '../db/search.ts';
import type { Store, Tx } from '../db/store.ts';
import { AppError, invalid, notFound } from '../errors.ts';
import { traceDelivery } from '../history/trace.ts';
import { makeId, makeIdAt } from '../id.ts';
import { enqueue } from '../jobs/queue.ts';
import { formatTime } from '../time.ts';
import { findDueAt } from './pause.ts';

export const STATUSES = [
  'queued',
  'processed',
  'ignored',
  'waiting',
  'failed',
  'dead',
  'rejected',
] as const satisfies DeliveryStatus[];

/** The log's filters. `since` and `until` in ms; `contactIds` is what an address resolved to. */
interface DeliveryFilter {
  endpointId?: string | undefined;
  status?: DeliveryStatus | undefined;
  type?: string | undefined;
  contactId?: string | undefined;
  email?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

/** The filter as a search. An address is looked up first, former ones included; one nobody has matches nothing. */
export async function searchOf(tx: Tx, filter: DeliveryFilter): Promise<Search> {
  const { endpointId, status, type, contactId, email, since, until } = filter;
  const ofEmail = email === undefined ? null : await loadMergedIds(tx, await findContactIdsOfEmail(tx, email));
  const ofContact = and(
    contactId === undefined ? undefined : inArray(deliveries.contactId, await loadMergedIdsOf(tx, contactId)),
    ofEmail === null ? undefined : ofEmail.length ? inArray(deliveries.contactId, ofEmail) : sql`1 = 0`,
  );
  return {
    where: and(
      endpointId === undefined ? undefined : eq(avoidIndex(deliveries.endpointId), endpointId),
      status === undefined ? undefined : eq(deliveries.status, status),
      type === undefined ? undefined : eq(deliveries.type, type),
      ofContact,
      since === undefined ? undefined : gte(deliveries.receivedAt, since),
      until === undefined ? undefined : lte(deliveries.receivedAt, until),
    ),
    narrow:
      ofContact ??
      matchStatus(status) ??
      (endpointId === undefined ? undefined : eq(deliveries.endpointId, endpointId)),
    floor: since === undefined ? undefined : makeIdAt('dlv', since),
  };
}

const matchStatus = (status: DeliveryStatus | undefined): SQL | undefined =>
  status === undefined || status === 'processed' ? undefined : unprocessed(status);

type Row = typeof deliveries.$inferSelect;

const viewRow = (row: Row) => ({
  id: row.id,
  endpointId: row.endpointId,
  provider: row.provider,
  externalId: row.externalId?.split(' ')[0] ?? null,
  type: row.type,
  status: row.status,
  message: row.message,
  receivedAt: formatTime(row.receivedAt),
  occurredAt: formatTime(row.occurredAt),
  processedAt: formatTime(row.processedAt),
  attempts: row.attempts,
  duplicates: row.duplicates,
  contactId: row.contactId,
  effects: row.effects,
  secretId: row.secretId,
  response: row.response,
  error: row.error,
});

/** A damaged row must not hide the rest of the log. */
export function parseBody(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** Which payloads, in the order of `ids`, stay within `budget` bytes together: reading a hundred large ones holds the thread. */
async function pickWithinBudget(tx: Tx, ids: string[], budget: number): Promise<Set<string>> {
  const sizes = await tx
    .select({ id: payloads.deliveryId, bytes: sql<number | null>`octet_length(${payloads.body})` })
    .from(payloads)
    .where(inArray(payloads.deliveryId, ids));
  const byId = new Map(sizes.map(({ id, bytes }) => [id, bytes ?? 0]));
  let left = budget;
  return new Set(
    ids.filter(id => {
      const bytes = byId.get(id) ?? 0;
      if (bytes <= left) left -= bytes;
      else return false;
      return true;
    }),
  );
}

/** Rows of the log in the order of `ids`, with headers, and with payloads up to `budget` bytes together. */
export async function viewDeliveries(tx: Tx, ids: string[], budget = Number.POSITIVE_INFINITY) {
  if (!ids.length) return [];
  const rows = await tx.select().from(deliveries).where(inArray(deliveries.id, ids));
  const shown = await pickWithinBudget(tx, ids, budget);
  const bodies = await tx
    .select({
      id: payloads.deliveryId,
      headers: payloads.headers,
      body: sql<string | null>`case when ${inArray(payloads.deliveryId, [...shown, ''])} then ${payloads.body} end`,
    })
    .from(payloads)
    .where(inArray(payloads.deliveryId, ids));
  return ids.flatMap(id => {
    const row = rows.find(each => each.id === id);
    const payload = bodies.find(each => each.id === id);
    if (!row) return [];
    const body = { payload: parseBody(payload?.body ?? null), ...(!shown.has(id) && { payloadOmitted: true }) };
    return [{ ...viewRow(row), ...body, headers: payload?.headers ?? {} }];
  });
}

/** One delivery with what came of it. @throws AppError notFound */
export async function getDelivery(tx: Tx, id: string) {
  const [found] = await viewDeliveries(tx, [id]);
  if (!found) throw notFound('Delivery');
  const receivedAt = Date.parse(found.receivedAt ?? '');
  return { ...found, chain: await traceDelivery(tx, { ...found, receivedAt }) };
}

/** Queues a delivery again, to be re-read with today's settings. @throws AppError notFound, conflict */
export async function replayDelivery(tx: Tx, id: string, repeatEffects: boolean): Promise<void> {
  const [row] = await tx.select().from(deliveries).where(eq(deliveries.id, id));
  if (!row) throw notFound('Delivery');
  if (row.status === 'rejected')
    throw new AppError(
      'conflict',
      'A rejected delivery was never verified, so it can not be replayed. Ask the provider to send it again.',
    );
  const [endpoint] = await tx.select({ id: endpoints.id }).from(endpoints).where(eq(endpoints.id, row.endpointId));
  if (!endpoint)
    throw new AppError(
      'conflict',
      'The endpoint of this delivery was removed, and its settings with it. Nothing can be replayed.',
    );
  const [payload] = await tx.select({ id: payloads.deliveryId }).from(payloads).where(eq(payloads.deliveryId, id));
  if (!payload)
    throw new AppError('conflict', 'The payload of this delivery was pruned. Ask the provider to send it again.');
  await requeue(tx, row, repeatEffects);
}

async function requeue(tx: Tx, row: Row, repeatEffects: boolean): Promise<void> {
  await tx
    .update(deliveries)
    .set({
      status: 'queued',
      dueAt: await findDueAt(tx, row.endpointId),
      leased: false,
      attempts: 0,
      crashes: 0,
      processedAt: null,
      error: null,
      replays: repeatEffects ? row.replays + 1 : row.replays,
    })
    .where(eq(deliveries.id, row.id));
}

interface BulkReplay {
  filter: DeliveryFilter;
  repeatEffects: boolean;
  /** Goes down through the log from here. */
  before: string | null;
}

/** What a bulk replay may queue, and what it has to pass over: payload pruned, or endpoint removed. Rejected ones are neither. */
async function splitReplayable(tx: Tx, filter: DeliveryFilter): Promise<{ queue: Search; skip: Search }> {
  const search = await searchOf(tx, filter);
  const payload = tx.select({ one: sql`1` }).from(payloads).where(eq(payloads.deliveryId, deliveries.id));
  const known = inArray(deliveries.endpointId, tx.select({ id: endpoints.id }).from(endpoints));
  const verified = and(search.where, sql`${deliveries.status} <> 'rejected'`);
  return {
    queue: { ...search, where: and(verified, known, exists(payload)) },
    skip: { ...search, where: and(verified, or(not(known), not(exists(payload)))) },
  };
}

const ASKED_ABOVE = 1000; // deliveries

/** Only a time narrows it: all mails of that time would go out again. */
const isOfTimeOnly = ({ since: _, until: __, ...rest }: DeliveryFilter) =>
  Object.values(rest).every(value => value === undefined);

interface BulkAsk {
  filter: DeliveryFilter;
  repeatEffects: boolean;
  /** Many effects are meant to happen again. */
  confirm: boolean;
}

/**
 * Starts a bulk replay as a job and says how many deliveries match now. @throws AppError invalid without any filter, or where many
 * effects would happen again that nobody confirmed
 */
export async function replayAll(store: Store, { filter, repeatEffects, confirm }: BulkAsk, now: number) {
  if (Object.values(filter).every(value => value === undefined)) {
    throw invalid(
      'Name at least one filter (endpointId, status, type, email, contactId, since or until): a replay of everything is never meant.',
    );
  }
  const { queue, skip } = await store.read(tx => splitReplayable(tx, filter));
  const { total, capped } = await countMatches(store, deliveries, queue);
  if (repeatEffects && !confirm && (isOfTimeOnly(filter) || total > ASKED_ABOVE))
    throw invalid(
      `confirm: this fires the events of ${total} deliveries${capped ? ' or more' : ''} again, and the mails and calls they cause. Add "confirm": true if that is meant, or name what you mean (endpointId, type, contactId, email).`,
    );
  const { total: skipped } = await countMatches(store, deliveries, skip);
  const payload: BulkReplay = { filter, repeatEffects, before: makeId('dlv', now) }; // above every id so far, also after a clock that stepped back
  await store.write(tx => enqueue(tx, 'deliveries.replay', payload, now));
  return { total, capped, skipped };
}

const CHUNK = 200;

/** One step of a bulk replay: chooses up to 200 deliveries, then queues them. The next payload, or null at the end. */
export async function replayJob(store: Store, payload: unknown): Promise<(tx: Tx) => Promise<BulkReplay | null>> {
  const { filter, repeatEffects, before } = payload as BulkReplay; // written by replayAll only
  const { queue } = await store.read(tx => splitReplayable(tx, filter));
  const { ids, rest } = await scanNewest(store, deliveries, queue, before, CHUNK);
  return async tx => {
    const rows = ids.length ? await tx.select().from(deliveries).where(inArray(deliveries.id, ids)) : [];
    for (const row of rows) await requeue(tx, row, repeatEffects);
    return rest === null ? null : { filter, repeatEffects, before: rest };
  };
}
