import { compareTexts, type K } from './registers.ts';
import { collectIdTies } from './ties.ts';
import type { Run } from './timeline.ts';
import { claimOf, isProven, readNamespace, type View } from './views.ts';

/** A showing of one address by one identity. */
export interface Showing {
  view: View;
  run: Run;
}

/** Who is one with whom, as it is being found out, and who shows each address. */
export class Unions {
  private readonly parent = new Map<string, string>();
  /** By address. */
  readonly showings = new Map<string, Showing[]>();

  /** `by`: as of then; null: now. */
  constructor(
    readonly views: View[],
    private readonly by: K | null,
  ) {
    this.noteShowings();
    this.uniteById();
  }

  noteShowings(): void {
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

  /** Begins anew: who is withheld ties nothing. */
  uniteById(): void {
    this.parent.clear();
    for (const view of this.views) {
      if (view.withheld) continue;
      for (const tie of collectIdTies(view.identity, this.by, view.since)) this.join(`#${view.id}`, tie);
    }
  }

  /** Equal for all who are one. */
  rootOf(view: View): string {
    return this.root(`#${view.id}`);
  }

  unite(a: View, b: View): void {
    this.join(`#${a.id}`, `#${b.id}`);
  }

  private root(node: string): string {
    let at = node;
    for (let up = this.parent.get(at); up !== undefined && up !== at; up = this.parent.get(at)) at = up;
    if (at !== node) this.parent.set(node, at);
    return at;
  }

  private join(a: string, b: string): void {
    const [x, y] = [this.root(a), this.root(b)];
    if (x !== y) this.parent.set(x < y ? y : x, x < y ? x : y);
  }
}

/** When a showing ended: the identity moved on, or died. Null: it stands. */
function findEnd({ view, run }: Showing): K | null {
  if (run.to !== null || view.live) return run.to;
  const deaths = view.identity.registers.deaths.filter(each => each.onDelete !== 'ignore').map(each => each.h);
  const { erased } = view.identity.registers;
  return [...deaths, ...(erased ? [erased] : [])].sort(compareTexts)[0] ?? null;
}

/** Whether both had the address proven at one time. */
export function meet(a: Showing, b: Showing): boolean {
  const [x, y] = [claimOf(a.run), claimOf(b.run)];
  const [endA, endB] = [findEnd(a), findEnd(b)];
  return (endA === null || y < endA) && (endB === null || x < endB);
}

/** Proven before unproven, namespace "" before others; there the newer claim, elsewhere the older. */
export function compareClaims(a: View, b: View): number {
  const [nsA, nsB] = [readNamespace(a.identity.provider), readNamespace(b.identity.provider)];
  const proven = Number(isProven(b)) - Number(isProven(a));
  if (proven) return proven;
  if ((nsA === '') !== (nsB === '')) return nsA === '' ? -1 : 1;
  const newer = compareTexts(claimOf(b.now!), claimOf(a.now!)) || compareTexts(a.id, b.id);
  return nsA === '' ? newer : -newer;
}

/** Longest known first. */
export const compareFirst = (a: View, b: View) => compareTexts(a.first, b.first) || compareTexts(a.id, b.id);
