import type { Scalar } from '../db/schema.ts';
import type { Rank } from '../providers/provider.ts';

/**
 * The key of a fact: (the provider's time in µs, rank, external id, endpoint) as text that sorts the same way.
 * Everything is ordered by it, so the order of arrival leaves no trace.
 */
export type K = string;

const TIME = 19; // digits: ms since 1970 and three of µs

/** `at` in ms, `micros` 0 to 999; rank 9: the API. */
export function makeFactKey(at: number, micros: number, rank: Rank | 9, externalId: string, endpointId: string): K {
  const ms = String(Math.max(0, Math.trunc(at))).padStart(TIME - 3, '0');
  return `${ms}${String(micros).padStart(3, '0')}.${rank}.${externalId} ${endpointId}`;
}

/** What a key holds: `at` in ms and `micros`, rank (9: the API), external id, endpoint. Of an API write the external id is its key (`req_…`). */
export function parseKey(k: K) {
  const rest = k.slice(TIME + 1);
  const end = rest.lastIndexOf(' ');
  const id = rest.slice(2, end);
  return {
    at: Number(k.slice(0, TIME - 3)),
    micros: Number(k.slice(TIME - 3, TIME)),
    rank: Number(rest[0]),
    externalId: rest.startsWith('9') ? id.slice(id.indexOf('.') + 1) : id,
    endpointId: rest.slice(end + 1),
  };
}

/** The time of a key as text that sorts. */
export const readTime = (k: K): string => k.slice(0, TIME);
/** The time of a key, ms since 1970. */
export const readMs = (k: K): number => Number(k.slice(0, TIME - 3));
/** The same in µs. */
export const readMicros = (k: K): number => Number(k.slice(0, TIME));
export const compareTexts = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
export const pickLater = (a: K, b: K): K => (a > b ? a : b);

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

export function makeRegisters(of: IdentityClass, personId: string | null): Registers {
  return { class: of, personId, first: '~', facts: [], deaths: [], aliases: [], erased: '', mapped: null };
}

/** The earliest death; facts from then on carry ids only. Null: alive. */
export function findDeath(r: Registers): K | null {
  let died: K | null = null;
  for (const each of r.deaths) if (each.onDelete !== 'ignore' && (died === null || each.k < died)) died = each.k;
  return died;
}

/** The latest that is known of an identity: a fact, a deletion or a removal; empty: nothing. */
export function findLatest({ facts, deaths, erased, forgot = '' }: Registers): K {
  return [facts.at(-1)?.k ?? '', erased, forgot, ...deaths.flatMap(({ k, h }) => [k, h])].reduce(pickLater);
}
