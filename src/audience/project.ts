import type { Scalar } from '../db/schema.ts';
import { best, type IdentityClass, type K, type Registers, type Version } from './registers.ts';

/** One identity, as loaded. */
export interface Identity {
  id: string;
  provider: string;
  contactId: string | null;
  registers: Registers;
  /** As the database has it; null: not there yet. */
  stored: { contactId: string | null; registers: string } | null;
}

/** Identities that are one person, and the link values that are theirs. */
export interface Group {
  identities: Identity[];
  values: Set<string>;
}

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

const RANK: Record<IdentityClass, number> = { api: 2, auth: 2, payment: 1, address: 0 };
const isPerson = (i: Identity) => i.registers.class !== 'address';
const isLive = (i: Identity) => isPerson(i) && i.registers.died === null;
const ascending = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

const ownEmail = (i: Identity) => best(i.registers.email, i.registers.died)?.v ?? null;

interface Edge {
  identity: Identity;
  value: string;
  k: K;
  strength: number;
}

/** Ids before addresses; among addresses, what a live identity shows now, then what a dead one showed, then former ones. */
function strength(identity: Identity, value: string): number {
  if (!value.startsWith('email:')) return 3;
  if (value.slice(6) !== ownEmail(identity)) return 0;
  return isPerson(identity) && !isLive(identity) ? 1 : 2;
}

/**
 * Splits connected identities into persons. Edges are joined strongest first; one that would put two users of the same auth
 * provider together is refused, so an address both had goes to the one that claims it now. Depends on the set only.
 */
export function partition(identities: Identity[]): Group[] {
  const [only] = identities;
  if (only && identities.length === 1) return [{ identities, values: new Set(Object.keys(only.registers.links)) }];
  const edges: Edge[] = identities
    .flatMap(identity =>
      Object.entries(identity.registers.links).map(([value, k]) => ({
        identity,
        value,
        k,
        strength: strength(identity, value),
      })),
    )
    .sort(
      (a, b) =>
        b.strength - a.strength ||
        ascending(b.k, a.k) ||
        ascending(a.identity.id, b.identity.id) ||
        ascending(a.value, b.value),
    );
  const parent = new Map<string, string>();
  const users = new Map<string, Set<string>>(); // root → auth providers that have a user in it
  const root = (node: string): string => {
    let at = node;
    while (parent.get(at) !== undefined && parent.get(at) !== at) at = parent.get(at)!;
    parent.set(node, at);
    return at;
  };
  for (const i of identities) users.set(`#${i.id}`, new Set(i.registers.class === 'auth' ? [i.provider] : []));
  for (const { identity, value } of edges) {
    const a = root(`#${identity.id}`);
    const b = root(value);
    if (a === b) continue;
    const [usersA, usersB] = [users.get(a) ?? new Set<string>(), users.get(b) ?? new Set<string>()];
    if ([...usersA].some(provider => usersB.has(provider))) continue;
    parent.set(b, a);
    users.set(a, new Set([...usersA, ...usersB]));
  }
  const groups = new Map<string, Group>();
  const groupOf = (node: string) => {
    const key = root(node);
    let group = groups.get(key);
    if (!group) {
      group = { identities: [], values: new Set() };
      groups.set(key, group);
    }
    return group;
  };
  for (const i of [...identities].sort((a, b) => ascending(a.id, b.id))) groupOf(`#${i.id}`).identities.push(i);
  for (const { value } of edges) groupOf(value).values.add(value);
  return [...groups.values()].filter(group => group.identities.length > 0);
}

/** Where a group stands: shown, not shown for want of an address, or removed by a deletion. */
export type Standing = { contact: Projected } | { contact: null; why: 'unknown' | 'deleted' };

/** The contact of a group: a pure function of its registers. `knownLists`: lists that exist. */
export function project(group: Group, knownLists: (id: string) => boolean): Standing {
  const persons = group.identities.filter(isPerson);
  const dead = persons.filter(i => !isLive(i));
  const anyLive = persons.length > dead.length;
  const last = newestBurial(dead);
  const buried = !anyLive && last !== null;
  const removed = buried && last.onDelete === 'delete';
  // Who asked for deletion leaves nothing behind; after a removal only what came later counts.
  const givers = group.identities.filter(i =>
    isPerson(i)
      ? !removed && (isLive(i) || i.registers.buried?.onDelete !== 'delete')
      : !removed || i.registers.last > last.k,
  );
  const email = shownEmail(givers, group.values);
  if (email === null)
    return { contact: null, why: removed || dead.some(i => ownEmail(i) !== null) ? 'deleted' : 'unknown' };
  const origin = oldestOrigin(givers);
  return {
    contact: {
      email,
      userId: shownUserId(givers),
      firstName: field(givers, r => r.firstName),
      lastName: field(givers, r => r.lastName),
      source: origin?.source ?? '',
      userGroup: origin?.userGroup ?? '',
      subscribed: !buried || removed,
      properties: allProperties(givers),
      lists: allLists(givers, buried && !removed ? last.k : null, knownLists),
    },
  };
}

function newestBurial(dead: Identity[]) {
  let last: NonNullable<Registers['buried']> | null = null;
  for (const { registers } of dead)
    if (registers.buried && (!last || registers.buried.k > last.k)) last = registers.buried;
  return last;
}

/** Live before dead, then the highest class, then longest known. Only addresses that are this group's own. */
function shownEmail(givers: Identity[], values: Set<string>): string | null {
  const order = [...givers].sort(
    (a, b) =>
      standing(b) - standing(a) ||
      RANK[b.registers.class] - RANK[a.registers.class] ||
      ascending(a.registers.first, b.registers.first) ||
      ascending(a.id, b.id),
  );
  for (const each of order) {
    const email = ownEmail(each);
    if (email !== null && values.has(`email:${email}`)) return email;
  }
  return null;
}

const standing = (i: Identity) => (isLive(i) ? 2 : isPerson(i) ? 1 : 0);

function shownUserId(givers: Identity[]): string | null {
  const auth = givers
    .filter(i => i.registers.class === 'auth')
    .sort((a, b) => ascending(a.registers.first, b.registers.first) || ascending(a.id, b.id))[0];
  return auth?.registers.personId ?? field(givers, r => r.userId);
}

/** Per field: max (class, authority, k). */
function field(givers: Identity[], pick: (r: Registers) => Version<string>[]): string | null {
  let top: { version: Version<string>; rank: number } | null = null;
  for (const { registers } of givers) {
    const version = best(pick(registers), registers.died);
    if (!version) continue;
    const rank = RANK[registers.class] * 2 + version.a;
    if (!top || rank > top.rank || (rank === top.rank && version.k > top.version.k)) top = { version, rank };
  }
  return top?.version.v ?? null;
}

function oldestOrigin(givers: Identity[]) {
  let oldest: NonNullable<Registers['origin']> | null = null;
  for (const { registers } of givers) {
    const { origin, died } = registers;
    if (!origin || (died !== null && origin.k >= died)) continue;
    if (!oldest || origin.k < oldest.k) oldest = origin;
  }
  return oldest;
}

function allProperties(givers: Identity[]): Record<string, Scalar> {
  const top = new Map<string, Version>();
  for (const { registers } of givers) {
    for (const [key, versions] of Object.entries(registers.props)) {
      const version = best(versions, registers.died);
      const had = top.get(key);
      if (version && (!had || version.k > had.k)) top.set(key, version);
    }
  }
  return Object.fromEntries([...top].sort(([a], [b]) => ascending(a, b)).map(([key, version]) => [key, version.v]));
}

/** Union. What came after the identity's death, or while the contact stood unsubscribed by a deletion, adds nothing. */
function allLists(givers: Identity[], unsubscribedSince: K | null, known: (id: string) => boolean): string[] {
  const out = new Set<string>();
  for (const { registers } of givers) {
    for (const [id, first] of Object.entries(registers.lists)) {
      if (registers.died !== null && first >= registers.died) continue;
      if (unsubscribedSince !== null && first > unsubscribedSince) continue;
      if (known(id)) out.add(id);
    }
  }
  return [...out].sort(ascending);
}
