import { AppError, invalid } from '../errors.ts';
import { type Contact, makeEmailTie, type People } from './people.ts';
import { speaksFor } from './places.ts';
import { findGroups } from './reconcile.ts';
import type { K } from './registers.ts';
import { makeUserTie } from './ties.ts';
import { claimOf, type View } from './views.ts';

export const NO_CONTACT = 'Contact not found.';
export const makeNotFound = () => new AppError('notFound', NO_CONTACT);
export const makeAmbiguous = () => invalid('Multiple contacts found for the given criteria');

export type By = { email: string } | { userId: string } | { id: string };

/** The contact that shows an address, else the one whose user proved it formerly. `email` in its normal form. */
export function findByEmail(people: People, email: string): { contact: Contact; shown: boolean } | null {
  for (const contact of people.contacts.values())
    if (!contact.parked && contact.email === email) return { contact, shown: true };
  const id = findKeepers(people, email)[0]?.identity.contactId;
  const contact = people.contacts.get(id ?? '');
  return contact && !contact.parked ? { contact, shown: false } : null;
}

/** Whoever proved an address last, parked ones too, with all who are one contact with them; that one first. */
export function findKeepers(people: People, email: string): View[] {
  const { all } = people.around([], [makeEmailTie(email)]);
  const { groups } = findGroups(all);
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
function findByUserId(people: People, userId: string): Contact | null {
  for (const id of [...(people.ties.get(makeUserTie('', userId)) ?? [])].sort()) {
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
  const ids = people.ties.get(makeUserTie('', userId));
  if (!ids?.size) return false;
  const { groups } = findGroups(people.around(ids).all);
  return groups.some(
    ({ email, views }) =>
      email === null &&
      views.some(view => ids.has(view.id)) &&
      views.some(view => view.kind === 'apiContact' || view.runs.some(run => run.proven !== null)),
  );
}

/** @throws AppError invalid when address and user id are of two contacts */
export function findForWrite(people: People, email: string | undefined, userId: string | undefined) {
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
  if (byEmail && isOther && (byUser || (userId !== undefined && isParked(people, userId)))) throw makeAmbiguous();
  // A payer's id that is shown where somebody older pays finds nobody, and still is another contact's.
  if (
    byEmail &&
    !byUser &&
    [...people.contacts.values()].some(each => !each.parked && each.userId === userId && each.id !== byEmail.contact.id)
  )
    throw makeAmbiguous();
  const found = byUser ?? byEmail?.contact ?? null;
  return { found, byUser, known: found };
}

/** The views of the group that a contact's row belongs to. */
export function groupOf(people: People, contact: Contact): View[] {
  const members = [...people.identities.values()].filter(each => each.contactId === contact.id);
  const { all } = people.around(members.map(each => each.id));
  const group = findGroups(all).groups.find(each => each.views.some(view => view.identity.contactId === contact.id));
  return group?.views ?? [];
}
