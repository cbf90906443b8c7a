import { asc } from 'drizzle-orm';
import { contacts, memberships } from '../../src/db/schema.ts';
import type { Store, Tx } from '../../src/db/store.ts';
import type { EventSettings } from '../../src/inbound/eventSettings.ts';
import { type Origin, type Taken, take } from '../../src/pipeline.ts';
import type { Fact } from '../../src/providers/provider.ts';

export const NOW = Date.parse('2026-11-01T12:00:00Z');

export interface Told {
  provider: 'stripe' | 'polar' | 'clerk' | 'supabase';
  /** Also the external id: the same id is the same delivery. */
  id: string;
  fact: Partial<Fact>;
  settings?: Partial<EventSettings>;
  properties?: Record<string, string | number | boolean>;
}

const DEFAULTS: EventSettings = {
  enabled: true,
  syncNames: true,
  userGroup: null,
  mailingLists: [],
  triggerEvent: null,
  triggerMaxAgeHours: 24 * 366,
  eventProperties: {},
  contactProperties: {},
  onDelete: 'unsubscribe',
};

/** A whole Fact from the parts that matter to a test. */
export function fact(parts: Partial<Fact>): Fact {
  return {
    authority: 'person',
    rank: 2,
    at: NOW,
    personId: null,
    aliases: [],
    email: null,
    formerEmail: null,
    firstName: null,
    lastName: null,
    userId: null,
    deletion: false,
    ...parts,
  };
}

/** Applies one told fact the way `apply` does, without the log around it. */
export function tell(tx: Tx, told: Told, now = NOW): Promise<Taken | null> {
  const auth = told.provider === 'clerk' || told.provider === 'supabase';
  const origin: Origin = {
    provider: told.provider,
    class: auth ? 'auth' : 'payment',
    source: `${told.provider} webhook`,
    deliveryId: `dlv_${told.id}`,
    key: `dlv_${told.id}`,
    externalId: told.id,
    replays: 0,
    settings: { ...DEFAULTS, ...told.settings },
    contactProperties: told.properties ?? {},
    eventProperties: {},
    mapped: null,
    unchanged: false,
  };
  return take(tx, fact(told.fact), origin, now);
}

/** Every contact as the promise compares it: email, userId, names, subscribed, group, source, lists, properties. */
export async function audience(store: Store) {
  return store.read(async tx => {
    const rows = await tx.select().from(contacts).orderBy(asc(contacts.email));
    const members = await tx.select().from(memberships);
    return rows.map(({ id, createdAt: _c, updatedAt: _u, ...row }) => ({
      ...row,
      lists: members
        .filter(m => m.contactId === id)
        .map(m => m.listId)
        .sort(),
    }));
  });
}
