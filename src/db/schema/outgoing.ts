import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

/** Where happenings are sent. `state` other than `active` has a `reason`, a sentence. */
export const webhookSubscriptions = sqliteTable('webhook_subscriptions', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  url: text('url').notNull(),
  eventNames: json<string[]>('event_names').notNull(),
  state: text('state').$type<'active' | 'paused' | 'disabled'>().notNull(),
  reason: text('reason'),
  sealedSecret: text('sealed_secret').notNull(), // empty: lost with the sealing key
  secretHint: text('secret_hint').notNull(),
  sealedOldSecret: text('sealed_old_secret'), // signs too, until…
  oldSecretUntil: time('old_secret_until'),
  failingSince: time('failing_since'), // the first failure after the last success
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

/** One try to deliver a call. `status` and `answer` (first 500 characters) are the receiver's; null when none came. */
export interface Attempt {
  at: number;
  status: number | null;
  ms: number;
  answer: string | null;
  error: string | null;
}

/** One happening for one subscription; its id is the `webhook-id` of every attempt. */
export const webhookCalls = sqliteTable(
  'webhook_calls',
  {
    id: text('id').primaryKey(),
    uniqueKey: text('unique_key').notNull().unique(), // cause, happening, subscription: once
    subscriptionId: text('subscription_id').notNull(),
    eventName: text('event_name').notNull(),
    body: text('body').notNull(), // the exact JSON text that is signed
    state: text('state').$type<'queued' | 'delivered' | 'failed'>().notNull(),
    dueAt: time('due_at').notNull(), // while leased: when the lease runs out
    leased: integer('leased', { mode: 'boolean' }).notNull(),
    attempts: integer('attempts').notNull(), // counted before each start, never back: fences the outcome
    failures: integer('failures').notNull(), // attempts that failed since it was queued or replayed
    crashes: integer('crashes').notNull(), // attempts in a row that ended with the process
    history: json<Attempt[]>('history').notNull(),
    createdAt: time('created_at').notNull(),
    finishedAt: time('finished_at'),
  },
  t => [
    index('webhook_calls_open').on(t.subscriptionId, t.dueAt, t.id).where(sql`state = 'queued'`),
    index('webhook_calls_leased').on(t.id).where(sql`leased = 1`),
    index('webhook_calls_finished').on(t.finishedAt).where(sql`finished_at is not null`),
    index('webhook_calls_subscription').on(t.subscriptionId, t.state, t.id),
  ],
);
