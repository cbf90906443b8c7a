import { compareTexts, type K } from './registers.ts';
import type { Run } from './timeline.ts';
import { compareClaims, meet, type Showing, type Unions } from './unions.ts';
import { claimOf, isProven, readAddress, type View } from './views.ts';

/** Who is one by addresses that they proved, or that the API set. */
export function uniteByProof(unions: Unions): void {
  uniteMade(unions);
  endSupersededClaims(unions);
  uniteProven(unions);
  endSupersededClaims(unions);
}

/** Since when the API contact has a user id; `~`: it has none. */
const findUserIdSince = ({ id, facts }: View): K =>
  readAddress(id) === null ? '' : (facts.find(each => each.userId !== undefined)?.k ?? '~');

/** An API contact of an address is for good one with the first user who proves it. */
function uniteMade(unions: Unions): void {
  for (const made of unions.views) {
    if (made.kind !== 'apiContact' || readAddress(made.id) === null) continue;
    let first: View | null = null;
    let claim = findUserIdSince(made);
    for (const mine of made.runs)
      for (const each of unions.showings.get(mine.email) ?? []) {
        if (each.view.kind !== 'user' || each.run.proven === null || claimOf(each.run) >= claim) continue;
        if (!meet({ view: made, run: mine }, each)) continue;
        first = each.view;
        claim = claimOf(each.run);
      }
    if (first) unions.unite(made, first);
  }
}

/** Who shows one address with a proof that nobody's newer one ended is one; of two users of one provider the newer claim counts. */
function uniteProven(unions: Unions): void {
  const users = collectScopes(unions);
  const join = (a: View, b: View) => {
    const [x, y] = [unions.rootOf(a), unions.rootOf(b)];
    if (x === y) return;
    const scopes = new Set([...(users.get(x) ?? []), ...(users.get(y) ?? [])]);
    unions.unite(a, b);
    users.set(unions.rootOf(a), scopes);
  };
  for (const all of findShared(unions)) {
    const present = all
      .filter(({ view }) => view.live || !hasLiveAddress(unions, view))
      .sort((a, b) => Number(b.view.live) - Number(a.view.live) || compareClaims(a.view, b.view));
    const together: Showing[] = [];
    for (const each of present) {
      if (!together.every(other => mayShare(unions, each, other, users))) continue;
      if (together[0]) join(together[0].view, each.view);
      together.push(each);
    }
  }
}

/** Addresses that several show now with a proof. Of two ties that exclude one another the one that came about first counts. */
function findShared({ showings }: Unions): Showing[][] {
  const shared: { since: K; all: Showing[] }[] = [];
  for (const known of showings.values()) {
    const all = known.filter(
      ({ view, run }) =>
        run.proven !== null && (view.kind === 'user' || view.kind === 'apiContact') && view.now === run,
    );
    const since = all.map(({ run }) => claimOf(run)).sort(compareTexts)[1];
    if (since !== undefined) shared.push({ since, all });
  }
  return shared.sort((a, b) => compareTexts(a.since, b.since)).map(({ all }) => all);
}

/** Users of different providers, both with a proof; one who is gone only with whom it was together. */
function mayShare(unions: Unions, a: Showing, b: Showing, users: Map<string, Set<string>>): boolean {
  const [x, y] = [unions.rootOf(a.view), unions.rootOf(b.view)];
  if (x === y) return true;
  if ([...(users.get(x) ?? [])].some(scope => users.get(y)?.has(scope))) return false;
  return meet(a, b);
}

/** Whether somebody live of the same unit shows an address. */
function hasLiveAddress(unions: Unions, view: View): boolean {
  const root = unions.rootOf(view);
  return unions.views.some(
    each =>
      each !== view &&
      each.live &&
      each.now &&
      !each.withheld &&
      each.kind !== 'address' &&
      unions.rootOf(each) === root,
  );
}

function collectScopes(unions: Unions): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>();
  for (const view of unions.views) {
    const scope = findScope(view);
    if (scope === null) continue;
    const root = unions.rootOf(view);
    users.set(root, (users.get(root) ?? new Set()).add(scope));
  }
  return users;
}

/** Two of one scope are never one contact by address: users of one auth provider and namespace, user ids of the API's. */
export function findScope(view: View): string | null {
  if (view.kind === 'user') return view.identity.provider;
  return view.kind === 'apiContact' && findUserIdSince(view) !== '~' ? 'api' : null;
}

/** API writes and auth claims compete by time: an address that the API set stands until a user of the contact claims another. */
function endSupersededClaims(unions: Unions): void {
  const api = unions.views.filter(each => each.kind === 'apiContact');
  if (!api.length) return;
  const { claims, former } = collectClaims(unions);
  for (const view of api) {
    for (const run of view.runs.slice(0, -1))
      for (const each of former.get(unions.rootOf(view)) ?? [])
        if (each.email !== run.email && claimOf(each) > claimOf(run) && claimOf(each) < (run.to ?? '~'))
          run.to = claimOf(each);
    const { now } = view;
    if (!now) continue;
    const newer = (claims.get(unions.rootOf(view)) ?? [])
      .filter(each => each.email !== now.email && claimOf(each) > claimOf(now))
      .map(claimOf)
      .sort(compareTexts);
    if (newer[0] === undefined) continue;
    now.to = newer[0];
    view.now = null;
  }
}

/** By root: the present claims of users and the API, and all that users ever proved. */
function collectClaims(unions: Unions) {
  const claims = new Map<string, Run[]>();
  const former = new Map<string, Run[]>();
  const add = (to: Map<string, Run[]>, view: View, runs: Run[]) => {
    const root = unions.rootOf(view);
    to.set(root, [...(to.get(root) ?? []), ...runs]);
  };
  for (const view of unions.views) {
    const all = view.kind === 'user' && !view.withheld ? view.runs.filter(run => run.proven !== null) : [];
    if (all.length) add(former, view, all);
    const counts =
      view.kind === 'apiContact' || (view.kind === 'user' && view.live && !view.withheld && isProven(view));
    if (counts && view.now) add(claims, view, [view.now]);
  }
  return { claims, former };
}
