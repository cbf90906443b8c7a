import { and, eq, gte, inArray, lte, sql } from 'drizzle-orm';
import { findContactIdsOfEmail } from '../audience/contacts.ts';
import { loadMergedIds, loadMergedIdsOf } from '../audience/merges.ts';
import type { ContactChange, Who } from '../changes.ts';
import { events, type Scalar } from '../db/schema.ts';
import type { Search } from '../db/search.ts';
import { insertRows } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { makeIdAt } from '../id.ts';

/** `since` and `until` in ms. */
interface EventFilter {
  name?: string | undefined;
  email?: string | undefined;
  contactId?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

export async function buildEventSearch(tx: Tx, filter: EventFilter): Promise<Search> {
  const { name, email, contactId, since, until } = filter;
  const ofEmail = email === undefined ? null : await loadMergedIds(tx, await findContactIdsOfEmail(tx, email));
  const ofContact = and(
    contactId === undefined ? undefined : inArray(events.contactId, await loadMergedIdsOf(tx, contactId)),
    ofEmail === null ? undefined : ofEmail.length ? inArray(events.contactId, ofEmail) : sql`1 = 0`,
  );
  const named = name === undefined ? undefined : eq(events.eventName, name);
  return {
    where: and(
      named,
      ofContact,
      since === undefined ? undefined : gte(events.createdAt, since),
      until === undefined ? undefined : lte(events.createdAt, until),
    ),
    narrow: ofContact ?? named,
    floor: since === undefined ? undefined : makeIdAt('evt', since),
  };
}

/** Events in the order of `ids`. */
export async function viewEvents(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(events).where(inArray(events.id, ids)) : [];
  return ids.flatMap(id => {
    const row = rows.find(each => each.id === id);
    if (!row) return [];
    const { effectKey: _, createdAt, ...shown } = row;
    return [{ ...shown, createdAt: new Date(createdAt).toISOString() }];
  });
}

export interface NewEvent {
  id: string;
  /** What it is of (delivery, kind, target): a second event with the same key is none. */
  effectKey: string;
  contact: Who;
  eventName: string;
  eventProperties: Record<string, Scalar>;
  deliveryId: string | null;
  /** By the provider's time, ms since 1970; absent: now. */
  occurredAt?: number | undefined;
}

/** What the event is to those who follow a contact. */
export const changeOfEvent = ({ id, contact, eventName, eventProperties, occurredAt }: NewEvent): ContactChange => ({
  kind: 'event',
  contact,
  eventId: id,
  eventName,
  eventProperties,
  occurredAt,
});

/** Records events whose keys are new. `now` in ms. */
export async function insertEvents(tx: Tx, all: NewEvent[], now: number): Promise<void> {
  const rows = all.map(each => [
    each.id,
    each.effectKey,
    each.eventName,
    each.contact.id,
    each.contact.email,
    JSON.stringify(each.eventProperties),
    each.deliveryId,
    now,
  ]);
  const columns = 'id effect_key event_name contact_id email event_properties delivery_id created_at'.split(' ');
  await insertRows(tx, 'events', columns, rows);
}
