import { index, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { time } from './columns.ts';

/** What a key or a session may do: everything, or read (and then sees no bodies). */
export type Scope = 'all' | 'read';

export const keys = sqliteTable('keys', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  hash: text('hash').notNull().unique(), // SHA-256 of the key, hex
  hint: text('hint').notNull(),
  createdAt: time('created_at').notNull(),
  lastUsedAt: time('last_used_at'),
  scope: text('scope').$type<Scope>().notNull().default('all'),
});

/** Who is signed in on the page (`active`), and links that sign in once (`link`). */
export const sessions = sqliteTable(
  'sessions',
  {
    id: text('id').primaryKey(),
    hash: text('hash').notNull().unique(), // SHA-256 of what the cookie or the link holds, hex
    state: text('state').$type<'link' | 'active'>().notNull(),
    keyHash: text('key_hash'), // of the key that signed in: it ends with it; null: by a link
    scope: text('scope').$type<Scope>().notNull(),
    createdAt: time('created_at').notNull(),
    lastSeenAt: time('last_seen_at'),
    expiresAt: time('expires_at').notNull(),
  },
  t => [index('sessions_expires').on(t.expiresAt)],
);

export const idempotencyKeys = sqliteTable(
  'idempotency_keys',
  {
    hash: text('hash').primaryKey(), // SHA-256 of scope and key, hex
    scope: text('scope').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('idempotency_keys_created').on(t.createdAt)],
);
