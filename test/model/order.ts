import type { FactStep } from './steps.ts';

/** Where something stands in time. `rank` 9 is the API: in one second it is the later. */
export interface Key {
  /** Microseconds since 1970. */
  instant: number;
  rank: number;
  externalId: string;
  endpoint: string;
}

/** Later than anything that happens. */
export const FOREVER: Key = { instant: Number.MAX_SAFE_INTEGER, rank: 0, externalId: '', endpoint: '' };

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function compareKeys(a: Key, b: Key): number {
  return (
    a.instant - b.instant ||
    a.rank - b.rank ||
    compareText(a.externalId, b.externalId) ||
    compareText(a.endpoint, b.endpoint)
  );
}

/** After a cut, or there is none. */
export function isAfter(key: Key, cut: Key | undefined): boolean {
  return cut === undefined || compareKeys(key, cut) > 0;
}

export function earlierKey(a: Key, b: Key): Key {
  return compareKeys(a, b) < 0 ? a : b;
}

export function keyOfFact(step: FactStep): Key {
  const { at, micros, rank } = step.fact;
  return { instant: at * 1000 + micros, rank, externalId: step.externalId, endpoint: step.endpoint.id };
}

/** The last microsecond of its second: facts of the same second come before. */
export function keyOfCall(arrivedAt: number, sequence: number): Key {
  const instant = Math.floor(arrivedAt / 1000) * 1_000_000 + 999_999;
  return { instant, rank: 9, externalId: String(sequence).padStart(9, '0'), endpoint: '' };
}

/** One fact's word on one field. `former`: undefined where the event does not say what was before. */
export interface Claim<V> {
  key: Key;
  sentAt: number;
  value: V;
  former: V | null | undefined;
}

/** A value and the first and all facts of its unbroken run. */
export interface Run<V, C extends Claim<V>> {
  value: V;
  key: Key;
  claims: C[];
}

/** Where the chain says nothing: the sender's own time, then rank, external id, endpoint. */
function compareUnchained<V>(a: Claim<V>, b: Claim<V>): number {
  return a.sentAt - b.sentAt || compareKeys(a.key, b.key);
}

/** Whose turn it may be, most likely first: an event that follows from the value shown goes before one that says nothing. */
function rankCandidates<V, C extends Claim<V>>(rest: C[], shown: V | null): C[] {
  const unsaid = rest.filter(c => c.former === undefined);
  const following = rest.filter(c => c.former !== undefined && c.former === shown);
  const repeats = following.filter(c => c.value === shown);
  const changes = following.filter(c => c.value !== shown);
  if (repeats.length + changes.length === 0) return unsaid;
  const silentRepeats = unsaid.filter(c => c.value === shown);
  return [...repeats, ...silentRepeats, ...changes, ...unsaid.filter(c => c.value !== shown)];
}

/** A chain that uses all of them, or null. */
function findChain<V, C extends Claim<V>>(rest: C[], shown: V | null): C[] | null {
  if (rest.length === 0) return [];
  for (const next of rankCandidates(rest, shown)) {
    const tail = findChain<V, C>(
      rest.filter(c => c !== next),
      next.value,
    );
    if (tail) return [next, ...tail];
  }
  return null;
}

/** Facts of one time, in the order that they tell themselves. */
function orderTie<V, C extends Claim<V>>(tie: C[], shown: V | null): C[] {
  if (tie.length === 1) return tie;
  const sorted = tie.toSorted(compareUnchained);
  const whole = findChain(sorted, shown);
  if (whole) return whole;
  // Nobody starts from the value shown (its fact is not here): begin with one whose former value none of the others shows.
  const heads = sorted.filter(c => c.former === undefined || !sorted.some(o => o !== c && o.value === c.former));
  for (const first of [...heads, ...sorted]) {
    const tail = findChain<V, C>(
      sorted.filter(c => c !== first),
      first.value,
    );
    if (tail) return [first, ...tail];
  }
  const ordered: C[] = [];
  let rest = sorted;
  let present = shown;
  while (rest.length > 0) {
    const next = rankCandidates(rest, present)[0] ?? rest[0]!;
    ordered.push(next);
    present = next.value;
    rest = rest.filter(c => c !== next);
  }
  return ordered;
}

/** All facts of one field in their order: by time, those of one time by their chain. */
export function orderClaims<V, C extends Claim<V>>(claims: C[]): C[] {
  const sorted = claims.toSorted((a, b) => compareKeys(a.key, b.key));
  const ordered: C[] = [];
  for (let i = 0; i < sorted.length; ) {
    let end = i + 1;
    while (end < sorted.length && sorted[end]!.key.instant === sorted[i]!.key.instant) end++;
    ordered.push(...orderTie<V, C>(sorted.slice(i, end), ordered.at(-1)?.value ?? null));
    i = end;
  }
  return ordered;
}

/** A repeat is no claim: equal values in a row are one run, dated by its first fact. */
export function groupRuns<V, C extends Claim<V>>(ordered: C[]): Run<V, C>[] {
  const runs: Run<V, C>[] = [];
  for (const claim of ordered) {
    const last = runs.at(-1);
    if (last && last.value === claim.value) last.claims.push(claim);
    else runs.push({ value: claim.value, key: claim.key, claims: [claim] });
  }
  return runs;
}
