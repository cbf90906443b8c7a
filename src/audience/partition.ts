import { ascending, type K, readMicros } from './registers.ts';
import type { Run } from './timeline.ts';
import { addressOf, claimOf, type Identity, isProven, namespaceOf, type View } from './views.ts';

/** Identities that are one contact, and the address it shows (null: none that is theirs). */
export interface Group {
  views: View[];
  email: string | null;
}

const GRACE = 60_000_000; // µs: an app may make its customer a moment before the user who signs up

/** Everything known that may be one unit: it is one contact by id, for good. */
interface Unit {
  views: View[];
  /** Holds a user or an API contact: payers and address-only ones are with it, not it with them. */
  anchor: boolean;
  email: string | null;
}

/** `user:42`, in a namespace `user@ns:42`. */
export const userTie = (namespace: string, userId: string) =>
  namespace === '' ? `user:${userId}` : `user@${namespace}:${userId}`;

/**
 * What makes identities one contact for good: user ids and provider ids. `by`: those that were known by then; null: all. `since`: what
 * the API said by then is forgotten.
 */
export function idTiesOf({ id, provider, registers: r }: Identity, by: K | null = null, since = r.erased): string[] {
  const namespace = namespaceOf(provider);
  const ties = [...r.aliases];
  // Of a person whose deletion is all that is known, the id ties nobody.
  if (r.class === 'auth' && r.personId !== null && r.first !== '~') ties.push(userTie(namespace, r.personId));
  // What the API says of a user names the tie in the id itself: `api:user:42`, `api:user@ns:42`.
  if (r.class === 'api' && addressOf(id) === null) ties.push(id.slice('api:'.length));
  for (const { userId, k } of r.facts)
    if (userId !== undefined && (r.class !== 'api' || k > since) && (by === null || k <= by))
      ties.push(userTie(namespace, userId));
  return ties;
}

/** Splits connected identities into contacts. Depends on the set only. `by`: as of then; null: now. */
export function partition(views: View[], by: K | null = null): Group[] {
  const [only] = views;
  if (only && views.length === 1 && (only.kind !== 'user' || only.since === ''))
    return [{ views, email: only.now?.email ?? addressShownAlone(only) }];
  return new Partition(views, by).groups();
}

/** What the API said of an address alone shows nobody. */
const addressShownAlone = (view: View) => (view.kind === 'address' && view.facts.length ? addressOf(view.id) : null);

/** Showings of one address by one identity. */
interface Showing {
  view: View;
  run: Run;
}

class Partition {
  private readonly parent = new Map<string, string>();
  private readonly showings = new Map<string, Showing[]>();
  private units: Unit[] = [];
  private readonly unitOf = new Map<View, Unit>();
  private readonly attached = new Map<Unit, Unit>();
  /** Payers who stay with a user who moved on. */
  private readonly stayed = new Set<Unit>();
  private readonly winners = new Map<string, Unit | null>();
  /** Addresses that unproven users can't hold. */
  private readonly refusals = new Map<Run, boolean>();

  constructor(
    private readonly views: View[],
    private readonly by: K | null,
  ) {
    this.noteShowings();
  }

  private noteShowings(): void {
    this.showings.clear();
    for (const view of this.views)
      for (const run of view.runs) {
        // Of somebody live who was forgotten the proof still keeps others from the address.
        if (run.from <= view.since && !(view.live && run.proven !== null)) continue;
        const known = this.showings.get(run.email);
        if (known) known.push({ view, run });
        else this.showings.set(run.email, [{ view, run }]);
      }
  }

  groups(): Group[] {
    this.uniteById();
    const admitted = this.views.flatMap(view => (view.kind === 'user' ? [{ view, runs: this.admit(view) }] : []));
    for (const { view, runs } of admitted) settleRuns(view, runs);
    this.noteShowings();
    this.uniteById(); // again: who is withheld ties nothing
    this.uniteMade();
    this.endSupersededClaims();
    this.uniteProven();
    this.endSupersededClaims();
    this.units = this.collectUnits();
    this.contestAddresses();
    const { stayers, free } = this.attachStayers();
    const homeless = this.locateAnchors(stayers);
    this.locateGone(homeless, stayers);
    this.attachPayers(free);
    this.attachAddresses();
    return this.collectGroups();
  }

  private root(node: string): string {
    let at = node;
    for (let up = this.parent.get(at); up !== undefined && up !== at; up = this.parent.get(at)) at = up;
    if (at !== node) this.parent.set(node, at);
    return at;
  }

  private unite(a: string, b: string): void {
    const [x, y] = [this.root(a), this.root(b)];
    if (x !== y) this.parent.set(x < y ? y : x, x < y ? x : y);
  }

  private uniteById(): void {
    this.parent.clear();
    for (const view of this.views) {
      if (view.withheld) continue;
      for (const tie of idTiesOf(view.identity, this.by, view.since)) this.unite(`#${view.id}`, tie);
    }
  }

  /** The addresses that are a user's to hold, each from when it is; one that is refused counts from its proof, if there is any. */
  private admit(view: View): Run[] {
    const { since } = view;
    return view.runs.flatMap(run => {
      if (run.from > since && !this.isRefused(view, run)) return [{ ...run }];
      return run.proven !== null && run.proven > since ? [{ ...run, from: run.proven }] : [];
    });
  }

  private isRefused(view: View, run: Run): boolean {
    if (run.proven === run.from) return false;
    const known = this.refusals.get(run);
    if (known !== undefined) return known;
    const refused = this.isWithheld(view, run);
    this.refusals.set(run, refused);
    return refused;
  }

  /** An unproven sign-up holds only an address that nobody ever proved and no contact showed a moment before. */
  private isWithheld(view: View, run: Run): boolean {
    const others = (this.showings.get(run.email) ?? []).filter(
      each => each.view !== view && this.root(`#${each.view.id}`) !== this.root(`#${view.id}`),
    );
    const limit = readMicros(run.from) - GRACE;
    return others.some(({ view: other, run: theirs }) => {
      if (theirs.proven !== null) return true;
      if (readMicros(theirs.from) >= limit) return false;
      return other.kind !== 'user' || !this.isRefused(other, theirs);
    });
  }

  /** An API contact of an address is for good one with the first user who proves it. */
  private uniteMade(): void {
    for (const made of this.views) {
      if (made.kind !== 'apiContact' || addressOf(made.id) === null) continue;
      let first: View | null = null;
      let claim = userIdSince(made);
      for (const mine of made.runs)
        for (const each of this.showings.get(mine.email) ?? []) {
          if (each.view.kind !== 'user' || each.run.proven === null || claimOf(each.run) >= claim) continue;
          if (!meet({ view: made, run: mine }, each)) continue;
          first = each.view;
          claim = claimOf(each.run);
        }
      if (first) this.unite(`#${made.id}`, `#${first.id}`);
    }
  }

  /** Who shows one address with a proof that nobody's newer one ended is one; of two users of one provider the newer claim counts. */
  private uniteProven(): void {
    const users = this.scopesByRoot();
    const join = (a: View, b: View) => {
      const [x, y] = [this.root(`#${a.id}`), this.root(`#${b.id}`)];
      if (x === y) return;
      const scopes = new Set([...(users.get(x) ?? []), ...(users.get(y) ?? [])]);
      this.unite(x, y);
      users.set(this.root(x), scopes);
    };
    for (const all of this.findShared()) {
      const present = all
        .filter(({ view }) => view.live || !this.hasLiveAddress(view))
        .sort((a, b) => Number(b.view.live) - Number(a.view.live) || byClaim(a.view, b.view));
      const together: Showing[] = [];
      for (const each of present) {
        if (!together.every(other => this.mayShare(each, other, users))) continue;
        if (together[0]) join(together[0].view, each.view);
        together.push(each);
      }
    }
  }

  /** Addresses that several show now with a proof. Of two ties that exclude one another the one that came about first counts. */
  private findShared(): Showing[][] {
    const shared: { since: K; all: Showing[] }[] = [];
    for (const showings of this.showings.values()) {
      const all = showings.filter(
        ({ view, run }) =>
          run.proven !== null && (view.kind === 'user' || view.kind === 'apiContact') && view.now === run,
      );
      const since = all.map(({ run }) => claimOf(run)).sort(ascending)[1];
      if (since !== undefined) shared.push({ since, all });
    }
    return shared.sort((a, b) => ascending(a.since, b.since)).map(({ all }) => all);
  }

  /** Users of different providers, both with a proof; one who is gone only with whom it was together. */
  private mayShare(a: Showing, b: Showing, users: Map<string, Set<string>>): boolean {
    const [x, y] = [this.root(`#${a.view.id}`), this.root(`#${b.view.id}`)];
    if (x === y) return true;
    if ([...(users.get(x) ?? [])].some(scope => users.get(y)?.has(scope))) return false;
    return meet(a, b);
  }

  /** Whether somebody who is gone had the address proven together with who has it now. */
  private wereTogether(gone: View, winner: Unit): boolean {
    const all = this.showings.get(gone.now?.email ?? '') ?? [];
    const mine = all.find(({ view, run }) => view === gone && run === gone.now && run.proven !== null);
    const scopes = new Set(this.unitOf.get(gone)?.views.map(view => this.scopeOf(view)));
    scopes.delete(null);
    const company = [winner, ...this.units.filter(unit => this.attached.get(unit) === winner)];
    if (!mine || company.some(unit => unit.views.some(view => scopes.has(this.scopeOf(view))))) return false;
    return all.some(
      each =>
        winner.views.includes(each.view) && each.run === each.view.now && each.run.proven !== null && meet(mine, each),
    );
  }

  /** Whether somebody live of the same unit shows an address. */
  private hasLiveAddress(view: View): boolean {
    const root = this.root(`#${view.id}`);
    return this.views.some(
      each =>
        each !== view &&
        each.live &&
        each.now &&
        !each.withheld &&
        each.kind !== 'address' &&
        this.root(`#${each.id}`) === root,
    );
  }

  private scopesByRoot(): Map<string, Set<string>> {
    const users = new Map<string, Set<string>>();
    for (const view of this.views) {
      const scope = this.scopeOf(view);
      if (scope === null) continue;
      const root = this.root(`#${view.id}`);
      users.set(root, (users.get(root) ?? new Set()).add(scope));
    }
    return users;
  }

  /** Two of one scope are never one contact by address: users of one auth provider and namespace, user ids of the API's. */
  private scopeOf(view: View): string | null {
    if (view.kind === 'user') return view.identity.provider;
    return view.kind === 'apiContact' && userIdSince(view) !== '~' ? 'api' : null;
  }

  private collectUnits(): Unit[] {
    const byRoot = new Map<string, Unit>();
    for (const view of this.views) {
      const root = this.root(`#${view.id}`);
      const unit = byRoot.get(root) ?? { views: [], anchor: false, email: null };
      byRoot.set(root, unit);
      unit.views.push(view);
      view.unit = root;
      this.unitOf.set(view, unit);
      // Who is gone and forgotten keeps no payer from the contact of others.
      if ((view.kind === 'user' && (view.live || view.runs.length > 0)) || view.kind === 'apiContact')
        unit.anchor = true;
    }
    for (const unit of byRoot.values()) unit.views.sort((a, b) => ascending(a.id, b.id));
    return [...byRoot.values()];
  }

  /** API writes and auth claims compete by time: an address that the API set stands until a user of the contact claims another. */
  private endSupersededClaims(): void {
    const api = this.views.filter(each => each.kind === 'apiContact');
    if (!api.length) return;
    const claims = new Map<string, Run[]>();
    const former = new Map<string, Run[]>();
    for (const view of this.views) {
      const all = view.kind === 'user' && !view.withheld ? view.runs.filter(run => run.proven !== null) : [];
      if (all.length) former.set(this.root(`#${view.id}`), [...(former.get(this.root(`#${view.id}`)) ?? []), ...all]);
      const counts =
        view.kind === 'apiContact' || (view.kind === 'user' && view.live && !view.withheld && isProven(view));
      if (!counts || !view.now) continue;
      const root = this.root(`#${view.id}`);
      claims.set(root, [...(claims.get(root) ?? []), view.now]);
    }
    for (const view of api) {
      for (const run of view.runs.slice(0, -1))
        for (const each of former.get(this.root(`#${view.id}`)) ?? [])
          if (each.email !== run.email && claimOf(each) > claimOf(run) && claimOf(each) < (run.to ?? '~'))
            run.to = claimOf(each);
      const { now } = view;
      if (!now) continue;
      const newer = (claims.get(this.root(`#${view.id}`)) ?? [])
        .filter(each => each.email !== now.email && claimOf(each) > claimOf(now))
        .map(claimOf)
        .sort(ascending);
      if (newer[0] === undefined) continue;
      now.to = newer[0];
      view.now = null;
    }
  }

  /** Of the users who prove one address, the one whose claim is newer has it; a namespace of its own takes none from another user. */
  private contestAddresses(): void {
    const claims = new Map<string, View[]>();
    for (const view of this.views) {
      if ((view.kind !== 'user' && view.kind !== 'apiContact') || !view.live || !view.now || view.withheld) continue;
      claims.set(view.now.email, [...(claims.get(view.now.email) ?? []), view]);
    }
    for (const [email, all] of claims) {
      all.sort(byClaim);
      if (all[0]!.now!.proven === null) continue; // an unproven claim holds an address only where the contact shows it
      const winner = this.unitOf.get(all[0]!)!;
      this.winners.set(email, winner);
      for (const loser of all) if (this.unitOf.get(loser) !== winner) loser.now = null;
    }
  }

  /**
   * Where a contact with a user or of the API is: at its user's proven address or the one that the API set, else at that of a payer of
   * its own, else at an unproven one, else where a payer is who stayed.
   */
  private locateAnchors(stayers: Map<Unit, View[]>): Unit[] {
    const anchors = this.units.filter(unit => unit.anchor);
    for (const unit of anchors) unit.email = this.provenAddressOf(unit);
    const homeless = anchors.filter(unit => unit.email === null);
    const wishes = homeless
      .map(unit => wishesOf(unit, stayers.get(unit) ?? []).filter(wish => this.isFree(wish.run.email, unit)))
      .filter(list => list.length > 0);
    // Each asks for what it wants most; whoever is refused there asks for the next.
    for (let isSettled = false; !isSettled; ) {
      isSettled = true;
      const best = new Map<string, Wish>();
      for (const [wish] of wishes) {
        const other = wish && best.get(wish.run.email);
        if (wish && (!other || byWish(wish, other) < 0)) best.set(wish.run.email, wish);
      }
      for (const list of wishes) {
        const [wish] = list;
        if (!wish || best.get(wish.run.email) === wish) continue;
        list.shift();
        isSettled = false;
      }
    }
    for (const [wish] of wishes) if (wish) this.moveTo(wish.unit, wish.run.email);
    return homeless;
  }

  /** The address of its users, longest known first, and of the API: these compete by time. */
  private provenAddressOf(unit: Unit): string | null {
    const here = unit.views.filter(each => each.now && each.live && !each.withheld);
    const [user] = here
      .filter(each => each.kind === 'user' && each.now?.proven != null)
      .sort((a, b) => ascending(a.first, b.first) || ascending(a.id, b.id));
    const [api] = here
      .filter(each => each.kind === 'apiContact')
      .sort((a, b) => ascending(claimOf(b.now!), claimOf(a.now!)));
    if (user && api) return (claimOf(api.now!) > claimOf(user.now!) ? api : user).now!.email;
    return (user ?? api)?.now?.email ?? null;
  }

  /** Who is gone keeps the address until a living identity shows it; its payer's address is the last resort. */
  private locateGone(homeless: Unit[], stayers: Map<Unit, View[]>): void {
    const known = (a: View, b: View) =>
      Number(b.kind === 'user') - Number(a.kind === 'user') || ascending(a.first, b.first) || ascending(a.id, b.id);
    const gone = homeless
      .map(unit => {
        const own = unit.views.filter(each => !each.live && each.now).sort(known);
        return { unit, views: [...own, ...(stayers.get(unit) ?? []).filter(each => !each.live).sort(known)] };
      })
      .filter(({ views }) => views.length > 0)
      .sort((p, q) => ascending(claimOf(q.views[0]!.now!), claimOf(p.views[0]!.now!)))
      .flatMap(({ unit, views }) => views.map(view => ({ unit, view })));
    for (const { unit, view } of gone) {
      if (unit.email !== null || this.attached.has(unit)) continue;
      const { email } = view.now!;
      this.moveTo(unit, email);
      const winner = this.winners.get(email);
      if (unit.email === null && winner && this.wereTogether(view, winner)) this.attached.set(unit, winner);
    }
  }

  private isFree(email: string, unit: Unit): boolean {
    const winner = this.winners.get(email);
    return winner === undefined || winner === null || winner === unit;
  }

  /** A payer stays with the user who moved on, if it showed the address while it was proven theirs, until another proves it. */
  private attachStayers(): { stayers: Map<Unit, View[]>; free: { unit: Unit; now: Run }[] } {
    const free: { unit: Unit; now: Run }[] = [];
    const stayers = new Map<Unit, View[]>();
    for (const unit of this.units) {
      if (unit.anchor) continue;
      const [payer] = unit.views
        .filter(each => each.kind === 'payer' && each.now)
        .sort((a, b) => Number(b.live) - Number(a.live) || ascending(a.first, b.first) || ascending(a.id, b.id));
      if (!payer?.now) continue;
      const { now } = payer;
      const winner = this.winners.get(now.email);
      const last = winner && showsProven(winner, now.email) ? null : this.lastProver(now.email, now);
      const home = last ? this.unitOf.get(last.view) : undefined;
      if (!home) {
        free.push({ unit, now });
        continue;
      }
      this.attached.set(unit, home);
      this.stayed.add(unit);
      stayers.set(home, [...(stayers.get(home) ?? []), payer]);
    }
    return { stayers, free };
  }

  /** The others are with whoever shows the address that they show now. */
  private attachPayers(free: { unit: Unit; now: Run }[]): void {
    for (const { unit, now } of free) {
      const winner = this.winners.get(now.email);
      if (winner) this.attached.set(unit, winner);
      else unit.email = now.email;
    }
  }

  /** A contact whose user has no address is where its payer's address is, if no other user is there. */
  private moveTo(unit: Unit, email: string): void {
    if (!this.isFree(email, unit)) return;
    unit.email = email;
    this.winners.set(email, unit);
  }

  /** Who proved an address last; `during`: of those who had it proven while another showed it. */
  private lastProver(email: string, during?: Run): Showing | null {
    let last: Showing | null = null;
    for (const each of this.showings.get(email) ?? []) {
      if (each.run.proven === null || (each.view.kind !== 'user' && each.view.kind !== 'apiContact')) continue;
      if (during && !overlaps(during, each.run)) continue;
      if (!last || claimOf(each.run) > claimOf(last.run)) last = each;
    }
    return last;
  }

  /** Address-only ones are where an identity shows the address, else with the user who last proved it, else by themselves. */
  private attachAddresses(): void {
    const located = new Map<string, Unit>();
    const byKnown = [...this.units].sort(
      (a, b) => ascending(firstOf(a), firstOf(b)) || ascending(a.views[0]!.id, b.views[0]!.id),
    );
    for (const unit of byKnown)
      if (!unit.anchor && unit.email !== null && !located.has(unit.email)) located.set(unit.email, unit);
    const stayed = new Map<string, Unit>();
    for (const unit of byKnown)
      for (const { kind, now } of this.stayed.has(unit) ? unit.views : [])
        if (kind === 'payer' && now && !stayed.has(now.email)) stayed.set(now.email, this.attached.get(unit)!);
    const target = (email: string, carrier?: Unit): Unit | undefined => {
      const there = this.winners.get(email) ?? located.get(email) ?? carrier;
      if (there) return there;
      const last = this.lastProver(email);
      return last ? this.unitOf.get(last.view) : undefined;
    };
    for (const unit of byKnown) {
      if (unit.anchor || unit.email === null) continue;
      const home = located.get(unit.email);
      if (home && home !== unit) this.attached.set(unit, home);
    }
    const later: Unit[] = [];
    for (const unit of byKnown) {
      const [view] = unit.views;
      const email = view ? addressOf(view.id) : null;
      if (unit.views.length > 1 || !view || email === null) continue;
      if (view.kind !== 'address' && view.kind !== 'apiAddress') continue;
      if (view.kind === 'apiAddress') {
        later.push(unit);
        continue;
      }
      if (!view.facts.length) continue;
      const to = target(email, stayed.get(email));
      if (to && to !== unit) this.attached.set(unit, to);
      else if (!to) {
        unit.email = email;
        located.set(email, unit);
      }
    }
    for (const unit of later) {
      const view = unit.views[0]!;
      const to = target(addressOf(view.id)!, this.carrierOf(view));
      if (to) this.attached.set(unit, to);
    }
  }

  private carrierOf({ identity }: View): Unit | undefined {
    const { carrier } = identity.registers;
    const view = carrier === undefined ? undefined : this.views.find(each => each.id === carrier);
    return view && this.unitOf.get(view);
  }

  /** What the API said of a payer speaks only where nobody else was before: it must name nobody whose address the payer typed. */
  private silenceForeignNotes({ views, email }: Group): void {
    for (const note of views) {
      if (note.kind !== 'apiAddress' || addressOf(note.id) === email) continue;
      const bearers = this.unitOf.get(note)!.views.length > 1 ? this.unitOf.get(note)! : this.carrierOf(note);
      if (bearers && !speaksFor(bearers.views, views)) note.withheld = true;
    }
  }

  private collectGroups(): Group[] {
    const home = (unit: Unit): Unit => {
      let at = unit;
      for (let i = 0; i < 8; i++) {
        const up = this.attached.get(at);
        if (!up || up === at) return at;
        at = up;
      }
      return at;
    };
    const groups = new Map<Unit, Group>();
    for (const unit of this.units) {
      const at = home(unit);
      const group = groups.get(at) ?? { views: [], email: at.email };
      groups.set(at, group);
      group.views.push(...unit.views);
    }
    for (const group of groups.values()) this.silenceForeignNotes(group);
    return [...groups.values()];
  }
}

/** What a user shows through time; where nothing is left to hold, nothing of them counts. */
function settleRuns(view: View, runs: Run[]): void {
  const [first] = runs;
  // Of who is gone the id is known to be, even where nothing else is left.
  view.withheld = !first && view.runs.some(run => view.live || run.from > view.since);
  if (first && first.from !== view.runs[0]?.from) view.countsFrom = first.from;
  for (const [i, run] of runs.entries()) run.to = runs[i + 1]?.from ?? null;
  view.runs = runs.filter(run => run.from > view.since);
  view.own = view.runs.at(-1) ?? null;
  view.now = view.own;
}

/** Whether people are a contact's own: its users, its API contact, or its payers of longest standing. */
export function speaksFor(own: View[], all: View[]): boolean {
  if (own.some(each => each.kind === 'user' || each.kind === 'apiContact')) return true;
  const [eldest] = own.filter(each => each.kind === 'payer').sort(byKnown);
  if (!eldest) return true;
  return all.every(
    each =>
      each.unit === eldest.unit ||
      (each.kind !== 'user' && each.kind !== 'apiContact' && (each.kind !== 'payer' || byKnown(each, eldest) > 0)),
  );
}

const byKnown = (a: View, b: View) => ascending(a.first, b.first) || ascending(a.id, b.id);

/** Since when the API contact has a user id; `~`: it has none. */
const userIdSince = ({ id, facts }: View): K =>
  addressOf(id) === null ? '' : (facts.find(each => each.userId !== undefined)?.k ?? '~');

const firstOf = (unit: Unit): K => unit.views.reduce((least, each) => (each.first < least ? each.first : least), '~');
const showsProven = (unit: Unit, email: string) =>
  unit.views.some(each => each.live && each.now?.email === email && each.now.proven !== null);

/** Where a contact of nobody's proven address would be. */
interface Wish {
  unit: Unit;
  view: View;
  run: Run;
}

/** Most wanted first: the addresses of its own payers, its unproven users', those of payers who stayed. */
function wishesOf(unit: Unit, stayers: View[]): Wish[] {
  const here = unit.views.filter(each => each.live && !each.withheld && each.now);
  const payers = here.filter(each => each.kind === 'payer').sort(byKnown);
  const users = here.filter(each => each.kind === 'user').sort(byKnown);
  const stayed = stayers.filter(each => each.live).sort(byKnown);
  return [...payers, ...users, ...stayed].map(view => ({ unit, view, run: view.now! }));
}

/** Unproven users before payers, of whom the earlier comes first. */
function byWish(a: Wish, b: Wish): number {
  const users = Number(b.view.kind === 'user') - Number(a.view.kind === 'user');
  return users || (a.view.kind === 'user' ? byClaim(a.view, b.view) : ascending(a.run.from, b.run.from));
}

/** When a showing ended: the identity moved on, or died. Null: it stands. */
function endOf({ view, run }: Showing): K | null {
  if (run.to !== null || view.live) return run.to;
  const deaths = view.identity.registers.deaths.filter(each => each.onDelete !== 'ignore').map(each => each.h);
  const { erased } = view.identity.registers;
  return [...deaths, ...(erased ? [erased] : [])].sort(ascending)[0] ?? null;
}

/** Whether both had the address proven at one time. */
function meet(a: Showing, b: Showing): boolean {
  const [x, y] = [claimOf(a.run), claimOf(b.run)];
  const [endA, endB] = [endOf(a), endOf(b)];
  return (endA === null || y < endA) && (endB === null || x < endB);
}

/** Whether a run began before a proof of the address was over. */
const overlaps = (run: Run, proof: Run) => proof.to === null || run.from < proof.to;

/** Proven before unproven, namespace "" before others; there the newer claim, elsewhere the older. */
function byClaim(a: View, b: View): number {
  const [nsA, nsB] = [namespaceOf(a.identity.provider), namespaceOf(b.identity.provider)];
  const proven = Number(isProven(b)) - Number(isProven(a));
  if (proven) return proven;
  if ((nsA === '') !== (nsB === '')) return nsA === '' ? -1 : 1;
  const newer = ascending(claimOf(b.now!), claimOf(a.now!)) || ascending(a.id, b.id);
  return nsA === '' ? newer : -newer;
}
