import { addChange, type ConsentReason, makeAddressSubject, makePersonSubject } from './consent.ts';
import { findByEmail, findKeepers, groupOf } from './findContact.ts';
import { makeEmailTie, type People } from './people.ts';
import { type Reconciled, reconcile } from './reconcile.ts';
import type { View } from './views.ts';

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

/**
 * Notes a change of mind: of the address shown, the one named and the persons; a no also of the present own addresses of the members.
 * Returns the ties of these addresses: whoever shows one is to be looked at anew, in whichever contact they are.
 */
export function changeConsent(
  people: People,
  { views, email, named, subscribed, reason, ids = [] }: Consent,
  now: number,
): string[] {
  const addresses = new Set([email, ...(named === undefined ? [] : [named])]);
  if (!subscribed && reason !== 'bounce')
    for (const { kind, now: own, withheld } of views)
      if (own && !withheld && (kind === 'user' || kind === 'payer') && !isElsewhere(people, own.email, views))
        addresses.add(own.email);
  const persons =
    reason === 'bounce'
      ? []
      : [...views.filter(view => view.kind !== 'address' && view.kind !== 'apiAddress').map(view => view.id), ...ids];
  for (const subject of [...[...addresses].map(makeAddressSubject), ...new Set(persons.map(makePersonSubject))]) {
    if (subject === makeAddressSubject('')) continue;
    people.set(
      people.consents,
      subject,
      addChange(people.consents.get(subject) ?? [], { at: now, subscribed, reason }),
    );
  }
  return [...addresses].map(makeEmailTie);
}

/**
 * Subscribes or unsubscribes an address: by a link in a mail that went there, a bounce, a complaint. It acts on the address, and on the
 * contact that shows or keeps it. Null: nobody is known by it, and the address is remembered.
 */
export function applyConsent(
  people: People,
  email: string,
  subscribed: boolean,
  reason: ConsentReason,
  now: number,
): Reconciled | null {
  const found = findByEmail(people, email);
  const kept = found?.shown ? groupOf(people, found.contact) : findKeepers(people, email);
  // A yes reaches beyond its own address only the contact that shows it.
  const views = found?.shown || !subscribed ? kept : [];
  const shown = views.length > 0 ? (found?.contact.email ?? email) : email;
  const ties = changeConsent(people, { views, email: shown, named: email, subscribed, reason }, now);
  const ids = views.map(view => view.id);
  const focus = ids[0] ?? [...(people.ties.get(makeEmailTie(email)) ?? [])].sort()[0];
  return focus === undefined ? null : reconcile(people, focus, now, ids, ties);
}
