import type { Scalar } from '../db/schema.ts';
import { type Contribution, type K, readTime } from './registers.ts';
import type { Rule } from './rules.ts';
import type { View } from './views.ts';

/** One thing that was said of a field. `rule`: why it does not show; null: it does. */
export interface Claim {
  value: Scalar | null;
  k: K;
  view: View;
  rule: Rule | null;
}

/** One field of a contact: what shows, by which rule, and everything that was said of it. Lists are `lists.<id>`, properties `properties.<key>`. */
export interface FieldTrace {
  value: Scalar | null;
  rule: Rule;
  claims: Claim[];
}

const FIELD = { e: 'email', f: 'firstName', l: 'lastName', userId: 'userId', group: 'userGroup' } as const;

/** Notes while a contact is worked out what was said of each field. Only explaining asks for it; a webhook does not. */
export class Trace {
  readonly fields = new Map<string, FieldTrace>();

  /** Notes something said; null: it shows. */
  note(field: string, value: Scalar | null, k: K, view: View, rule: Rule | null): void {
    const { claims } = this.open(field);
    if (!claims.some(each => each.k === k && each.view === view)) claims.push({ value, k, view, rule });
  }

  /** Notes what shows in the end. Without a rule: that of its nearest rival. */
  settle(field: string, value: Scalar | null, rule?: Rule): void {
    const found = this.open(field);
    found.value = value;
    found.rule = rule ?? chooseRule(found);
  }

  private open(field: string): FieldTrace {
    const known = this.fields.get(field);
    if (known) return known;
    const made: FieldTrace = { value: null, rule: 'none', claims: [] };
    this.fields.set(field, made);
    return made;
  }
}

/** Those by which one value was preferred to another; the others say why a fact did not take part at all. */
const RIVALRY = new Set<Rule>([
  'classOrder',
  'eldestPayer',
  'eldest',
  'authority',
  'newer',
  'apiLater',
  'chain',
  'stayed',
]);

function chooseRule({ claims }: FieldTrace): Rule {
  const won = claims.find(each => each.rule === null);
  if (!won) return 'none';
  const others = claims.filter(each => each !== won && each.value !== won.value);
  const rival = others
    .filter(each => each.rule !== null && RIVALRY.has(each.rule))
    .sort((a, b) => (a.k < b.k ? 1 : -1))[0];
  if (rival?.rule) return rival.rule;
  return claims.length > 1 && !others.length ? 'same' : 'only';
}

/** What one identity said beside what stands of it: `won` is the first fact of the run that stands, ended by `last`. */
export function noteSteps<T extends Scalar | null>(
  trace: Trace,
  field: string,
  view: View,
  steps: { k: K; a: 0 | 1; v: T }[],
  last: { k: K; a: 0 | 1; v: T },
  won: K,
): void {
  const later = view.identity.registers.class === 'api' ? 'apiLater' : 'newer';
  for (const { k, a, v } of steps) {
    if (k === won) continue;
    const same = readTime(k) === readTime(last.k) ? 'chain' : later;
    trace.note(field, v, k, view, v === last.v ? 'repeat' : a !== last.a ? 'authority' : same);
  }
}

/** What does not count at all: said by who is withheld, after a death, or before a removal. */
export function notePassedOver(trace: Trace, views: View[]): void {
  for (const view of views) {
    const counting = new Set(view.withheld ? [] : view.facts.map(each => each.k));
    for (const one of view.identity.registers.facts) {
      if (counting.has(one.k)) continue;
      noteContribution(trace, view, one, one.k <= view.since ? 'forgotten' : view.withheld ? 'withheld' : 'dead');
    }
  }
}

function noteContribution(trace: Trace, view: View, one: Contribution, rule: Rule): void {
  for (const [key, field] of Object.entries(FIELD) as [keyof typeof FIELD, string][]) {
    const value = one[key];
    if (value !== undefined) trace.note(field, value, one.k, view, rule);
  }
  const source = one.setSource ?? one.source;
  if (source !== undefined) trace.note('source', source, one.k, view, rule);
  for (const [key, value] of Object.entries(one.c ?? {})) trace.note(`properties.${key}`, value, one.k, view, rule);
  for (const [id, on] of Object.entries(one.lists ?? {})) trace.note(`lists.${id}`, on, one.k, view, rule);
}
