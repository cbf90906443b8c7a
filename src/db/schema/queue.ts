import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

/** Work that outlives a request (bulk replay, pruning). Deliveries are a queue of their own. */
export const jobs = sqliteTable(
  'jobs',
  {
    id: text('id').primaryKey(),
    kind: text('kind').notNull(),
    uniqueKey: text('unique_key').unique(),
    payload: json<unknown>('payload').notNull(),
    status: text('status').$type<'queued' | 'done' | 'dead'>().notNull(),
    dueAt: time('due_at').notNull(), // while leased: when the lease runs out
    attempts: integer('attempts').notNull(), // starts since the last step that worked
    fence: integer('fence').notNull().default(0), // raised with each lease, never back: who holds an older one changes nothing
    error: text('error'),
    createdAt: time('created_at').notNull(),
  },
  t => [
    index('jobs_open').on(t.dueAt).where(sql`status = 'queued'`),
    index('jobs_status').on(t.status, t.id).where(sql`status <> 'done'`),
    index('jobs_kind').on(t.kind, t.id),
  ],
);
