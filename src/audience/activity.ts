import { and, desc, eq, lt } from 'drizzle-orm';
import { counted } from '../db/scan.ts';
import { deliveries, events, mails, runs } from '../db/schema.ts';
import type { Store, Tx } from '../db/store.ts';

export type Kind = 'delivery' | 'event' | 'run' | 'mail';

export interface Entry {
  id: string;
  at: number; // ms
  kind: Kind;
  summary: string;
  deliveryId: string | null;
  detail: Record<string, unknown>;
  /** What its id has after the prefix: sorts by age among all kinds. */
  age: string;
}

const ageOf = (id: string) => id.slice(id.indexOf('_') + 1);
const entry = (each: Omit<Entry, 'age'>): Entry => ({ ...each, age: ageOf(each.id) });

const OUTCOME: Record<string, string> = {
  held: 'waits for its workflow',
  cut: 'was not started',
  active: 'is under way',
};

/** What happened to a contact, newest first: up to `limit` deliveries, events, runs and mails whose age key is below `before`. */
export async function activity(tx: Tx, contactId: string, before: string | null, limit: number): Promise<Entry[]> {
  const of = <T extends typeof deliveries | typeof events | typeof runs | typeof mails>(table: T, prefix: string) =>
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
  const entries = [
    ...received.map(({ id, receivedAt: at, message: summary, provider, type, status, effects }) =>
      entry({ id, at, kind: 'delivery', summary, deliveryId: id, detail: { provider, type, status, effects } }),
    ),
    ...fired.map(({ id, createdAt: at, eventName, eventProperties, deliveryId }) =>
      entry({
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
      return entry({ id, at, kind: 'run', summary, deliveryId, detail: { workflowId, status, eventId, reason } });
    }),
    ...sent.map(({ id, at, subject, ...detail }) =>
      entry({
        id,
        at,
        kind: 'mail',
        summary: `Mail ${subject ?? ''} ${detail.state}`.replace('  ', ' '),
        deliveryId: null,
        detail,
      }),
    ),
  ];
  return entries.sort((a, b) => (a.age < b.age ? 1 : -1)).slice(0, limit);
}

/** How many there are in all, exact up to 10,000 of each kind. */
export async function countActivity(store: Store, contactId: string): Promise<{ total: number; capped: boolean }> {
  const sum = { total: 0, capped: false };
  for (const table of [deliveries, events, runs, mails]) {
    const where = eq(table.contactId, contactId);
    const { total, capped } = await counted(store, table, { where, narrow: where });
    sum.total += total;
    sum.capped ||= capped;
  }
  return sum;
}
