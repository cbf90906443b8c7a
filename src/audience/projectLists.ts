import { compareTexts, type K, readMs } from './registers.ts';
import type { Trace } from './trace.ts';
import { clampKey, type View } from './views.ts';

/** Joins by facts that came while subscribed; what the API said last of a list decides, and no webhook takes back that it left. */
export function findLists(
  views: View[],
  subscribedAt: (ms: number, joiner: View) => boolean,
  hasList: (id: string) => boolean,
  trace: Trace | null,
): string[] {
  const out = new Set<string>();
  const said = new Map<string, { k: K; on: boolean }>();
  for (const view of views) {
    if (view.withheld) continue;
    const api = view.identity.registers.class === 'api';
    for (const one of view.facts) {
      for (const [id, on] of Object.entries(one.lists ?? {})) {
        const counts = hasList(id) && (!on || subscribedAt(readMs(api ? one.k : clampKey(view, one.k)), view));
        trace?.note(`lists.${id}`, on, one.k, view, counts ? null : hasList(id) ? 'listOptedOut' : 'listGone');
        if (!counts) continue;
        if (!api) {
          if (on) out.add(id);
        } else {
          const had = said.get(id);
          if (!had || one.k > had.k) said.set(id, { k: one.k, on });
        }
      }
    }
  }
  for (const [id, { on }] of said) {
    if (on) out.add(id);
    else out.delete(id);
  }
  if (trace) settleLists(trace, out, said);
  return [...out].sort(compareTexts);
}

function settleLists(trace: Trace, shown: Set<string>, said: Map<string, { k: K; on: boolean }>): void {
  for (const [field, { claims }] of trace.fields) {
    if (!field.startsWith('lists.')) continue;
    const id = field.slice('lists.'.length);
    const word = said.get(id);
    for (const claim of claims) {
      if (claim.rule !== null) continue;
      if (!word) {
        if (claims.some(other => other.rule === null && other.k < claim.k)) claim.rule = 'notFirst';
      } else if (claim.k !== word.k)
        claim.rule = claim.view.identity.registers.class === 'api' ? 'apiLater' : word.on ? 'repeat' : 'listLeft';
    }
    const isAnybody = claims.some(claim => claim.rule === null);
    trace.settle(field, shown.has(id), word ? 'listApi' : isAnybody ? 'listUnion' : 'none');
  }
}
