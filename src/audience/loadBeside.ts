import { selectAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { type ConsentChange, makePersonSubject } from './consent.ts';
import { collectAllTies, type People } from './people.ts';
import { hashSubject } from './tombstones.ts';
import { readAddress } from './views.ts';
import type { Keys, Waiting } from './workingSet.ts';

/** What a working set holds beside identities and contacts: consent, tombstones, who is waited for, keys of events. */

/** Every address and person whose consent a write with these keys may read. */
export function listKeySubjects(keys: Keys[]): string[] {
  const subjects: string[] = [];
  for (const { ids = [], ties = [] } of keys) {
    for (const tie of ties) if (tie.startsWith('email:')) subjects.push(tie);
    for (const id of ids) if (!id.includes(':#')) subjects.push(makePersonSubject(id));
  }
  return subjects;
}

/** Every address and person whose consent a contact of these may show or have. */
export function listPeopleSubjects(people: People): string[] {
  const subjects: string[] = [];
  for (const identity of people.identities.values()) {
    if (readAddress(identity.id) === null || identity.registers.class === 'api')
      subjects.push(makePersonSubject(identity.id));
    for (const tie of collectAllTies(identity)) if (tie.startsWith('email:')) subjects.push(tie);
  }
  return subjects;
}

/** `asked`: hash → subject, of those that were loaded before. */
export async function loadConsents(
  tx: Tx,
  people: People,
  subjects: string[],
  asked: Map<string, string>,
  salt: string,
): Promise<void> {
  const known = new Set(asked.values());
  const hashes: string[] = [];
  for (const subject of new Set(subjects)) {
    if (known.has(subject)) continue;
    const hash = hashSubject(salt, subject);
    asked.set(hash, subject);
    hashes.push(hash);
  }
  for (const [hash, changes] of await selectAmong(tx, 'select subject, changes from consents where subject', hashes))
    people.consents.set(asked.get(hash as string) ?? '', JSON.parse(changes as string) as ConsentChange[]);
}

/** Value → when it was erased, ms. */
export async function loadTombstones(tx: Tx, keys: Keys[], salt: string): Promise<Map<string, number>> {
  const asked = new Map<string, string>(); // hash → value
  for (const { ids = [], ties = [] } of keys)
    for (const value of [...ids, ...ties]) asked.set(hashSubject(salt, value), value);
  const rows = await selectAmong(tx, 'select hash, erased_at from tombstones where hash', [...asked.keys()]);
  return new Map(rows.map(([hash, at]) => [asked.get(hash as string) ?? '', Number(at)]));
}

export function noteTombstones(people: People, keys: Keys[], erased: Map<string, number>): void {
  if (!erased.size) return;
  for (const { ids = [], ties = [] } of keys) {
    if (ids.length && ids.every(id => people.identities.has(id))) continue; // who is known was not erased
    for (const value of [...ids, ...ties]) {
      const at = erased.get(value);
      if (at !== undefined) people.tombstones.set(value, at);
    }
  }
}

export async function loadWaiting(tx: Tx, ids: string[]): Promise<Waiting> {
  const text = "select distinct identity_id from deliveries where status = 'waiting' and identity_id";
  const rows = await selectAmong(tx, text, ids);
  return { asked: new Set(ids), found: new Set(rows.map(([id]) => id as string)) };
}

export async function loadEffectKeys(tx: Tx, people: People, keys: string[]): Promise<void> {
  for (const [key] of await selectAmong(tx, 'select effect_key from events where effect_key', keys))
    people.effectKeys.add(key as string);
}
