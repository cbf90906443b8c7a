import { index, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

/** Who changed what of the configuration. Holds ids, settings and keyed hashes; no secrets, and no address of anybody. */
export const audits = sqliteTable(
  'audits',
  {
    id: text('id').primaryKey(),
    at: time('at').notNull(),
    actorKind: text('actor_kind').$type<'key' | 'session' | 'cli'>().notNull(),
    actorId: text('actor_id'), // of the key or session; null: on the command line
    actorName: text('actor_name'), // of the key, as it was then
    action: text('action').notNull(),
    target: text('target'), // an id, or `hash:…` of a person
    before: json<Record<string, unknown> | null>('before'), // the fields that changed
    after: json<Record<string, unknown> | null>('after'),
    detail: json<Record<string, unknown> | null>('detail'),
  },
  t => [
    index('audits_at').on(t.at),
    index('audits_actor').on(t.actorId, t.id),
    index('audits_action').on(t.action, t.id),
    index('audits_target').on(t.target, t.id),
  ],
);
