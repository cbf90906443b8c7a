import { type ConsentChange, findPersonConsent, makeAddressSubject, makePersonSubject } from './consent.ts';
import type { People } from './people.ts';
import { project } from './project.ts';
import { findGroups } from './reconcile.ts';
import { RULES } from './rules.ts';
import { type FieldTrace, notePassedOver, Trace } from './trace.ts';
import { traceAddress } from './traceAddress.ts';
import { isProven, readAddress, type View } from './views.ts';

/** `unknown`: nobody with an address is known so far. */
type ContactState = 'shown' | 'parked' | 'removed' | 'unknown';
type IdentityState = 'live' | 'unproven' | 'gone' | 'withheld' | 'untied';

/** A contact and why it is as it is, worked out anew in memory. */
export interface Explained {
  contactId: string | null;
  /** Where the people of a contact that was removed are now. */
  nowContactId: string | null;
  state: ContactState;
  email: string | null;
  fields: Map<string, FieldTrace>;
  views: View[];
  consent: ConsentWord[];
}

/** One change of mind, of an address or of a person behind the contact. */
interface ConsentWord extends ConsentChange {
  email: string | null;
  identityId: string | null;
}

export const IDENTITY_STATES: Record<IdentityState, string> = {
  live: 'Known, and what it says counts.',
  unproven: 'Nobody proved its address: what it says counts after payers.',
  gone: 'Deleted: its later facts bring ids only.',
  withheld: RULES.withheld,
  untied:
    'As many persons of this provider show that address as are tied by one: what it says counts as that of the address alone.',
};

const FIELDS = ['email', 'firstName', 'lastName', 'userId', 'userGroup', 'source', 'subscribed'] as const;

export function judgeIdentity(view: View): IdentityState {
  if (view.identity.registers.loose !== undefined) return 'untied';
  if (view.withheld) return 'withheld';
  if (!view.live) return 'gone';
  return view.kind === 'user' && !isProven(view) ? 'unproven' : 'live';
}

/** Whom to explain: the contact by its row, else whoever the identities are now. */
interface Explaining {
  contactId: string | null;
  ids: string[];
}

/** Explains a contact, or what became of one that is gone, from the people in memory. `now` in ms. */
export function explainPeople(people: People, { contactId, ids }: Explaining, now: number): Explained {
  const at = contactId ?? ids.flatMap(id => people.identities.get(id)?.contactId ?? [])[0] ?? '';
  const row = people.contacts.get(people.merged.get(at) ?? at);
  const members = [...people.identities.values()].filter(each => row && each.contactId === row.id);
  const { groups } = findGroups(people.around([...members.map(each => each.id), ...ids]).all);
  const isMine = (view: View) => (row ? view.identity.contactId === row.id : ids.includes(view.id));
  const group = groups.find(each => each.views.some(isMine)) ?? { views: [], email: null };
  const email = row ? (group.email ?? row.email) : null;
  const trace = new Trace();
  if (email !== null) project({ ...group, email }, people.consents, people.definitions, now, trace);
  notePassedOver(trace, group.views);
  if (row) traceAddress(trace, group.views, group.email);
  const state = row ? (row.parked ? 'parked' : 'shown') : isRemoved(group.views) ? 'removed' : 'unknown';
  const rest = state === 'removed' ? 'removed' : 'none';
  if (!row) for (const field of trace.fields.keys()) trace.settle(field, null, rest);
  for (const field of FIELDS) if (!trace.fields.has(field)) trace.settle(field, null, rest);
  return {
    contactId: row?.id ?? null,
    nowContactId: row ? null : (group.views.find(view => view.identity.contactId !== null)?.identity.contactId ?? null),
    state,
    email,
    fields: trace.fields,
    views: group.views,
    consent: listConsent(people, group.views, email),
  };
}

const isRemoved = (views: View[]): boolean =>
  views.some(view => !view.live || view.since !== '' || view.identity.registers.erased !== '');

/** Every change of mind that counts for a contact: of its address, of its persons, and of addresses they have. Newest first. */
function listConsent(people: People, views: View[], email: string | null): ConsentWord[] {
  const addresses = new Set(views.flatMap(view => view.runs.map(run => run.email)));
  for (const view of views) {
    const address = readAddress(view.id);
    if (address !== null) addresses.add(address);
  }
  if (email !== null) addresses.add(email);
  const words: ConsentWord[] = [];
  for (const address of addresses)
    for (const each of people.consents.get(makeAddressSubject(address)) ?? [])
      words.push({ ...each, email: address, identityId: null });
  for (const { id } of views)
    for (const each of people.consents.get(makePersonSubject(id)) ?? [])
      words.push({ ...each, email: null, identityId: id });
  return words.sort((a, b) => b.at - a.at);
}

/** What a person behind a contact said last of mail; null: nothing. */
export const findLastWord = (people: People, view: View, now: number): ConsentChange | null =>
  findPersonConsent(people.consents, view, now);
