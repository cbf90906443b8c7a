import type { Scalar } from '../db/schema.ts';
import { coerce, type PropertyType } from './coerce.ts';
import { type Consents, maySend, saidYesSince } from './consent.ts';
import type { Group } from './partition.ts';
import { ascending, type Contribution, type K, msOf } from './registers.ts';
import { lastStep, sinceOf, stepsOf } from './timeline.ts';
import { countedKey, isMade, isPerson, isProven, type View } from './views.ts';

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
function classOf(view: View): number {
  if (view.kind === 'apiContact' || view.kind === 'apiAddress') return 3;
  if (view.kind === 'user') return isProven(view) ? 3 : 1;
  return view.kind === 'payer' ? PAYER : 0;
}

type Text = 'f' | 'l';
const FORMER = { f: (one: Contribution) => one.was?.f, l: (one: Contribution) => one.was?.l };

/** A name by max (class, authority, time); among payers the longest known speaks, so that nobody renames another by its address. */
function findName(views: View[], field: Text): Won<string | null> | null {
  const said: Ranked[] = [];
  for (const view of views) {
    if (view.withheld) continue;
    const steps = stepsOf(view.facts, one => one[field], FORMER[field]);
    const step = lastStep(steps);
    if (!step) continue;
    const rank = classOf(view);
    const a = view.identity.registers.class === 'api' ? 1 : step.a;
    said.push({ value: step.v, k: countedKey(view, sinceOf(steps, step)), view, rank, a });
  }
  const [spokesman] = said.filter(each => each.rank === PAYER).sort((x, y) => byKnown(x.view, y.view));
  let top: Ranked | null = null;
  for (const each of said) {
    if (each.rank === PAYER && each.view.unit !== spokesman?.view.unit) continue;
    if (
      !top ||
      each.rank > top.rank ||
      (each.rank === top.rank && (each.a > top.a || (each.a === top.a && each.k > top.k)))
    )
      top = each;
  }
  return top;
}

const byKnown = (a: View, b: View) => ascending(a.first, b.first) || ascending(a.id, b.id);

/** Who was forgotten is known since a later fact, and last where there is none. */
const compareSince = (a: View, b: View) =>
  ascending(a.facts[0]?.k ?? '~', b.facts[0]?.k ?? '~') || ascending(a.first, b.first) || ascending(a.id, b.id);

interface Ranked extends Won<string | null> {
  rank: number;
  a: number;
}

/** Of each custom property the newest value that fits its type; null removes. */
function findProperties(views: View[], typeOf: Definitions['typeOf']): Map<string, Won<Scalar | null>> {
  const out = new Map<string, Won<Scalar | null>>();
  for (const view of views) {
    if (view.withheld) continue;
    const keys = new Set<string>();
    for (const one of view.facts) if (one.c) for (const key of Object.keys(one.c)) keys.add(key);
    for (const key of keys) {
      const steps = stepsOf(
        view.facts,
        one => (one.c && Object.hasOwn(one.c, key) ? one.c[key] : undefined),
        one => (one.was?.c && Object.hasOwn(one.was.c, key) ? one.was.c[key] : undefined),
        false,
      );
      const type = typeOf(key);
      for (let i = steps.length - 1; i >= 0; i--) {
        const { v } = steps[i]!;
        const k = countedKey(view, sinceOf(steps, steps[i]!));
        const value =
          v === null || v === undefined ? null : type === undefined ? v : coerce(v, type, view.identity.provider);
        if (value === undefined) continue;
        const had = out.get(key);
        if (!had || k > had.k) out.set(key, { value, k, view });
        break;
      }
    }
  }
  return out;
}

/** What the API set, else the earliest auth id, else Polar's external id. That of who is gone shows only while nobody else is here. */
function findUserId(views: View[]): string | null {
  const counting = views.filter(view => !view.withheld);
  const newest = (of: View[], skip: (string | null)[] = []): string | null => {
    let top: { k: K; v: string } | null = null;
    for (const view of of)
      for (const { userId, k } of view.facts)
        if (userId !== undefined && !skip.includes(userId) && (!top || k > top.k)) top = { k, v: userId };
    return top?.v ?? null;
  };
  const api = newest(counting.filter(view => view.identity.registers.class === 'api'));
  if (api !== null) return api;
  const isLeft = counting.some(view => view.live && view.kind !== 'address' && view.kind !== 'apiAddress');
  const users = counting.filter(view => view.kind === 'user').sort(compareSince);
  const [user] = users.filter(view => view.live || !isLeft);
  if (user) return user.identity.registers.personId;
  const gone = isLeft ? users.map(view => view.identity.registers.personId) : [];
  for (const view of counting.filter(each => each.kind === 'payer' && (each.live || !isLeft)).sort(byKnown)) {
    const external = newest([view], gone);
    if (external !== null) return external;
  }
  return null;
}

/** What the API set last, else what the earliest fact that has it says. */
function findOrigin(views: View[]) {
  let source: { k: K; v: string; set: boolean } | null = null;
  let group: { k: K; v: string; set: boolean } | null = null;
  const better = (had: { k: K; set: boolean } | null, k: K, set: boolean) =>
    !had || (set !== had.set ? set : set ? k > had.k : k < had.k);
  for (const view of views) {
    if (view.withheld) continue;
    const api = view.identity.registers.class === 'api';
    for (const one of view.facts) {
      const k = countedKey(view, one.k);
      if (one.setSource !== undefined && better(source, k, true)) source = { k, v: one.setSource, set: true };
      if (one.source !== undefined && (one.e !== undefined || one.made) && better(source, k, false))
        source = { k, v: one.source, set: false };
      if (one.group !== undefined && better(group, k, api)) group = { k, v: one.group, set: api };
    }
  }
  return { source: source?.v ?? '', userGroup: group?.v ?? '' };
}

/** Joins by facts that came while subscribed; what the API said last of a list decides, and no webhook takes back that it left. */
function findLists(
  views: View[],
  subscribedAt: (ms: number, joiner: View) => boolean,
  hasList: Definitions['hasList'],
): string[] {
  const out = new Set<string>();
  const said = new Map<string, { k: K; on: boolean }>();
  for (const view of views) {
    if (view.withheld) continue;
    const api = view.identity.registers.class === 'api';
    for (const one of view.facts) {
      for (const [id, on] of Object.entries(one.lists ?? {})) {
        if (!hasList(id)) continue;
        if (!api) {
          if (subscribedAt(msOf(countedKey(view, one.k)), view)) out.add(id);
        } else if (!on || subscribedAt(msOf(one.k), view)) {
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
  return [...out].sort(ascending);
}

/** When the last of the persons known by then was deleted, ms; null: somebody was there at that moment. */
function silencedSince(views: View[], at: number): number | null {
  let last: K = '';
  for (const view of views) {
    if (view.withheld) continue;
    // What the API does is dated at the end of its second.
    if (view.kind === 'apiContact' && isMade(view) && Math.floor(msOf(view.first) / 1000) * 1000 <= at) return null;
    if (!isPerson(view.identity) || msOf(view.first) > at) continue;
    const { deaths: all, erased } = view.identity.registers;
    const deaths = all.filter(each => each.onDelete !== 'ignore').map(each => each.h);
    if (erased !== '' && view.first <= erased) deaths.push(erased);
    const [died] = deaths.sort();
    if (died === undefined || msOf(died) > at) return null;
    for (const h of deaths) if (h > last && msOf(h) <= at) last = h;
  }
  return last === '' ? null : msOf(last);
}

/** Those of a contact who were with one of it already: by an address that both showed, and who is one with these by id. */
function companyOf(views: View[], one: View): View[] {
  const emails = new Set(one.claims.map(run => run.email));
  const units = new Set([one.unit]);
  for (const each of views) if (each.claims.some(run => emails.has(run.email))) units.add(each.unit);
  return views.filter(each => units.has(each.unit));
}

/** The contact of a group that shows an address. `now` in ms. */
export function project(
  group: Group & { email: string },
  consents: Consents,
  definitions: Definitions,
  now: number,
): Projected {
  const { views, email } = group;
  const isSilent = (at: number, of: View[]): boolean => {
    const since = silencedSince(of, at);
    return since !== null && !saidYesSince(consents, views, email, since, at);
  };
  const hasDeaths = views.some(({ identity: { registers: r } }) => r.deaths.length > 0 || r.erased !== '');
  const subscribedAt = (ms: number, joiner: View) =>
    maySend(consents, views, email, ms) && !(hasDeaths && isSilent(ms, companyOf(views, joiner)));
  const properties: [string, Scalar][] = [];
  for (const [key, { value }] of findProperties(views, definitions.typeOf))
    if (value !== null) properties.push([key, value]);
  properties.sort(([a], [b]) => ascending(a, b));
  const { source, userGroup } = findOrigin(views);
  return {
    email,
    userId: findUserId(views),
    firstName: findName(views, 'f')?.value ?? null,
    lastName: findName(views, 'l')?.value ?? null,
    source,
    userGroup,
    subscribed: maySend(consents, views, email, now) && !(hasDeaths && isSilent(now, views)),
    properties: Object.fromEntries(properties),
    lists: findLists(views, subscribedAt, definitions.hasList),
  };
}
