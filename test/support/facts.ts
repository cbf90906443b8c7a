import { asc } from 'drizzle-orm';
import { PeopleWriter, type WriteKind } from '../../src/audience/peopleWriter.ts';
import { makeOutcome } from '../../src/audience/personCall.ts';
import { ignoreChanges, type Listener } from '../../src/changes.ts';
import { contacts, memberships } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import type { EventSettings } from '../../src/inbound/eventSettings.ts';
import { type Applied, applyFact, type Origin } from '../../src/inbound/ingest.ts';
import { buildOutcome, collectKeys, type ReadyFact } from '../../src/inbound/recordDelivery.ts';
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
    micros: 0,
    sentAt: 0,
    personId: null,
    aliases: [],
    payments: [],
    email: null,
    proven: false,
    former: null,
    firstName: null,
    lastName: null,
    userId: null,
    deletion: false,
    ...parts,
  };
}

const writers = new WeakMap<Store, PeopleWriter>();
const clocks = new WeakMap<Store, number>();

/** The one way to change contacts of a store; `now` is what its clock shows from here on. */
export function peopleOf(store: Store, now = NOW, publish: Listener = ignoreChanges): PeopleWriter {
  clocks.set(store, now);
  const known = writers.get(store);
  if (known && publish === ignoreChanges) return known;
  const made = new PeopleWriter(
    store,
    publish,
    () => clocks.get(store) ?? now,
    () => {},
  );
  if (publish === ignoreChanges) writers.set(store, made);
  return made;
}

const telling: WriteKind<ReadyFact, null> = {
  load: async () => null,
  keys: ready => ({ ...collectKeys(ready), effects: eventKeysOf(ready) }),
  apply(people, ready, _, now) {
    const applied = applyFact(people, ready.fact, ready.origin, now);
    return { ...makeOutcome(applied, null, { key: '', deliveryId: null }), ...buildOutcome(applied, ready, applied) };
  },
  save: async () => {},
};

const eventKeysOf = ({ origin: { key, settings } }: ReadyFact) =>
  settings.triggerEvent === null ? [] : [`${key}:event:${settings.triggerEvent}`];

/** Applies one told fact the way a webhook is, without the log around it. */
export function tell(store: Store, told: Told, now = NOW): Promise<Applied> {
  const auth = told.provider === 'clerk' || told.provider === 'supabase';
  const whole = fact({ proven: auth && told.fact.email != null, ...told.fact });
  const origin: Origin = {
    provider: told.provider,
    endpointId: 'ep_1',
    class: auth ? 'auth' : 'payment',
    source: `${told.provider} webhook`,
    deliveryId: `dlv_${told.id}`,
    key: `dlv_${told.id}`,
    externalId: told.id,
    receivedAt: now,
    replays: 0,
    settings: { ...DEFAULTS, ...told.settings },
    contactProperties: told.properties ?? {},
    formerProperties: {},
    eventProperties: {},
    mapped: null,
    silent: null,
    notes: [],
  };
  return peopleOf(store, now).write(telling, { fact: whole, origin });
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
