import { putContribution, saysSomething } from './boundRegisters.ts';
import type { Contribution, K, Registers } from './registers.ts';

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
  r.facts = r.facts.map(each => dropSaidAgain(each, one, words)).filter(saysSomething);
  putContribution(r, one);
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

function dropSaidAgain(old: Contribution, one: ApiContribution, words: Map<string, Set<K>>): Contribution {
  const left = { ...old };
  if (one.e !== undefined && left.e === one.e && !left.a) delete left.e; // one that was set tells who was left at a deletion
  for (const field of ['f', 'l', 'group', 'setSource'] as const) if (one[field] !== undefined) delete left[field];
  if (one.c && left.c)
    left.c = Object.fromEntries(Object.entries(left.c).filter(([key]) => !Object.hasOwn(one.c!, key)));
  if (left.lists)
    left.lists = Object.fromEntries(Object.entries(left.lists).filter(([id]) => words.get(id)?.has(old.k) ?? true));
  return left;
}
