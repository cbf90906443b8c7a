import { and, asc, desc, eq, exists, gte, inArray, lt, sql } from 'drizzle-orm';
import type { Search } from '../db/scan.ts';
import { contacts, deliveries, events, identities, links, memberships } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import { email as plausible } from '../providers/pick.ts';
import type { Registers } from './registers.ts';

export type ContactRow = typeof contacts.$inferSelect;
export type By = { email: string } | { userId: string } | { id: string };

export const normalEmail = (text: string) => text.trim().replace(/[A-Z]/g, letter => letter.toLowerCase());

/** Contacts that an address or a user id leads to, former ones included. */
async function contactIdsOf(tx: Tx, value: `email:${string}` | `user:${string}`): Promise<string[]> {
  const rows = await prepare(tx, 'contacts of a link', t =>
    t
      .select({ id: identities.contactId })
      .from(links)
      .innerJoin(identities, eq(identities.id, links.identityId))
      .where(eq(links.value, sql.placeholder('value')))
      .prepare(),
  ).all({ value });
  return [...new Set(rows.flatMap(row => (row.id === null ? [] : [row.id])))];
}

/** Contacts that have or had an address. */
export const contactIdsOfEmail = (tx: Tx, email: string) => contactIdsOf(tx, `email:${normalEmail(email)}`);

/** An address as it is stored. @throws AppError invalid */
export function emailOf(text: string): string {
  const email = plausible(text);
  if (email === null) throw invalid('Invalid email address.');
  return email;
}

type Column = 'id' | 'email' | 'userId';
const rowBy = (tx: Tx, column: Column, value: string): Promise<ContactRow | undefined> =>
  prepare(tx, `contact by ${column}`, t =>
    t
      .select()
      .from(contacts)
      .where(eq(contacts[column], sql.placeholder('value')))
      .orderBy(asc(contacts.createdAt), asc(contacts.id))
      .limit(1)
      .prepare(),
  ).get({ value });

/** The contact that shows the address or the user id, else the one that did formerly. */
export async function nowOrFormerly(
  tx: Tx,
  column: 'email' | 'userId',
  value: string,
): Promise<ContactRow | undefined> {
  const shown = await rowBy(tx, column, value);
  if (shown) return shown;
  const ids = await contactIdsOf(tx, column === 'email' ? `email:${value}` : `user:${value}`);
  const [first] = ids.sort();
  return first === undefined ? undefined : rowBy(tx, 'id', first);
}

/** The contact that shows an address, has or had a user id, or is that row. @throws AppError invalid for a bad address */
export async function contactBy(tx: Tx, by: By): Promise<ContactRow | undefined> {
  if ('id' in by) return rowBy(tx, 'id', by.id);
  return 'email' in by ? rowBy(tx, 'email', emailOf(by.email)) : nowOrFormerly(tx, 'userId', by.userId);
}

/** What a caller gave of address and user id, of which exactly one is wanted. @throws AppError invalid */
export function exactlyOne(given: { email?: string | undefined; userId?: string | undefined }): By {
  if (given.email !== undefined && given.userId !== undefined) throw invalid('Give exactly one of email and userId.');
  if (given.email !== undefined) return { email: given.email };
  if (given.userId !== undefined) return { userId: given.userId };
  throw invalid('An email or userId is required.');
}

/** The contact in Loops' shape: custom properties at top level, `mailingLists` an object of true entries. */
function loopsShape(row: ContactRow, listIds: string[]) {
  return {
    ...row.properties,
    id: row.id,
    email: row.email,
    firstName: row.firstName,
    lastName: row.lastName,
    source: row.source,
    subscribed: row.subscribed,
    userGroup: row.userGroup,
    userId: row.userId,
    mailingLists: Object.fromEntries(listIds.map(id => [id, true])),
    optInStatus: null,
  };
}

async function listsOf(tx: Tx, ids: string[]): Promise<Map<string, string[]>> {
  const out = new Map<string, string[]>();
  if (!ids.length) return out;
  const rows = await tx
    .select()
    .from(memberships)
    .where(inArray(memberships.contactId, ids))
    .orderBy(asc(memberships.listId));
  for (const row of rows) out.set(row.contactId, [...(out.get(row.contactId) ?? []), row.listId]);
  return out;
}

/** Contacts in the order of `ids`, with when they were made and changed. */
export async function viewContacts(tx: Tx, ids: string[]) {
  if (!ids.length) return [];
  const rows = await tx.select().from(contacts).where(inArray(contacts.id, ids));
  const members = await listsOf(tx, ids);
  return ids.flatMap(id => {
    const row = rows.find(each => each.id === id);
    if (!row) return [];
    const times = {
      createdAt: new Date(row.createdAt).toISOString(),
      updatedAt: new Date(row.updatedAt).toISOString(),
    };
    return [{ ...loopsShape(row, members.get(id) ?? []), ...times }];
  });
}

/** Loops' find: nobody or one contact, by exactly one of address and user id. @throws AppError invalid */
export async function findContacts(tx: Tx, by: { email?: string | undefined; userId?: string | undefined }) {
  const row = await contactBy(tx, exactlyOne(by));
  if (!row) return [];
  const members = await listsOf(tx, [row.id]);
  return [loopsShape(row, members.get(row.id) ?? [])];
}

/** One contact with the identities behind it. @throws AppError notFound */
export async function getContact(tx: Tx, id: string) {
  const [contact] = await viewContacts(tx, [id]);
  if (!contact) throw notFound('Contact');
  const own = await tx
    .select()
    .from(identities)
    .where(eq(identities.contactId, id))
    .orderBy(asc(identities.createdAt), asc(identities.id));
  const registers = own.map(row => row.registers as Registers);
  const valuesOf = (prefix: string) =>
    [...new Set(registers.flatMap(r => Object.keys(r.links)).filter(value => value.startsWith(prefix)))]
      .map(value => value.slice(prefix.length))
      .sort();
  return {
    ...contact,
    emails: valuesOf('email:'),
    userIds: valuesOf('user:'),
    identities: own.map((row, i) => ({
      provider: row.provider,
      personId: registers[i]?.personId ?? null,
      deleted: (registers[i]?.died ?? null) !== null,
      firstSeenAt: new Date(row.createdAt).toISOString(),
    })),
  };
}

export interface ContactFilter {
  q?: string | undefined;
  listId?: string | undefined;
  userGroup?: string | undefined;
  source?: string | undefined;
  subscribed?: boolean | undefined;
}

/** The filter as a search; `q` is a prefix of the address. */
export function contactSearch(tx: Tx, filter: ContactFilter): Search {
  const { q, listId, userGroup, source, subscribed } = filter;
  const prefix = q === undefined ? '' : normalEmail(q);
  const members = tx
    .select({ id: memberships.contactId })
    .from(memberships)
    .where(eq(memberships.listId, listId ?? ''));
  const member = tx
    .select({ one: sql`1` })
    .from(memberships)
    .where(and(eq(memberships.contactId, contacts.id), eq(memberships.listId, listId ?? '')));
  return {
    where: and(
      prefix ? sql`substr(${contacts.email}, 1, ${[...prefix].length}) = ${prefix}` : undefined,
      listId === undefined ? undefined : exists(member),
      userGroup === undefined ? undefined : eq(contacts.userGroup, userGroup),
      source === undefined ? undefined : eq(contacts.source, source),
      subscribed === undefined ? undefined : eq(contacts.subscribed, subscribed),
    ),
    narrow: prefix
      ? and(gte(contacts.email, prefix), lt(contacts.email, `${prefix}\u{10ffff}`))
      : listId === undefined
        ? undefined
        : inArray(contacts.id, members),
  };
}

const AGE = 4; // ids of deliveries and events: four characters of prefix, then what sorts by age

/** What happened to a contact, newest first: up to `limit` deliveries and events whose age key is below `before`. */
export async function activity(tx: Tx, contactId: string, before: string | null, limit: number) {
  const received = await tx
    .select()
    .from(deliveries)
    .where(and(eq(deliveries.contactId, contactId), before === null ? undefined : lt(deliveries.id, `dlv_${before}`)))
    .orderBy(desc(deliveries.id))
    .limit(limit);
  const fired = await tx
    .select()
    .from(events)
    .where(and(eq(events.contactId, contactId), before === null ? undefined : lt(events.id, `evt_${before}`)))
    .orderBy(desc(events.id))
    .limit(limit);
  const entries = [
    ...received.map(row => ({
      id: row.id,
      at: row.receivedAt,
      kind: 'delivery' as const,
      summary: row.message,
      deliveryId: row.id as string | null,
      detail: { provider: row.provider, type: row.type, status: row.status, effects: row.effects } as Record<
        string,
        unknown
      >,
    })),
    ...fired.map(row => ({
      id: row.id,
      at: row.createdAt,
      kind: 'event' as const,
      summary: `Event ${row.eventName}`,
      deliveryId: row.deliveryId,
      detail: { eventName: row.eventName, eventProperties: row.eventProperties } as Record<string, unknown>,
    })),
  ];
  return entries
    .map(each => ({ ...each, age: each.id.slice(AGE) }))
    .sort((a, b) => (a.age < b.age ? 1 : -1))
    .slice(0, limit);
}
