import { type Contribution, type K, type Registers, timeOf } from './registers.ts';

/** A value that stood for a while: from the first fact of an unbroken run, to the one that ended it (null: it stands). */
export interface Run {
  email: string;
  from: K;
  /** The first fact of the run that proved the address; null: none did. */
  proven: K | null;
  to: K | null;
}

export interface Step<T> {
  k: K;
  a: 0 | 1;
  v: T;
  one: Contribution;
}

/**
 * One field of an identity through time. Facts of one time form a chain: next is the one whose former value is the value shown so
 * far. Where that says nothing: the sender's time, then the key.
 */
export function stepsOf<T>(
  facts: Contribution[],
  value: (one: Contribution) => T | undefined,
  former: (one: Contribution) => T | undefined,
): Step<T>[] {
  const out: Step<T>[] = [];
  let same: Step<T>[] = [];
  const flush = () => {
    if (same.length < 2) out.push(...same);
    else out.push(...chained(same, out.findLast(each => each.a === 1)?.v, former));
    same = [];
  };
  for (const one of facts) {
    const v = value(one);
    if (v === undefined) continue;
    if (same.length && timeOf(same[0]!.k) !== timeOf(one.k)) flush();
    same.push({ k: one.k, a: one.a ?? 0, v, one });
  }
  flush();
  return out;
}

/** Facts of one time in their order. `shown`: the value before them. */
function chained<T>(same: Step<T>[], shown: T | undefined, former: (one: Contribution) => T | undefined): Step<T>[] {
  const left = [...same].sort(
    (x, y) => x.a - y.a || (x.one.s ?? 0) - (y.one.s ?? 0) || (x.k < y.k ? -1 : x.k > y.k ? 1 : 0),
  );
  const out: Step<T>[] = left.filter(each => each.a === 0);
  const open = left.filter(each => each.a === 1);
  let now = shown;
  while (open.length) {
    const next = nextOf(open, now, former);
    open.splice(open.indexOf(next), 1);
    out.push(next);
    now = next.v;
  }
  return out;
}

function nextOf<T>(open: Step<T>[], now: T | undefined, former: (one: Contribution) => T | undefined): Step<T> {
  const follows = open.filter(each => now !== undefined && former(each.one) === now);
  if (follows.length) {
    // One that leads back here goes before one that leads away for good, else the others would be left over.
    const back = follows.find(
      each =>
        follows.length === 1 ||
        leadsTo(
          open.filter(other => other !== each),
          each.v,
          now,
          former,
        ),
    );
    return back ?? follows[0]!;
  }
  const silent = open.find(each => former(each.one) === undefined);
  const starts = open.filter(each => {
    const before = former(each.one);
    return before === undefined || !open.some(other => other !== each && other.v === before);
  });
  return starts[0] ?? silent ?? open[0]!;
}

function leadsTo<T>(
  open: Step<T>[],
  from: T,
  to: T | undefined,
  former: (one: Contribution) => T | undefined,
): boolean {
  if (from === to) return true;
  const next = open.filter(each => former(each.one) === from);
  return next.some(each =>
    leadsTo(
      open.filter(other => other !== each),
      each.v,
      to,
      former,
    ),
  );
}

/** The facts of an identity that count: before its death, and by `until` where the past is asked for. */
export function factsBy(r: Registers, died: K | null, until: K | null): Contribution[] {
  if (died === null && until === null) return r.facts;
  return r.facts.filter(each => (died === null || each.k < died) && (until === null || each.k <= until));
}

/** What stands of a field by max (authority, order): the person object's newest, else the newest copy. */
export function lastStep<T>(steps: Step<T>[]): Step<T> | null {
  return steps.findLast(each => each.a === 1) ?? steps.at(-1) ?? null;
}

/**
 * The addresses an identity showed. Copies count until the person object speaks: they neither break nor date its runs, but its first
 * address dates from the copies that showed it before.
 */
export function runsOf(facts: Contribution[]): Run[] {
  const steps = stepsOf(
    facts,
    one => one.e,
    one => one.was?.e ?? undefined,
  );
  const first = steps.findIndex(each => each.a === 1);
  const counting =
    first < 0
      ? steps
      : [...steps.slice(0, first).filter(each => each.a === 0), ...steps.slice(first).filter(each => each.a === 1)];
  const runs: Run[] = [];
  for (const { k, v, one } of counting) {
    const last = runs.at(-1);
    if (last?.email === v) {
      if (one.p && last.proven === null) last.proven = k;
      continue;
    }
    if (last) last.to = k;
    runs.push({ email: v, from: k, proven: one.p ? k : null, to: null });
  }
  return runs;
}

/** The first of a run of equal values that stands at the end: since when it is said. */
export function sinceOf<T>(steps: Step<T>[]): K | null {
  const last = lastStep(steps);
  if (!last) return null;
  let since = last.k;
  for (const each of steps.filter(step => step.a === last.a).reverse()) {
    if (each.v !== last.v) break;
    since = each.k;
  }
  return since;
}
