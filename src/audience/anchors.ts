import type { Places, Unit } from './places.ts';
import { findScope } from './proofs.ts';
import { compareTexts } from './registers.ts';
import type { Run } from './timeline.ts';
import { compareClaims, compareFirst, meet } from './unions.ts';
import { claimOf, type View } from './views.ts';

/** Of the users who prove one address, the one whose claim is newer has it; a namespace of its own takes none from another user. */
export function contestAddresses({ unions, unitOf, winners }: Places): void {
  const claims = new Map<string, View[]>();
  for (const view of unions.views) {
    if ((view.kind !== 'user' && view.kind !== 'apiContact') || !view.live || !view.now || view.withheld) continue;
    claims.set(view.now.email, [...(claims.get(view.now.email) ?? []), view]);
  }
  for (const [email, all] of claims) {
    all.sort(compareClaims);
    if (all[0]!.now!.proven === null) continue; // an unproven claim holds an address only where the contact shows it
    const winner = unitOf.get(all[0]!)!;
    winners.set(email, winner);
    for (const loser of all) if (unitOf.get(loser) !== winner) loser.now = null;
  }
}

/**
 * Where a contact with a user or of the API is: at its user's proven address or the one that the API set, else at that of a payer of
 * its own, else at an unproven one, else where a payer is who stayed, else where it was. `stayers`: those payers, by unit.
 */
export function locateAnchors(places: Places, stayers: Map<Unit, View[]>): void {
  const anchors = places.units.filter(unit => unit.anchor);
  for (const unit of anchors) unit.email = findProvenAddress(unit);
  const homeless = anchors.filter(unit => unit.email === null);
  const wishes = homeless
    .map(unit => listWishes(unit, stayers.get(unit) ?? []).filter(wish => places.isFree(wish.run.email, unit)))
    .filter(list => list.length > 0);
  settleWishes(wishes);
  for (const [wish] of wishes) if (wish) places.moveTo(wish.unit, wish.run.email);
  locateGone(places, homeless, stayers);
}

/** The address of its users, longest known first, and of the API: these compete by time. */
function findProvenAddress(unit: Unit): string | null {
  const here = unit.views.filter(each => each.now && each.live && !each.withheld);
  const [user] = here.filter(each => each.kind === 'user' && each.now?.proven != null).sort(compareFirst);
  const [api] = here
    .filter(each => each.kind === 'apiContact')
    .sort((a, b) => compareTexts(claimOf(b.now!), claimOf(a.now!)));
  if (user && api) return (claimOf(api.now!) > claimOf(user.now!) ? api : user).now!.email;
  return (user ?? api)?.now?.email ?? null;
}

/** Where a contact of nobody's proven address would be. */
interface Wish {
  unit: Unit;
  view: View;
  run: Run;
}

/** Most wanted first: the addresses of its own payers, its unproven users', those of payers who stayed. */
function listWishes(unit: Unit, stayers: View[]): Wish[] {
  const here = unit.views.filter(each => each.live && !each.withheld && each.now);
  const payers = here.filter(each => each.kind === 'payer').sort(compareFirst);
  const users = here.filter(each => each.kind === 'user').sort(compareFirst);
  const stayed = stayers.filter(each => each.live).sort(compareFirst);
  return [...payers, ...users, ...stayed].map(view => ({ unit, view, run: view.now! }));
}

/** Each asks for what it wants most; whoever is refused there asks for the next. What is granted is first in its list in the end. */
function settleWishes(wishes: Wish[][]): void {
  for (let isSettled = false; !isSettled; ) {
    isSettled = true;
    const best = new Map<string, Wish>();
    for (const [wish] of wishes) {
      const other = wish && best.get(wish.run.email);
      if (wish && (!other || compareWishes(wish, other) < 0)) best.set(wish.run.email, wish);
    }
    for (const list of wishes) {
      const [wish] = list;
      if (!wish || best.get(wish.run.email) === wish) continue;
      list.shift();
      isSettled = false;
    }
  }
}

/** Unproven users before payers, of whom the earlier comes first. */
function compareWishes(a: Wish, b: Wish): number {
  const users = Number(b.view.kind === 'user') - Number(a.view.kind === 'user');
  return users || (a.view.kind === 'user' ? compareClaims(a.view, b.view) : compareTexts(a.run.from, b.run.from));
}

/** Who is gone keeps the address until a living identity shows it; its payer's address is the last resort. */
function locateGone(places: Places, homeless: Unit[], stayers: Map<Unit, View[]>): void {
  const compare = (a: View, b: View) => Number(b.kind === 'user') - Number(a.kind === 'user') || compareFirst(a, b);
  const gone = homeless
    .map(unit => {
      const own = unit.views.filter(each => !each.live && each.now).sort(compare);
      return { unit, views: [...own, ...(stayers.get(unit) ?? []).filter(each => !each.live).sort(compare)] };
    })
    .filter(({ views }) => views.length > 0)
    .sort((p, q) => compareTexts(claimOf(q.views[0]!.now!), claimOf(p.views[0]!.now!)))
    .flatMap(({ unit, views }) => views.map(view => ({ unit, view })));
  for (const { unit, view } of gone) {
    if (unit.email !== null || places.attached.has(unit)) continue;
    const { email } = view.now!;
    places.moveTo(unit, email);
    const winner = places.winners.get(email);
    if (unit.email === null && winner && wereTogether(places, view, winner)) places.attached.set(unit, winner);
  }
}

/** Whether somebody who is gone had the address proven together with who has it now, and no user of theirs is there. */
function wereTogether({ unions, unitOf, units, attached }: Places, gone: View, winner: Unit): boolean {
  const all = unions.showings.get(gone.now?.email ?? '') ?? [];
  const mine = all.find(({ view, run }) => view === gone && run === gone.now && run.proven !== null);
  const scopes = new Set(unitOf.get(gone)?.views.map(findScope));
  scopes.delete(null);
  const company = [winner, ...units.filter(unit => attached.get(unit) === winner)];
  if (!mine || company.some(unit => unit.views.some(view => scopes.has(findScope(view))))) return false;
  return all.some(
    each =>
      winner.views.includes(each.view) && each.run === each.view.now && each.run.proven !== null && meet(mine, each),
  );
}
