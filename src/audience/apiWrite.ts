import type { Scalar } from '../db/schema.ts';
import { AppError, invalid } from '../errors.ts';
import { providerById } from '../providers/index.ts';
import { type ConsentReason, ofAddress, ofPerson, withChange } from './consent.ts';
import { speaksFor, userTie } from './partition.ts';
import { type Contact, emailTie, type People, tiesOf } from './people.ts';
import { coerceProperties } from './properties.ts';
import { groupsOf, type Reconciled, reconcile } from './reconcile.ts';
import {
  type ApiContribution,
  ascending,
  emptyRegisters,
  factKey,
  joinApiWrite,
  type K,
  laterOf,
  msOf,
} from './registers.ts';
import { addressOf, claimOf, type Identity, namespaceOf, type View } from './views.ts';

/** One API write to the audience: creates or updates a contact by email and/or userId. */
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

export interface WriteOrigin {
  /** Unique to this write. */
  key: string;
  deliveryId?: string | null | undefined;
}

export interface Written extends Reconciled {
  contactId: string;
  email: string;
  created: boolean;
}

const OF_USER = 'api:user:';
const OF_ADDRESS = 'api:@';
const MAX_TEXT = 500; // characters, as Loops has it
const MAX_LISTS = 100;
export const NO_CONTACT = 'Contact not found.';
const missing = () => new AppError('notFound', NO_CONTACT);
const severalContacts = () => invalid('Multiple contacts found for the given criteria');

/** The identity by which the API speaks of a user id of the user's own product, and of an address alone. */
export const identityOfUser = (userId: string) => OF_USER + userId;
export const identityOfAddress = (email: string) => OF_ADDRESS + email;

export type By = { email: string } | { userId: string } | { id: string };

/** The contact that shows an address, else the one whose user proved it formerly. `email` in its normal form. */
export function findByEmail(people: People, email: string): { contact: Contact; shown: boolean } | null {
  for (const contact of people.contacts.values())
    if (!contact.parked && contact.email === email) return { contact, shown: true };
  const id = keepersOf(people, email)[0]?.identity.contactId;
  const contact = people.contacts.get(id ?? '');
  return contact && !contact.parked ? { contact, shown: false } : null;
}

/** Whoever proved an address last, parked ones too, with all who are one contact with them; that one first. */
export function keepersOf(people: People, email: string): View[] {
  const { all } = people.around([], [emailTie(email)]);
  const { groups } = groupsOf(all);
  let last: { view: View; claim: K } | null = null;
  for (const view of groups.flatMap(group => group.views)) {
    if (view.kind !== 'user' && view.kind !== 'apiContact') continue;
    for (const run of view.runs)
      if (run.email === email && run.proven !== null && (!last || claimOf(run) > last.claim))
        last = { view, claim: claimOf(run) };
  }
  const keeper = last?.view;
  const group = keeper && groups.find(each => each.views.includes(keeper));
  return group ? [keeper, ...group.views.filter(view => view !== keeper)] : [];
}

/** The contact of a user id of the user's own product. A payer's external id finds nobody whose address the payer typed. */
export function findByUserId(people: People, userId: string): Contact | null {
  for (const id of [...(people.ties.get(userTie('', userId)) ?? [])].sort()) {
    const contact = people.contacts.get(people.identities.get(id)?.contactId ?? '');
    if (!contact || contact.parked) continue;
    const views = groupOf(people, contact);
    const own = views.find(view => view.id === id);
    if (
      own &&
      speaksFor(
        views.filter(view => view.unit === own.unit),
        views,
      )
    )
      return contact;
  }
  return null;
}

export function findContact(people: People, by: By): Contact | null {
  if ('id' in by) {
    const contact = people.contacts.get(by.id) ?? people.contacts.get(people.merged.get(by.id) ?? '');
    return contact && !contact.parked ? contact : null;
  }
  return 'email' in by ? (findByEmail(people, by.email)?.contact ?? null) : findByUserId(people, by.userId);
}

/** Whether a user id is of somebody who once proved an address, and has none now. */
function isParked(people: People, userId: string): boolean {
  const ids = people.ties.get(userTie('', userId));
  if (!ids?.size) return false;
  const { groups } = groupsOf(people.around(ids).all);
  return groups.some(
    ({ email, views }) =>
      email === null &&
      views.some(view => ids.has(view.id)) &&
      views.some(view => view.kind === 'apiContact' || view.runs.some(run => run.proven !== null)),
  );
}

/** @throws AppError invalid when address and user id are of two contacts */
function findForWrite(people: People, email: string | undefined, userId: string | undefined) {
  const byEmail = email === undefined ? null : findByEmail(people, email);
  const byUser = userId === undefined ? null : findByUserId(people, userId);
  const isOther = byEmail !== null && byEmail.contact.id !== byUser?.id;
  // A former address of somebody with a user id of their own: this user takes it over.
  if (byEmail && isOther && !byEmail.shown && userId !== undefined)
    return {
      found: byUser ?? (byEmail.contact.userId === null ? byEmail.contact : null),
      byUser,
      known: byEmail.contact,
    };
  if (byEmail && isOther && (byUser || (userId !== undefined && isParked(people, userId)))) throw severalContacts();
  // A payer's id that is shown where somebody older pays finds nobody, and still is another contact's.
  if (
    byEmail &&
    !byUser &&
    [...people.contacts.values()].some(each => !each.parked && each.userId === userId && each.id !== byEmail.contact.id)
  )
    throw severalContacts();
  const found = byUser ?? byEmail?.contact ?? null;
  return { found, byUser, known: found };
}

/** The key of what the API does: in one second it is the later, and newer than all that is known here, whatever a provider's clock says. */
export function keyAfter(identities: Iterable<Identity>, key: string, now: number): K {
  let newest: K = '';
  for (const { registers: r } of identities) {
    newest = laterOf(newest, laterOf(r.facts.at(-1)?.k ?? '', r.erased));
    for (const death of r.deaths) newest = laterOf(newest, laterOf(death.h, death.k));
  }
  const second = Math.floor(Math.max(now, newest === '' ? 0 : msOf(newest)) / 1000);
  const at = factKey(second * 1000 + 999, 999, 9, '', '').trimEnd();
  const turn = newest.startsWith(at) ? Number(newest.slice(at.length, at.length + TURN)) + 1 : 0;
  return `${at}${String(turn).padStart(TURN, '0')}.${key} `;
}

const TURN = 6; // digits: which write of its second

/** The views of the group that a contact's row belongs to. */
function groupOf(people: People, contact: Contact): View[] {
  const members = [...people.identities.values()].filter(each => each.contactId === contact.id);
  const { all } = people.around(members.map(each => each.id));
  const group = groupsOf(all).groups.find(each => each.views.some(view => view.identity.contactId === contact.id));
  return group?.views ?? [];
}

interface Speaking {
  views: View[];
  found: Contact | null;
  /** The user id by which it was found. */
  by: string | null;
  userId: string | undefined;
  email: string;
}

/**
 * Under which identity the API speaks of a contact: of the user by whose id it was found, of the user who proved the address or the API
 * contact, of a user id that is new here, else of the address.
 */
function speakerOf({ views, found, by, userId, email }: Speaking): string {
  const api = views.filter(view => view.kind === 'apiContact').sort(byFirst);
  if (by !== null) {
    const set = api.find(view => view.facts.some(each => each.userId === by));
    return set?.id ?? identityOfUser(by);
  }
  if (found) {
    const [user] = views
      .filter(view => view.kind === 'user' && view.now?.email === found.email && view.now.proven !== null)
      .sort(byFirst);
    if (user) return `api:${userTie(namespaceOf(user.identity.provider), user.identity.registers.personId ?? '')}`;
    if (api[0]) return api[0].id;
  }
  return userId === undefined ? identityOfAddress(email) : identityOfUser(userId);
}

const byFirst = (a: View, b: View) => ascending(a.first, b.first) || ascending(a.id, b.id);

/** @throws AppError invalid when a text is too long or a list does not exist */
function checkWrite(people: People, write: ContactWrite): void {
  const texts = [write.firstName, write.lastName, write.source, write.userGroup, write.userId];
  if (texts.some(text => typeof text === 'string' && text.length > MAX_TEXT))
    throw invalid('Some body key or value is longer than allowable');
  const lists = Object.keys(write.mailingLists ?? {});
  if (lists.length > MAX_LISTS) throw invalid(`mailingLists: at most ${MAX_LISTS} at once.`);
  for (const id of lists)
    if (!people.definitions.hasList(id))
      throw invalid(`mailingLists.${id.slice(0, 60)}: no such list. GET /api/v1/lists shows the ids.`);
}

export interface ApplyOptions extends WriteOrigin {
  /** The source that a contact made by this write has. */
  source: string;
  /** Providers' persons who are this contact though nothing came from there yet: `stripe:cus_…`. */
  aliases?: string[] | undefined;
  reason?: ConsentReason | undefined;
}

/**
 * Creates or updates a contact. Modes: `create` refuses one that exists, `update` one that does not. `write.email` in its normal form.
 * @throws AppError invalid, conflict or notFound with Loops' messages
 */
export function applyApiWrite(
  people: People,
  mode: 'create' | 'update' | 'upsert',
  write: ContactWrite,
  options: ApplyOptions,
  now: number,
): Written {
  const { email, userId } = write;
  if (email === undefined && userId === undefined) throw invalid('An email or userId is required.');
  checkWrite(people, write);
  const { found, byUser, known } = findForWrite(people, email, userId);
  if (known && mode === 'create')
    throw new AppError('conflict', `Email or userId is already on list: contact ${known.id}`);
  if (!found && mode === 'update') throw missing();
  if (!found && email === undefined) throw invalid(NO_CONTACT);
  const properties = coerceProperties(people, write.properties ?? {});
  const shownBefore = new Set([...people.contacts.values()].flatMap(each => (each.parked ? [] : [each.id])));
  const views = found ? groupOf(people, found) : [];
  const shown = found?.email ?? email ?? '';
  const by = byUser && userId !== undefined ? userId : null;
  const speaker = speakerOf({ views, found, by, userId, email: shown });
  // An address is set, in contrast to one that only names whom it is about, where it is new, and for a user id that is new here.
  const isNewUser = found !== null && by === null && userId !== undefined && speaker === identityOfUser(userId);
  const isMove = found !== null && by !== null && email !== undefined && email !== found.email;
  const set = !found || isMove ? email : isNewUser ? found.email : undefined;
  const near = people.around([speaker, ...views.map(view => view.id)], email === undefined ? [] : [emailTie(email)]);
  const k = keyAfter(near.all, options.key, now);
  const one: ApiContribution = { k };
  if (set !== undefined) Object.assign(one, { a: 1, e: set, p: 1 });
  if (!found) Object.assign(one, { made: 1, source: options.source });
  if (userId !== undefined && by === null) one.userId = userId;
  if (write.firstName !== undefined) one.f = write.firstName;
  if (write.lastName !== undefined) one.l = write.lastName;
  if (write.userGroup !== undefined) one.group = write.userGroup;
  if (write.source !== undefined) one.setSource = write.source;
  if (Object.keys(properties).length) one.c = properties;
  if (write.mailingLists && Object.keys(write.mailingLists).length) one.lists = write.mailingLists;
  joinSpeaker(people, speaker, one, found ? views : []);
  for (const alias of options.aliases ?? []) joinAlias(people, speaker, alias);
  if (write.subscribed !== undefined) {
    const reason = options.reason ?? 'api';
    changeConsent(
      people,
      {
        views,
        email: set ?? shown,
        named: email,
        subscribed: write.subscribed,
        reason,
        ids: set === undefined ? [] : [speaker],
      },
      now,
    );
  }
  const written = reconcile(
    people,
    speaker,
    now,
    views.map(view => view.id),
  );
  if (written.contactId === null || written.email === null) throw new Error('a write left no contact');
  const own = written.effects.filter(effect => effect.contactId === undefined);
  const isMerged =
    shownBefore.has(written.contactId) &&
    own.some(effect => effect.kind === 'contact.merged' && shownBefore.has(String(effect.from)));
  if (!options.aliases?.length && isMerged) throw severalContacts();
  const created = own.some(effect => effect.kind === 'contact.created');
  return { ...written, contactId: written.contactId, email: written.email, created };
}

function joinSpeaker(people: People, id: string, one: ApiContribution, views: View[]): void {
  const had = people.identities.get(id);
  const personId = id.startsWith(OF_USER) ? id.slice(OF_USER.length) : null;
  let registers = joinApiWrite(had?.registers ?? emptyRegisters('api', personId), one);
  if (addressOf(id) !== null && !one.made) {
    const [payer] = views.filter(view => view.kind === 'payer').sort(byFirst);
    const anchored = views.some(view => view.kind === 'user' || view.kind === 'apiContact');
    const { carrier: _, ...uncarried } = registers;
    registers = uncarried;
    if (payer && !anchored) {
      registers = { ...registers, carrier: payer.id };
      const carrier = people.identities.get(payer.id);
      if (carrier && !carrier.registers.carries) people.changeRegisters(payer.id, { ...carrier.registers, carries: 1 });
    }
  }
  people.putIdentity({
    id,
    provider: 'api',
    contactId: had?.contactId ?? views[0]?.identity.contactId ?? null,
    registers,
  });
}

/** A provider's person who is this contact for good, though nothing came from the provider yet. @throws AppError invalid */
function joinAlias(people: People, speaker: string, alias: string): void {
  const [, provider = '', personId = ''] = /^([a-z]+):(.{1,255})$/.exec(alias) ?? [];
  const of = providerById(provider)?.class;
  if (!of) throw invalid(`${alias.slice(0, 60)}: not a provider's id such as stripe:cus_123.`);
  const tie = `id:${alias}`;
  const had = people.identities.get(alias);
  const r = had?.registers ?? emptyRegisters(of, personId);
  if (!r.aliases.includes(tie))
    people.putIdentity({
      id: alias,
      provider,
      contactId: had?.contactId ?? null,
      registers: { ...r, aliases: [...r.aliases, tie].sort() },
    });
  const own = people.identities.get(speaker);
  if (own && !own.registers.aliases.includes(tie))
    people.changeRegisters(speaker, { ...own.registers, aliases: [...own.registers.aliases, tie].sort() });
}

interface Consent {
  views: View[];
  /** The address shown, and the one named in the write or the link. */
  email: string;
  named?: string | undefined;
  subscribed: boolean;
  reason: ConsentReason;
  /** Further persons it is said of. */
  ids?: string[];
}

/** Whether another contact shows an address: nobody silences others by typing it. */
function isElsewhere(people: People, email: string, views: View[]): boolean {
  const ids = new Set(views.map(view => view.identity.contactId));
  for (const contact of people.contacts.values())
    if (!contact.parked && contact.email === email && !ids.has(contact.id)) return true;
  return false;
}

/** Notes a change of mind: of the address shown, the one named and the persons; a no also of the present own addresses of the members. */
export function changeConsent(
  people: People,
  { views, email, named, subscribed, reason, ids = [] }: Consent,
  now: number,
): void {
  const addresses = new Set([email, ...(named === undefined ? [] : [named])]);
  if (!subscribed && reason !== 'bounce')
    for (const { kind, now: own, withheld } of views)
      if (own && !withheld && (kind === 'user' || kind === 'payer') && !isElsewhere(people, own.email, views))
        addresses.add(own.email);
  const persons =
    reason === 'bounce'
      ? []
      : [...views.filter(view => view.kind !== 'address' && view.kind !== 'apiAddress').map(view => view.id), ...ids];
  for (const subject of [...[...addresses].map(ofAddress), ...new Set(persons.map(ofPerson))]) {
    if (subject === ofAddress('')) continue;
    people.set(
      people.consents,
      subject,
      withChange(people.consents.get(subject) ?? [], { at: now, subscribed, reason }),
    );
  }
}

/**
 * Subscribes or unsubscribes an address: by a link in a mail that went there, a bounce, a complaint. It acts on the address, and on the
 * contact that shows or keeps it. Null: nobody does, and the address is remembered.
 */
export function applyConsent(
  people: People,
  email: string,
  subscribed: boolean,
  reason: ConsentReason,
  now: number,
): Reconciled | null {
  const found = findByEmail(people, email);
  const kept = found?.shown ? groupOf(people, found.contact) : keepersOf(people, email);
  // A yes reaches beyond its own address only the contact that shows it.
  const views = found?.shown || !subscribed ? kept : [];
  const shown = views.length > 0 ? (found?.contact.email ?? email) : email;
  changeConsent(people, { views, email: shown, named: email, subscribed, reason }, now);
  const [focus] = views;
  return focus
    ? reconcile(
        people,
        focus.id,
        now,
        views.map(view => view.id),
      )
    : null;
}

/** Deletes a contact: whoever is known behind it is dead for good, and nothing of it is shown again. @throws AppError notFound */
export function applyDeletion(
  people: People,
  by: By,
  { key }: WriteOrigin,
  now: number,
): { contact: Contact; done: Reconciled } {
  const contact = findContact(people, by);
  if (!contact) throw missing();
  const views = groupOf(people, contact);
  const { all } = people.around(
    views.map(view => view.id),
    [emailTie(contact.email)],
  );
  const k = keyAfter(all, key, now);
  const addresses = new Set([contact.email, ...views.flatMap(view => view.now?.email ?? [])]);
  const withheld = groupsOf(all)
    .groups.flatMap(group => group.views)
    .filter(view => view.withheld && view.claims.some(run => addresses.has(run.email)));
  const ties = views.flatMap(({ identity }) => tiesOf(identity)); // others may come forward at their former addresses
  for (const { identity } of views) people.changeRegisters(identity.id, { ...identity.registers, erased: k });
  for (const { identity } of withheld) people.changeRegisters(identity.id, { ...identity.registers, forgot: k });
  const [focus] = views;
  if (!focus) throw new Error('a contact of nobody');
  return {
    contact,
    done: reconcile(
      people,
      focus.id,
      now,
      views.map(view => view.id),
      ties,
    ),
  };
}
