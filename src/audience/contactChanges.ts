import type { ContactChange } from '../changes.ts';
import { insertRows } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { makeId } from '../id.ts';
import type { Outcome } from './peopleWriter.ts';
import type { WorkingSet } from './workingSet.ts';

const BY: Record<string, string> = {
  req: 'API',
  imp: 'CSV import',
  link: 'link in a mail',
  bf: 'back-fill',
  run: 'workflow',
};

/** Where a write came from, by the prefix of its key. */
const describeOrigin = (key: string): string => BY[key.slice(0, key.indexOf('_'))] ?? 'Inlet';

function describeDetail(change: ContactChange): Record<string, unknown> | null {
  switch (change.kind) {
    case 'list.subscribed':
    case 'list.unsubscribed':
      return { listId: change.listId };
    case 'contact.unsubscribed':
    case 'contact.resubscribed':
    case 'contact.created':
      return {};
    default:
      return null;
  }
}

/** Notes what writes without a delivery did; a delivery's own effects tell what it did. */
export async function insertContactChanges(tx: Tx, outcomes: Outcome[], now: number): Promise<void> {
  const rows: unknown[][] = [];
  for (const { cause, changes } of outcomes) {
    if (cause.deliveryId !== null) continue;
    for (const change of changes) {
      const detail = describeDetail(change);
      if (!detail) continue;
      const told = JSON.stringify({ ...detail, by: describeOrigin(cause.key) });
      rows.push([makeId('chg', now), change.contact.id, change.kind, told, now]);
    }
  }
  await insertRows(tx, 'contact_changes', ['id', 'contact_id', 'kind', 'detail', 'created_at'], rows);
}

/** Notes who was behind contacts that this write removed: an erasure by such an id still finds them. */
export async function noteFormerContacts(tx: Tx, { people, loaded }: WorkingSet): Promise<void> {
  const rows: string[][] = [];
  for (const [id, { contactId }] of loaded.identities) {
    const now = people.identities.get(id);
    if (contactId === null || now === undefined || now.contactId === contactId) continue;
    if (!people.contacts.has(contactId) && !people.merged.has(contactId)) rows.push([contactId, id]);
  }
  await insertRows(tx, 'former_contacts', ['contact_id', 'identity_id'], rows, 'on conflict do nothing');
}
