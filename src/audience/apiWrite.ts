import type { Scalar } from '../db/schema.ts';
import { AppError, invalid } from '../errors.ts';
import { providerById } from '../providers/index.ts';
import { type ConsentReason, ofAddress, ofPerson, withChange } from './consent.ts';
import { userTie } from './partition.ts';
import { type Contact, emailTie, type People } from './people.ts';
import { coerceProperties } from './properties.ts';
import { groupsOf, type Reconciled, reconcile } from './reconcile.ts';
import { type ApiContribution, emptyRegisters, factKey, joinApiWrite, type K, msOf } from './registers.ts';
import { addressOf, claimOf, type Identity, type View } from './views.ts';

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
  const { all } = people.around([], [emailTie(email)]);
  const views = groupsOf(all).groups.flatMap(group => group.views);
  let last: { view: View; claim: K } | null = null;
  for (const view of views) {
    if (view.kind !== 'user' && view.kind !== 'apiContact') continue;
    for (const run of view.runs) {
      if (run.email !== email || run.proven === null || view.identity.contactId === null) continue;
      if (!last || claimOf(run) > last.claim) last = { view, claim: claimOf(run) };
    }
  }
  const contact = last && people.contacts.get(last.view.identity.contactId ?? '');
  return contact ? { contact, shown: false } : null;
}

/** The contact of a user id of the user's own product. */
export function findByUserId(people: People, userId: string): Contact | null {
  for (const contact of people.contacts.values())
    if (!contact.parked && contact.userId === userId && ties(people, contact, userTie('', userId))) return contact;
  for (const id of [...(people.ties.get(userTie('', userId)) ?? [])].sort()) {
    const contact = people.contacts.get(people.identities.get(id)?.contactId ?? '');
    if (contact && !contact.parked) return contact;
  }
  return null;
}

const ties = (people: People, contact: Contact, value: string) =>
  [...(people.ties.get(value) ?? [])].some(id => people.identities.get(id)?.contactId === contact.id);

export function findContact(people: People, by: By): Contact | null {
  if ('id' in by) {
    const contact = people.contacts.get(by.id) ?? people.contacts.get(people.merged.get(by.id) ?? '');
    return contact && !contact.parked ? contact : null;
  }
  return 'email' in by ? (findByEmail(people, by.email)?.contact ?? null) : findByUserId(people, by.userId);
}

/** @throws AppError invalid when address and user id are of two contacts */
function findForWrite(people: People, email: string | undefined, userId: string | undefined) {
  const byEmail = email === undefined ? null : findByEmail(people, email);
  const byUser = userId === undefined ? null : findByUserId(people, userId);
  // A former address of somebody with a user id of their own: this user takes it over.
  if (byEmail && !byEmail.shown && userId !== undefined && byEmail.contact.id !== byUser?.id)
    return { found: byUser ?? (byEmail.contact.userId === null ? byEmail.contact : null), byUser };
  if (byEmail && byUser && byEmail.contact.id !== byUser.id) throw severalContacts();
  return { found: byUser ?? byEmail?.contact ?? null, byUser };
}

/** A key newer than all that is known here: who writes has seen it, whatever a provider's clock says. */
export function keyAfter(identities: Iterable<Identity>, key: string, now: number): K {
  let newest = now - 1;
  for (const { registers: r } of identities) {
    const last = r.facts.at(-1)?.k;
    if (last) newest = Math.max(newest, msOf(last));
    if (r.erased) newest = Math.max(newest, msOf(r.erased));
    for (const death of r.deaths) newest = Math.max(newest, msOf(death.h), msOf(death.k));
  }
  return factKey(newest + 1, 0, 2, key, '');
}

/** The views of the group that a contact's row belongs to. */
function groupOf(people: People, contact: Contact): View[] {
  const members = [...people.identities.values()].filter(each => each.contactId === contact.id);
  const { all } = people.around(members.map(each => each.id));
  const group = groupsOf(all).groups.find(each => each.views.some(view => view.identity.contactId === contact.id));
  return group?.views ?? [];
}

/** Who speaks of a contact: the user that the API spoke of before, else its user id, else the address. */
function speakerOf(views: View[], found: Contact | null, userId: string | undefined, email: string): string {
  const before = views
    .map(view => view.id)
    .filter(id => id.startsWith(OF_USER))
    .sort()[0];
  const user = found ? (found.userId ?? userId) : userId;
  return before ?? (user === undefined ? identityOfAddress(email) : identityOfUser(user));
}

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
  const { found, byUser } = findForWrite(people, email, userId);
  if (found && mode === 'create') throw new AppError('conflict', 'Email or userId is already on list');
  if (!found && mode === 'update') throw missing();
  if (!found && email === undefined) throw invalid(NO_CONTACT);
  const properties = coerceProperties(people, write.properties ?? {});
  const views = found ? groupOf(people, found) : [];
  const shown = found?.email ?? email ?? '';
  const speaker = speakerOf(views, found, userId, shown);
  const sets = email !== undefined && (!found || byUser !== null); // in contrast to an address that only names whom it is about
  const near = people.around([speaker, ...views.map(view => view.id)], email === undefined ? [] : [emailTie(email)]);
  const k = keyAfter(near.all, options.key, now);
  const one: ApiContribution = { k };
  if (sets) Object.assign(one, { a: 1, e: email, p: 1 });
  if (!found) Object.assign(one, { made: 1, source: options.source });
  if (userId !== undefined && (sets || !byUser)) one.userId = userId;
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
      { views, email: shown, named: email, subscribed: write.subscribed, reason, ids: [speaker] },
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
  if (!options.aliases?.length && own.some(effect => effect.kind === 'contact.merged')) throw severalContacts();
  const created = own.some(effect => effect.kind === 'contact.created');
  return { ...written, contactId: written.contactId, email: written.email, created };
}

function joinSpeaker(people: People, id: string, one: ApiContribution, views: View[]): void {
  const had = people.identities.get(id);
  const personId = id.startsWith(OF_USER) ? id.slice(OF_USER.length) : null;
  let registers = joinApiWrite(had?.registers ?? emptyRegisters('api', personId), one);
  if (addressOf(id) !== null && !one.made && registers.carrier === undefined) {
    const [payer] = views.filter(view => view.kind === 'payer').sort((a, b) => (a.first < b.first ? -1 : 1));
    const anchored = views.some(view => view.kind === 'user' || view.kind === 'apiContact');
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

/** Notes a change of mind: of the address shown, the one named and the persons; a no also of the present own addresses of the members. */
export function changeConsent(
  people: People,
  { views, email, named, subscribed, reason, ids = [] }: Consent,
  now: number,
): void {
  const addresses = new Set([email, ...(named === undefined ? [] : [named])]);
  if (!subscribed && reason !== 'bounce')
    for (const view of views) if (view.now && !view.withheld) addresses.add(view.now.email);
  const persons =
    reason === 'bounce'
      ? []
      : [
          ...views.filter(view => view.kind !== 'address' && view.kind !== 'apiAddress').map(view => view.id),
          ...ids.filter(id => addressOf(id) === null),
        ];
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
  const views = found ? groupOf(people, found.contact) : [];
  changeConsent(people, { views, email: found?.contact.email ?? email, named: email, subscribed, reason }, now);
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
    ),
  };
}
