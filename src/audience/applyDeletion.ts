import { makeKeyAfter, type WriteOrigin } from './apiWrite.ts';
import { type By, findContact, groupOf, makeNotFound } from './findContact.ts';
import { type Contact, collectAllTies, makeEmailTie, type People } from './people.ts';
import { findGroups, type Reconciled, reconcile } from './reconcile.ts';

/** Deletes a contact: whoever is known behind it is dead for good, and nothing of it is shown again. @throws AppError notFound */
export function applyDeletion(
  people: People,
  by: By,
  { key }: WriteOrigin,
  now: number,
): { contact: Contact; done: Reconciled } {
  const contact = findContact(people, by);
  if (!contact) throw makeNotFound();
  const views = groupOf(people, contact);
  const { all } = people.around(
    views.map(view => view.id),
    [makeEmailTie(contact.email)],
  );
  const k = makeKeyAfter(all, key, now);
  const addresses = new Set([contact.email, ...views.flatMap(view => view.now?.email ?? [])]);
  const withheld = findGroups(all)
    .groups.flatMap(group => group.views)
    .filter(view => view.withheld && view.claims.some(run => addresses.has(run.email)));
  const ties = views.flatMap(({ identity }) => collectAllTies(identity)); // others may come forward at their former addresses
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
