import type { ImportPlan, ImportTarget } from '../../db/schema.ts';

/** A column that says who opted out: `unsubscribed` true, or any time (reason …) at all under `optOutTime`. */
interface OptOutTarget {
  kind: 'unsubscribed' | 'optOutTime';
}
export type Target = ImportTarget | OptOutTarget;

/** How a file is read, as it is stored. */
export interface Plan extends Omit<ImportPlan, 'targets'> {
  targets: (Target | null)[];
  /** What the uploader says of everybody in the file. */
  subscribed: boolean | null;
  /** The line of the first row as a spreadsheet counts, empty lines read so far included. */
  firstLine: number;
}

/** The stored type knows less than `storePlan` writes. A plan of an older import has no answer and begins at line 2. */
export function planIn(row: { plan: ImportPlan }): Plan {
  const plan = row.plan as Plan;
  return { ...plan, subscribed: plan.subscribed ?? null, firstLine: plan.firstLine ?? 2 };
}

/** Read again by `planIn`. */
export const storePlan = (plan: Plan): ImportPlan => plan as ImportPlan;

/** How a target is written in `columns`. */
export function formatTarget(target: Target | null): string | null {
  if (target === null) return null;
  if (target.kind === 'field') return target.field;
  if (target.kind === 'provider') return target.provider;
  if (target.kind !== 'property') return target.kind;
  return target.type === 'string' ? target.key : `${target.key}:${target.type}`;
}

export const isConsent = (target: Target | null): target is OptOutTarget | { kind: 'subscribed' } =>
  target !== null && ['subscribed', 'unsubscribed', 'optOutTime'].includes(target.kind);
