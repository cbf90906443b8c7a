import type { Scalar } from '../db/schema.ts';
import { coerce, type PropertyType } from './coerce.ts';
import { type Consents, hasConsentedSince, judgeConsent, mayMail, maySend } from './consent.ts';
import type { Group } from './partition.ts';
import { findLists } from './projectLists.ts';
import { findOrigin, findUserId } from './projectOrigin.ts';
import { type Contribution, compareTexts, type K, readMs } from './registers.ts';
import { type Criterion, compareBy, type Rule } from './rules.ts';
import { buildSteps, findLastStep, findSince } from './timeline.ts';
import { noteSteps, type Trace } from './trace.ts';
import { compareFirst } from './unions.ts';
import { clampKey, isMade, isPerson, isProven, type View } from './views.ts';

/** A contact as it follows from its group. */
export interface Projected {
  email: string;
  userId: string | null;
  firstName: string | null;
  lastName: string | null;
  source: string;
  userGroup: string;
  subscribed: boolean;
  properties: Record<string, Scalar>;
  lists: string[];
}

/** Configuration that the projection depends on. */
export interface Definitions {
  hasList(id: string): boolean;
  /** Undefined: no such property. */
  typeOf(property: string): PropertyType | undefined;
}

/** A value and the fact it comes from: what explains a contact. */
interface Won<T> {
  value: T;
  k: K;
  view: View;
}

const PAYER = 2;

/** API and proven users before payers, before unproven users, before addresses alone. */
function rankView(view: View): number {
  if (view.kind === 'apiContact' || view.kind === 'apiAddress') return 3;
  if (view.kind === 'user') return isProven(view) ? 3 : 1;
  return view.kind === 'payer' ? PAYER : 0;
}

type Text = 'f' | 'l';
const FORMER = { f: (one: Contribution) => one.was?.f, l: (one: Contribution) => one.was?.l };

/** A name by max (class, authority, time); among payers the longest known speaks, so that nobody renames another by its address. */
const NAME: Criterion<Ranked>[] = [
  ['classOrder', (x, y) => x.rank - y.rank],
  ['eldestPayer', (x, y) => Number(y.isMute) - Number(x.isMute)],
  ['authority', (x, y) => x.a - y.a],
  ['newer', (x, y) => compareTexts(x.k, y.k)],
];

function findName(views: View[], field: Text, trace: Trace | null): Won<string | null> | null {
  const said: Ranked[] = [];
  for (const view of views) {
    if (view.withheld) continue;
    const steps = buildSteps(view.facts, one => one[field], FORMER[field]);
    const step = findLastStep(steps);
    if (!step) continue;
    const since = findSince(steps, step);
    const a = view.identity.registers.class === 'api' ? 1 : step.a;
    said.push({ value: step.v, k: clampKey(view, since), since, view, rank: rankView(view), a, isMute: false });
    if (trace) noteSteps(trace, NAMES[field], view, steps, step, since);
  }
  const [spokesman] = said.filter(each => each.rank === PAYER).sort((x, y) => compareFirst(x.view, y.view));
  let top: Ranked | null = null;
  for (const each of said) {
    each.isMute = each.rank === PAYER && each.view.unit !== spokesman?.view.unit;
    if (!top || compareBy(NAME, each, top)?.isFirst) top = each;
  }
  if (trace && top) noteRanked(trace, NAMES[field], said, top);
  return top;
}

const NAMES = { f: 'firstName', l: 'lastName' } as const;

function noteRanked(trace: Trace, field: string, said: Ranked[], top: Ranked): void {
  for (const each of said) {
    const lost = each === top ? null : (compareBy(NAME, top, each)?.rule ?? 'newer');
    trace.note(field, each.value, each.since, each.view, lost === 'newer' ? chooseLater(top.view) : lost);
  }
}

/** Being the newer is the API's word that it came later. */
const chooseLater = (winner: View): Rule => (winner.identity.registers.class === 'api' ? 'apiLater' : 'newer');

interface Ranked extends Won<string | null> {
  /** The fact that the value dates from. */
  since: K;
  rank: number;
  a: number;
  /** A payer at somebody else's address. */
  isMute: boolean;
}

/** Of each custom property the newest value that fits its type; null removes. */
function findProperties(
  views: View[],
  typeOf: Definitions['typeOf'],
  trace: Trace | null,
): Map<string, Won<Scalar | null>> {
  const out = new Map<string, Won<Scalar | null>>();
  for (const view of views) {
    if (view.withheld) continue;
    const keys = new Set<string>();
    for (const one of view.facts) if (one.c) for (const key of Object.keys(one.c)) keys.add(key);
    for (const key of keys) {
      const steps = buildSteps(
        view.facts,
        one => (one.c && Object.hasOwn(one.c, key) ? one.c[key] : undefined),
        one => (one.was?.c && Object.hasOwn(one.was.c, key) ? one.was.c[key] : undefined),
        false,
      );
      const type = typeOf(key);
      for (let i = steps.length - 1; i >= 0; i--) {
        const { v } = steps[i]!;
        const since = findSince(steps, steps[i]!);
        const k = clampKey(view, since);
        const value =
          v === null || v === undefined ? null : type === undefined ? v : coerce(v, type, view.identity.provider);
        if (value === undefined) {
          trace?.note(`properties.${key}`, v ?? null, steps[i]!.k, view, 'unfit');
          continue;
        }
        const had = out.get(key);
        const isNewer = !had || k > had.k;
        if (isNewer) out.set(key, { value, k, view });
        if (trace) noteProperty(trace, key, { value, since, view }, had, isNewer);
        if (trace) noteSteps(trace, `properties.${key}`, view, steps.slice(0, i + 1), steps[i]!, since);
        break;
      }
    }
  }
  return out;
}

function noteProperty(
  trace: Trace,
  key: string,
  { value, since, view }: { value: Scalar | null; since: K; view: View },
  had: Won<Scalar | null> | undefined,
  isNewer: boolean,
): void {
  const field = `properties.${key}`;
  const shown = trace.fields.get(field)?.claims.find(each => each.rule === null);
  if (isNewer && shown) shown.rule = chooseLater(view);
  trace.note(field, value, since, view, isNewer || !had ? null : chooseLater(had.view));
}

/** When the last of the persons known by then was deleted, ms; null: somebody was there at that moment. */
function findSilencedSince(views: View[], at: number): number | null {
  let last: K = '';
  for (const view of views) {
    if (view.withheld) continue;
    // What the API does is dated at the end of its second.
    if (view.kind === 'apiContact' && isMade(view) && Math.floor(readMs(view.first) / 1000) * 1000 <= at) return null;
    if (!isPerson(view.identity) || readMs(view.first) > at) continue;
    const { deaths: all, erased } = view.identity.registers;
    const deaths = all.filter(each => each.onDelete !== 'ignore').map(each => each.h);
    if (erased !== '' && view.first <= erased) deaths.push(erased);
    const [died] = deaths.sort();
    if (died === undefined || readMs(died) > at) return null;
    for (const h of deaths) if (h > last && readMs(h) <= at) last = h;
  }
  return last === '' ? null : readMs(last);
}

/** Those of a contact who were with one of it already: by an address that both showed, and who is one with these by id. */
function findCompany(views: View[], one: View): View[] {
  const emails = new Set(one.claims.map(run => run.email));
  const units = new Set([one.unit]);
  for (const each of views) if (each.claims.some(run => emails.has(run.email))) units.add(each.unit);
  return views.filter(each => units.has(each.unit));
}

/** The contact of a group that shows an address. `now` in ms; `trace`: takes down what was said of each field and which rule decided. */
export function project(
  group: Group & { email: string },
  consents: Consents,
  definitions: Definitions,
  now: number,
  trace: Trace | null = null,
): Projected {
  const { views, email } = group;
  const isSilent = (at: number, of: View[]): boolean => {
    const since = findSilencedSince(of, at);
    return since !== null && !hasConsentedSince(consents, views, email, since, at);
  };
  const hasDeaths = views.some(({ identity: { registers: r } }) => r.deaths.length > 0 || r.erased !== '');
  const subscribedAt = (ms: number, joiner: View) =>
    maySend(consents, views, email, ms) && !(hasDeaths && isSilent(ms, findCompany(views, joiner)));
  const properties: [string, Scalar][] = [];
  for (const [key, { value }] of findProperties(views, definitions.typeOf, trace)) {
    if (value !== null) properties.push([key, value]);
    trace?.settle(`properties.${key}`, value);
  }
  properties.sort(([a], [b]) => compareTexts(a, b));
  const { source, userGroup } = findOrigin(views, trace);
  const consent = judgeConsent(consents, views, email, now);
  const mayBeSent = mayMail(consent);
  const silent = hasDeaths && isSilent(now, views);
  const projected = {
    email,
    userId: findUserId(views, trace),
    firstName: findName(views, 'f', trace)?.value ?? null,
    lastName: findName(views, 'l', trace)?.value ?? null,
    source,
    userGroup,
    subscribed: mayBeSent && !silent,
    properties: Object.fromEntries(properties),
    lists: findLists(views, subscribedAt, definitions.hasList, trace),
  };
  if (trace) {
    for (const field of ['firstName', 'lastName'] as const) trace.settle(field, projected[field]);
    trace.settle('subscribed', projected.subscribed, mayBeSent && silent ? 'lastDeleted' : consent);
  }
  return projected;
}
