import { asc, inArray } from 'drizzle-orm';
import { contacts, identities, lists, memberships, properties } from '../db/schema.ts';
import { type Search, scanNewest } from '../db/search.ts';
import type { Store, Tx } from '../db/store.ts';
import { formatCsvLine } from './csv.ts';
import type { Registers } from './registers.ts';
import { findDeathBy } from './views.ts';

const ROWS = 100; // contacts per read: a few milliseconds
const OWN = [
  'id',
  'email',
  'firstName',
  'lastName',
  'userId',
  'source',
  'userGroup',
  'subscribed',
  'mailingLists',
  'mailingListNames',
  'providerIds',
  'createdAt',
  'updatedAt',
];

/**
 * Contacts as CSV, newest first, in pieces: a header, then 100 rows each. Every piece is a read of its own, so that writes go on;
 * who comes meanwhile is not in it. Lists and provider ids are separated by `;`.
 */
export async function* exportCsv(store: Store, search: Search): AsyncGenerator<string> {
  const known = await store.read(async tx => ({
    keys: (await tx.select().from(properties).orderBy(asc(properties.createdAt), asc(properties.key))).map(p => p.key),
    names: new Map((await tx.select({ id: lists.id, name: lists.name }).from(lists)).map(({ id, name }) => [id, name])),
  }));
  yield formatCsvLine([...OWN, ...known.keys]);
  let before: string | null = null;
  for (;;) {
    const began = performance.now();
    const page: { ids: string[]; rest: string | null } = await scanNewest(store, contacts, search, before, ROWS);
    const { ids } = page;
    if (ids.length) yield await store.read(tx => formatLines(tx, ids, known.keys, known.names));
    if (page.rest === null) return;
    await Bun.sleep(performance.now() - began); // half of the thread at most: webhooks go on
    before = page.rest;
  }
}

async function formatLines(tx: Tx, ids: string[], keys: string[], names: Map<string, string>): Promise<string> {
  const rows = await tx.select().from(contacts).where(inArray(contacts.id, ids));
  const byId = new Map(rows.map(row => [row.id, row]));
  const members = groupPairs(
    (
      await tx.select().from(memberships).where(inArray(memberships.contactId, ids)).orderBy(asc(memberships.listId))
    ).map(row => [row.contactId, row.listId]),
  );
  const persons = groupPairs(await loadPersons(tx, ids));
  const line = (id: string) => {
    const row = byId.get(id);
    if (!row) return ''; // deleted a moment ago
    const on = members.get(id) ?? [];
    return formatCsvLine([
      row.id,
      row.email,
      row.firstName,
      row.lastName,
      row.userId,
      row.source,
      row.userGroup,
      row.subscribed,
      on.join(';'),
      on.map(each => (names.get(each) ?? each).replaceAll(';', ',')).join(';'),
      (persons.get(id) ?? []).join(';'),
      new Date(row.createdAt).toISOString(),
      new Date(row.updatedAt).toISOString(),
      ...keys.map(key => (Object.hasOwn(row.properties, key) ? (row.properties[key] ?? null) : null)),
    ]);
  };
  return ids.map(line).join('');
}

/** `stripe:cus_…` of whoever is behind a contact and was not deleted there. */
async function loadPersons(tx: Tx, contactIds: string[]): Promise<[string, string][]> {
  const rows = await tx
    .select()
    .from(identities)
    .where(inArray(identities.contactId, contactIds))
    .orderBy(asc(identities.id));
  return rows.flatMap(({ contactId, provider, registers }) => {
    const r = registers as Registers;
    const { class: of, personId } = r;
    return contactId === null || of === 'api' || personId === null || findDeathBy(r, null) !== null
      ? []
      : [[contactId, `${provider}:${personId}`] as [string, string]];
  });
}

function groupPairs(pairs: [string, string][]): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const [key, value] of pairs) {
    const had = out.get(key);
    if (had) had.push(value);
    else out.set(key, [value]);
  }
  return out;
}
