import { eq, sql } from 'drizzle-orm';
import { type Effect, lists, type Scalar } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';
import { type Listener, nobody, type Who } from '../happenings.ts';
import { type By, type ContactRow, contactBy, emailOf, nowOrFormerly } from './contacts.ts';
import { component } from './identities.ts';
import { coerceProperties } from './properties.ts';
import type { K, Word } from './registers.ts';
import type { Settled } from './settle.ts';
import { applyWord, isOfAddress, keyAfter, ofAddress, ofUser, requireRoom, speakerOf, tieOf } from './word.ts';

/** One API write to the audience: creates or updates a contact by email and/or userId, in the caller's transaction. */
export interface ContactWrite {
  email?: string | undefined;
  userId?: string | undefined;
  firstName?: string | null | undefined;
  lastName?: string | null | undefined;
  source?: string | undefined;
  userGroup?: string | undefined;
  subscribed?: boolean | undefined;
  /** null removes. */
  properties?: Record<string, Scalar | null> | undefined;
  /** List id → on or off. */
  mailingLists?: Record<string, boolean> | undefined;
}

export interface Written {
  contactId: string;
  /** As it is now, or was before its deletion. */
  contact: Who;
  effects: Effect[];
  /** Whether work came of it: wake the worker after the commit. */
  due: boolean;
}

export interface WriteOrigin {
  /** Unique to this write. */
  key: string;
  deliveryId?: string | null | undefined;
}

export type { By } from './contacts.ts';

const MAX_TEXT = 500; // characters, as Loops has it
const MAX_LISTS = 100;
export const NO_CONTACT = 'Contact not found.';
const missing = () => new AppError('notFound', NO_CONTACT);

/** @throws AppError invalid when address and user id are of two contacts */
async function whom(tx: Tx, email: string | undefined, userId: string | undefined): Promise<ContactRow | undefined> {
  const byEmail = email === undefined ? undefined : await nowOrFormerly(tx, 'email', email);
  const byUser = userId === undefined ? undefined : await nowOrFormerly(tx, 'userId', userId);
  if (byEmail && byEmail.email !== email && userId !== undefined) {
    // A former address of somebody with a user id of their own: this user takes it over.
    return byUser ?? (byEmail.userId === null ? byEmail : undefined);
  }
  if (byEmail && byUser && byEmail.id !== byUser.id) throw twoContacts();
  return byUser ?? byEmail;
}
const twoContacts = () => invalid('Multiple contacts found for the given criteria');

const tooLong = (write: ContactWrite) =>
  [write.firstName, write.lastName, write.source, write.userGroup, write.userId].some(
    text => typeof text === 'string' && text.length > MAX_TEXT,
  );

/** @throws AppError invalid when a list does not exist */
async function requireLists(tx: Tx, given: Record<string, boolean>): Promise<void> {
  const ids = Object.keys(given);
  if (ids.length > MAX_LISTS) throw invalid(`mailingLists: at most ${MAX_LISTS} at once.`);
  for (const id of ids) {
    const row = await prepare(tx, 'list?', t =>
      t
        .select({ id: lists.id })
        .from(lists)
        .where(eq(lists.id, sql.placeholder('id')))
        .prepare(),
    ).get({ id });
    if (!row) throw invalid(`mailingLists.${id.slice(0, 60)}: no such list. GET /api/v1/lists shows the ids.`);
  }
}

/**
 * Creates or updates a contact. Modes: `create` refuses one that exists, `update` one that does not.
 * @throws AppError invalid, conflict or notFound with Loops' messages
 */
export async function writeContact(
  tx: Tx,
  mode: 'create' | 'update' | 'upsert',
  write: ContactWrite,
  origin: WriteOrigin & { source: string; aliases?: string[] | undefined },
  now: number,
  tell: Listener = nobody,
): Promise<Written & { created: boolean }> {
  if (write.email === undefined && write.userId === undefined) throw invalid('An email or userId is required.');
  if (tooLong(write)) throw invalid('Some body key or value is longer than allowable');
  const email = write.email === undefined ? undefined : emailOf(write.email);
  const found = await whom(tx, email, write.userId);
  if (found && mode === 'create') throw new AppError('conflict', 'Email or userId is already on list');
  if (!found && mode === 'update') throw missing();
  if (!found && email === undefined) throw invalid(NO_CONTACT);
  await requireLists(tx, write.mailingLists ?? {});
  const properties = await coerceProperties(tx, write.properties ?? {}, now);
  const claim = email !== undefined && (!found || write.userId !== undefined);
  const aliases = origin.aliases ?? [];
  const own = email ?? found?.email ?? '';
  const user = found?.userId ?? write.userId;
  const starts = user === undefined ? [ofAddress(own)] : [ofUser(user)];
  const given = [
    ...(email === undefined ? [] : [`email:${email}`]),
    ...(write.userId === undefined ? [] : [`user:${write.userId}`]),
  ];
  const all = await component(tx, [...starts, ...aliases], [...starts.map(tieOf), ...given]);
  const speaker = speakerOf(all, found, write.userId, own);
  const values = [...new Set([tieOf(speaker), ...given])];
  requireRoom(all, speaker, values);
  const k = keyAfter(all, origin.key, now);
  const named = isOfAddress(speaker) || claim;
  const word: Word = {
    k,
    links: Object.fromEntries(values.map(value => [value, value.startsWith('email:') && !named ? '' : k])),
    email: named ? email : undefined,
    claim,
    userId: claim ? write.userId : undefined,
    firstName: write.firstName,
    lastName: write.lastName,
    origin: origin.source,
    source: write.source,
    userGroup: write.userGroup,
    subscribed: write.subscribed,
    properties,
    lists: write.mailingLists ?? {},
    erase: false,
  };
  const settled = await applyWord(tx, speaker, word, now, all, aliases);
  const { contactId: contact, email: shown, userId } = settled;
  if (contact === null || shown === null) throw new Error('a write left no contact');
  const done = settled.effects.filter(effect => effect.contactId === undefined);
  if (!aliases.length && done.some(effect => effect.kind === 'contact.merged')) throw twoContacts();
  const created = done.some(effect => effect.kind === 'contact.created');
  return { ...(await finish(tx, { id: contact, email: shown, userId }, settled, origin, now, tell)), created };
}

async function finish(
  tx: Tx,
  contact: Who,
  settled: Settled & { released: number },
  { key, deliveryId = null }: WriteOrigin,
  now: number,
  tell: Listener,
): Promise<Written> {
  const told = await tell(tx, settled.happenings, { key, deliveryId }, now);
  const due = settled.released > 0 || told.length > 0;
  return { contactId: contact.id, contact, effects: [...settled.effects, ...told], due };
}

/** One word about a contact that exists, tied to every user id it has. */
async function speakOf(
  tx: Tx,
  found: ContactRow,
  said: Pick<Word, 'subscribed' | 'erase'>,
  origin: WriteOrigin,
  now: number,
  tell: Listener,
): Promise<Written> {
  const email = `email:${found.email}`;
  const starts = [ofAddress(found.email), ...(found.userId === null ? [] : [ofUser(found.userId)])];
  const all = await component(tx, starts, starts.map(tieOf));
  const speaker = speakerOf(all, found, undefined, found.email);
  const k = keyAfter(all, origin.key, now);
  const users = [...all.values()]
    .filter(i => i.contactId === found.id)
    .flatMap(i => Object.keys(i.registers.links).filter(value => value.startsWith('user:')));
  const ties = [...new Set([tieOf(speaker), ...users])].map(value => [value, k]);
  const links = Object.fromEntries([[email, ''], ...ties]) as Record<string, K>;
  const word: Word = { k, links, claim: false, origin: '', properties: {}, lists: {}, ...said };
  const settled = await applyWord(tx, speaker, word, now, all);
  return finish(tx, { id: found.id, email: found.email, userId: found.userId }, settled, origin, now, tell);
}

/** Deletes a contact: whoever is known behind it is dead for good. @throws AppError notFound, invalid */
export async function deleteContact(tx: Tx, by: By, origin: WriteOrigin, now: number, tell: Listener = nobody) {
  const found = await mustFind(tx, by);
  return speakOf(tx, found, { erase: true }, origin, now, tell);
}

/** Subscribes or unsubscribes (link, bounce, preference page). Nothing but a later `true` here undoes `false`. @throws AppError notFound */
export async function setSubscribed(
  tx: Tx,
  contactId: string,
  subscribed: boolean,
  origin: WriteOrigin,
  now: number,
  tell: Listener = nobody,
) {
  const found = await mustFind(tx, { id: contactId });
  return speakOf(tx, found, { subscribed, erase: false }, origin, now, tell);
}

async function mustFind(tx: Tx, by: By): Promise<ContactRow> {
  const found = await contactBy(tx, by);
  if (!found) throw missing();
  return found;
}
