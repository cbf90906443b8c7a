import { compareTexts, type K } from './registers.ts';
import { type Criterion, compareBy, type Rule } from './rules.ts';
import { buildSteps, findLastStep } from './timeline.ts';
import { noteSteps, type Trace } from './trace.ts';
import { compareFirst } from './unions.ts';
import { claimOf, isProven, readAddress, type View } from './views.ts';

interface Bearer {
  view: View;
  email: string;
  /** Since when it shows the address. */
  k: K;
  rank: number;
  isApi: boolean;
}

/** The order in which `locateAnchors`, `attachPayers` and `attachAddresses` look for the address of a contact. */
const ADDRESS: Criterion<Bearer>[] = [
  ['classOrder', (a, b) => a.rank - b.rank],
  ['apiLater', (a, b) => (a.isApi || b.isApi ? compareTexts(a.k, b.k) : 0)],
  ['eldest', (a, b) => compareFirst(b.view, a.view)],
];

const rankOf = (view: View): number => {
  if (view.kind === 'apiContact') return 3;
  if (view.kind === 'user') return isProven(view) ? 3 : 1;
  return view.kind === 'payer' ? 2 : 0;
};

function listBearers(views: View[]): Bearer[] {
  return views.flatMap(view => {
    const rank = rankOf(view);
    const base = { view, rank, isApi: view.kind === 'apiContact' };
    if (view.kind === 'address' && view.facts[0])
      return [{ ...base, email: readAddress(view.id) ?? '', k: view.facts[0].k }];
    return view.own && !view.withheld ? [{ ...base, email: view.own.email, k: claimOf(view.own) }] : [];
  });
}

/** Why an address that somebody of a contact has is not the one that shows. */
function judgeAddress(one: Bearer, winner: Bearer | undefined, shown: string | null): Rule {
  const { view, email } = one;
  if (email === shown) return 'repeat';
  if (!view.live && winner?.view.live) return 'gone';
  if (view.live && view.now === null) return 'taken';
  if (!winner) return shown === null ? 'taken' : 'stayed';
  if (view.kind === 'payer' && winner.view.kind !== 'payer' && view.unit !== winner.view.unit) return 'stayed';
  return compareBy(ADDRESS, winner, one)?.rule ?? 'eldest';
}

/** Notes whose address shows and why the others do not; `shown`: as the partition found it, null: none. */
export function traceAddress(trace: Trace, views: View[], shown: string | null): void {
  const bearers = listBearers(views);
  const [winner] = bearers
    .filter(each => each.email === shown)
    .sort((a, b) => Number(b.view.live) - Number(a.view.live) || (compareBy(ADDRESS, a, b)?.isFirst ? -1 : 1));
  for (const each of bearers) {
    const rule = each === winner ? null : judgeAddress(each, winner, shown);
    trace.note('email', each.email, each.k, each.view, rule);
    const steps = buildSteps(
      each.view.facts,
      one => one.e,
      one => one.was?.e,
    );
    const last = findLastStep(steps);
    if (last && each.view.kind !== 'address') noteSteps(trace, 'email', each.view, steps, last, each.k);
  }
  trace.settle('email', shown, shown === null ? 'parked' : undefined);
}
