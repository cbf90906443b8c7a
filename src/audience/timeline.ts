import { type Contribution, type K, type Registers, readTime } from './registers.ts';

/** A value that stood for a while: from the first fact of an unbroken run, to the one that ended it (null: it stands). */
export interface Run {
  email: string;
  from: K;
  /** The first fact of the run that proved the address; null: none did. */
  proven: K | null;
  to: K | null;
}

interface Step<T> {
  k: K;
  a: 0 | 1;
  v: T;
  one: Contribution;
}

type Read<T> = (one: Contribution) => T | undefined;

/**
 * One field of an identity through time. Facts of one time form a chain: next is the one whose former value is the value shown so
 * far. Where that says nothing: the sender's time, then the key. Without `authority` copies count like the person object.
 */
export function buildSteps<T>(
  facts: Contribution[],
  value: Read<T>,
  former: Read<T | null>,
  authority = true,
): Step<T>[] {
  const out: Step<T>[] = [];
  let same: Step<T>[] = [];
  const flush = () => {
    if (same.length < 2) out.push(...same);
    else {
      const own = same.filter(each => each.a === 1);
      out.push(...same.filter(each => each.a === 0));
      out.push(...(own.length < 2 ? own : orderSteps(own, out.findLast(each => each.a === 1)?.v ?? null, former)));
    }
    same = [];
  };
  for (const one of facts) {
    const v = value(one);
    if (v === undefined) continue;
    if (same.length && readTime(same[0]!.k) !== readTime(one.k)) flush();
    same.push({ k: one.k, a: authority ? (one.a ?? 0) : 1, v, one });
  }
  flush();
  return out;
}

const MOST_TRIED = 8; // facts of one time of which every order is tried

/** Facts of one time in their order. `shown`: the value before them. */
function orderSteps<T>(same: Step<T>[], shown: T | null, former: Read<T | null>): Step<T>[] {
  const open = [...same].sort((x, y) => (x.one.s ?? 0) - (y.one.s ?? 0) || (x.k < y.k ? -1 : x.k > y.k ? 1 : 0));
  if (open.length <= MOST_TRIED) {
    const whole = findChain(open, shown, former);
    if (whole) return whole;
    // Nobody starts from the value shown (its fact is not here): begin with one that follows from none of the others.
    const starts = open.filter(each => {
      const before = former(each.one);
      return before === undefined || !open.some(other => other !== each && other.v === before);
    });
    for (const first of [...starts, ...open]) {
      const rest = findChain(dropStep(open, first), first.v, former);
      if (rest) return [first, ...rest];
    }
  }
  const out: Step<T>[] = [];
  for (let left = open, now = shown; left.length; ) {
    const next = findCandidates(left, now, former)[0] ?? left[0]!;
    out.push(next);
    left = dropStep(left, next);
    now = next.v;
  }
  return out;
}

const dropStep = <T>(steps: Step<T>[], gone: Step<T>): Step<T>[] => steps.filter(each => each !== gone);

/** Who may come next: repeats of the value shown, then who changes it, then those that do not say. */
function findCandidates<T>(open: Step<T>[], shown: T | null, former: Read<T | null>): Step<T>[] {
  const silent = open.filter(each => former(each.one) === undefined);
  const follows = open.filter(each => former(each.one) === shown);
  if (!follows.length) return silent;
  const isRepeat = (each: Step<T>) => each.v === shown;
  const others = (each: Step<T>) => each.v !== shown;
  return [...follows.filter(isRepeat), ...silent.filter(isRepeat), ...follows.filter(others), ...silent.filter(others)];
}

/** A chain of all of them from a value, or null. */
function findChain<T>(open: Step<T>[], shown: T | null, former: Read<T | null>): Step<T>[] | null {
  if (!open.length) return [];
  for (const next of findCandidates(open, shown, former)) {
    const rest = findChain(dropStep(open, next), next.v, former);
    if (rest) return [next, ...rest];
  }
  return null;
}

/** The facts of an identity that count: before its death, and by `until` where the past is asked for. */
export function filterFacts(r: Registers, died: K | null, until: K | null): Contribution[] {
  if (died === null && until === null) return r.facts;
  return r.facts.filter(each => (died === null || each.k < died) && (until === null || each.k <= until));
}

/** What stands of a field by max (authority, order): the person object's newest, else the newest copy. */
export function findLastStep<T>(steps: Step<T>[]): Step<T> | null {
  return steps.findLast(each => each.a === 1) ?? steps.at(-1) ?? null;
}

/**
 * The addresses an identity showed. Copies count until the person object speaks: they neither break nor date its runs, but its first
 * address dates from the copies that showed it before.
 */
export function buildRuns(facts: Contribution[]): Run[] {
  const steps = buildSteps(
    facts,
    one => one.e,
    one => one.was?.e,
  );
  const first = steps.findIndex(each => each.a === 1);
  const counting =
    first < 0
      ? steps
      : [...steps.filter(each => each.a === 0 && each.k < steps[first]!.k), ...steps.filter(each => each.a === 1)];
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

/** Since when a value is said: the first fact of the unbroken run that a step ends. Copies do not break the person object's. */
export function findSince<T>(steps: Step<T>[], last: Step<T>): K {
  let since = last.k;
  for (let i = steps.indexOf(last); i >= 0; i--) {
    const each = steps[i]!;
    if (each.a !== last.a) continue;
    if (each.v !== last.v) break;
    since = each.k;
  }
  return since;
}
