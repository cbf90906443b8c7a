import { and, eq, isNull, sql } from 'drizzle-orm';
import type { Cause, Who } from '../changes.ts';
import { type Effect, runs, type Scalar } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { makeId } from '../id.ts';
import { HOUR_MS } from '../time.ts';
import type { Person } from './conditions.ts';
import { describeRest, loadPerson, loadWorkflow, recordWalk } from './record.ts';
import { type Walk, walk } from './walk.ts';
import type { WorkflowRow } from './workflows.ts';

/** Runs that one contact may start within an hour of the clock, other than by webhooks: cuts workflows that start each other. */
export const MAX_AN_HOUR = 20;
const CUT = 'cut:'; // begins the entry of a run that was not started

interface Start {
  workflowId: string;
  rootNodeId: string;
  contact: Who;
  /** '' where a contact enters once for ever, else what started it. */
  entry: string;
  /** Nothing starts while a run of the contact is under way. */
  isExclusive: boolean;
  event: { id: string; properties: Record<string, Scalar> } | null;
}

/** How many runs of a contact began within this hour of the clock and were not cut. */
async function countStartedThisHour(tx: Tx, contactId: string, hour: number): Promise<number> {
  const rows = await prepare(tx, 'runsThisHour', t =>
    t
      .select({ id: runs.id })
      .from(runs)
      .where(and(eq(runs.contactId, sql.placeholder('contactId')), eq(runs.hour, sql.placeholder('hour'))))
      .prepare(),
  ).all({ contactId, hour });
  return rows.length;
}

const hasEntered = (tx: Tx, { workflowId, contact, entry }: Start) =>
  prepare(tx, 'runEntered', t =>
    t
      .select({ id: runs.id })
      .from(runs)
      .where(
        and(
          eq(runs.workflowId, sql.placeholder('workflowId')),
          eq(runs.contactId, sql.placeholder('contactId')),
          eq(runs.entry, sql.placeholder('entry')),
        ),
      )
      .prepare(),
  ).get({ workflowId, contactId: contact.id, entry });

/** Whether a run of the contact is under way: who starts one holds the contact, so that no other starts meanwhile. */
const isUnderWay = async (tx: Tx, { workflowId, contact }: Start) => {
  const of = and(eq(runs.workflowId, workflowId), eq(runs.contactId, contact.id), isNull(runs.endedAt));
  const [open] = await tx.select({ id: runs.id }).from(runs).where(of).limit(1);
  return open !== undefined;
};

/**
 * The way to the first timer or the end, to be taken in the transaction that starts the run. Null: the worker takes it, because the
 * workflow does not run just now, or something is wrong with it: what starts a run must not fail by it.
 */
async function walkFirst(
  tx: Tx,
  workflow: WorkflowRow | undefined,
  start: Start,
  now: number,
): Promise<{ walked: Walk; person: Person | null } | null> {
  if (workflow?.state !== 'running') return null;
  const person = await loadPerson(tx, start.contact.id, start.event?.properties ?? {});
  const from = { nodeId: workflow.graph.rootNodeId, waiting: false, visits: 0, guards: [] };
  try {
    return { walked: walk(workflow, from, person, now), person };
  } catch {
    return null;
  }
}

/**
 * Starts a run, once per entry, and takes it as far as it goes. Gives what to show of it, null when it was started before. A cut one
 * does not use its entry up.
 */
export async function startRun(tx: Tx, start: Start, cause: Cause, now: number): Promise<Effect | null> {
  const { workflowId, contact, entry, event } = start;
  if (await hasEntered(tx, start)) return null;
  if (start.isExclusive && (await isUnderWay(tx, start))) return null;
  const hour = Math.floor(now / HOUR_MS);
  const isOfProvider = cause.deliveryId !== null; // which sends thirty receipts on a day of billing, and no workflow causes
  const run = { id: makeId('run', now), workflowId, contactId: contact.id, entry, hour: isOfProvider ? -1 : hour, now };
  const origin = { eventId: event?.id ?? null, deliveryId: cause.deliveryId };
  const still = {
    nodeId: start.rootNodeId,
    waiting: false,
    visits: 0,
    guards: [],
    dueAt: now,
    reason: null,
    endedAt: null,
  };
  if (!isOfProvider && (await countStartedThisHour(tx, contact.id, hour)) >= MAX_AN_HOUR) {
    const reason = `more than ${MAX_AN_HOUR} runs of this contact within an hour`;
    const cut = { status: 'cut', epoch: 0, entry: `${CUT}${run.id}`, hour: -1, reason, endedAt: now };
    await insertRun(tx).run({ ...run, ...origin, ...still, ...cut });
    return { kind: 'workflow.cut', workflowId, runId: run.id };
  }
  const workflow = await loadWorkflow(tx, workflowId);
  const epoch = workflow?.epoch ?? 0;
  const first = await walkFirst(tx, workflow, start, now);
  const at = first ? describeRest(first.walked, now) : { status: 'active' };
  await insertRun(tx).run({ ...run, ...origin, ...still, ...at, epoch });
  if (first) await recordWalk(tx, run, epoch, first.walked, first.person, now);
  return { kind: 'workflow.started', workflowId, runId: run.id };
}

const insertRun = (tx: Tx) =>
  prepare(tx, 'run+', t =>
    t
      .insert(runs)
      .values({
        id: sql.placeholder('id'),
        workflowId: sql.placeholder('workflowId'),
        contactId: sql.placeholder('contactId'),
        entry: sql.placeholder('entry'),
        status: sql.placeholder('status'),
        nodeId: sql.placeholder('nodeId'),
        waiting: sql.placeholder('waiting'),
        visits: sql.placeholder('visits'),
        guards: sql.placeholder('guards'),
        dueAt: sql.placeholder('dueAt'),
        since: sql.placeholder('now'),
        attempts: 0,
        eventId: sql.placeholder('eventId'),
        deliveryId: sql.placeholder('deliveryId'),
        reason: sql.placeholder('reason'),
        createdAt: sql.placeholder('now'),
        endedAt: sql.placeholder('endedAt'),
        hour: sql.placeholder('hour'),
        epoch: sql.placeholder('epoch'),
      })
      .prepare(),
  );
