import { and, eq, gte, inArray, lte, sql } from 'drizzle-orm';
import { contactIdsOfEmail } from './audience/contacts.ts';
import type { Search } from './db/scan.ts';
import { events, type Scalar } from './db/schema.ts';
import { prepare, type Tx } from './db/store.ts';
import type { Happening, Who } from './happenings.ts';
import { idAt, newId } from './id.ts';

/** `since` and `until` in ms. */
export interface EventFilter {
  name?: string | undefined;
  email?: string | undefined;
  contactId?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

export async function eventSearch(tx: Tx, filter: EventFilter): Promise<Search> {
  const { name, email, contactId, since, until } = filter;
  const ofEmail = email === undefined ? null : await contactIdsOfEmail(tx, email);
  const ofContact = and(
    contactId === undefined ? undefined : eq(events.contactId, contactId),
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
    floor: since === undefined ? undefined : idAt('evt', since),
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
  /** What it is of (delivery, kind, target): a second event with the same key is none. */
  effectKey: string;
  contact: Who;
  eventName: string;
  eventProperties: Record<string, Scalar>;
  deliveryId: string | null;
}

const eventOf = (tx: Tx) =>
  prepare(tx, 'event?', t =>
    t
      .select({ id: events.id })
      .from(events)
      .where(eq(events.effectKey, sql.placeholder('effectKey')))
      .prepare(),
  );

/** Records an event. Null: it was recorded before. */
export async function recordEvent(tx: Tx, event: NewEvent, now: number): Promise<Happening | null> {
  const { contact, eventName, eventProperties, effectKey, deliveryId } = event;
  if (await eventOf(tx).get({ effectKey })) return null;
  const id = newId('evt', now);
  await prepare(tx, 'event+', t =>
    t
      .insert(events)
      .values({
        id: sql.placeholder('id'),
        effectKey: sql.placeholder('effectKey'),
        eventName: sql.placeholder('eventName'),
        contactId: sql.placeholder('contactId'),
        email: sql.placeholder('email'),
        eventProperties: sql.placeholder('eventProperties'),
        deliveryId: sql.placeholder('deliveryId'),
        createdAt: sql.placeholder('now'),
      })
      .prepare(),
  ).run({
    id,
    effectKey,
    eventName,
    contactId: contact.id,
    email: contact.email,
    eventProperties,
    deliveryId,
    now,
  });
  return { kind: 'event', contact, eventId: id, eventName, eventProperties };
}
