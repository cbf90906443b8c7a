import { sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

/** What an erasure looks for (history/eraseSearch.ts). Before, it was an array of addresses. */
export interface Needles {
  /** Its contacts, former and merged ones too. */
  contacts: string[];
  /** Its identities, `stripe:cus_…`. */
  identities: string[];
  /** Addresses that are nobody else's. */
  emails: string[];
  /** Ids of it at providers. */
  persons: string[];
  /** User ids and payments: looked for only where nobody else is meant. */
  weak: string[];
  /** Identities of somebody else that claim one of the addresses without having it: their deliveries stay. */
  spared: string[];
}

/** Erasures whose search for copies is under way. */
export const erasures = sqliteTable('erasures', {
  id: text('id').primaryKey(),
  needles: json<Needles | string[]>('needles').notNull(),
  createdAt: time('created_at').notNull(),
});
