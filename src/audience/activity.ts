import { and, desc, eq, inArray, lt } from 'drizzle-orm';
import { contactChanges, deliveries, events, mails, runs } from '../db/schema.ts';
import { countMatches } from '../db/search.ts';
import type { Store, Tx } from '../db/store.ts';

import { loadMergedIdsOf } from './merges.ts';

type Kind = 'delivery' | 'event' | 'run' | 'mail' | 'change';

interface Entry {
  id: string;
  at: number; // ms
  kind: Kind;
  summary: string;
  deliveryId: string | null;
  detail: Record<string, unknown>;
  /** What its id has after the prefix: sorts by age among all kinds. */
  age: string;
}

const readAge = (id: string) => id.slice(id.indexOf('_') + 1);
const makeEntry = (each: Omit<Entry, 'age'>): Entry => ({ ...each, age: readAge(each.id) });

const OUTCOME: Record<string, string> = {
  held: 'waits for its workflow',
  cut: 'was not started',
  active: 'is under way',
};

const CHANGE: Record<string, string> = {
  'contact.created': 'Created',
  'contact.unsubscribed': 'Unsubscribed',
  'contact.resubscribed': 'Subscribed again',
  'list.subscribed': 'Joined a mailing list',
  'list.unsubscribed': 'Left a mailing list',
};

/**
 * What happened to a contact and to those that became one with it, newest first: up to `limit` deliveries, events, runs, mails and
 * changes by no delivery whose age key is below `before`.
 */
export async function listActivity(tx: Tx, contactId: string, before: string | null, limit: number): Promise<Entry[]> {
  const entries: Entry[] = [];
  // One after the other: each is read in the order of its index, which holds for one id only.
  for (const id of await loadMergedIdsOf(tx, contactId))
    entries.push(...(await listOwnActivity(tx, id, before, limit)));
  return entries.sort((a, b) => (a.age < b.age ? 1 : -1)).slice(0, limit);
}

type Logged = typeof deliveries | typeof events | typeof runs | typeof mails | typeof contactChanges;

async function listOwnActivity(tx: Tx, contactId: string, before: string | null, limit: number): Promise<Entry[]> {
  const of = <T extends Logged>(table: T, prefix: string) =>
    and(eq(table.contactId, contactId), before === null ? undefined : lt(table.id, `${prefix}_${before}`));
  const received = await tx
    .select()
    .from(deliveries)
    .where(of(deliveries, 'dlv'))
    .orderBy(desc(deliveries.id))
    .limit(limit);
  const fired = await tx.select().from(events).where(of(events, 'evt')).orderBy(desc(events.id)).limit(limit);
  const ran = await tx.select().from(runs).where(of(runs, 'run')).orderBy(desc(runs.id)).limit(limit);
  const sent = await tx
    .select({
      id: mails.id,
      at: mails.createdAt,
      subject: mails.subject,
      state: mails.state,
      workflowRunId: mails.workflowRunId,
      transactionalId: mails.transactionalId,
    })
    .from(mails)
    .where(of(mails, 'mail'))
    .orderBy(desc(mails.id))
    .limit(limit);
  const changed = await tx
    .select()
    .from(contactChanges)
    .where(of(contactChanges, 'chg'))
    .orderBy(desc(contactChanges.id))
    .limit(limit);
  return [
    ...changed.map(({ id, createdAt: at, kind: change, detail }) => {
      const summary = `${CHANGE[change] ?? change} (${String(detail.by)})`;
      return makeEntry({ id, at, kind: 'change', summary, deliveryId: null, detail: { change, ...detail } });
    }),
    ...received.map(({ id, receivedAt: at, message: summary, provider, type, status, effects }) =>
      makeEntry({ id, at, kind: 'delivery', summary, deliveryId: id, detail: { provider, type, status, effects } }),
    ),
    ...fired.map(({ id, createdAt: at, eventName, eventProperties, deliveryId }) =>
      makeEntry({
        id,
        at,
        kind: 'event',
        summary: `Event ${eventName}`,
        deliveryId,
        detail: { eventName, eventProperties },
      }),
    ),
    ...ran.map(({ id, createdAt: at, workflowId, status, eventId, reason, deliveryId }) => {
      const summary = `Workflow run ${OUTCOME[status] ?? status}`;
      return makeEntry({ id, at, kind: 'run', summary, deliveryId, detail: { workflowId, status, eventId, reason } });
    }),
    ...sent.map(({ id, at, subject, ...detail }) =>
      makeEntry({
        id,
        at,
        kind: 'mail',
        summary: `Mail ${subject ?? ''} ${detail.state}`.replace('  ', ' '),
        deliveryId: null,
        detail,
      }),
    ),
  ];
}

/** How many there are in all, exact up to 10,000 of each kind. */
export async function countActivity(store: Store, contactId: string): Promise<{ total: number; capped: boolean }> {
  const sum = { total: 0, capped: false };
  const ids = await store.read(tx => loadMergedIdsOf(tx, contactId));
  for (const table of [deliveries, events, runs, mails, contactChanges]) {
    const where = inArray(table.contactId, ids);
    const { total, capped } = await countMatches(store, table, { where, narrow: where });
    sum.total += total;
    sum.capped ||= capped;
  }
  return sum;
}
