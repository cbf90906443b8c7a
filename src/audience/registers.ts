import type { Scalar } from '../db/schema.ts';
import type { Fact, Rank } from '../providers/provider.ts';

/**
 * The key of a fact: (the provider's time in µs, rank, external id, endpoint) as text that sorts the same way.
 * Everything is ordered by it, so the order of arrival leaves no trace.
 */
export type K = string;

const TIME = 19; // digits: ms since 1970 and three of µs

/** `at` in ms, `micros` 0 to 999; rank 9: the API. */
export function factKey(at: number, micros: number, rank: Rank | 9, externalId: string, endpointId: string): K {
  const ms = String(Math.max(0, Math.trunc(at))).padStart(TIME - 3, '0');
  return `${ms}${String(micros).padStart(3, '0')}.${rank}.${externalId} ${endpointId}`;
}

/** The time of a key as text that sorts. */
export const timeOf = (k: K): string => k.slice(0, TIME);
/** The time of a key, ms since 1970. */
export const msOf = (k: K): number => Number(k.slice(0, TIME - 3));
/** The same in µs. */
export const readMicros = (k: K): number => Number(k.slice(0, TIME));
export const ascending = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
export const laterOf = (a: K, b: K): K => (a > b ? a : b);

export type IdentityClass = 'api' | 'auth' | 'payment' | 'address';
export type OnDelete = 'unsubscribe' | 'delete' | 'ignore';

/** What one fact (or API write) says, under its key. Field names are short because they are stored for every fact. */
export interface Contribution {
  k: K;
  /** 1: by the person object; absent: by a copy of it. Of an API write: it sets the address, absent: it only names somebody by it. */
  a?: 1;
  /** Clerk's event timestamp, ms. */
  s?: number;
  /** Address, and whether it was proven. */
  e?: string;
  p?: 1;
  /** First name, last name; null: the API cleared it. */
  f?: string | null;
  l?: string | null;
  /** What the event says was before: address, names, custom properties. */
  was?: { e?: string | null; f?: string | null; l?: string | null; c?: Record<string, Scalar | null> };
  userId?: string;
  /** Custom properties as they came; null: the API removed it. */
  c?: Record<string, Scalar | null>;
  /** Lists joined; the API also takes off: list id → on or off. */
  lists?: Record<string, boolean>;
  group?: string;
  /** What a contact that begins with this fact has as its source. */
  source?: string;
  /** A source that the API set on a contact. */
  setSource?: string;
  /** The API made the contact with this write. */
  made?: 1;
}

/** One deletion: its place among the facts of its person, and when it happened. */
export interface Death {
  k: K;
  h: K;
  onDelete: OnDelete;
}

/** All that is known of one identity: a set of contributions by key, so that joining is a union and a replay replaces. */
export interface Registers {
  class: IdentityClass;
  personId: string | null;
  /** Earliest fact, deletions aside; `~` before any. Never forgotten. */
  first: K;
  /** Sorted by key. */
  facts: Contribution[];
  /** At most eight, sorted by key. */
  deaths: Death[];
  /** Other ids that mean this identity: `id:stripe:acct_…`. */
  aliases: string[];
  /** Deleted through the API: whatever was said by then is forgotten, and a person is dead. */
  erased: K;
  /** Withheld from the address of a contact that was removed: what was said by then counts no more, until a new claim or proof. */
  forgot?: K;
  /** Last seen values of what we map, to tell an update that changed nothing. Not part of the contact. */
  mapped: { k: K; values: Record<string, Scalar | null> } | null;
  /** Of API writes by an address alone: the payer whose contact they were about, whom they follow when nobody is at the address. */
  carrier?: string;
  /** This identity is a `carrier`. */
  carries?: 1;
  /** Address where this person is one too many to be tied: its facts count as address-only ones there. */
  loose?: string;
}

/** What one fact brings, settings applied: names only when synced, properties already picked. */
export interface Joining {
  fact: Fact;
  k: K;
  /** When it happened, as a key. */
  h: K;
  class: IdentityClass;
  source: string;
  userGroup: string | null;
  syncNames: boolean;
  lists: string[];
  properties: Record<string, Scalar>;
  /** The same paths in the document as it was before, where the event says so. */
  formerProperties: Record<string, Scalar | null>;
  onDelete: OnDelete;
  mapped: Record<string, Scalar | null> | null;
  /** `id:…` ties. */
  aliases: string[];
}

const MAX_FACTS = 24; // that carry one field
const MAX_DEATHS = 8;
const MAX_ALIASES = 8;
const MAX_BYTES = 60_000; // of one identity's registers as JSON text

export function emptyRegisters(of: IdentityClass, personId: string | null): Registers {
  return { class: of, personId, first: '~', facts: [], deaths: [], aliases: [], erased: '', mapped: null };
}

/** The earliest death; facts from then on carry ids only. Null: alive. */
export function deathOf(r: Registers): K | null {
  let died: K | null = null;
  for (const each of r.deaths) if (each.onDelete !== 'ignore' && (died === null || each.k < died)) died = each.k;
  return died;
}

/** The latest that is known of an identity: a fact, a deletion or a removal; empty: nothing. */
export function findLatest({ facts, deaths, erased, forgot = '' }: Registers): K {
  return [facts.at(-1)?.k ?? '', erased, forgot, ...deaths.flatMap(({ k, h }) => [k, h])].reduce(laterOf);
}

/** Joins one fact into the registers of its identity (or of its address); the same key again replaces. Returns new registers. */
export function joinFact(before: Registers, j: Joining): Registers {
  const r = { ...before };
  const { fact, k } = j;
  for (const alias of j.aliases)
    if (!r.aliases.includes(alias) && r.aliases.length < MAX_ALIASES) r.aliases = [...r.aliases, alias].sort();
  if (fact.deletion) {
    joinDeath(r, { k, h: j.h, onDelete: j.onDelete });
    return r;
  }
  if (k < r.first) r.first = k;
  const one: Contribution = { k };
  if (fact.authority === 'person') one.a = 1;
  if (fact.sentAt) one.s = fact.sentAt;
  if (fact.email !== null) {
    one.e = fact.email;
    if (fact.proven) one.p = 1;
    one.source = j.source;
  }
  if (j.syncNames && fact.firstName !== null) one.f = fact.firstName;
  if (j.syncNames && fact.lastName !== null) one.l = fact.lastName;
  if (fact.userId !== null && fact.userId !== r.personId) one.userId = fact.userId;
  if (Object.keys(j.properties).length) one.c = j.properties;
  if (j.lists.length) one.lists = Object.fromEntries(j.lists.map(id => [id, true]));
  if (j.userGroup !== null) one.group = j.userGroup;
  const was = formerOf(j, one);
  if (was) one.was = was;
  const replayed = r.facts.find(each => each.k === k);
  // A replay adds lists that today's settings name and takes none away.
  if (replayed?.lists) one.lists = { ...replayed.lists, ...one.lists };
  put(r, one);
  if (j.mapped && (!r.mapped || k >= r.mapped.k)) r.mapped = { k, values: j.mapped };
  return r;
}

/** Former values of the fields that this fact carries; they order facts of one time. */
function formerOf({ fact, formerProperties }: Joining, one: Contribution): Contribution['was'] {
  const { former } = fact;
  const was: NonNullable<Contribution['was']> = {};
  if (one.e !== undefined && former?.email !== undefined) was.e = former.email;
  if (one.f !== undefined && former?.firstName !== undefined) was.f = former.firstName;
  if (one.l !== undefined && former?.lastName !== undefined) was.l = former.lastName;
  const keys = Object.keys(one.c ?? {}).filter(key => Object.hasOwn(formerProperties, key));
  if (keys.length) was.c = Object.fromEntries(keys.map(key => [key, formerProperties[key] ?? null]));
  return Object.keys(was).length ? was : undefined;
}

/** A deletion replayed with other settings counts as they are now, but a removal is never taken back. */
function joinDeath(r: Registers, death: Death): void {
  const before = r.deaths.find(each => each.k === death.k);
  const onDelete = before?.onDelete === 'delete' ? 'delete' : death.onDelete;
  const h = before && before.h < death.h ? before.h : death.h;
  const others = r.deaths.filter(each => each.k !== death.k);
  r.deaths = [...others, { k: death.k, h, onDelete }].sort((x, y) => ascending(x.k, y.k));
  while (r.deaths.length > MAX_DEATHS) r.deaths.splice(1, 1);
}

/** Puts a contribution in its place and forgets what is too much. Contributions are never changed in place. */
function put(r: Registers, one: Contribution): void {
  const facts = r.facts.filter(each => each.k !== one.k);
  let at = facts.length;
  while (at > 0 && facts[at - 1]!.k > one.k) at--;
  facts.splice(at, 0, one);
  r.facts = facts;
  if (facts.length > MAX_FACTS) trim(r);
  if (one.c && JSON.stringify(r.facts).length > MAX_BYTES) shrink(r); // without properties 24 facts stay below
}

type Field = 'e' | 'f' | 'l' | 'group' | 'userId';

/** Past the limit of a field, what follows a death goes first, then repeats between two equal values, then the second oldest. */
function trim(r: Registers): void {
  r.facts = r.facts.map(each => ({ ...each }));
  const died = deathOf(r);
  const keep = (index: number, all: Contribution[], same: (a: Contribution, b: Contribution) => boolean) => {
    const late = died === null ? -1 : all.findIndex(each => each.k >= died);
    if (late >= 0) return late;
    for (let i = index; i < all.length - 1; i++) if (same(all[i - 1]!, all[i]!) && same(all[i]!, all[i + 1]!)) return i;
    return 1;
  };
  for (const field of ['e', 'f', 'l', 'group', 'userId'] as Field[]) {
    const all = r.facts.filter(each => each[field] !== undefined);
    while (all.length > MAX_FACTS) {
      const [gone] = all.splice(
        keep(1, all, (a, b) => a[field] === b[field] && a.a === b.a && a.p === b.p),
        1,
      );
      if (!gone) break;
      delete gone[field];
      if (field === 'e') delete gone.p;
    }
  }
  for (const key of new Set(r.facts.flatMap(each => Object.keys(each.c ?? {})))) {
    const all = r.facts.filter(each => each.c && Object.hasOwn(each.c, key));
    while (all.length > MAX_FACTS) {
      const [gone] = all.splice(
        keep(1, all, (a, b) => a.c?.[key] === b.c?.[key]),
        1,
      );
      if (!gone?.c) break;
      const { [key]: _, ...rest } = gone.c;
      gone.c = rest;
    }
  }
  for (const id of new Set(r.facts.flatMap(each => Object.keys(each.lists ?? {})))) {
    const all = r.facts.filter(each => each.lists && Object.hasOwn(each.lists, id));
    for (const gone of all.slice(1, Math.max(1, all.length - MAX_FACTS + 1))) {
      const { [id]: _, ...rest } = gone.lists ?? {};
      gone.lists = rest;
    }
  }
  r.facts = r.facts.filter(saysSomething);
}

const saysSomething = (one: Contribution) =>
  one.e !== undefined ||
  one.f !== undefined ||
  one.l !== undefined ||
  one.group !== undefined ||
  one.userId !== undefined ||
  one.made !== undefined ||
  one.setSource !== undefined ||
  Object.keys(one.c ?? {}).length > 0 ||
  Object.keys(one.lists ?? {}).length > 0;

/** Over the size: of the older facts only what nobody newer says again is kept. */
function shrink(r: Registers): void {
  r.facts = r.facts.map(each => ({ ...each, ...(each.was && { was: { ...each.was } }) }));
  const seen = new Set<string>();
  for (const one of [...r.facts].reverse()) {
    for (const key of Object.keys(one.c ?? {})) {
      if (seen.has(key)) {
        const { [key]: _, ...rest } = one.c ?? {};
        one.c = rest;
      } else seen.add(key);
    }
    if (one.was) delete one.was.c;
  }
  r.facts = r.facts.filter(saysSomething);
  while (JSON.stringify(r.facts).length > MAX_BYTES && r.facts.length > 1) r.facts.splice(1, 1);
}

/** What one API write says of the identity it is joined into. Absent: nothing of it; null clears. */
export type ApiContribution = Omit<Contribution, 's' | 'was'>;

/**
 * Joins one API write. Of each field only the newest counts: nothing takes back a single one, a deletion takes back all before it.
 * Former addresses are kept: the API set them, so they are proven. Returns new registers.
 */
export function joinApiWrite(before: Registers, one: ApiContribution): Registers {
  const r = { ...before };
  if (one.k < r.first) r.first = one.k;
  const words = collectWords(r, one);
  r.facts = r.facts.map(each => withoutSaidAgain(each, one, words)).filter(saysSomething);
  put(r, one);
  return r;
}

const MAX_WORDS = 4; // about one list, before the newest

/**
 * Which earlier words about each list of a write still matter: who is unsubscribed when put on a list is not on it, so that what was
 * said before counts. The first one is kept, since it may be the one that took off.
 */
function collectWords({ facts }: Registers, { lists = {} }: ApiContribution): Map<string, Set<K>> {
  const kept = new Map<string, Set<K>>();
  for (const [id, on] of Object.entries(lists)) {
    const earlier = on ? facts.filter(each => each.lists?.[id] !== undefined).map(each => each.k) : [];
    kept.set(id, new Set([...earlier.slice(0, 1), ...earlier.slice(1).slice(1 - MAX_WORDS)]));
  }
  return kept;
}

function withoutSaidAgain(old: Contribution, one: ApiContribution, words: Map<string, Set<K>>): Contribution {
  const left = { ...old };
  if (one.e !== undefined && left.e === one.e && !left.a) delete left.e; // one that was set tells who was left at a deletion
  for (const field of ['f', 'l', 'group', 'setSource'] as const) if (one[field] !== undefined) delete left[field];
  if (one.c && left.c)
    left.c = Object.fromEntries(Object.entries(left.c).filter(([key]) => !Object.hasOwn(one.c!, key)));
  if (left.lists)
    left.lists = Object.fromEntries(Object.entries(left.lists).filter(([id]) => words.get(id)?.has(old.k) ?? true));
  return left;
}
