import { and, eq, inArray, isNull } from 'drizzle-orm';
import { findContact } from '../audience/contacts.ts';
import { normalizeEmail, parseEmail } from '../audience/emails.ts';
import { loadMergedIdsOf } from '../audience/merges.ts';
import { makeEmailTie } from '../audience/people.ts';
import { makeUserTie } from '../audience/ties.ts';
import { hashSubject, loadSalt } from '../audience/tombstones.ts';
import {
  contacts,
  deliveries,
  events,
  formerContacts,
  identities,
  mails,
  type Needles,
  parkedContacts,
  ties,
  tombstones,
} from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { invalid } from '../errors.ts';

/** Who is to be erased: by one of these. */
export type Whom =
  | { id: string }
  | { email: string }
  | { userId: string }
  | { provider: string; providerId: string; namespace?: string | undefined };

const MOST = 500; // rows of a removed contact by which its people are looked for
export const MIN_USER_ID = 6; // characters; a shorter one is in many a text by chance

/** What leads to the person before anything is loaded. */
export interface Found {
  /** Contacts, merged ones too. */
  contacts: string[];
  /** Identities without a contact, or of one that was removed. */
  identities: string[];
  /** What was asked for, where it is of nobody else. */
  asked: Pick<Needles, 'emails' | 'persons' | 'weak'>;
  /** What was asked for, as it is noted of the erased. */
  subjects: string[];
  /** There is something to erase, even if nobody is known any more. */
  known: boolean;
}

/** Identities that a value ties; `alone`: of no contact. */
async function findTied(tx: Tx, value: string, alone: boolean): Promise<string[]> {
  const rows = await tx
    .select({ id: identities.id })
    .from(ties)
    .innerJoin(identities, eq(identities.id, ties.identityId))
    .where(and(eq(ties.value, value), alone ? isNull(identities.contactId) : undefined))
    .limit(MOST);
  return rows.map(row => row.id);
}

const NOTHING_ASKED = { emails: [], persons: [], weak: [] };

/** A contact's id, also of one that was removed: then whoever was behind it. */
async function findById(tx: Tx, id: string): Promise<Found> {
  const ids = await loadMergedIdsOf(tx, id);
  const found: Found = { contacts: ids, identities: [], asked: NOTHING_ASKED, subjects: [], known: false };
  for (const table of [contacts, parkedContacts]) {
    const [row] = await tx.select({ id: table.id }).from(table).where(inArray(table.id, ids));
    if (row) return { ...found, known: true };
  }
  const former = await tx.select().from(formerContacts).where(inArray(formerContacts.contactId, ids));
  if (former.length) return { ...found, identities: former.map(row => row.identityId), known: true };
  const [received, fired, sent] = await Promise.all([
    tx.select({ id: deliveries.identityId }).from(deliveries).where(inArray(deliveries.contactId, ids)).limit(MOST),
    tx.select({ email: events.email }).from(events).where(inArray(events.contactId, ids)).limit(MOST),
    tx.select({ email: mails.recipient }).from(mails).where(inArray(mails.contactId, ids)).limit(MOST),
  ]);
  const people = new Set(received.flatMap(row => row.id ?? []));
  for (const email of new Set([...fired, ...sent].map(row => normalizeEmail(row.email))))
    for (const each of await findTied(tx, makeEmailTie(email), true)) people.add(each);
  return { ...found, identities: [...people], known: received.length + fired.length + sent.length > 0 };
}

async function findByEmail(tx: Tx, given: string): Promise<Found> {
  const email = parseEmail(given);
  const shown = await findContact(tx, { email });
  const asked = { ...NOTHING_ASKED, emails: [email] };
  const parked = shown
    ? []
    : await tx.select({ id: parkedContacts.id }).from(parkedContacts).where(eq(parkedContacts.email, email));
  const alone = await findTied(tx, makeEmailTie(email), true);
  const [mail] = await tx.select({ id: mails.id }).from(mails).where(eq(mails.recipient, email)).limit(1);
  const rows = [...(shown ? [shown] : []), ...parked].map(row => row.id);
  const known = rows.length + alone.length > 0 || mail !== undefined || (await hasBeenErased(tx, makeEmailTie(email)));
  return { contacts: rows, identities: shown ? [] : alone, asked, subjects: [makeEmailTie(email)], known };
}

async function findByUserId(tx: Tx, userId: string): Promise<Found> {
  const tie = makeUserTie('', userId);
  const row = await findContact(tx, { userId });
  const alone = await findTied(tx, tie, true);
  const asked = { ...NOTHING_ASKED, weak: userId.length >= MIN_USER_ID ? [userId] : [] };
  const known = row !== undefined || alone.length > 0 || (await hasBeenErased(tx, tie));
  return { contacts: row ? [row.id] : [], identities: alone, asked, subjects: [tie], known };
}

async function findByPerson(tx: Tx, provider: string, providerId: string): Promise<Found> {
  const id = `${provider}:${providerId}`;
  const rows = await tx.select({ id: identities.id }).from(identities).where(eq(identities.id, id));
  const tied = await findTied(tx, `id:${id}`, false);
  const all = [...rows.map(row => row.id), ...tied];
  // Of somebody unknown it may be the id of a person in another namespace.
  const asked = { ...NOTHING_ASKED, [all.length ? 'persons' : 'weak']: [providerId] };
  const known = all.length > 0 || (await hasBeenErased(tx, id));
  return { contacts: [], identities: all, asked, subjects: [id], known };
}

/** Whether it was erased before: the copies are looked for once more then. */
async function hasBeenErased(tx: Tx, value: string): Promise<boolean> {
  const salt = await loadSalt(tx);
  if (salt === null) return false;
  const hash = hashSubject(salt, value);
  return (await tx.select().from(tombstones).where(eq(tombstones.hash, hash))).length > 0;
}

const lookUp = (tx: Tx, whom: Whom): Promise<Found> => {
  if ('id' in whom) return findById(tx, whom.id);
  if ('email' in whom) return findByEmail(tx, whom.email);
  if ('userId' in whom) return findByUserId(tx, whom.userId);
  return findByPerson(tx, whom.namespace ? `${whom.provider}@${whom.namespace}` : whom.provider, whom.providerId);
};

/** Looks a person up by whatever is given, with whoever was the same removed contact. @throws AppError invalid for a bad address */
export async function findPerson(tx: Tx, whom: Whom): Promise<Found> {
  const found = await lookUp(tx, whom);
  const were = await tx
    .select({ id: formerContacts.contactId })
    .from(formerContacts)
    .where(inArray(formerContacts.identityId, [...found.identities, '']));
  if (!were.length) return found;
  const contactIds = were.map(row => row.id);
  const beside = await tx
    .select({ id: identities.id })
    .from(formerContacts)
    .innerJoin(identities, eq(identities.id, formerContacts.identityId))
    .where(and(inArray(formerContacts.contactId, contactIds), isNull(identities.contactId)));
  return { ...found, identities: [...new Set([...found.identities, ...beside.map(row => row.id)])] };
}

interface WhomQuery {
  email?: string | undefined;
  userId?: string | undefined;
  provider?: string | undefined;
  providerId?: string | undefined;
  namespace?: string | undefined;
}

/** Exactly one of address, user id, and provider with providerId. @throws AppError invalid */
export function parseWhom({ email, userId, provider, providerId, namespace }: WhomQuery): Whom {
  const given = [email, userId, provider ?? providerId].filter(value => value !== undefined);
  if (given.length !== 1) throw invalid('Give exactly one of email, userId, and provider with providerId.');
  if (email !== undefined) return { email };
  if (userId !== undefined) return { userId };
  if (!provider || !providerId)
    throw invalid('provider and providerId go together: provider=stripe&providerId=cus_123');
  return { provider, providerId, namespace };
}
