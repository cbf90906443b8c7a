import { changeAmong, insertRows, query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { type Contact, collectAllTies, type People } from './people.ts';
import { hashSubject } from './tombstones.ts';
import { CONTACT_COLUMNS, type Loaded, type WorkingSet } from './workingSet.ts';

/** Writes the difference: each table once. `now` in ms. */
export async function savePeople(tx: Tx, { people, loaded, salt }: WorkingSet, now: number): Promise<void> {
  await saveIdentities(tx, people, loaded, now);
  await saveContacts(tx, people, loaded);
  const consents = diffChanged(people.consents, loaded.consents).map(([subject, changes]) => [
    hashSubject(salt, subject),
    JSON.stringify(changes),
  ]);
  await insertRows(
    tx,
    'consents',
    ['subject', 'changes'],
    consents,
    'on conflict (subject) do update set changes = excluded.changes',
  );
  const payments = diffChanged(people.payments, loaded.payments).map(([value, id]) => [value, id, now]);
  await insertRows(
    tx,
    'payments',
    ['value', 'identity_id', 'created_at'],
    payments,
    'on conflict (value) do update set identity_id = excluded.identity_id',
  );
  const properties = [...people.newProperties].map(([key, type]) => [key, type, now]);
  await insertRows(tx, 'properties', ['key', 'type', 'created_at'], properties, 'on conflict (key) do nothing');
  const merged = diffChanged(people.merged, loaded.merged).map(([from, to]) => [from, to, now]);
  await insertRows(
    tx,
    'merged_contacts',
    ['from_id', 'to_id', 'created_at'],
    merged,
    'on conflict (from_id) do update set to_id = excluded.to_id',
  );
}

/** Entries that are there now and were not, or were another object. */
const diffChanged = <V>(now: Map<string, V>, before: Map<string, V>): [string, V][] =>
  [...now].filter(([key, value]) => before.get(key) !== value);
const diffRemoved = <V>(now: Map<string, V>, before: Map<string, V>): string[] =>
  [...before.keys()].filter(key => !now.has(key));

async function saveIdentities(tx: Tx, people: People, loaded: Loaded, now: number): Promise<void> {
  const rows = diffChanged(people.identities, loaded.identities).map(([id, each]) => [
    id,
    each.provider,
    each.contactId,
    JSON.stringify(each.registers),
    now,
  ]);
  await insertRows(
    tx,
    'identities',
    ['id', 'provider', 'contact_id', 'registers', 'created_at'],
    rows,
    'on conflict (id) do update set contact_id = excluded.contact_id, registers = excluded.registers',
  );
  const gone = diffRemoved(people.identities, loaded.identities);
  await changeAmong(tx, 'delete from identities where id', gone);
  const more: string[][] = [];
  const less: [string, string][] = [];
  for (const [id, identity] of diffChanged(people.identities, loaded.identities)) {
    const before = loaded.identities.get(id);
    if (before?.registers === identity.registers) continue;
    const old = before ? collectAllTies(before) : [];
    const ties = collectAllTies(identity);
    for (const value of ties) if (!old.includes(value)) more.push([value, id]);
    for (const value of old) if (!ties.includes(value)) less.push([value, id]);
  }
  await insertRows(tx, 'ties', ['value', 'identity_id'], more, 'on conflict do nothing');
  for (const [value, id] of less)
    await query(tx, 'delete from ties where value = ? and identity_id = ? returning value', [value, id]);
  await changeAmong(tx, 'delete from ties where identity_id', gone);
}

/** Rows that go are deleted and addresses that change hands are set free first, since an address is unique. */
async function saveContacts(tx: Tx, people: People, loaded: Loaded): Promise<void> {
  const rows = diffChanged(people.contacts, loaded.contacts);
  const shown = rows.filter(([, each]) => !each.parked);
  const was = (id: string) => loaded.contacts.get(id);
  const gone = [
    ...diffRemoved(people.contacts, loaded.contacts),
    ...rows.filter(([id, each]) => each.parked && was(id)?.parked === false).map(([id]) => id),
  ];
  await changeAmong(tx, 'delete from contacts where id', gone);
  const moving = shown
    .filter(([id, each]) => was(id)?.parked === false && was(id)?.email !== each.email)
    .map(([id]) => id);
  await changeAmong(tx, 'update contacts set email = id where id', moving);
  const columns = CONTACT_COLUMNS.split(', ');
  const set = columns
    .slice(1)
    .filter(each => each !== 'created_at')
    .map(each => `${each} = excluded.${each}`)
    .join(', ');
  const data = ([id, each]: [string, Contact]) => [
    id,
    each.email,
    each.userId,
    each.firstName,
    each.lastName,
    each.source,
    each.userGroup,
    each.subscribed ? 1 : 0,
    JSON.stringify(each.properties),
    each.createdAt,
    each.updatedAt,
  ];
  await insertRows(tx, 'contacts', columns, shown.map(data), `on conflict (id) do update set ${set}`);
  const parked = rows.filter(([, each]) => each.parked);
  await insertRows(tx, 'parked_contacts', columns, parked.map(data), `on conflict (id) do update set ${set}`);
  const unparked = [
    ...shown.filter(([id]) => was(id)?.parked).map(([id]) => id),
    ...diffRemoved(people.contacts, loaded.contacts).filter(id => was(id)?.parked),
  ];
  await changeAmong(tx, 'delete from parked_contacts where id', unparked);
  await saveMemberships(tx, rows, loaded, [...gone, ...diffRemoved(people.contacts, loaded.contacts)]);
}

async function saveMemberships(tx: Tx, rows: [string, Contact][], loaded: Loaded, gone: string[]): Promise<void> {
  await changeAmong(tx, 'delete from memberships where contact_id', [...new Set(gone)]);
  const joined: string[][] = [];
  const left: [string, string][] = [];
  for (const [id, { lists, parked }] of rows) {
    if (parked) continue;
    const before = loaded.contacts.get(id);
    const had = before && !before.parked ? before.lists : [];
    for (const list of lists) if (!had.includes(list)) joined.push([id, list]);
    for (const list of had) if (!lists.includes(list)) left.push([id, list]);
  }
  await insertRows(tx, 'memberships', ['contact_id', 'list_id'], joined, 'on conflict do nothing');
  for (const [id, list] of left)
    await query(tx, 'delete from memberships where contact_id = ? and list_id = ? returning list_id', [id, list]);
}
