import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

export type Scalar = string | number | boolean;

/** One person at one provider, or one address seen without a person there. `registers` only ever join (audience/registers.ts). */
export const identities = sqliteTable(
  'identities',
  {
    id: text('id').primaryKey(), // `stripe:cus_…`, address-only `stripe:@ada@example.com`
    provider: text('provider').notNull(),
    contactId: text('contact_id'),
    registers: json<unknown>('registers').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('identities_contact').on(t.contactId)],
);

/** By what an identity is found: `email:…`, `user:…`, `id:stripe:acct_…`. Made of its registers. */
export const ties = sqliteTable(
  'ties',
  { value: text('value').notNull(), identityId: text('identity_id').notNull() },
  t => [primaryKey({ columns: [t.value, t.identityId] }), index('ties_identity').on(t.identityId)],
);

/** Who paid: finds an identity, ties nobody. */
export const payments = sqliteTable(
  'payments',
  {
    value: text('value').primaryKey(), // `stripe:pi_…`
    identityId: text('identity_id').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('payments_identity').on(t.identityId), index('payments_created').on(t.createdAt)],
);

/** Changes of mind about mail (audience/consent.ts), under a keyed hash: they outlive contact, account and erasure. */
export const consents = sqliteTable('consents', {
  subject: text('subject').primaryKey(),
  changes: json<unknown>('changes').notNull(),
});

/** Contacts that became one with another. */
export const mergedContacts = sqliteTable(
  'merged_contacts',
  { fromId: text('from_id').primaryKey(), toId: text('to_id').notNull(), createdAt: time('created_at').notNull() },
  t => [index('merged_contacts_to').on(t.toId)],
);

/** Contacts whose user lost the address to somebody else: kept with their history, not listed, not mailed. */
export const parkedContacts = sqliteTable('parked_contacts', {
  id: text('id').primaryKey(),
  email: text('email').notNull(),
  userId: text('user_id'),
  firstName: text('first_name'),
  lastName: text('last_name'),
  source: text('source').notNull(),
  userGroup: text('user_group').notNull(),
  subscribed: integer('subscribed', { mode: 'boolean' }).notNull(),
  properties: json<Record<string, Scalar>>('properties').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

export const contacts = sqliteTable(
  'contacts',
  {
    id: text('id').primaryKey(),
    email: text('email').notNull().unique(),
    userId: text('user_id'),
    firstName: text('first_name'),
    lastName: text('last_name'),
    source: text('source').notNull(),
    userGroup: text('user_group').notNull(),
    subscribed: integer('subscribed', { mode: 'boolean' }).notNull(),
    properties: json<Record<string, Scalar>>('properties').notNull(),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  t => [
    index('contacts_user').on(t.userId).where(sql`user_id is not null`),
    index('contacts_source').on(t.source, t.id),
    index('contacts_group').on(t.userGroup, t.id),
    index('contacts_subscribed').on(t.subscribed, t.id),
    index('contacts_first_name').on(sql`lower(first_name)`, t.id).where(sql`first_name is not null`),
    index('contacts_last_name').on(sql`lower(last_name)`, t.id).where(sql`last_name is not null`),
  ],
);

export const lists = sqliteTable('lists', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  description: text('description'),
  isPublic: integer('is_public', { mode: 'boolean' }).notNull(),
  createdAt: time('created_at').notNull(),
});

export const memberships = sqliteTable(
  'memberships',
  { contactId: text('contact_id').notNull(), listId: text('list_id').notNull() },
  t => [primaryKey({ columns: [t.contactId, t.listId] }), index('memberships_list').on(t.listId, t.contactId)],
);

/** Custom contact properties; a key's type is that of its first value. */
export const properties = sqliteTable('properties', {
  key: text('key').primaryKey(),
  type: text('type').$type<'string' | 'number' | 'boolean' | 'date'>().notNull(),
  createdAt: time('created_at').notNull(),
});

/** Addresses that bounced or complained: no mail goes there, whether a contact has them or not. */
export const suppressions = sqliteTable('suppressions', {
  email: text('email').primaryKey(), // of an erased person `hash:…`, see audience/suppressions.ts
  reason: text('reason').$type<'bounced' | 'complaint' | 'manual'>().notNull(),
  createdAt: time('created_at').notNull(),
});

export const suppressionRemovals = sqliteTable(
  'suppression_removals',
  { id: text('id').primaryKey(), createdAt: time('created_at').notNull() },
  t => [index('suppression_removals_created').on(t.createdAt)],
);

/** Erased people: HMAC-SHA-256 of their ids and addresses, hex. */
export const tombstones = sqliteTable('tombstones', {
  hash: text('hash').primaryKey(),
  erasedAt: time('erased_at').notNull(),
});

/** What happened to contacts by the API, an import, a link or a back-fill: deliveries tell of the rest. */
export const contactChanges = sqliteTable(
  'contact_changes',
  {
    id: text('id').primaryKey(),
    contactId: text('contact_id').notNull(),
    kind: text('kind').notNull(),
    detail: json<Record<string, unknown>>('detail').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('contact_changes_contact').on(t.contactId, t.id), index('contact_changes_created').on(t.createdAt)],
);

/** Who was behind a contact that was removed, so that its id goes on finding them. */
export const formerContacts = sqliteTable(
  'former_contacts',
  { contactId: text('contact_id').notNull(), identityId: text('identity_id').notNull() },
  t => [primaryKey({ columns: [t.contactId, t.identityId] }), index('former_contacts_identity').on(t.identityId)],
);
