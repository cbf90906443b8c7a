import { Minds } from './consent.ts';
import { findKeeper, type Group, groupPeople, hasLostAddress, isAlive, speaksFor } from './groups.ts';
import { compareKeys, type Key } from './order.ts';
import { type Act, type Cuts, type Entry, gatherPeople, happenedKey, type Person, type WriteAct } from './people.ts';

/**
 * Lives through all deletions and removals in the order in which they happened, not in which they arrived. At each it asks anew who is
 * one contact with whom, and then what it means for these.
 */
export class Timeline {
  people: Person[] = [];
  groups: Group[] = [];
  private readonly cuts: Cuts;
  private readonly writes: WriteAct[];
  private readonly minds: Minds;

  constructor(
    private readonly byPerson: Map<string, Entry[]>,
    acts: Act[],
    forgotten: Map<string, Key>,
  ) {
    this.cuts = { removed: new Map(), forgotten: new Map(forgotten), dead: new Map() };
    this.writes = acts.filter(act => act.kind === 'write');
    this.minds = new Minds(acts.filter(act => act.kind === 'consent'));
    const entries = [...byPerson.values()].flat().toSorted((a, b) => compareKeys(a.key, b.key));
    const deletions = entries.filter(e => e.step.fact.deletion && e.onDelete !== 'ignore');
    // Only these ask who is with whom at their time.
    const instants = new Set([
      ...deletions.filter(e => e.onDelete === 'delete').map(e => happenedKey(e).instant),
      ...acts.filter(act => act.kind === 'removal').map(act => act.key.instant),
    ]);
    for (const instant of [...instants].toSorted((a, b) => a - b)) {
      this.observe(instant);
      for (const deletion of deletions) if (happenedKey(deletion).instant === instant) this.applyDeletion(deletion);
      for (const act of acts) if (act.key.instant === instant) this.applyAct(act);
    }
    this.observe(Number.POSITIVE_INFINITY);
  }

  /** Who is parked is found only where that is asked for. */
  findByEmail(email: string, withParked = false): Group | null {
    const keeper = findKeeper(this.groups, email);
    return this.groups.find(g => g.email === email) ?? (withParked || keeper?.email !== null ? keeper : null);
  }

  /** By a user id of namespace "": never who is withheld, parked or removed; by that of a payer only where nobody else was before. */
  findByUserId(userId: string): Group | null {
    for (const group of this.groups) {
      if (group.email === null) continue;
      const known = group.people.find(p => !p.demoted && p.ties.includes(` ${userId}`));
      if (known && speaksFor(this.listParty(known, group), group)) return group;
    }
    return null;
  }

  /** Somebody who once proved an address and has none now. */
  findParked(userId: string): Group | null {
    const isParked = ({ email, people }: Group) =>
      email === null &&
      people.some(p => p.ties.includes(` ${userId}`)) &&
      people.some(p => p.kind === 'api' || (p.kind === 'user' && p.stays.some(stay => stay.proof !== null)));
    return this.groups.find(isParked) ?? null;
  }

  /** Whether the contact, as it is now, might be mailed at a time; `joiner`: by whom a list is joined. */
  maySend(group: Group, instant: number, joiner: Person): boolean {
    const at = Math.floor(instant / 1000);
    return this.minds.maySend(group, at) && !this.isSilenced(group, listCompany(group, joiner), at);
  }

  isSubscribed(group: Group): boolean {
    const at = Number.MAX_SAFE_INTEGER;
    return this.minds.maySend(group, at) && !this.isSilenced(group, group.people, at);
  }

  /** The present own addresses of a contact's people, except where they are another contact's: nobody silences others by typing. */
  listOwnEmails(group: Group): string[] {
    const own = group.people.flatMap(p =>
      (p.kind === 'user' || p.kind === 'payer') && p.current !== null && !hasLostAddress(p, this.people)
        ? [p.current.email]
        : [],
    );
    const isElsewhere = (email: string) => this.groups.some(g => g !== group && g.email === email);
    return own.filter(email => !isElsewhere(email));
  }

  /** Who is withheld from the addresses that a contact holds. */
  listWithheld(group: Group): string[] {
    const isHeld = (p: Person) =>
      p.kind === 'payer' || !isAlive(p) || !this.groups.some(g => g !== group && g.email === p.current?.email);
    const own = group.people.filter(isHeld).flatMap(p => (p.current === null ? [] : [p.current.email]));
    const emails = [...own, ...(group.email === null ? [] : [group.email])];
    const isNear = (p: Person) => p.withheld && p.entries.some(e => emails.includes(e.step.fact.email ?? ''));
    return this.people.filter(isNear).map(p => p.id);
  }

  private listParty(person: Person, group: Group): Person[] {
    const party = [person];
    for (const one of party)
      party.push(...group.people.filter(p => !party.includes(p) && p.ties.some(tie => one.ties.includes(tie))));
    return party;
  }

  private observe(instant: number) {
    const acts = this.writes.filter(act => act.key.instant <= instant);
    this.people = gatherPeople(this.byPerson, acts, this.cuts, instant);
    this.groups = groupPeople(this.people);
  }

  private findGroup(person: string): Group | undefined {
    return this.groups.find(g => g.people.some(p => p.id === person));
  }

  /** "Is anybody left?" is asked when the deletion happened. */
  private applyDeletion(deletion: Entry) {
    const id = [...this.byPerson].find(([, entries]) => entries.includes(deletion))![0];
    const group = this.findGroup(id);
    if (deletion.onDelete === 'delete' && this.people.some(p => p.id === id && p.withheld))
      this.cuts.forgotten.set(id, happenedKey(deletion));
    const person = group?.people.find(p => p.id === id);
    if (!group || !person || person.demoted || deletion.onDelete !== 'delete') return;
    const happened = happenedKey(deletion);
    const isLeft = (p: Person) =>
      p !== person &&
      !p.demoted &&
      (p.kind === 'api' ? p.made : p.kind !== 'guest' && p.kind !== 'note') &&
      (p.death === null || compareKeys(p.death, happened) > 0);
    if (group.people.some(isLeft)) return;
    this.forget(
      group.people.map(p => p.id),
      this.listWithheld(group),
      happened,
    );
    this.observe(happened.instant);
  }

  private applyAct(act: Act) {
    if (act.kind !== 'removal') return;
    this.forget(act.people, act.withheld, act.key);
    const persons = this.people.filter(p => p.kind === 'user' || p.kind === 'payer').map(p => p.id);
    for (const id of act.people) if (persons.includes(id) && !this.cuts.dead.has(id)) this.cuts.dead.set(id, act.key);
    this.observe(act.key.instant);
  }

  /** Removal forgets: nothing known before is shown again, and who was withheld from the addresses counts only from a new claim. */
  private forget(ids: string[], withheld: string[], key: Key) {
    for (const id of ids) this.cuts.removed.set(id, key);
    for (const id of withheld) this.cuts.forgotten.set(id, key);
  }

  /** After a deletion with nobody left of those known by then: until a new identity appears, or somebody says yes. */
  private isSilenced(group: Group, company: Person[], at: number): boolean {
    const ms = (key: Key) => Math.floor(key.instant / 1000);
    const known = company.filter(p => p.first !== null && ms(p.first) <= at && !p.demoted);
    const people = known.filter(p => p.kind === 'user' || p.kind === 'payer' || (p.kind === 'api' && p.made));
    if (people.some(p => p.death === null || ms(p.death) > at)) return false;
    const deaths = people.map(p => ms(p.death!));
    return deaths.length > 0 && !this.minds.saidYesSince(group, Math.max(...deaths), at);
  }
}

/** Those of a contact who were with one of it already: by an address that both showed, and who is one with these by id. */
function listCompany(group: Group, joiner: Person): Person[] {
  const near = group.people.filter(p => p === joiner || p.claimed.some(email => joiner.claimed.includes(email)));
  return group.people.filter(p => near.some(n => n === p || (n.unit !== null && n.unit === p.unit)));
}
