import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { time } from './columns.ts';

/** Which types of events come in at an endpoint: whether they are applied, how often, and the last of each. */
export const arrivals = sqliteTable(
  'arrivals',
  {
    endpointId: text('endpoint_id').notNull(),
    type: text('type').notNull(),
    outcome: text('outcome').$type<'applied' | 'ignored'>().notNull(),
    amount: integer('amount').notNull(),
    lastAt: time('last_at').notNull(),
    lastId: text('last_id').notNull(), // delivery
    message: text('message').notNull(), // why it was ignored
  },
  t => [primaryKey({ columns: [t.endpointId, t.type, t.outcome] })],
);

/** Counts by minute (two days) and by hour (400 days): webhooks by outcome, answer times by bucket, mails by state, contacts. */
export const stats = sqliteTable(
  'stats',
  {
    resolution: text('resolution').$type<'minute' | 'hour'>().notNull(),
    at: time('at').notNull(), // when the slot begins
    kind: text('kind').notNull(),
    name: text('name').notNull(),
    amount: integer('amount').notNull(),
    total: time('total').notNull(), // of answer times, µs
  },
  t => [primaryKey({ columns: [t.resolution, t.at, t.kind, t.name] })],
);
