import { admitUsers } from './admission.ts';
import { contestAddresses, locateAnchors } from './anchors.ts';
import { attachAddresses, attachPayers, attachStayers } from './attachments.ts';
import { Places, speaksFor, type Unit } from './places.ts';
import { uniteByProof } from './proofs.ts';
import type { K } from './registers.ts';
import { Unions } from './unions.ts';
import { readAddress, type View } from './views.ts';

/** Identities that are one contact, and the address it shows (null: none that is theirs). */
export interface Group {
  views: View[];
  email: string | null;
}

/**
 * Splits connected identities into contacts. Depends on the set only. `by`: as of then; null: now. First who is one with whom: by ids,
 * without those who are withheld, and by proof; then where each is: users, then payers, then addresses alone.
 */
export function partition(views: View[], by: K | null = null): Group[] {
  const [only] = views;
  if (only && views.length === 1 && (only.kind !== 'user' || only.since === ''))
    return [{ views, email: only.now?.email ?? findAddressAlone(only) }];
  const unions = new Unions(views, by);
  admitUsers(unions);
  unions.noteShowings();
  unions.uniteById();
  uniteByProof(unions);
  const places = new Places(unions);
  contestAddresses(places);
  const { stayers, free } = attachStayers(places);
  locateAnchors(places, stayers);
  attachPayers(places, free);
  attachAddresses(places);
  return collectGroups(places);
}

/** What the API said of an address alone shows nobody. */
const findAddressAlone = (view: View) => (view.kind === 'address' && view.facts.length ? readAddress(view.id) : null);

function collectGroups(places: Places): Group[] {
  const groups = new Map<Unit, Group>();
  for (const unit of places.units) {
    const home = places.findHome(unit);
    const group = groups.get(home) ?? { views: [], email: home.email };
    groups.set(home, group);
    group.views.push(...unit.views);
  }
  for (const group of groups.values()) silenceForeignNotes(places, group);
  return [...groups.values()];
}

/** What the API said of a payer speaks only where nobody else was before: it must name nobody whose address the payer typed. */
function silenceForeignNotes(places: Places, { views, email }: Group): void {
  for (const note of views) {
    if (note.kind !== 'apiAddress' || readAddress(note.id) === email) continue;
    const own = places.unitOf.get(note)!;
    const bearers = own.views.length > 1 ? own : places.findCarrier(note);
    if (bearers && !speaksFor(bearers.views, views)) note.withheld = true;
  }
}
