import { readMicros } from './registers.ts';
import type { Run } from './timeline.ts';
import type { Unions } from './unions.ts';
import type { View } from './views.ts';

const GRACE = 60_000_000; // µs: an app may make its customer a moment before the user who signs up

/** Leaves to each user the addresses that are theirs to hold. */
export function admitUsers(unions: Unions): void {
  const refusals = new Map<Run, boolean>();
  const admitted = unions.views.flatMap(view =>
    view.kind === 'user' ? [{ view, runs: admitRuns(unions, refusals, view) }] : [],
  );
  for (const { view, runs } of admitted) settleRuns(view, runs);
}

/** The addresses that are a user's to hold, each from when it is; one that is refused counts from its proof, if there is any. */
function admitRuns(unions: Unions, refusals: Map<Run, boolean>, view: View): Run[] {
  const { since } = view;
  return view.runs.flatMap(run => {
    if (run.from > since && !isRefused(unions, refusals, view, run)) return [{ ...run }];
    return run.proven !== null && run.proven > since ? [{ ...run, from: run.proven }] : [];
  });
}

/** `refusals`: what was found out before. */
function isRefused(unions: Unions, refusals: Map<Run, boolean>, view: View, run: Run): boolean {
  if (run.proven === run.from) return false;
  const known = refusals.get(run);
  if (known !== undefined) return known;
  const refused = isWithheld(unions, refusals, view, run);
  refusals.set(run, refused);
  return refused;
}

/** An unproven sign-up holds only an address that nobody ever proved and no contact showed a moment before. */
function isWithheld(unions: Unions, refusals: Map<Run, boolean>, view: View, run: Run): boolean {
  const others = (unions.showings.get(run.email) ?? []).filter(
    each => each.view !== view && unions.rootOf(each.view) !== unions.rootOf(view),
  );
  const limit = readMicros(run.from) - GRACE;
  return others.some(({ view: other, run: theirs }) => {
    if (theirs.proven !== null) return true;
    if (readMicros(theirs.from) >= limit) return false;
    return other.kind !== 'user' || !isRefused(unions, refusals, other, theirs);
  });
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
