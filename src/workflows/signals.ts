import { and, desc, eq, gte, inArray, isNull } from 'drizzle-orm';
import { loadMergedIdsOf } from '../audience/merges.ts';
import type { ContactChange } from '../changes.ts';
import { deliveries, events, runs, steps } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeIdAt } from '../id.ts';
import { describeEnd, type Heard, matchesEvent, NOTHING_SEEN, type Seen } from './expected.ts';
import { getNode } from './graph.ts';
import { findExpected } from './nodes/index.ts';
import { loadPerson, loadWorkflow } from './record.ts';
import type { RunRow } from './runs.ts';
import type { WorkflowRow } from './workflows.ts';

const MOST = 200; // events since a run began that are looked at, the newest

/** When deliveries happened by the provider's time, ms since 1970. */
async function readTimes(tx: Tx, deliveryIds: (string | null)[]): Promise<Map<string | null, number>> {
  const ids = [...new Set(deliveryIds.filter(id => id !== null))];
  if (!ids.length) return new Map();
  const rows = await tx
    .select({ id: deliveries.id, at: deliveries.occurredAt })
    .from(deliveries)
    .where(inArray(deliveries.id, ids));
  return new Map(rows.flatMap(row => (row.at === null ? [] : [[row.id, row.at]])));
}

/** What a run has seen, for workflows that listen to events beside their trigger. Events that happened before it began do not count. */
export async function readSeen(tx: Tx, run: RunRow, { listens }: WorkflowRow): Promise<Seen> {
  if (!listens.length) return NOTHING_SEEN;
  await tx.update(runs).set({ workflowId: run.workflowId }).where(eq(runs.id, run.id)); // locked: see tellRuns
  const found = await tx
    .select()
    .from(events)
    .where(
      and(
        inArray(events.contactId, await loadMergedIdsOf(tx, run.contactId)),
        inArray(events.eventName, listens),
        gte(events.id, makeIdAt('evt', run.createdAt)),
      ),
    )
    .orderBy(desc(events.id))
    .limit(MOST);
  const times = await readTimes(tx, [run.deliveryId, ...found.map(event => event.deliveryId)]);
  const begun = times.get(run.deliveryId) ?? run.createdAt;
  const heard = found
    .reverse()
    .flatMap(({ id, eventName, eventProperties: properties, deliveryId, createdAt }) =>
      id === run.eventId || (times.get(deliveryId) ?? createdAt) < begun ? [] : [{ id, eventName, properties }],
    );
  const [wait] = run.waiting
    ? await tx
        .select({ at: steps.at })
        .from(steps)
        .where(and(eq(steps.runId, run.id), eq(steps.visit, run.visits - 1)))
    : [];
  return { events: heard, waitingSince: wait?.at ?? null };
}

type Event = ContactChange & { kind: 'event' };

/**
 * Tells the open runs of a contact of an event that their workflow listens to: `exitOn` ends them wherever they are, a node that waits
 * for it is due. Gives whether any is due. The rows are locked first: who moves a run on meanwhile either sees the event or is seen.
 */
export async function tellRuns(
  tx: Tx,
  workflowId: string,
  { contact, eventId, eventName, eventProperties, occurredAt }: Event,
  now: number,
): Promise<boolean> {
  const open = await tx
    .update(runs)
    .set({ workflowId })
    .where(and(eq(runs.contactId, contact.id), eq(runs.workflowId, workflowId), isNull(runs.endedAt)))
    .returning();
  const workflow = open.length ? await loadWorkflow(tx, workflowId) : undefined;
  const person = workflow ? await loadPerson(tx, contact.id, {}) : null;
  if (!workflow || !person) return false;
  const times = await readTimes(
    tx,
    open.map(run => run.deliveryId),
  );
  const heard: Heard = { id: eventId, eventName, properties: eventProperties };
  let isDue = false;
  for (const run of open) {
    if ((occurredAt ?? now) < (times.get(run.deliveryId) ?? run.createdAt)) continue;
    if (workflow.exitOn.some(each => matchesEvent(each, heard, person))) {
      await endRun(tx, run.id, describeEnd(eventName), now);
      continue;
    }
    const node = run.waiting ? getNode(workflow.graph, run.nodeId) : undefined;
    const expected = node && findExpected(node);
    if (!expected || !matchesEvent(expected, heard, person)) continue;
    await tx.update(runs).set({ dueAt: now }).where(eq(runs.id, run.id));
    isDue = true;
  }
  return isDue;
}

async function endRun(tx: Tx, runId: string, reason: string, now: number): Promise<void> {
  await tx.update(runs).set({ status: 'exited', reason, endedAt: now }).where(eq(runs.id, runId));
  await tx
    .update(steps)
    .set({ outcome: 'ended', doneAt: now })
    .where(and(eq(steps.runId, runId), isNull(steps.doneAt)));
}
