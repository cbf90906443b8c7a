import type { Scalar } from '../db/schema.ts';
import { ascending, type Group, type Identity, isLive, isPerson, ownEmail } from './partition.ts';
import { best, type IdentityClass, type K, type Registers, type Version } from './registers.ts';

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

/** Where a group stands: shown, not shown for want of an address, or removed by a deletion. */
export type Standing = { contact: Projected } | { contact: null; why: 'unknown' | 'deleted' };

/** Identities that may say something of the contact; what the API said counts from `since` on. */
interface Voices {
  givers: Identity[];
  since: K;
}

/** The contact of a group: a pure function of its registers. `knownLists`: lists that exist. */
export function project(group: Group, knownLists: (id: string) => boolean): Standing {
  const { identities } = group;
  const erased = identities.reduce((top, i) => later(top, i.registers.said?.erased ?? ''), '');
  const persons = identities.filter(i => isPerson(i) && !isErased(i, erased));
  const dead = persons.filter(i => !isLive(i));
  const last = newestBurial(dead);
  const buried = last !== null && persons.length === dead.length && !cameFromApi(identities, dead, erased);
  const removed = buried && last.onDelete === 'delete';
  // Who asked for deletion leaves nothing behind; after a removal only what came later counts.
  const since = removed ? later(erased, last.k) : erased;
  const givers = identities.filter(i => {
    if (isPerson(i)) return persons.includes(i) && !removed && (isLive(i) || i.registers.buried?.onDelete !== 'delete');
    return i.registers.class === 'api' || since === '' || i.registers.last > since;
  });
  const voices: Voices = { givers, since };
  const email = shownEmail(voices, group.values);
  if (email === null) {
    const gone = removed || dead.some(i => ownEmail(i) !== null) || (erased !== '' && persons.length === 0);
    return { contact: null, why: gone ? 'deleted' : 'unknown' };
  }
  const origin = oldestOrigin(voices);
  const subscription = subscriptionOf(identities, buried && !removed ? last.k : null);
  return {
    contact: {
      email,
      userId: shownUserId(voices),
      firstName: field(voices, r => r.firstName),
      lastName: field(voices, r => r.lastName),
      source: field(voices, r => r.said?.source ?? []) ?? origin?.source ?? '',
      userGroup: field(voices, r => r.said?.userGroup ?? []) ?? origin?.userGroup ?? '',
      subscribed: subscription('~'),
      properties: allProperties(voices),
      lists: allLists(voices, subscription, knownLists),
    },
  };
}

const later = (a: K, b: K): K => (a > b ? a : b);

/** Whether a deletion through the API came after the person was first seen: dead for good, and nothing of it is left. */
function isErased({ registers: { first, died } }: Identity, erased: K): boolean {
  return (died !== null && died < first ? died : first) < erased;
}

/** A contact that the API made before a provider knew it outlives the provider's person. */
function cameFromApi(identities: Identity[], dead: Identity[], erased: K): boolean {
  const claims = identities.flatMap(i => i.registers.said?.claims.filter(claim => claim.k > erased) ?? []);
  return claims.some(claim => dead.every(i => claim.k < i.registers.first));
}

function newestBurial(dead: Identity[]) {
  let last: NonNullable<Registers['buried']> | null = null;
  for (const { registers } of dead)
    if (registers.buried && (!last || registers.buried.k > last.k)) last = registers.buried;
  return last;
}

/** What stands of a field of one identity. */
const said = <T extends Scalar | null>(i: Identity, versions: Version<T>[], since: K) =>
  best(versions, i.registers.died, i.registers.class === 'api' ? since : '');

/**
 * Live before dead, then the highest class, then longest known; what the API claims competes with an auth user's by k.
 * An address by which the API only named the contact counts as little as one seen alone. Only addresses that are this group's own.
 */
function shownEmail({ givers, since }: Voices, values: Set<string>): string | null {
  let claim: Version<string> | null = null;
  let other: { i: Identity; version: Version<string> } | null = null;
  for (const i of givers) {
    const version = said(i, i.registers.email, since);
    if (!version || !values.has(`email:${version.v}`)) continue;
    if (i.registers.class === 'api' && version.a === 1) {
      if (!claim || version.k > claim.k) claim = version;
    } else if (!other || before(i, other.i) < 0) other = { i, version };
  }
  if (!claim || !other) return claim?.v ?? other?.version.v ?? null;
  const auth = other.i.registers.class === 'auth' && isLive(other.i);
  return auth && other.version.k > claim.k ? other.version.v : claim.v;
}

const before = (a: Identity, b: Identity) =>
  standing(b) - standing(a) ||
  rankOf(b) - rankOf(a) ||
  ascending(a.registers.first, b.registers.first) ||
  ascending(a.id, b.id);
const standing = (i: Identity) => (isLive(i) ? 2 : isPerson(i) ? 1 : 0);
const rankOf = (i: Identity) => (isPerson(i) ? RANK[i.registers.class] : 0);

function shownUserId(voices: Voices): string | null {
  const ofApi = { ...voices, givers: voices.givers.filter(i => i.registers.class === 'api') };
  const auth = voices.givers
    .filter(i => i.registers.class === 'auth')
    .sort((a, b) => ascending(a.registers.first, b.registers.first) || ascending(a.id, b.id))[0];
  return field(ofApi, r => r.userId) ?? auth?.registers.personId ?? field(voices, r => r.userId);
}

/** Per field: max (class, authority, k). */
function field(
  { givers, since }: Voices,
  pick: (r: Registers) => Version<string>[] | Version<string | null>[],
): string | null {
  let top: { version: Version<string | null>; rank: number } | null = null;
  for (const i of givers) {
    const version = said<string | null>(i, pick(i.registers), since);
    if (!version) continue;
    const rank = RANK[i.registers.class] * 2 + version.a;
    if (!top || rank > top.rank || (rank === top.rank && version.k > top.version.k)) top = { version, rank };
  }
  return top?.version.v ?? null;
}

function oldestOrigin({ givers, since }: Voices) {
  let oldest: NonNullable<Registers['origin']> | null = null;
  for (const { registers } of givers) {
    const claim = registers.said?.claims.find(each => each.k > since);
    const origin = claim ? { k: claim.k, source: claim.v, userGroup: '' } : registers.origin;
    if (!origin || (registers.died !== null && origin.k >= registers.died)) continue;
    if (!oldest || origin.k < oldest.k) oldest = origin;
  }
  return oldest;
}

function allProperties({ givers, since }: Voices): Record<string, Scalar> {
  const top = new Map<string, Version>();
  for (const i of givers) {
    for (const [key, versions] of Object.entries(i.registers.props)) {
      const version = said(i, versions, since);
      const had = top.get(key);
      if (version && (!had || version.k > had.k)) top.set(key, version);
    }
  }
  return Object.fromEntries(
    [...top].sort(([a], [b]) => ascending(a, b)).flatMap(([key, { v }]) => (v === null ? [] : [[key, v]])),
  );
}

/**
 * Whether the person was subscribed at a moment ('~': now). Every unsubscribe of theirs counts, removals between or not;
 * a deletion at the provider is one more, for as long as it stands.
 */
function subscriptionOf(identities: Identity[], buried: K | null): (k: K) => boolean {
  const words = identities.flatMap(i => i.registers.said?.subscribed ?? []);
  if (buried !== null) words.push({ a: 1, k: buried, v: false });
  words.sort((a, b) => ascending(a.k, b.k));
  return k => words.findLast(word => word.k <= k)?.v ?? true;
}

/**
 * What the API said last of a list decides; else the union of what webhooks add, before the identity's death.
 * Nothing is added while unsubscribed.
 */
function allLists({ givers, since }: Voices, subscribed: (k: K) => boolean, known: (id: string) => boolean): string[] {
  const out = new Set<string>();
  const words = new Map<string, Version<boolean>>();
  for (const { registers } of givers) {
    for (const [id, first] of Object.entries(registers.lists)) {
      const adds = [first, registers.relisted?.[id] ?? first];
      if (adds.some(k => !(registers.died !== null && k >= registers.died) && subscribed(k)) && known(id)) out.add(id);
    }
    for (const [id, versions] of Object.entries(registers.said?.lists ?? {})) {
      const word = versions.findLast(each => each.k > since && (!each.v || subscribed(each.k)));
      const had = words.get(id);
      if (word && (!had || word.k > had.k)) words.set(id, word);
    }
  }
  for (const [id, { v }] of words) {
    if (v && known(id)) out.add(id);
    if (!v) out.delete(id);
  }
  return [...out].sort(ascending);
}
