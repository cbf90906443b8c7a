import { best, type K, type Registers } from './registers.ts';

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

/** Somebody at a provider, in contrast to an address alone or a word of the API. */
export const isPerson = ({ registers }: Identity) => registers.class === 'auth' || registers.class === 'payment';
export const isLive = (i: Identity) => isPerson(i) && i.registers.died === null;
export const ownEmail = (i: Identity) => best(i.registers.email, i.registers.died)?.v ?? null;
export const ascending = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

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

/** An auth provider's user, or one that the API named by an id that no auth provider has: two of these are never one person. */
function isUser({ registers: { class: of, personId } }: Identity, all: Identity[]): boolean {
  if (of !== 'api' || personId === null) return of === 'auth';
  return !all.some(i => i.registers.class === 'auth' && i.registers.personId === personId);
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
  for (const i of identities) users.set(`#${i.id}`, new Set(isUser(i, identities) ? [i.provider] : []));
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
