import type { K } from './registers.ts';
import { type Identity, readAddress, readNamespace } from './views.ts';

/** `user:42`, in a namespace `user@ns:42`. */
export const makeUserTie = (namespace: string, userId: string) =>
  namespace === '' ? `user:${userId}` : `user@${namespace}:${userId}`;

/**
 * What makes identities one contact for good: user ids and provider ids. `by`: those that were known by then; null: all. `since`: what
 * the API said by then is forgotten.
 */
export function collectIdTies(
  { id, provider, registers: r }: Identity,
  by: K | null = null,
  since = r.erased,
): string[] {
  const namespace = readNamespace(provider);
  const ties = [...r.aliases];
  // Of a person whose deletion is all that is known, the id ties nobody.
  if (r.class === 'auth' && r.personId !== null && r.first !== '~') ties.push(makeUserTie(namespace, r.personId));
  // What the API says of a user names the tie in the id itself: `api:user:42`, `api:user@ns:42`.
  if (r.class === 'api' && readAddress(id) === null) ties.push(id.slice('api:'.length));
  for (const { userId, k } of r.facts)
    if (userId !== undefined && (r.class !== 'api' || k > since) && (by === null || k <= by))
      ties.push(makeUserTie(namespace, userId));
  return ties;
}
