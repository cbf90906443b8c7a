import { asc, eq, inArray, sql } from 'drizzle-orm';
import { contacts, identities, memberships, mergedContacts, ties } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import { normalizeEmail, parseEmail } from './emails.ts';
import { MAX_TIED } from './people.ts';
import { claimOf, type View, viewOf } from './views.ts';
import { decodeIdentity } from './workingSet.ts';

type ContactRow = typeof contacts.$inferSelect;
export type By = { email: string } | { userId: string } | { id: string };

/** Contacts that an address or a user id leads to, former ones included. */
async function findContactIds(tx: Tx, value: `email:${string}` | `user:${string}`): Promise<string[]> {
  const rows = await prepare(tx, 'contacts of a link', t =>
    t
      .select({ id: identities.contactId })
      .from(ties)
      .innerJoin(identities, eq(identities.id, ties.identityId))
      .where(eq(ties.value, sql.placeholder('value')))
      .prepare(),
  ).all({ value });
  return [...new Set(rows.flatMap(row => (row.id === null ? [] : [row.id])))];
}

/** Contacts that a user id of the user's own product names, those beside the shown one included. */
export const findContactIdsOfUser = (tx: Tx, userId: string) => findContactIds(tx, `user:${userId}`);

/** Contacts that have or had an address. */
export const findContactIdsOfEmail = (tx: Tx, email: string) => findContactIds(tx, `email:${normalizeEmail(email)}`);

type Column = 'id' | 'email' | 'userId';
const findRow = (tx: Tx, column: Column, value: string): Promise<ContactRow | undefined> =>
  prepare(tx, `contact by ${column}`, t =>
    t
      .select()
      .from(contacts)
      .where(eq(contacts[column], sql.placeholder('value')))
      .orderBy(asc(contacts.createdAt), asc(contacts.id))
      .limit(1)
      .prepare(),
  ).get({ value });

/** The views of everybody whom a value ties. */
async function loadViewsOfTie(tx: Tx, value: string): Promise<View[]> {
  const rows = await tx
    .select({
      id: identities.id,
      provider: identities.provider,
      contactId: identities.contactId,
      registers: identities.registers,
    })
    .from(ties)
    .innerJoin(identities, eq(identities.id, ties.identityId))
    .where(eq(ties.value, value));
  return rows.flatMap(row => viewOf(decodeIdentity(row), null, '') ?? []);
}

/** The contact whose user proved an address last, where nobody shows it. */
async function findFormerHolder(tx: Tx, email: string): Promise<ContactRow | undefined> {
  let last: { id: string; claim: string } | null = null;
  for (const view of await loadViewsOfTie(tx, `email:${email}`)) {
    const { contactId } = view.identity;
    if ((view.kind !== 'user' && view.kind !== 'apiContact') || contactId === null) continue;
    for (const run of view.runs)
      if (run.email === email && run.proven !== null && (!last || claimOf(run) > last.claim))
        last = { id: contactId, claim: claimOf(run) };
  }
  return last ? findRow(tx, 'id', last.id) : undefined;
}

async function findByUserId(tx: Tx, userId: string): Promise<ContactRow | undefined> {
  const ids = await findContactIds(tx, `user:${userId}`);
  const shown = await findRow(tx, 'userId', userId);
  if (shown && ids.includes(shown.id)) return shown;
  for (const id of ids.sort()) {
    const row = await findRow(tx, 'id', id);
    if (row) return row;
  }
  return undefined;
}

/** The contact that shows an address or proved it formerly, has or had a user id, or is (or became) that row. @throws AppError invalid for a bad address */
export async function findContact(tx: Tx, by: By): Promise<ContactRow | undefined> {
  if ('userId' in by) return findByUserId(tx, by.userId);
  if ('email' in by) {
    const email = parseEmail(by.email);
    return (await findRow(tx, 'email', email)) ?? findFormerHolder(tx, email);
  }
  const row = await findRow(tx, 'id', by.id);
  if (row) return row;
  const [merged] = await tx.select().from(mergedContacts).where(eq(mergedContacts.fromId, by.id));
  return merged && findRow(tx, 'id', merged.toId);
}

/** What a caller gave of address and user id, of which exactly one is wanted. @throws AppError invalid */
export function requireOne(given: { email?: string | undefined; userId?: string | undefined }): By {
  if (given.email !== undefined && given.userId !== undefined) throw invalid('Give exactly one of email and userId.');
  if (given.email !== undefined) return { email: given.email };
  if (given.userId !== undefined) return { userId: given.userId };
  throw invalid('An email or userId is required.');
}

/** The contact in Loops' shape: custom properties at top level, `mailingLists` an object of true entries. */
function formatForLoops(row: ContactRow, listIds: string[]) {
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

async function loadLists(tx: Tx, ids: string[]): Promise<Map<string, string[]>> {
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
  const members = await loadLists(tx, ids);
  return ids.flatMap(id => {
    const row = rows.find(each => each.id === id);
    if (!row) return [];
    const times = {
      createdAt: new Date(row.createdAt).toISOString(),
      updatedAt: new Date(row.updatedAt).toISOString(),
    };
    return [{ ...formatForLoops(row, members.get(id) ?? []), ...times }];
  });
}

/** Loops' find: nobody or one contact, by exactly one of address and user id. @throws AppError invalid */
export async function findContacts(tx: Tx, by: { email?: string | undefined; userId?: string | undefined }) {
  const row = await findContact(tx, requireOne(by));
  if (!row) return [];
  const members = await loadLists(tx, [row.id]);
  return [formatForLoops(row, members.get(row.id) ?? [])];
}

/** One contact with the identities behind it; the id of one that became part of it finds it, too. @throws AppError notFound */
export async function getContact(tx: Tx, given: string) {
  const id = (await findContact(tx, { id: given }))?.id ?? given;
  const [contact] = await viewContacts(tx, [id]);
  if (!contact) throw notFound('Contact');
  const own = await tx
    .select()
    .from(identities)
    .where(eq(identities.contactId, id))
    .orderBy(asc(identities.createdAt), asc(identities.id));
  const views = own.flatMap(row => viewOf(decodeIdentity(row), null, '') ?? []);
  const emails = new Set([contact.email, ...views.flatMap(view => view.runs.map(run => run.email))]);
  const userIds = new Set(
    views.flatMap(({ identity: { registers: r } }) => [
      ...(r.class === 'auth' || (r.class === 'api' && r.personId !== null) ? [r.personId ?? ''] : []),
      ...r.facts.flatMap(each => each.userId ?? []),
    ]),
  );
  const tied = await loadViewsOfTie(tx, `email:${contact.email}`);
  const shared = Map.groupBy(
    tied.filter(view => view.kind === 'user' || view.kind === 'payer'),
    view => view.identity.provider,
  );
  return {
    ...contact,
    emails: [...emails].sort(),
    userIds: [...userIds].sort(),
    ...([...shared.values()].some(of => of.length >= MAX_TIED) && { sharedAddress: true }),
    identities: views
      .filter(view => view.kind !== 'apiAddress')
      .map(view => ({
        provider: view.identity.provider.split('@')[0] ?? '',
        namespace: view.identity.provider.split('@')[1] ?? '',
        personId: view.identity.registers.personId,
        deleted: !view.live,
        firstSeenAt: new Date(own.find(row => row.id === view.id)?.createdAt ?? 0).toISOString(),
      })),
  };
}
