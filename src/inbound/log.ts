import { and, count, desc, eq, isNotNull, lte, sql } from 'drizzle-orm';
import { type DeliveryStatus, deliveries, endpoints, payloads, unprocessed } from '../db/schema.ts';
import { onKey } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import type { Effect } from './effect.ts';

/** Due date of what waits for its endpoint to be resumed: later than any clock. */
export const NEVER = 8_640_000_000_000_000;

export interface NewDelivery {
  id: string;
  endpointId: string;
  provider: string;
  externalId: string;
  type: string;
  status: Extract<DeliveryStatus, 'queued' | 'ignored'>;
  message: string;
  occurredAt: number;
  secretId: string;
  /** The row a provider without event ids speaks of (Supabase): then a duplicate equals the newest delivery of it. */
  dedupe: string | null;
  /** Redacted JSON text; null when the body was not JSON. */
  body: string | null;
  headers: Record<string, string>;
  paused: boolean;
  receivedAt: number;
  replays: number;
}

export interface Logged {
  id: string;
  status: DeliveryStatus;
  result: 'accepted' | 'duplicate' | 'ignored';
  message: string;
  /** The worker has something to do. */
  work: boolean;
}

/**
 * Puts a verified delivery into the log, once per external id, and applies it when given its effect. A resend of an ignored or dead
 * one is a replay of it, which is queued.
 */
export async function log(tx: Tx, d: NewDelivery, effect?: Effect): Promise<Logged> {
  let externalId = d.externalId;
  if (d.dedupe !== null) {
    const newest = await newestOfGroup(tx, d.endpointId, d.dedupe);
    if (newest?.externalId?.split(' ')[0] === d.externalId) return again(tx, newest, d);
    externalId = `${d.externalId} ${d.id}`; // the row was in this state before: a new fact all the same
  }
  const first = await known(tx).get({ endpointId: d.endpointId, externalId });
  if (first) return again(tx, first, d);
  const taken = effect ? await effect(tx, d.receivedAt) : null;
  const status = taken?.status ?? d.status;
  const result = d.status === 'ignored' ? 'ignored' : 'accepted';
  const message = taken?.message ?? d.message;
  await insertDelivery(tx).run({
    id: d.id,
    endpointId: d.endpointId,
    provider: d.provider,
    externalId,
    type: d.type,
    status,
    message,
    receivedAt: d.receivedAt,
    occurredAt: d.occurredAt,
    processedAt: status === 'ignored' || status === 'processed' ? d.receivedAt : null,
    dueAt: d.paused ? await whenDue(tx, d.endpointId) : 0,
    attempts: taken ? 1 : 0,
    contactId: taken?.contactId ?? null,
    identityId: taken?.identityId ?? null,
    secretId: d.secretId,
    response: { status: 200, result },
    effects: taken?.effects ?? [],
    dedupeGroup: d.dedupe,
  });
  await insertPayload(tx).run({ id: d.id, body: d.body, headers: d.headers });
  return { id: d.id, status, result, message, work: status === 'queued' || (taken?.released ?? 0) > 0 };
}

const newestOfGroup = async (tx: Tx, endpointId: string, group: string) =>
  (
    await tx
      .select({ id: deliveries.id, status: deliveries.status, externalId: deliveries.externalId })
      .from(deliveries)
      .where(
        and(
          eq(deliveries.endpointId, endpointId),
          eq(deliveries.dedupeGroup, group),
          isNotNull(deliveries.dedupeGroup),
        ),
      )
      .orderBy(desc(deliveries.id))
      .limit(1)
  )[0];

/** The same external id again: nothing happens, unless the first one was ignored or buried and can be applied now. */
async function again(tx: Tx, first: { id: string; status: DeliveryStatus }, d: NewDelivery): Promise<Logged> {
  const replay = (first.status === 'ignored' || first.status === 'dead') && d.status === 'queued';
  const still = first.status === 'ignored' && d.status === 'ignored';
  await tx
    .update(deliveries)
    .set({
      duplicates: sql`${deliveries.duplicates} + 1`,
      ...(replay && {
        status: 'queued' as const,
        message: d.message,
        dueAt: d.paused ? await whenDue(tx, d.endpointId) : 0,
        attempts: 0,
        crashes: 0,
        processedAt: null,
        error: null,
        response: { status: 200, result: 'accepted' },
      }),
    })
    .where(eq(deliveries.id, first.id));
  if (replay) {
    const payload = { body: d.body, headers: d.headers };
    await tx
      .insert(payloads)
      .values({ deliveryId: first.id, ...payload })
      .onConflictDoUpdate({ target: onKey(payloads.deliveryId), set: payload });
    return { id: first.id, status: 'queued', result: 'accepted', message: d.message, work: true };
  }
  const result = still ? 'ignored' : 'duplicate';
  const message = still ? d.message : 'Received before; nothing happens again';
  return { id: first.id, status: first.status, result, message, work: false };
}

/** NEVER while the endpoint is paused. Looked up in the transaction: a resume that committed meanwhile must not be missed. */
export async function whenDue(tx: Tx, endpointId: string): Promise<number> {
  const [endpoint] = await tx.select({ paused: endpoints.paused }).from(endpoints).where(eq(endpoints.id, endpointId));
  return endpoint?.paused ? NEVER : 0;
}

/** Sets aside what is queued for an endpoint: part of pausing it. */
export async function park(tx: Tx, endpointId: string): Promise<void> {
  await tx
    .update(deliveries)
    .set({ dueAt: NEVER })
    .where(
      and(
        unprocessed('queued'),
        eq(deliveries.dueAt, 0),
        eq(deliveries.leased, false),
        eq(deliveries.endpointId, endpointId),
      ),
    );
}

/** Makes everything due that a pause set aside: part of resuming an endpoint. */
export async function unpark(tx: Tx, endpointId: string): Promise<void> {
  await tx
    .update(deliveries)
    .set({ dueAt: 0 })
    .where(and(unprocessed('queued'), eq(deliveries.dueAt, NEVER), eq(deliveries.endpointId, endpointId)));
}

/** Deliveries due and not applied yet, counted up to 10,000. */
export async function backlogOf(tx: Tx, now: number): Promise<number> {
  const due = tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(unprocessed('queued'), lte(deliveries.dueAt, now)))
    .limit(10_000)
    .as('due');
  return (await tx.select({ n: count() }).from(due))[0]?.n ?? 0;
}

const known = (tx: Tx) =>
  prepare(tx, 'delivery?', t =>
    t
      .select({ id: deliveries.id, status: deliveries.status })
      .from(deliveries)
      .where(
        and(
          eq(deliveries.endpointId, sql.placeholder('endpointId')),
          eq(deliveries.externalId, sql.placeholder('externalId')),
        ),
      )
      .prepare(),
  );

const insertDelivery = (tx: Tx) =>
  prepare(tx, 'delivery+', t =>
    t
      .insert(deliveries)
      .values({
        id: sql.placeholder('id'),
        endpointId: sql.placeholder('endpointId'),
        provider: sql.placeholder('provider'),
        externalId: sql.placeholder('externalId'),
        type: sql.placeholder('type'),
        status: sql.placeholder('status'),
        message: sql.placeholder('message'),
        receivedAt: sql.placeholder('receivedAt'),
        occurredAt: sql.placeholder('occurredAt'),
        processedAt: sql.placeholder('processedAt'),
        dueAt: sql.placeholder('dueAt'),
        leased: false,
        attempts: sql.placeholder('attempts'),
        crashes: 0,
        duplicates: 0,
        contactId: sql.placeholder('contactId'),
        identityId: sql.placeholder('identityId'),
        secretId: sql.placeholder('secretId'),
        response: sql.placeholder('response'),
        effects: sql.placeholder('effects'),
        replays: 0,
        dedupeGroup: sql.placeholder('dedupeGroup'),
        error: null,
      })
      .prepare(),
  );

const insertPayload = (tx: Tx) =>
  prepare(tx, 'payload+', t =>
    t
      .insert(payloads)
      .values({ deliveryId: sql.placeholder('id'), body: sql.placeholder('body'), headers: sql.placeholder('headers') })
      .prepare(),
  );
