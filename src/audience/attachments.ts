import { compareUnits, type Places, type Unit } from './places.ts';
import type { Run } from './timeline.ts';
import { compareFirst } from './unions.ts';
import { readAddress, type View } from './views.ts';

/** A payer at an address that nobody proved while it showed it. */
interface FreePayer {
  unit: Unit;
  now: Run;
}

/** A payer stays with the user who moved on, if it showed the address while it was proven theirs, until another proves it. */
export function attachStayers(places: Places): { stayers: Map<Unit, View[]>; free: FreePayer[] } {
  const free: FreePayer[] = [];
  const stayers = new Map<Unit, View[]>();
  for (const unit of places.units) {
    if (unit.anchor) continue;
    const [payer] = unit.views
      .filter(each => each.kind === 'payer' && each.now)
      .sort((a, b) => Number(b.live) - Number(a.live) || compareFirst(a, b));
    if (!payer?.now) continue;
    const { now } = payer;
    const winner = places.winners.get(now.email);
    const home = winner && showsProven(winner, now.email) ? undefined : places.findLastProver(now.email, now);
    if (!home) {
      free.push({ unit, now });
      continue;
    }
    places.attached.set(unit, home);
    places.stayed.add(unit);
    stayers.set(home, [...(stayers.get(home) ?? []), payer]);
  }
  return { stayers, free };
}

const showsProven = (unit: Unit, email: string) =>
  unit.views.some(each => each.live && each.now?.email === email && each.now.proven !== null);

/** The others are with whoever shows the address that they show now. */
export function attachPayers({ winners, attached }: Places, free: FreePayer[]): void {
  for (const { unit, now } of free) {
    const winner = winners.get(now.email);
    if (winner) attached.set(unit, winner);
    else unit.email = now.email;
  }
}

/** Address-only ones are where an identity shows the address, else with the user who last proved it, else by themselves. */
export function attachAddresses(places: Places): void {
  const units = [...places.units].sort(compareUnits);
  const located = locatePayers(places, units);
  const stayed = findStayed(places, units);
  const findTarget = (email: string, carrier?: Unit): Unit | undefined =>
    places.winners.get(email) ?? located.get(email) ?? carrier ?? places.findLastProver(email);
  const later: { unit: Unit; view: View; email: string }[] = [];
  for (const unit of units) {
    const [view] = unit.views;
    const email = view ? readAddress(view.id) : null;
    if (unit.views.length > 1 || !view || email === null) continue;
    if (view.kind === 'apiAddress') later.push({ unit, view, email });
    if (view.kind !== 'address' || !view.facts.length) continue;
    const to = findTarget(email, stayed.get(email));
    if (to && to !== unit) places.attached.set(unit, to);
    else if (!to) {
      unit.email = email;
      located.set(email, unit);
    }
  }
  for (const { unit, view, email } of later) {
    const to = findTarget(email, places.findCarrier(view));
    if (to) places.attached.set(unit, to);
  }
}

/** Payers of one address are with the longest known of them. Returns these by address. */
function locatePayers({ attached }: Places, units: Unit[]): Map<string, Unit> {
  const located = new Map<string, Unit>();
  for (const unit of units) {
    if (unit.anchor || unit.email === null) continue;
    const home = located.get(unit.email);
    if (home) attached.set(unit, home);
    else located.set(unit.email, unit);
  }
  return located;
}

/** By address: whom the longest known of the payers there stays with. */
function findStayed({ stayed, attached }: Places, units: Unit[]): Map<string, Unit> {
  const homes = new Map<string, Unit>();
  for (const unit of units)
    for (const { kind, now } of stayed.has(unit) ? unit.views : [])
      if (kind === 'payer' && now && !homes.has(now.email)) homes.set(now.email, attached.get(unit)!);
  return homes;
}
