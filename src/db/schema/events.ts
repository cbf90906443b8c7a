import { index, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { Scalar } from './audience.ts';
import { json, time } from './columns.ts';

export const events = sqliteTable(
  'events',
  {
    id: text('id').primaryKey(),
    effectKey: text('effect_key').notNull().unique(), // delivery, kind, target: once
    eventName: text('event_name').notNull(),
    contactId: text('contact_id').notNull(),
    email: text('email').notNull(),
    eventProperties: json<Record<string, Scalar>>('event_properties').notNull(),
    deliveryId: text('delivery_id'),
    createdAt: time('created_at').notNull(),
  },
  t => [index('events_contact').on(t.contactId, t.id), index('events_name').on(t.eventName, t.id)],
);
