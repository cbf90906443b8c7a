import { query } from '../db/sets.ts';
import type { Store } from '../db/store.ts';
import { yieldTurn } from '../time.ts';
import { DefinitionsCache } from './definitions.ts';
import type { Contact } from './people.ts';
import { reconcile } from './reconcile.ts';
import { loadPeople } from './workingSet.ts';

const PER_LOOK = 100; // identities

/** Where a contact in the database is not what follows from its registers, in words. */
interface Difference {
  contactId: string;
  message: string;
}

const FIELDS = ['email', 'userId', 'firstName', 'lastName', 'source', 'userGroup', 'subscribed', 'parked'] as const;

/**
 * Works out every contact anew from its registers, in memory, and tells the first differences. Reads only, a few identities at a time;
 * while a server writes beside it, a difference may be one that was just being written. `now` in ms.
 */
export async function findDifferences(store: Store, now: number, most = 20): Promise<Difference[]> {
  const found = new Map<string, Difference>();
  const definitions = new DefinitionsCache(store);
  const salt = ((await store.read(tx => query(tx, "select value from meta where key = 'erasureSalt'", [])))[0]?.[0] ??
    '') as string;
  for (let after = ''; found.size < most; ) {
    const ids = await store.read(async tx => {
      const rows = await query(tx, 'select id from identities where id > ? order by id limit ?', [after, PER_LOOK]);
      return rows.map(row => row[0] as string);
    });
    if (!ids.length) break;
    after = ids.at(-1)!;
    const { people, loaded } = await store.read(async tx =>
      loadPeople(tx, [{ ids }], await definitions.read(tx, []), salt),
    );
    for (const id of ids) if (people.identities.has(id)) reconcile(people, id, now);
    for (const [id, is] of people.contacts) {
      const was = loaded.contacts.get(id);
      if (was !== is) found.set(id, { contactId: id, message: describe(was, is) });
    }
    for (const id of loaded.contacts.keys())
      if (!people.contacts.has(id)) found.set(id, { contactId: id, message: 'should not be there' });
    await yieldTurn();
  }
  return [...found.values()].slice(0, most);
}

function describe(was: Contact | undefined, is: Contact): string {
  if (!was) return `is missing: ${is.email}`;
  const fields: string[] = FIELDS.filter(field => was[field] !== is[field]);
  if (JSON.stringify(was.lists) !== JSON.stringify(is.lists)) fields.push('lists');
  if (JSON.stringify(sortEntries(was.properties)) !== JSON.stringify(sortEntries(is.properties)))
    fields.push('properties');
  const said = fields.map(field => {
    const [before, after] = [was, is].map(each => JSON.stringify((each as unknown as Record<string, unknown>)[field]));
    return `${field} is ${before} and should be ${after}`;
  });
  return said.join('; ') || 'was changed without a difference';
}

const sortEntries = (record: Record<string, unknown>) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
