import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import type { EffectKind } from '../../effects.ts';
import { json, time } from './columns.ts';

/** What one delivery did, shown in the log. `kind` is `contact.created`, `list.subscribed`, `event.triggered`, … */
export interface Effect {
  kind: EffectKind;
  [detail: string]: unknown;
}

/** Settings of one event type as stored: only what differs from the defaults. */
export type EventOverrides = Record<string, Record<string, unknown>>;

export type DeliveryStatus = 'queued' | 'processed' | 'ignored' | 'waiting' | 'failed' | 'dead' | 'rejected';

export const endpoints = sqliteTable('endpoints', {
  id: text('id').primaryKey(),
  provider: text('provider').notNull(),
  name: text('name').notNull(),
  paused: integer('paused', { mode: 'boolean' }).notNull(),
  settings: json<Record<string, unknown>>('settings').notNull(), // without apiKey
  sealedApiKey: text('sealed_api_key'),
  events: json<EventOverrides>('events').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
  lastReceivedAt: time('last_received_at'), // verified
  lastRejectedAt: time('last_rejected_at'),
  lastRejectedCause: text('last_rejected_cause'),
});

export const secrets = sqliteTable(
  'secrets',
  {
    id: text('id').primaryKey(),
    endpointId: text('endpoint_id').notNull(),
    sealed: text('sealed').notNull(), // AES-GCM, see sealing.ts
    hint: text('hint').notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at'),
    lastUsedAt: time('last_used_at'),
  },
  t => [index('secrets_endpoint').on(t.endpointId)],
);

export const deliveries = sqliteTable(
  'deliveries',
  {
    id: text('id').primaryKey(),
    endpointId: text('endpoint_id').notNull(),
    provider: text('provider').notNull(),
    externalId: text('external_id'), // null: rejected
    type: text('type').notNull(),
    status: text('status').$type<DeliveryStatus>().notNull(),
    message: text('message').notNull(),
    receivedAt: time('received_at').notNull(),
    occurredAt: time('occurred_at'),
    processedAt: time('processed_at'),
    dueAt: time('due_at').notNull(), // not before this (0: at once; NEVER: endpoint paused); while leased: the lease's end
    leased: integer('leased', { mode: 'boolean' }).notNull(),
    attempts: integer('attempts').notNull(), // counted before each start
    fence: integer('fence').notNull().default(0), // raised with each lease, never back: who holds an older one changes nothing
    crashes: integer('crashes').notNull(), // starts that ended with the process
    duplicates: integer('duplicates').notNull(),
    contactId: text('contact_id'),
    identityId: text('identity_id'), // whom a waiting delivery waits for
    secretId: text('secret_id'),
    response: json<{ status: number; result?: string }>('response').notNull(),
    effects: json<Effect[]>('effects').notNull(),
    replays: integer('replays').notNull(), // how often with repeatEffects: part of the effects' keys
    dedupeGroup: text('dedupe_group'),
    error: text('error'),
  },
  t => [
    uniqueIndex('deliveries_external').on(t.endpointId, t.externalId),
    index('deliveries_open').on(t.status, t.dueAt, t.id).where(sql`status <> 'processed'`),
    index('deliveries_contact').on(t.contactId, t.id).where(sql`contact_id is not null`),
    index('deliveries_identity').on(t.identityId).where(sql`status = 'waiting'`),
    index('deliveries_group').on(t.endpointId, t.dedupeGroup, t.id).where(sql`dedupe_group is not null`),
  ],
);

/** Deliveries of one status other than `processed`. The first half lets a database use the partial index: a bound value proves nothing to it. */
export const unprocessed = (status: Exclude<DeliveryStatus, 'processed'>) =>
  sql`(${deliveries.status} <> 'processed' and ${deliveries.status} = ${status})`;

/** Beside `deliveries`, so that a change of status does not rewrite the body; pruning removes these rows only. */
export const payloads = sqliteTable('payloads', {
  deliveryId: text('delivery_id').primaryKey(),
  body: text('body'), // redacted JSON text; null: was not JSON
  headers: json<Record<string, string>>('headers').notNull(),
});

export interface BackfillCounts {
  read: number;
  created: number;
  updated: number;
  known: number;
  /** Without an address so far. */
  waiting: number;
  skipped: number;
  /** Waiting deliveries that became due. */
  released: number;
}

/** Reading everybody from a provider, page by page; the rows are their own queue. */
export const backfills = sqliteTable(
  'backfills',
  {
    id: text('id').primaryKey(),
    endpointId: text('endpoint_id').notNull(),
    provider: text('provider').notNull(),
    state: text('state').$type<'queued' | 'running' | 'done' | 'failed' | 'cancelled'>().notNull(),
    dryRun: integer('dry_run', { mode: 'boolean' }).notNull(),
    triggerEvents: integer('trigger_events', { mode: 'boolean' }).notNull(),
    requestsPerSecond: integer('requests_per_second').notNull(),
    cursor: text('cursor'), // the page under way, in the provider's words; null: the first
    pageDone: text('page_done'), // the last one applied of that page
    pages: integer('pages').notNull(),
    total: integer('total'), // as the provider says, where it does
    counts: json<BackfillCounts>('counts').notNull(),
    reasons: json<Record<string, number>>('reasons').notNull(), // why skipped → how many
    tries: integer('tries').notNull(), // starts since it last got on
    error: text('error'),
    dueAt: time('due_at').notNull(), // while leased: when the lease runs out
    lease: text('lease'),
    createdAt: time('created_at').notNull(),
    startedAt: time('started_at'),
    finishedAt: time('finished_at'),
  },
  t => [
    uniqueIndex('backfills_open').on(t.endpointId).where(sql`state in ('queued', 'running')`),
    index('backfills_endpoint').on(t.endpointId, t.id),
  ],
);
