import { isUser, type Join } from './contact.ts';
import { compareSince, findKeeper, type Group, groupPeople, isAlive } from './groups.ts';
import { compareKeys } from './order.ts';
import {
  type Act,
  type Anchor,
  type Cuts,
  type Entry,
  gatherPeople,
  happenedKey,
  type Person,
  type WriteAct,
} from './people.ts';

interface Mind {
  subscribed: boolean;
  instant: number;
}

/**
 * Lives through everything in the order in which it happened, not in which it arrived. At each instant it asks anew who is
 * one contact with whom, and then what the deletions, opt-outs and removals of that instant mean for these.
 */
export class Timeline {
  readonly joins: Join[] = [];
  people: Person[] = [];
  groups: Group[] = [];
  private readonly cuts: Cuts;
  private readonly anchors = new Map<WriteAct, Anchor>();
  private readonly mindOfEmail = new Map<string, Mind>();
  private readonly mindOfPerson = new Map<string, Mind>();
  private readonly shownBefore = new Map<string, string>();
  private openLists: Join[];

  constructor(
    private readonly byPerson: Map<string, Entry[]>,
    acts: Act[],
    forgotten: Map<string, number>,
  ) {
    this.cuts = { removed: new Map(), forgotten: new Map(forgotten) };
    const entries = [...byPerson.values()].flat().toSorted((a, b) => compareKeys(a.key, b.key));
    this.openLists = entries.flatMap(entry => [...entry.lists].map(list => ({ entry, list })));
    const deletions = entries.filter(e => e.step.fact.deletion && e.onDelete !== 'ignore');
    const instants = new Set([
      ...entries.map(e => e.key.instant),
      ...deletions.map(e => happenedKey(e).instant),
      ...acts.map(act => act.key.instant),
    ]);
    for (const instant of [...instants].toSorted((a, b) => a - b)) {
      this.observe(instant);
      for (const deletion of deletions) if (happenedKey(deletion).instant === instant) this.applyDeletion(deletion);
      for (const act of acts) if (act.key.instant === instant) this.applyAct(act);
    }
    this.observe(Number.POSITIVE_INFINITY);
  }

  /** The API's writes that a group shows, oldest first. */
  listActs(group: Group): WriteAct[] {
    return [...this.anchors].filter(([, anchor]) => this.findHome(anchor) === group).map(([act]) => act);
  }

  findByEmail(email: string): Group | null {
    return this.groups.find(g => g.email === email) ?? findKeeper(this.groups, this.writesUntil(Infinity), email);
  }

  /** By a user id of namespace "": also of who is parked, never of who is withheld or removed. */
  findByUserId(userId: string): { group: Group; person: string } | null {
    for (const group of this.groups) {
      if (!this.hasRow(group)) continue;
      const said = this.listActs(group).find(act => act.setsUserId === userId);
      const known = group.people.filter(p => !p.demoted && p.namespace === '' && p.userIds.includes(userId));
      const person = known.toSorted((a, b) => Number(isUser(b)) - Number(isUser(a)))[0]?.id;
      const anchor = said && this.anchors.get(said)!;
      if (person !== undefined) return { group, person };
      if (anchor && 'person' in anchor) return { group, person: anchor.person };
    }
    return null;
  }

  /** With whom a write by email stays: the user who proved the address, the API contact, else the address. */
  chooseAnchor(group: Group): Anchor {
    const known = group.people.toSorted(compareSince);
    const prover = known.find(
      p => isUser(p) && p.current?.proof && (group.email === null || p.current.email === group.email),
    );
    const contact = known.find(p => p.kind === 'api');
    const setter = this.listActs(group).findLast(act => act.setsEmail !== null && act.setsEmail === group.email);
    const setOn = setter && this.anchors.get(setter);
    if (prover) return { person: prover.id };
    if (contact) return { person: contact.id };
    if (setOn && 'person' in setOn) return setOn;
    return { email: group.email ?? '', people: group.people.map(p => p.id) };
  }

  isSubscribed(group: Group): boolean {
    if (group.email !== null && this.mindOfEmail.get(group.email)?.subscribed === false) return false;
    return !this.isOutByPerson(group) && !this.isSilenced(group);
  }

  hasRow(group: Group): boolean {
    return group.email !== null || group.people.some(p => p.kind === 'api' || (isUser(p) && p.current?.proof));
  }

  private writesUntil(instant: number): WriteAct[] {
    return [...this.anchors].flatMap(([act, anchor]) => (act.key.instant <= instant ? [{ ...act, anchor }] : []));
  }

  private observe(instant: number) {
    const acts = this.writesUntil(instant);
    this.people = gatherPeople(this.byPerson, acts, this.cuts, instant);
    this.groups = groupPeople(this.people, acts);
    for (const [act, anchor] of this.anchors) if ('email' in anchor) this.anchors.set(act, this.followAnchor(anchor));
    this.markNewcomers(instant);
    this.joinLists(instant);
  }

  private findGroup(person: string): Group | undefined {
    return this.groups.find(g => g.people.some(p => p.id === person));
  }

  /** A payer's writes do not speak for a contact that it joined by address. */
  private findHome(anchor: Anchor): Group | undefined {
    if ('email' in anchor)
      return this.groups.find(g => g.email === anchor.email && g.people.some(p => anchor.people.includes(p.id)));
    const group = this.findGroup(anchor.person);
    const person = group?.people.find(p => p.id === anchor.person);
    if (!group || !person || person.kind !== 'payer') return group;
    const isForeign = (p: Person) =>
      p.kind !== 'guest' && !p.demoted && p !== person && !p.userIds.some(id => person.userIds.includes(id));
    const elders = group.people.filter(p => isForeign(p) && (p.kind !== 'payer' || compareSince(p, person) < 0));
    return elders.length === 0 ? group : undefined;
  }

  /** Writes stay with the address while somebody is left there, pass to a user who proves it, and move with who moves alone. */
  private followAnchor(anchor: Extract<Anchor, { email: string }>): Anchor {
    const home = this.findHome(anchor);
    if (home) {
      const owner = home.people
        .toSorted(compareSince)
        .find(p => p.kind === 'api' || (isUser(p) && p.current?.proof && p.current.email === anchor.email));
      return owner ? { person: owner.id } : { email: anchor.email, people: home.people.map(p => p.id) };
    }
    const moved = this.groups.find(
      g =>
        g.email !== null &&
        g.people.some(p => p.kind !== 'guest' && anchor.people.includes(p.id)) &&
        g.people.every(p => p.kind === 'guest' || anchor.people.includes(p.id)),
    );
    return moved ? { email: moved.email!, people: moved.people.map(p => p.id) } : anchor;
  }

  /** Whoever shows an address that is out is out from then on. */
  private markNewcomers(instant: number) {
    for (const person of this.people) {
      if (person.kind === 'guest' || person.withheld) continue;
      const shown = [person.current?.email, person.kind === 'payer' ? null : this.findGroup(person.id)?.email];
      const emails = shown.filter(email => email !== null && email !== undefined);
      const before = (this.shownBefore.get(person.id) ?? '').split(' ');
      const isOut = emails.some(email => !before.includes(email) && this.mindOfEmail.get(email)?.subscribed === false);
      if (isOut) this.mindOfPerson.set(person.id, { subscribed: false, instant });
      this.shownBefore.set(person.id, emails.join(' '));
    }
  }

  /** A list is joined if the contact is subscribed at the fact's time, or when a withheld person begins to count. */
  private joinLists(instant: number) {
    const open: Join[] = [];
    for (const join of this.openLists) {
      const group = this.groups.find(g => g.people.some(p => p.entries.includes(join.entry)));
      if (!group || join.entry.key.instant > instant) open.push(join);
      else if (this.isSubscribed(group)) this.joins.push(join);
    }
    this.openLists = open;
  }

  /** "Is anybody left?" is asked when the deletion happened. */
  private applyDeletion(deletion: Entry) {
    const id = [...this.byPerson].find(([, entries]) => entries.includes(deletion))![0];
    const group = this.findGroup(id);
    const person = group?.people.find(p => p.id === id);
    if (!group || !person || person.demoted || deletion.onDelete !== 'delete') return;
    const happened = happenedKey(deletion);
    const isLeft = (p: Person) =>
      p !== person &&
      !p.demoted &&
      (p.kind === 'api' ? p.made : p.kind !== 'guest') &&
      (p.death === null || compareKeys(p.death, happened) > 0);
    if (group.people.some(isLeft)) return;
    const proven = group.people.flatMap(p => (p.current?.proof ? [p.current.email] : []));
    const emails = [...(group.email === null ? [] : [group.email]), ...proven];
    this.forget(
      group.people.map(p => p.id),
      emails,
      happened.instant,
    );
    this.observe(happened.instant);
  }

  private applyAct(act: Act) {
    const { instant } = act.key;
    if (act.kind === 'removal') this.forget(act.people, act.emails, instant);
    if (act.kind === 'write') this.anchors.set(act, act.anchor);
    if (act.kind === 'consent') {
      const mind = { subscribed: act.subscribed, instant };
      for (const email of act.emails) this.mindOfEmail.set(email, mind);
      const showing = this.people.filter(
        p => p.kind !== 'guest' && !p.withheld && p.current !== null && act.emails.includes(p.current.email),
      );
      for (const id of [...act.people, ...showing.map(p => p.id)]) this.mindOfPerson.set(id, mind);
    }
    this.observe(instant);
  }

  /** Removal forgets: nothing known before is shown again, and who was withheld from the addresses counts only from a new claim. */
  private forget(ids: string[], emails: string[], instant: number) {
    for (const act of this.anchors.keys()) {
      const anchor = this.anchors.get(act)!;
      const isGone =
        'person' in anchor
          ? ids.includes(anchor.person)
          : emails.includes(anchor.email) && anchor.people.some(id => ids.includes(id));
      if (isGone) this.anchors.delete(act);
    }
    for (const id of ids) this.cuts.removed.set(id, instant);
    for (const person of this.people) {
      const claimed = person.withheld && person.entries.some(e => emails.includes(e.step.fact.email ?? ''));
      if (claimed) this.cuts.forgotten.set(person.id, instant);
    }
  }

  /** Any user who is out silences its contact; of payers alone, only all together. */
  private isOutByPerson(group: Group): boolean {
    const isOut = (p: Person) => this.mindOfPerson.get(p.id)?.subscribed === false;
    const owners = group.people.filter(p => p.kind === 'api' || (isUser(p) && p.current?.proof));
    if (owners.some(isOut)) return true;
    if (owners.length > 0) return false;
    const others = group.people.filter(p => p.kind !== 'guest' && !p.demoted);
    const living = others.filter(isAlive);
    const voters = living.length > 0 ? living : others;
    // Whoever bought at this address as a guest before them is somebody else, and in.
    const arrivals = voters.flatMap(p => (p.current === null ? [] : [p.current.key.instant]));
    const isGuestFirst = group.people.some(
      p => p.kind === 'guest' && p.since !== null && p.since.instant < Math.min(...arrivals),
    );
    return voters.length > 0 && voters.every(isOut) && !isGuestFirst;
  }

  /** After a deletion with nobody left: until a new identity appears, or somebody says yes. */
  private isSilenced(group: Group): boolean {
    const people = group.people.filter(p => p.kind !== 'guest' && !p.demoted);
    const deaths = people.flatMap(p => (p.death === null ? [] : [p.death.instant]));
    if (deaths.length === 0 || people.some(p => (p.kind === 'api' ? p.made : isAlive(p)))) return false;
    const minds = [this.mindOfEmail.get(group.email ?? ''), ...people.map(p => this.mindOfPerson.get(p.id))];
    const lastDeath = Math.max(...deaths);
    return !minds.some(mind => mind?.subscribed === true && mind.instant > lastDeath);
  }
}
