import { eq, sql } from 'drizzle-orm';
import type { People } from '../audience/people.ts';
import type { Outcome, WriteKind } from '../audience/peopleWriter.ts';
import { hashSubject } from '../audience/tombstones.ts';
import type { Keys } from '../audience/workingSet.ts';
import { type DeliveryStatus, deliveries, type Effect, payloads } from '../db/schema.ts';
import { encodeAmong, insertRows, query, selectAmong, writeAmong, writeTable } from '../db/sets.ts';
import { pickKey } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { changeOfEvent } from '../events/events.ts';
import type { Fact } from '../providers/provider.ts';
import { type Applied, applyFact, collectPayments, identifyFact, type Origin } from './ingest.ts';
import { NEVER, pauseKey } from './pause.ts';

interface NewDelivery {
  id: string;
  endpointId: string;
  provider: string;
  externalId: string;
  type: string;
  status: Extract<DeliveryStatus, 'queued' | 'ignored'>;
  message: string;
  occurredAt: number;
  secretId: string;
  /**
   * The row a provider without event ids speaks of (Supabase). `once`: the external id alone tells a duplicate; else a delivery is one
   * that equals the newest accepted of the row.
   */
  dedupe: { group: string; once: boolean } | null;
  /** Redacted JSON text; null when the body was not JSON, or of a type that is not applied. */
  body: string | null;
  headers: Record<string, string>;
  paused: boolean;
  receivedAt: number;
}

/** What a delivery does where it is applied as it comes. */
export interface ReadyFact {
  fact: Fact;
  origin: Origin;
}

export interface Received {
  delivery: NewDelivery;
  /** Null: to be queued, or nothing to apply. */
  ready: ReadyFact | null;
}

export interface Recorded {
  id: string;
  status: DeliveryStatus;
  result: 'accepted' | 'duplicate' | 'ignored';
  message: string;
}

interface Earlier {
  id: string;
  status: DeliveryStatus;
  externalId: string;
}

interface NewRow {
  delivery: NewDelivery;
  externalId: string;
  group: string | null;
  applied: Applied | null;
}

/** The log's side of a batch. */
interface Context {
  salt: string;
  byExternalId: Map<string, Earlier>;
  /** The newest delivery of a row, and the newest accepted one. */
  newest: Map<string, Earlier[]>;
  paused: Set<string>;
  rows: NewRow[];
  repeats: Map<string, number>;
  again: { id: string; delivery: NewDelivery }[];
}

const makeKey = (endpointId: string, value: string) => `${endpointId} ${value}`;

/** What keeps a person's facts together. */
export const chooseLane = ({ fact }: ReadyFact): string => fact.personId ?? fact.email ?? fact.payments[0] ?? '';

/** Whom a fact needs in memory. */
export function collectKeys({ fact, origin }: ReadyFact): Keys & { lists: string[] } {
  const { provider } = origin;
  const id = identifyFact(null, provider, fact);
  const namespace = provider.slice(provider.indexOf('@') + 1 || provider.length);
  const ties = [
    ...(fact.email === null ? [] : [`email:${fact.email}`]),
    ...(fact.userId === null ? [] : [namespace ? `user@${namespace}:${fact.userId}` : `user:${fact.userId}`]),
    ...fact.aliases.map(each => `id:${provider}:${each}`),
  ];
  const ids = [...(id === null ? [] : [id]), ...(fact.email === null ? [] : [`${provider}:@${fact.email}`])];
  return { ids, ties, payments: collectPayments(provider, fact), lists: origin.settings.mailingLists };
}

/** What a fact did, for those who follow it. `effects` is the array that goes into the log. */
export const buildOutcome = (result: unknown, { origin }: ReadyFact, applied: Applied): Outcome => ({
  result,
  changes: applied.event ? [...applied.changes, changeOfEvent(applied.event)] : applied.changes,
  cause: { key: `${origin.key}:${origin.replays}`, deliveryId: origin.deliveryId },
  events: applied.event ? [applied.event] : [],
  known: applied.known,
  effects: applied.effects,
  waits: applied.status === 'waiting',
});

/**
 * Puts a verified delivery into the log, once per external id, and applies it where it is ready. A resend of an ignored or dead one is
 * a replay of it, which is queued.
 */
export const receiving: WriteKind<Received, Context> = {
  lane: ({ delivery, ready }) => (ready ? chooseLane(ready) : delivery.externalId),
  async load(tx, writes, salt, hold) {
    const context: Context = {
      salt,
      byExternalId: new Map(),
      newest: new Map(),
      paused: new Set(),
      rows: [],
      repeats: new Map(),
      again: [],
    };
    await Promise.all([
      hold(writes.map(({ delivery: d }) => `dlv:${d.endpointId} ${d.dedupe?.group ?? d.externalId}`)),
      ...[...Map.groupBy(writes, write => write.delivery.endpointId)].map(([endpointId, of]) =>
        loadEarlier(tx, context, endpointId, of),
      ),
    ]);
    const maybePaused = [...new Set(writes.filter(each => each.delivery.paused).map(each => each.delivery.endpointId))];
    await hold(maybePaused.map(pauseKey));
    for (const [id, paused] of await selectAmong(tx, 'select id, paused from endpoints where id', maybePaused))
      if (Number(paused)) context.paused.add(id as string);
    return context;
  },
  keys: ({ ready }) => ready && collectKeys(ready),
  apply(people, { delivery, ready }, context, now) {
    const { endpointId, dedupe } = delivery;
    const group = dedupe && hashSubject(context.salt, dedupe.group);
    const same = findSame(context, delivery, group);
    if (same) return { ...NOTHING, result: repeat(context, same, delivery) };
    // Not the newest of its row: the row was in this state before, and is again. A new fact all the same.
    const externalId = dedupe && !dedupe.once ? `${delivery.externalId} ${delivery.id}` : delivery.externalId;
    const applied = ready && applyReady(people, ready, now);
    const status = applied?.status ?? delivery.status;
    const row = { id: delivery.id, status, externalId };
    context.byExternalId.set(makeKey(endpointId, externalId), row);
    if (group !== null) {
      const key = makeKey(endpointId, group);
      context.newest.set(key, status === 'ignored' ? [row, ...(context.newest.get(key) ?? []).slice(-1)] : [row]);
    }
    context.rows.push({ delivery, externalId, group, applied });
    const result = delivery.status === 'ignored' ? ('ignored' as const) : ('accepted' as const);
    const recorded: Recorded = { id: delivery.id, status, result, message: applied?.message ?? delivery.message };
    return ready && applied ? buildOutcome(recorded, ready, applied) : { ...NOTHING, result: recorded };
  },
  async save(tx, context) {
    await insertDeliveries(tx, context);
    for (const [id, times] of context.repeats)
      await tx
        .update(deliveries)
        .set({ duplicates: sql`${deliveries.duplicates} + ${times}` })
        .where(eq(deliveries.id, id));
    for (const { id, delivery } of context.again) await replayResent(tx, context, id, delivery);
  },
};

const applyReady = (people: People, { fact, origin }: ReadyFact, now: number) => applyFact(people, fact, origin, now);

const NOTHING: Omit<Outcome, 'result'> = {
  changes: [],
  cause: { key: '', deliveryId: null },
  events: [],
  known: [],
  effects: [],
};

const readEarlier = ([id, status, externalId]: unknown[]): Earlier => ({
  id: id as string,
  status: status as DeliveryStatus,
  externalId: externalId as string,
});

async function loadEarlier(tx: Tx, context: Context, endpointId: string, writes: Received[]): Promise<void> {
  const ids = [...new Set(writes.map(write => write.delivery.externalId))];
  const groups = writes.flatMap(({ delivery: d }) =>
    d.dedupe && !d.dedupe.once ? [hashSubject(context.salt, d.dedupe.group)] : [],
  );
  const text = `select id, status, external_id from deliveries where endpoint_id = ? and external_id ${writeAmong(tx)}`;
  const [rows] = await Promise.all([
    query(tx, text, [endpointId, encodeAmong(tx, ids)]),
    groups.length > 0 && loadNewest(tx, context, endpointId, [...new Set(groups)]),
  ]);
  for (const row of rows) context.byExternalId.set(makeKey(endpointId, row[2] as string), readEarlier(row));
}

async function loadNewest(tx: Tx, context: Context, endpointId: string, groups: string[]): Promise<void> {
  const newest = (rest: string) =>
    `select d.id, d.status, d.external_id, d.dedupe_group from ${writeTable(tx)} g join deliveries d on d.id = (select id from (select id, status from deliveries where endpoint_id = ? and dedupe_group = g.value order by id desc limit 20) as newest ${rest} order by id desc limit 1)`;
  const found = await Promise.all(
    ['', "where status <> 'ignored'"].map(rest => query(tx, newest(rest), [encodeAmong(tx, groups), endpointId])),
  );
  for (const row of found.flat()) {
    const key = makeKey(endpointId, row[3] as string);
    context.newest.set(key, [...(context.newest.get(key) ?? []), readEarlier(row)]);
  }
}

function findSame(
  context: Context,
  { endpointId, externalId, dedupe }: NewDelivery,
  group: string | null,
): Earlier | null {
  const first = context.byExternalId.get(makeKey(endpointId, externalId));
  if (!dedupe || dedupe.once || group === null) return first ?? null;
  const newest = context.newest.get(makeKey(endpointId, group)) ?? [];
  return newest.find(each => each.externalId.split(' ')[0] === externalId) ?? null;
}

/** The same external id again: nothing happens, unless the first one was ignored or given up and can be applied now. */
function repeat(context: Context, first: Earlier, delivery: NewDelivery): Recorded {
  const canApply = (first.status === 'ignored' || first.status === 'dead') && delivery.status === 'queued';
  if (canApply) {
    context.again.push({ id: first.id, delivery });
    first.status = 'queued';
    return { id: first.id, status: 'queued', result: 'accepted', message: delivery.message };
  }
  context.repeats.set(first.id, (context.repeats.get(first.id) ?? 0) + 1);
  const still = first.status === 'ignored' && delivery.status === 'ignored';
  const message = still ? delivery.message : 'Received before; nothing happens again';
  return { id: first.id, status: first.status, result: still ? 'ignored' : 'duplicate', message };
}

async function replayResent(tx: Tx, { paused }: Context, id: string, delivery: NewDelivery): Promise<void> {
  await tx
    .update(deliveries)
    .set({
      duplicates: sql`${deliveries.duplicates} + 1`,
      status: 'queued',
      message: delivery.message,
      dueAt: paused.has(delivery.endpointId) ? NEVER : 0,
      attempts: 0,
      crashes: 0,
      processedAt: null,
      error: null,
      response: { status: 200, result: 'accepted' },
    })
    .where(eq(deliveries.id, id));
  const payload = { body: delivery.body, headers: delivery.headers };
  await tx
    .insert(payloads)
    .values({ deliveryId: id, ...payload })
    .onConflictDoUpdate({ target: pickKey(payloads.deliveryId), set: payload });
}

const COLUMNS =
  'id endpoint_id provider external_id type status message received_at occurred_at processed_at due_at leased attempts crashes duplicates contact_id identity_id secret_id response effects replays dedupe_group error'.split(
    ' ',
  );

async function insertDeliveries(tx: Tx, { rows, paused }: Context): Promise<void> {
  const values = rows.map(({ delivery: d, externalId, group, applied }) => {
    const status = applied?.status ?? d.status;
    const done = status === 'ignored' || status === 'processed';
    return [
      d.id,
      d.endpointId,
      d.provider,
      externalId,
      d.type,
      status,
      applied?.message ?? d.message,
      d.receivedAt,
      d.occurredAt,
      done ? d.receivedAt : null,
      paused.has(d.endpointId) && !done ? NEVER : 0,
      0,
      applied ? 1 : 0,
      0,
      0,
      applied?.contactId ?? null,
      applied?.erased ? null : (applied?.identityId ?? null),
      d.secretId,
      JSON.stringify({ status: 200, result: d.status === 'ignored' ? 'ignored' : 'accepted' }),
      JSON.stringify((applied?.effects ?? []) satisfies Effect[]),
      0,
      group,
      null,
    ];
  });
  await insertRows(tx, 'deliveries', COLUMNS, values);
  const bodies = rows
    .filter(row => !row.applied?.erased)
    .map(({ delivery }) => [delivery.id, delivery.body, JSON.stringify(delivery.headers)]);
  await insertRows(tx, 'payloads', ['delivery_id', 'body', 'headers'], bodies);
}
