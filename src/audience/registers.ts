import type { Scalar } from '../db/schema.ts';
import type { Fact, Rank } from '../providers/provider.ts';

/**
 * The key of a fact: (the provider's time in ms, rank, external id) as text that sorts the same way.
 * Everything here joins by it (newest, oldest, union), so the order of arrival leaves no trace.
 */
export type K = string;

export function factKey(at: number, rank: Rank, externalId: string): K {
  return `${String(Math.max(0, Math.trunc(at))).padStart(16, '0')}.${rank}.${externalId}`;
}

/** One value somebody gave a field: `a` 1 by the person object, 0 by a copy of it. Lists of these are sorted by k. */
export interface Version<T extends Scalar | null = Scalar | null> {
  a: 0 | 1;
  k: K;
  v: T;
}

export type IdentityClass = 'api' | 'auth' | 'payment' | 'address';
export type OnDelete = 'unsubscribe' | 'delete' | 'ignore';

/** All that is known of one identity. Joining the same fact twice, or two facts in either order, gives the same. */
export interface Registers {
  class: IdentityClass;
  personId: string | null;
  /** Earliest and newest fact, deletions aside. */
  first: K;
  last: K;
  /** What ties it to others (`email:…`, `user:…`, `id:stripe:acct_…`) → the newest fact that said so. */
  links: Record<string, K>;
  email: Version<string>[];
  firstName: Version<string | null>[]; // null: the API cleared it
  lastName: Version<string | null>[];
  userId: Version<string>[];
  props: Record<string, Version[]>;
  /** List id → the first fact that put the person on it. */
  lists: Record<string, K>;
  /** List id → the last fact that did, where there was a second one. */
  relisted?: Record<string, K>;
  /** The earliest fact that carried an address. */
  origin: { k: K; source: string; userGroup: string } | null;
  /** Dead since the earliest deletion … */
  died: K | null;
  /** … and the last one decides what becomes of the contact. */
  buried: { k: K; onDelete: OnDelete } | null;
  /** Last seen values of what we map, to tell an update that changed nothing. Not part of the contact. */
  mapped: { k: K; values: Record<string, Scalar | null> } | null;
  /** Only of class `api`. */
  said?: Said;
}

/** What nobody but the API says (and who speaks through it: the unsubscribe link, a bounce, an import). */
export interface Said {
  source: Version<string>[];
  userGroup: Version<string>[];
  subscribed: Version<boolean>[];
  lists: Record<string, Version<boolean>[]>;
  /** When an address was claimed for the contact → the source that a contact made by it has. */
  claims: Version<string>[];
  /** The newest deletion: whoever was known by then is dead for good. */
  erased: K | null;
}

/** What one fact brings, settings applied: names only when synced, properties already picked and typed. */
export interface Joining {
  fact: Fact;
  links: Record<string, K>;
  k: K;
  class: IdentityClass;
  source: string;
  userGroup: string | null;
  syncNames: boolean;
  lists: string[];
  properties: Record<string, Scalar>;
  onDelete: OnDelete;
  mapped: Record<string, Scalar | null> | null;
}

const MAX_VERSIONS = 24;

export function emptyRegisters(of: IdentityClass, personId: string | null): Registers {
  return {
    class: of,
    personId,
    first: '~',
    last: '',
    links: {},
    email: [],
    firstName: [],
    lastName: [],
    userId: [],
    props: {},
    lists: {},
    origin: null,
    died: null,
    buried: null,
    mapped: null,
  };
}

/**
 * Adds a value to a field's versions. All are kept, not just the newest, because a deletion that arrives late takes back what
 * came after it. A copy younger than a word of the person object can never win, so it is left out; past the limit, repeats go first.
 */
export function addVersion<T extends Scalar | null>(versions: Version<T>[], a: 0 | 1, k: K, v: T): Version<T>[] {
  if (versions.some(each => each.k === k)) return versions;
  const all = [...versions, { a, k, v }].sort((x, y) => (x.k < y.k ? -1 : 1));
  const firstWord = all.find(each => each.a === 1)?.k;
  const kept = firstWord === undefined ? all : all.filter(each => each.a === 1 || each.k < firstWord);
  while (kept.length > MAX_VERSIONS) {
    const repeat = kept.findIndex(
      (each, i) => i > 0 && i < kept.length - 1 && each.v === kept[i - 1]!.v && each.v === kept[i + 1]!.v,
    );
    kept.splice(repeat > 0 ? repeat : 0, 1);
  }
  return kept;
}

/** The value that stands: max (authority, k) among those said after `since` and before the identity died. */
export function best<T extends Scalar | null>(
  versions: Version<T>[],
  died: K | null,
  since: K = '',
): Version<T> | null {
  let top: Version<T> | null = null;
  for (const each of versions) {
    if (each.k <= since) continue;
    if (died !== null && each.k >= died) break;
    if (!top || each.a >= top.a) top = each;
  }
  return top;
}

/** Each link value keeps its newest claim. */
export function joinLinks(r: Registers, links: Record<string, K>): void {
  for (const [value, claim] of Object.entries(links)) {
    const had = Object.hasOwn(r.links, value) ? r.links[value]! : '';
    r.links[value] = claim > had ? claim : had;
  }
}

/** Joins one fact into the registers of its identity (or of its address). Mutates and returns `r`. */
export function join(r: Registers, j: Joining): Registers {
  const { fact, k } = j;
  joinLinks(r, j.links);
  if (fact.deletion) {
    if (j.onDelete === 'ignore') return r;
    if (r.died === null || k < r.died) r.died = k;
    if (r.buried === null || k > r.buried.k) r.buried = { k, onDelete: j.onDelete };
    return r;
  }
  const a = fact.authority === 'person' ? 1 : 0;
  if (k < r.first) r.first = k;
  if (k > r.last) r.last = k;
  if (fact.email !== null) {
    r.email = addVersion(r.email, a, k, fact.email);
    if (!r.origin || k < r.origin.k) r.origin = { k, source: j.source, userGroup: j.userGroup ?? '' };
  }
  if (j.syncNames && fact.firstName !== null) r.firstName = addVersion(r.firstName, a, k, fact.firstName);
  if (j.syncNames && fact.lastName !== null) r.lastName = addVersion(r.lastName, a, k, fact.lastName);
  if (fact.userId !== null) r.userId = addVersion(r.userId, a, k, fact.userId);
  for (const [key, value] of Object.entries(j.properties)) {
    r.props[key] = addVersion(Object.hasOwn(r.props, key) ? r.props[key]! : [], 1, k, value);
  }
  for (const id of j.lists) {
    const had = Object.hasOwn(r.lists, id) ? r.lists[id]! : k;
    r.lists[id] = k < had ? k : had;
    const newest = r.relisted && Object.hasOwn(r.relisted, id) ? r.relisted[id]! : had;
    if (k !== had) r.relisted = { ...r.relisted, [id]: k > newest ? k : newest };
  }
  if (j.mapped && (!r.mapped || k > r.mapped.k)) r.mapped = { k, values: j.mapped };
  return r;
}

/** What one API write says. Absent: nothing of it; null clears. */
export interface Word {
  k: K;
  /** As `Registers.links`. */
  links: Record<string, K>;
  email?: string | undefined;
  /** Whether the address is to be the contact's, in contrast to one that only names whom the write is about. */
  claim: boolean;
  userId?: string | undefined;
  firstName?: string | null | undefined;
  lastName?: string | null | undefined;
  /** The source that a contact made by this write has. */
  origin: string;
  source?: string | undefined;
  userGroup?: string | undefined;
  subscribed?: boolean | undefined;
  properties: Record<string, Scalar | null>;
  lists: Record<string, boolean>;
  /** Deletes the contact. */
  erase: boolean;
}

/** Only the newest value of each authority: nothing takes back a single word of the API, a deletion takes back all before it. */
function newer<T extends Scalar | null>(versions: Version<T>[], k: K, v: T | undefined, a: 0 | 1 = 1): Version<T>[] {
  if (v === undefined || versions.some(each => each.a === a && each.k >= k)) return versions;
  return [...versions.filter(each => each.a !== a), { a, k, v }];
}

/** Joins one API write into the registers of its identity. Mutates and returns `r`. */
export function joinWord(r: Registers, word: Word): Registers {
  const { k } = word;
  const said: Said = r.said ?? { source: [], userGroup: [], subscribed: [], lists: {}, claims: [], erased: null };
  r.said = said;
  joinLinks(r, word.links);
  if (word.erase) {
    if (said.erased === null || k > said.erased) said.erased = k;
    return r;
  }
  if (k < r.first) r.first = k;
  if (k > r.last) r.last = k;
  r.email = newer(r.email, k, word.email, word.claim ? 1 : 0);
  if (word.claim) said.claims = addVersion(said.claims, 1, k, word.origin);
  r.userId = newer(r.userId, k, word.userId);
  r.firstName = newer(r.firstName, k, word.firstName);
  r.lastName = newer(r.lastName, k, word.lastName);
  said.source = newer(said.source, k, word.source);
  said.userGroup = newer(said.userGroup, k, word.userGroup);
  if (word.subscribed !== undefined) said.subscribed = addVersion(said.subscribed, 1, k, word.subscribed);
  for (const [key, value] of Object.entries(word.properties))
    r.props[key] = newer(Object.hasOwn(r.props, key) ? r.props[key]! : [], k, value);
  for (const [id, on] of Object.entries(word.lists))
    said.lists[id] = addVersion(Object.hasOwn(said.lists, id) ? said.lists[id]! : [], 1, k, on);
  return r;
}
