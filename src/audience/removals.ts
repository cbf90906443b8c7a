import { partition } from './partition.ts';
import { compareTexts, type K, type OnDelete } from './registers.ts';
import { collectIdTies } from './ties.ts';
import { findDeathBy, type Identity, isMade, isPerson, type View, viewOf } from './views.ts';

/** What deletions did. */
export interface Removals {
  /** Identity id → whatever it said by then is not shown again. */
  forgotten: Map<string, K>;
}

interface Deletion {
  identity: Identity;
  h: K;
  onDelete: OnDelete;
}

const NOTHING: Removals = { forgotten: new Map() };

/**
 * "Is anybody left?" is asked as of when each deletion happened, whatever arrived since; with nobody left, that deletion decides what
 * becomes of the contact. What a removal made forgotten stays so.
 */
export function findRemovals(identities: Identity[]): Removals {
  const deletions: Deletion[] = [];
  for (const identity of identities)
    for (const each of identity.registers.deaths)
      if (each.onDelete !== 'ignore') deletions.push({ identity, h: each.h, onDelete: each.onDelete });
  if (!deletions.length) return NOTHING;
  deletions.sort((a, b) => compareTexts(a.h, b.h) || compareTexts(a.identity.id, b.identity.id));
  const out: Removals = { forgotten: new Map() };
  for (const deletion of deletions) {
    const { identity, h, onDelete } = deletion;
    if (hasLiveNeighbour(identity, identities, h, out)) continue;
    const views = viewAllAt(identities, h, out);
    const groups = partition(views, h);
    const group = groups.find(each => each.views.some(view => view.id === identity.id));
    if (!group || group.views.some(isLeft)) continue;
    if (onDelete === 'unsubscribe') continue;
    const addresses = new Set(group.views.flatMap(view => view.now?.email ?? []));
    if (group.email !== null) addresses.add(group.email);
    const withheld = views.filter(view => view.withheld && view.claims.some(run => addresses.has(run.email)));
    for (const view of [...group.views, ...withheld]) out.forgotten.set(view.id, h);
  }
  return out;
}

/** Somebody live, in contrast to an address alone or to what the API only wrote. */
const isLeft = (view: View) =>
  (view.live && (view.kind === 'user' || view.kind === 'payer') && !view.withheld) ||
  (view.kind === 'apiContact' && isMade(view));

const viewAllAt = (identities: Identity[], h: K, { forgotten }: Removals): View[] =>
  identities.flatMap(each => viewOf(each, h, forgotten.get(each.id) ?? '') ?? []);

/** The usual case without a look at the whole: another payer has shown the same single address since before and lives. */
function hasLiveNeighbour(dead: Identity, all: Identity[], h: K, { forgotten }: Removals): boolean {
  if (all.length < 8 || dead.registers.class !== 'payment') return false;
  const mine = viewOf(dead, h, forgotten.get(dead.id) ?? '');
  if (mine?.runs.length !== 1) return false;
  // Who is one with somebody by id, or whose address a user had, may belong elsewhere.
  if (all.some(each => each.registers.class === 'auth' || collectIdTies(each).length > 0)) return false;
  return all.some(each => {
    if (each === dead || each.registers.class !== 'payment' || each.registers.first > h || !isPerson(each))
      return false;
    if (findDeathBy(each.registers, h) !== null) return false;
    const view = viewOf(each, h, forgotten.get(each.id) ?? '');
    return view?.runs.length === 1 && view.now?.email === mine.now?.email;
  });
}
