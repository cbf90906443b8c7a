import { type Group, isAlive } from './groups.ts';
import type { ConsentAct, Person } from './people.ts';

interface Mind {
  subscribed: boolean;
  /** ms since 1970. */
  at: number;
}

/** Of one moment, the no counts. */
function laterMind(a: Mind | null, b: Mind | null): Mind | null {
  if (a === null || b === null) return a ?? b;
  if (a.at !== b.at) return a.at > b.at ? a : b;
  return a.subscribed ? b : a;
}

/** What addresses and people said of mail, through time. Times are ms since 1970. */
export class Minds {
  constructor(private readonly acts: ConsentAct[]) {}

  private changes(matches: (act: ConsentAct) => boolean, at: number): Mind[] {
    return this.acts
      .filter(matches)
      .map(act => ({ subscribed: act.subscribed, at: act.key.instant / 1000 }))
      .filter(mind => mind.at <= at);
  }

  ofEmail(email: string, at: number): Mind | null {
    return this.changes(act => act.emails.includes(email), at).reduce<Mind | null>(laterMind, null);
  }

  /** For itself, and as whoever showed an address then; whoever shows one that is out is out from then on. */
  ofPerson(person: Person, at: number): Mind | null {
    let last = this.changes(act => act.people.includes(person.id), at).reduce<Mind | null>(laterMind, null);
    for (const stay of person.stays) {
      const from = Math.floor(stay.key.instant / 1000);
      const until = Math.floor(stay.until.instant / 1000);
      if (from > at) continue;
      const before = this.ofEmail(stay.email, from);
      if (before?.subscribed === false) last = laterMind(last, { subscribed: false, at: from });
      const during = this.changes(act => act.emails.includes(stay.email), at);
      for (const mind of during) if (mind.at > from && mind.at < until) last = laterMind(last, mind);
    }
    return last;
  }

  maySend(group: Group, at: number): boolean {
    if (group.email !== null && this.ofEmail(group.email, at)?.subscribed === false) return false;
    const isOut = (p: Person) => this.ofPerson(p, at)?.subscribed === false;
    // Any user or API contact that is out silences; of payers alone, only all together.
    const owners = group.people.filter(p => p.kind === 'api' || (p.kind === 'user' && !p.demoted && p.current?.proof));
    if (owners.length > 0) return !owners.some(isOut);
    const others = group.people.filter(p => (p.kind === 'user' || p.kind === 'payer') && !p.demoted);
    const living = others.filter(isAlive);
    const voters = living.length > 0 ? living : others;
    // Whoever bought at this address as a guest before them is somebody else, and in.
    const arrivals = voters.flatMap(p => (p.current === null ? [] : [p.current.key.instant]));
    const isGuestFirst = group.people.some(
      p => p.kind === 'guest' && p.since !== null && p.since.instant < Math.min(...arrivals),
    );
    return voters.length === 0 || !voters.every(isOut) || isGuestFirst;
  }

  saidYesSince(group: Group, since: number, at: number): boolean {
    const people = group.people.filter(p => p.kind !== 'guest' && p.kind !== 'note' && !p.demoted);
    const minds = [
      group.email === null ? null : this.ofEmail(group.email, at),
      ...people.map(p => this.ofPerson(p, at)),
    ];
    return minds.some(mind => mind?.subscribed === true && mind.at > since);
  }
}
