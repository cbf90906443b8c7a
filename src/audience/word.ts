import type { Tx } from '../db/store.ts';
import { invalid } from '../errors.ts';
import { providerById } from '../providers/index.ts';
import type { ContactRow } from './contacts.ts';
import { component, type Lesson, releaseWaiting, teach } from './identities.ts';
import type { Identity } from './partition.ts';
import { emptyRegisters, factKey, joinLinks, joinWord, type K, type Word } from './registers.ts';
import { type Settled, settle } from './settle.ts';

const OF_USER = 'api:user:';
const OF_ADDRESS = 'api:@';
const MAX_TIES = 100; // identities of a contact, or what ties one of them to others: each costs a look-up per write

/** The identity by which the API speaks of a user id of the user's own product, and of an address alone. */
export const ofUser = (userId: string) => OF_USER + userId;
export const ofAddress = (email: string) => OF_ADDRESS + email;
export const isOfAddress = (id: string) => id.startsWith(OF_ADDRESS);
/** What ties that identity to others: `user:…` or `email:…`. */
export const tieOf = (id: string) =>
  isOfAddress(id) ? `email:${id.slice(OF_ADDRESS.length)}` : `user:${id.slice(OF_USER.length)}`;

function lessonOf(id: string, word: Word): Lesson {
  const userId = isOfAddress(id) ? null : id.slice(OF_USER.length);
  const join: Lesson['join'] = had => joinWord(had ?? emptyRegisters('api', userId), word);
  return { id, provider: 'api', links: word.links, join };
}

/**
 * Joins one API write into the registers of its identity and writes the contact that follows. It never refuses:
 * what may be written is decided before, so that the same writes in any order give the same contacts.
 */
export async function applyWord(
  tx: Tx,
  id: string,
  word: Word,
  now: number,
  known?: Map<string, Identity>,
  aliases: string[] = [],
): Promise<Settled & { released: number }> {
  const email = Object.keys(word.links).find(value => value.startsWith('email:'));
  // A deletion is said of the user and of the address: who has the address later may be somebody else.
  const also = word.erase && email !== undefined && !isOfAddress(id) ? ofAddress(email.slice(6)) : null;
  const all = known ?? (await component(tx, [id, ...aliases, ...(also ? [also] : [])], Object.keys(word.links)));
  await teach(tx, all, lessonOf(id, word));
  if (also && email) await teach(tx, all, lessonOf(also, { ...word, links: { [email]: word.k } }));
  for (const alias of aliases) await teach(tx, all, aliasLesson(alias, word));
  const settled = await settle(tx, [...all.values()], id, now);
  const due = settled.why === 'deleted' ? [...all.keys()] : settled.known;
  let released = 0;
  for (const each of due) released += await releaseWaiting(tx, each);
  return { ...settled, released };
}

/** A provider's person who is this contact, though nothing came from the provider yet. @throws AppError invalid */
function aliasLesson(alias: string, { k, links }: Word): Lesson {
  const [, provider = '', personId = ''] = /^([a-z]+):(.{1,255})$/.exec(alias) ?? [];
  const of = providerById(provider)?.class;
  if (!of) throw invalid(`${alias.slice(0, 60)}: not a provider's id such as stripe:cus_123.`);
  const ties: Record<string, K> = Object.fromEntries(Object.keys(links).map(value => [value, ''])); // what a provider says is stronger
  if (of === 'auth') ties[`user:${personId}`] = k;
  const join: Lesson['join'] = had => {
    const r = had ?? emptyRegisters(of, personId);
    joinLinks(r, ties);
    if (k < r.first) r.first = k;
    if (k > r.last) r.last = k;
    return r;
  };
  return { id: alias, provider, links: ties, join };
}

/** A key newer than all that is known here: who writes has seen it, whatever a provider's clock says. */
export function keyAfter(all: Map<string, Identity>, key: string, now: number): K {
  let newest = now - 1;
  for (const { registers: r } of all.values())
    for (const k of [r.last, r.buried?.k, r.said?.erased])
      if (k) newest = Math.max(newest, Number(k.slice(0, k.indexOf('.'))));
  return factKey(newest + 1, 2, key);
}

/** Who speaks of a contact: the user that the API spoke of before, else its user id, else the address. */
export function speakerOf(
  all: Map<string, Identity>,
  found: ContactRow | undefined,
  userId: string | undefined,
  email: string,
) {
  const before = [...all.values()]
    .filter(i => found && i.contactId === found.id && i.provider === 'api' && !isOfAddress(i.id))
    .map(i => i.id)
    .sort()[0];
  const user = found?.userId ?? userId;
  return before ?? (user === undefined ? ofAddress(email) : ofUser(user));
}

/** @throws AppError invalid when a write would tie more together than can be looked through in a moment */
export function requireRoom(all: Map<string, Identity>, id: string, values: string[]): void {
  const links = all.get(id)?.registers.links ?? {};
  const more = values.filter(value => !Object.hasOwn(links, value)).length;
  if ((!all.has(id) && all.size >= MAX_TIES) || (more > 0 && Object.keys(links).length + more > MAX_TIES))
    throw invalid(
      `This contact had ${MAX_TIES} addresses and user ids, which is as many as one may have. Is it one person?`,
    );
}
