import { eq, sql } from 'drizzle-orm';
import { type Effect, lists, type Scalar } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';
import { type Listener, nobody, type Who } from '../happenings.ts';
import { providerById } from '../providers/index.ts';
import { type By, type ContactRow, contactBy, emailOf, nowOrFormerly } from './contacts.ts';
import { component, type Lesson, releaseWaiting, teach } from './identities.ts';
import type { Identity } from './partition.ts';
import { coerceProperties } from './properties.ts';
import { emptyRegisters, factKey, joinLinks, joinWord, type K, type Word } from './registers.ts';
import { type Settled, settle } from './settle.ts';

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

/**
 * Joins one API write into the registers of its identity and writes the contact that follows. It never refuses:
 * what may be written is decided before, so that the same writes in any order give the same contacts.
 */
export async function applyWord(
  tx: Tx,
  id: string,
  word: Word,
  now: number,
  known?: Map<string, Identity>,
  aliases: string[] = [],
): Promise<Settled & { released: number }> {
  const all = known ?? (await component(tx, [id, ...aliases], Object.keys(word.links)));
  const join: Lesson['join'] = had => joinWord(had ?? emptyRegisters('api', null), word);
  await teach(tx, all, { id, provider: 'api', links: word.links, join });
  for (const alias of aliases) await teach(tx, all, aliasLesson(alias, word));
  const settled = await settle(tx, [...all.values()], id, now);
  const due = settled.why === 'deleted' ? [...all.keys()] : settled.known;
  let released = 0;
  for (const each of due) released += await releaseWaiting(tx, each);
  return { ...settled, released };
}

/** A provider's person who is this contact, though nothing came from the provider yet. @throws AppError invalid */
function aliasLesson(alias: string, { k, links }: Word): Lesson {
  const [, provider = '', personId = ''] = /^([a-z]+):(.{1,255})$/.exec(alias) ?? [];
  const of = providerById(provider)?.class;
  if (!of) throw invalid(`${alias.slice(0, 60)}: not a provider's id such as stripe:cus_123.`);
  const ties = Object.fromEntries(Object.keys(links).map(value => [value, value.startsWith('email:') ? '' : k]));
  if (of === 'auth') ties[`user:${personId}`] = k;
  return {
    id: alias,
    provider,
    links: ties,
    join: had => {
      const r = had ?? emptyRegisters(of, personId);
      joinLinks(r, ties);
      if (k < r.first) r.first = k;
      if (k > r.last) r.last = k;
      return r;
    },
  };
}

/** A key newer than all that is known here: who writes has seen it, whatever a provider's clock says. */
function keyAfter(all: Map<string, Identity>, key: string, now: number): K {
  let newest = now - 1;
  for (const { registers: r } of all.values())
    for (const k of [r.last, r.buried?.k, r.said?.erased])
      if (k) newest = Math.max(newest, Number(k.slice(0, k.indexOf('.'))));
  return factKey(newest + 1, 2, key);
}

/** @throws AppError invalid when address and user id are of two contacts */
async function whom(tx: Tx, email: string | undefined, userId: string | undefined): Promise<ContactRow | undefined> {
  const byEmail = email === undefined ? undefined : await nowOrFormerly(tx, 'email', email);
  const byUser = userId === undefined ? undefined : await nowOrFormerly(tx, 'userId', userId);
  // An address that somebody else had before may be taken over.
  if (byEmail && byUser && byEmail.id !== byUser.id && byEmail.email === email) throw twoContacts();
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

/** The identity by which the API speaks of a contact: its user id where it has one, else its address. */
function identityOf(email: string | undefined, userId: string | null | undefined): { id: string; value: string } {
  return userId
    ? { id: `api:user:${userId}`, value: `user:${userId}` }
    : { id: `api:@${email}`, value: `email:${email}` };
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
  const speaker = identityOf(email ?? found?.email, found?.userId ?? write.userId);
  const claim = email !== undefined && (!found || write.userId !== undefined);
  const values = [speaker.value, ...(email === undefined ? [] : [`email:${email}`])];
  if (claim && write.userId !== undefined) values.push(`user:${write.userId}`);
  const aliases = origin.aliases ?? [];
  const all = await component(tx, [speaker.id, ...aliases], values);
  const k = keyAfter(all, origin.key, now);
  const named = speaker.id.startsWith('api:@') || claim;
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
  const settled = await applyWord(tx, speaker.id, word, now, all, aliases);
  const { contactId: contact, email: shown, userId } = settled;
  if (contact === null || shown === null) throw new Error('a write left no contact');
  const own = settled.effects.filter(effect => effect.contactId === undefined);
  if (!aliases.length && own.some(effect => effect.kind === 'contact.merged')) throw twoContacts();
  const created = own.some(effect => effect.kind === 'contact.created');
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
  const speaker = identityOf(found.email, found.userId);
  const email = `email:${found.email}`;
  const all = await component(tx, [speaker.id], [speaker.value, email]);
  const k = keyAfter(all, origin.key, now);
  const users = [...all.values()]
    .filter(i => i.contactId === found.id)
    .flatMap(i => Object.keys(i.registers.links).filter(value => value.startsWith('user:')));
  const ties = [...new Set([speaker.value, ...users])].map(value => [value, k]);
  const links = Object.fromEntries([[email, ''], ...ties]) as Record<string, K>;
  const word: Word = { k, links, claim: false, origin: '', properties: {}, lists: {}, ...said };
  const settled = await applyWord(tx, speaker.id, word, now, all);
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
