import { and, asc, eq, gte, inArray } from 'drizzle-orm';
import { loadMergedIdsOf } from '../audience/merges.ts';
import { type Effect, events, mails, runs, webhookCalls } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeIdAt } from '../id.ts';
import { formatTime } from '../time.ts';

const MOST = 50; // of each kind

/** What came of a delivery, up to 50 of each: the events it fired, the runs they started, the mails of those and the outgoing calls. */
export async function traceDelivery(
  tx: Tx,
  delivery: { id: string; contactId: string | null; receivedAt: number; effects: Effect[] },
) {
  const contactIds = delivery.contactId === null ? [''] : await loadMergedIdsOf(tx, delivery.contactId);
  const fired = await tx
    .select()
    .from(events)
    .where(
      and(
        inArray(events.contactId, contactIds),
        gte(events.id, makeIdAt('evt', delivery.receivedAt)),
        eq(events.deliveryId, delivery.id),
      ),
    )
    .orderBy(asc(events.id))
    .limit(MOST);
  const started = await tx
    .select()
    .from(runs)
    .where(
      and(
        inArray(runs.contactId, contactIds),
        gte(runs.id, makeIdAt('run', delivery.receivedAt)),
        eq(runs.deliveryId, delivery.id),
      ),
    )
    .orderBy(asc(runs.id))
    .limit(MOST);
  const ofRuns = inArray(mails.workflowRunId, [...started.map(run => run.id), '']);
  const sent = await tx
    .select({
      id: mails.id,
      runId: mails.workflowRunId,
      subject: mails.subject,
      state: mails.state,
      at: mails.createdAt,
    })
    .from(mails)
    .where(and(inArray(mails.contactId, contactIds), gte(mails.id, makeIdAt('mail', delivery.receivedAt)), ofRuns))
    .orderBy(asc(mails.id))
    .limit(MOST);
  const callIds = delivery.effects.flatMap(({ callId }) => (typeof callId === 'string' ? [callId] : [])).slice(0, MOST);
  const called = await tx
    .select({
      id: webhookCalls.id,
      subscriptionId: webhookCalls.subscriptionId,
      eventName: webhookCalls.eventName,
      state: webhookCalls.state,
      at: webhookCalls.createdAt,
    })
    .from(webhookCalls)
    .where(inArray(webhookCalls.id, [...callIds, '']))
    .orderBy(asc(webhookCalls.id));
  return {
    events: fired.map(({ id, eventName, createdAt }) => ({ id, eventName, at: formatTime(createdAt) })),
    runs: started.map(({ id, workflowId, eventId, status, createdAt }) => ({
      id,
      workflowId,
      eventId,
      status,
      at: formatTime(createdAt),
    })),
    mails: sent.map(({ at, ...mail }) => ({ ...mail, at: formatTime(at) })),
    calls: called.map(({ at, ...call }) => ({ ...call, at: formatTime(at) })),
  };
}
