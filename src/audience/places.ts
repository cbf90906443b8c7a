import { compareTexts, type K } from './registers.ts';
import type { Run } from './timeline.ts';
import { compareFirst, type Showing, type Unions } from './unions.ts';
import { claimOf, type View } from './views.ts';

/** Everything known that may be one unit: it is one contact by id, for good. */
export interface Unit {
  views: View[];
  /** Holds a user or an API contact: payers and address-only ones are with it, not it with them. */
  anchor: boolean;
  email: string | null;
}

/** Where each unit is: at an address, or with another unit. */
export class Places {
  readonly units: Unit[];
  readonly unitOf = new Map<View, Unit>();
  readonly attached = new Map<Unit, Unit>();
  /** Payers who stay with a user who moved on. */
  readonly stayed = new Set<Unit>();
  /** By address. */
  readonly winners = new Map<string, Unit>();

  constructor(readonly unions: Unions) {
    this.units = this.collectUnits();
  }

  private collectUnits(): Unit[] {
    const byRoot = new Map<string, Unit>();
    for (const view of this.unions.views) {
      const root = this.unions.rootOf(view);
      const unit = byRoot.get(root) ?? { views: [], anchor: false, email: null };
      byRoot.set(root, unit);
      unit.views.push(view);
      view.unit = root;
      this.unitOf.set(view, unit);
      // Who is gone and forgotten keeps no payer from the contact of others.
      if ((view.kind === 'user' && (view.live || view.runs.length > 0)) || view.kind === 'apiContact')
        unit.anchor = true;
    }
    for (const unit of byRoot.values()) unit.views.sort((a, b) => compareTexts(a.id, b.id));
    return [...byRoot.values()];
  }

  isFree(email: string, unit: Unit): boolean {
    const winner = this.winners.get(email);
    return winner === undefined || winner === unit;
  }

  /** A contact whose user has no address is where its payer's address is, if no other user is there. */
  moveTo(unit: Unit, email: string): void {
    if (!this.isFree(email, unit)) return;
    unit.email = email;
    this.winners.set(email, unit);
  }

  /** The unit of who proved an address last; `during`: of those who had it proven while another showed it. */
  findLastProver(email: string, during?: Run): Unit | undefined {
    let last: Showing | null = null;
    for (const each of this.unions.showings.get(email) ?? []) {
      if (each.run.proven === null || (each.view.kind !== 'user' && each.view.kind !== 'apiContact')) continue;
      if (during && !overlaps(during, each.run)) continue;
      if (!last || claimOf(each.run) > claimOf(last.run)) last = each;
    }
    return last ? this.unitOf.get(last.view) : undefined;
  }

  /** Whose contact what the API said of an address was about, where that was a payer's. */
  findCarrier({ identity }: View): Unit | undefined {
    const { carrier } = identity.registers;
    const view = carrier === undefined ? undefined : this.unions.views.find(each => each.id === carrier);
    return view && this.unitOf.get(view);
  }

  /** The unit that a unit is with in the end. */
  findHome(unit: Unit): Unit {
    let at = unit;
    for (let i = 0; i < 8; i++) {
      const up = this.attached.get(at);
      if (!up || up === at) return at;
      at = up;
    }
    return at;
  }
}

/** Whether a run began before a proof of the address was over. */
const overlaps = (run: Run, proof: Run) => proof.to === null || run.from < proof.to;

const findFirst = (unit: Unit): K => unit.views.reduce((least, each) => (each.first < least ? each.first : least), '~');

/** Longest known first. */
export const compareUnits = (a: Unit, b: Unit) =>
  compareTexts(findFirst(a), findFirst(b)) || compareTexts(a.views[0]!.id, b.views[0]!.id);

/** Whether people are a contact's own: its users, its API contact, or its payers of longest standing. */
export function speaksFor(own: View[], all: View[]): boolean {
  if (own.some(each => each.kind === 'user' || each.kind === 'apiContact')) return true;
  const [eldest] = own.filter(each => each.kind === 'payer').sort(compareFirst);
  if (!eldest) return true;
  return all.every(
    each =>
      each.unit === eldest.unit ||
      (each.kind !== 'user' && each.kind !== 'apiContact' && (each.kind !== 'payer' || compareFirst(each, eldest) > 0)),
  );
}
