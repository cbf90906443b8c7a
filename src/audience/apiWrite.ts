import type { Scalar } from '../db/schema.ts';
import { AppError, invalid } from '../errors.ts';
import { findProvider } from '../providers/index.ts';
import { changeConsent } from './applyConsent.ts';
import type { ConsentReason } from './consent.ts';
import { findForWrite, groupOf, makeAmbiguous, makeNotFound, NO_CONTACT } from './findContact.ts';
import { type ApiContribution, joinApiWrite } from './joinApiWrite.ts';
import { type Contact, makeEmailTie, type People } from './people.ts';
import { coerceProperties } from './properties.ts';
import { type Reconciled, reconcile } from './reconcile.ts';
import { compareTexts, findLatest, type K, makeFactKey, makeRegisters, pickLater, readMs } from './registers.ts';
import { makeUserTie } from './ties.ts';
import { type Identity, readAddress, readNamespace, type View } from './views.ts';

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

/** The identity by which the API speaks of a user id of the user's own product, and of an address alone. */
export const makeUserIdentity = (userId: string) => OF_USER + userId;
export const makeAddressIdentity = (email: string) => OF_ADDRESS + email;

/** The key of what the API does: in one second it is the later, and newer than all that is known here, whatever a provider's clock says. */
export function makeKeyAfter(identities: Iterable<Identity>, key: string, now: number): K {
  let newest: K = '';
  for (const { registers } of identities) newest = pickLater(newest, findLatest(registers));
  const second = Math.floor(Math.max(now, newest === '' ? 0 : readMs(newest)) / 1000);
  const at = makeFactKey(second * 1000 + 999, 999, 9, '', '').trimEnd();
  const turn = newest.startsWith(at) ? Number(newest.slice(at.length, at.length + TURN)) + 1 : 0;
  return `${at}${String(turn).padStart(TURN, '0')}.${key} `;
}

const TURN = 6; // digits: which write of its second

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
function findSpeaker({ views, found, by, userId, email }: Speaking): string {
  const api = views.filter(view => view.kind === 'apiContact').sort(compareFirst);
  if (by !== null) {
    const set = api.find(view => view.facts.some(each => each.userId === by));
    return set?.id ?? makeUserIdentity(by);
  }
  if (found) {
    const [user] = views
      .filter(view => view.kind === 'user' && view.now?.email === found.email && view.now.proven !== null)
      .sort(compareFirst);
    if (user)
      return `api:${makeUserTie(readNamespace(user.identity.provider), user.identity.registers.personId ?? '')}`;
    if (api[0]) return api[0].id;
  }
  return userId === undefined ? makeAddressIdentity(email) : makeUserIdentity(userId);
}

const compareFirst = (a: View, b: View) => compareTexts(a.first, b.first) || compareTexts(a.id, b.id);

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
  if (!found && mode === 'update') throw makeNotFound();
  if (!found && email === undefined) throw invalid(NO_CONTACT);
  const properties = coerceProperties(people, write.properties ?? {});
  const shownBefore = new Set([...people.contacts.values()].flatMap(each => (each.parked ? [] : [each.id])));
  const views = found ? groupOf(people, found) : [];
  const shown = found?.email ?? email ?? '';
  const by = byUser && userId !== undefined ? userId : null;
  const speaker = findSpeaker({ views, found, by, userId, email: shown });
  // An address is set, in contrast to one that only names whom it is about, where it is new, and for a user id that is new here.
  const isNewUser = found !== null && by === null && userId !== undefined && speaker === makeUserIdentity(userId);
  const isMove = found !== null && by !== null && email !== undefined && email !== found.email;
  const set = !found || isMove ? email : isNewUser ? found.email : undefined;
  const near = people.around(
    [speaker, ...views.map(view => view.id)],
    email === undefined ? [] : [makeEmailTie(email)],
  );
  const k = makeKeyAfter(near.all, options.key, now);
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
  const asked: string[] = [];
  if (write.subscribed !== undefined) {
    const reason = options.reason ?? 'api';
    const ties = changeConsent(
      people,
      {
        views,
        email: set ?? shown,
        named: email,
        subscribed: write.subscribed,
        reason,
        ids: [...(set === undefined ? [] : [speaker]), ...(options.aliases ?? [])],
      },
      now,
    );
    asked.push(...ties);
  }
  const written = reconcile(
    people,
    speaker,
    now,
    views.map(view => view.id),
    asked,
  );
  if (written.contactId === null || written.email === null) throw new Error('a write left no contact');
  const own = written.effects.filter(effect => effect.contactId === undefined);
  const isMerged =
    shownBefore.has(written.contactId) &&
    own.some(effect => effect.kind === 'contact.merged' && shownBefore.has(String(effect.from)));
  if (!options.aliases?.length && isMerged) throw makeAmbiguous();
  const created = own.some(effect => effect.kind === 'contact.created');
  return { ...written, contactId: written.contactId, email: written.email, created };
}

function joinSpeaker(people: People, id: string, one: ApiContribution, views: View[]): void {
  const had = people.identities.get(id);
  const personId = id.startsWith(OF_USER) ? id.slice(OF_USER.length) : null;
  let registers = joinApiWrite(had?.registers ?? makeRegisters('api', personId), one);
  if (readAddress(id) !== null && !one.made) {
    const [payer] = views.filter(view => view.kind === 'payer').sort(compareFirst);
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
  const of = findProvider(provider)?.class;
  if (!of || of === 'mail') throw invalid(`${alias.slice(0, 60)}: not a provider's id such as stripe:cus_123.`);
  const tie = `id:${alias}`;
  const had = people.identities.get(alias);
  const r = had?.registers ?? makeRegisters(of, personId);
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
