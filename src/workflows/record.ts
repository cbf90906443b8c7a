import { eq, sql } from 'drizzle-orm';
import { contacts, events, memberships, type Scalar, workflows } from '../db/schema.ts';
import { prepare, type Tx } from '../db/store.ts';
import { queueMail } from '../mail/mails.ts';
import type { Person } from './conditions.ts';
import { addStep } from './runs.ts';
import type { Walk } from './walk.ts';
import type { WorkflowRow } from './workflows.ts';

/** A workflow as of this transaction. */
export const loadWorkflow = async (tx: Tx, id: string) =>
  (await prepare(tx, 'runWorkflow', t =>
    t
      .select()
      .from(workflows)
      .where(eq(workflows.id, sql.placeholder('id')))
      .prepare(),
  ).get({ id })) as WorkflowRow | undefined;

const prepareContact = (tx: Tx) =>
  prepare(tx, 'runContact', t =>
    t
      .select()
      .from(contacts)
      .where(eq(contacts.id, sql.placeholder('contactId')))
      .prepare(),
  );
const prepareLists = (tx: Tx) =>
  prepare(tx, 'runLists', t =>
    t
      .select({ id: memberships.listId })
      .from(memberships)
      .where(eq(memberships.contactId, sql.placeholder('contactId')))
      .prepare(),
  );
/** What the event that started a run had, {} without one. */
export async function loadEventProperties(tx: Tx, eventId: string | null): Promise<Record<string, Scalar>> {
  if (eventId === null) return {};
  const event = await prepare(tx, 'runEvent', t =>
    t
      .select({ properties: events.eventProperties })
      .from(events)
      .where(eq(events.id, sql.placeholder('eventId')))
      .prepare(),
  ).get({ eventId });
  return event?.properties ?? {};
}

/** The contact of a run as conditions and mails see it; null: gone. */
export async function loadPerson(
  tx: Tx,
  contactId: string,
  eventProperties: Record<string, Scalar>,
): Promise<Person | null> {
  const row = await prepareContact(tx).get({ contactId });
  if (!row) return null;
  const on = await prepareLists(tx).all({ contactId });
  return composePerson(
    row,
    on.map(each => each.id),
    eventProperties,
  );
}

type ContactRow = Omit<typeof contacts.$inferSelect, 'createdAt' | 'updatedAt'>;

/** A contact's row with the ids of its lists as conditions see it. */
export function composePerson(row: ContactRow, lists: string[], eventProperties: Record<string, Scalar>): Person {
  const { id, email, userId, firstName, lastName, source, userGroup, subscribed } = row;
  return {
    ...{ id, email, subscribed },
    properties: { ...row.properties, email, userId, firstName, lastName, source, userGroup, subscribed },
    lists: new Set(lists),
    eventProperties,
  };
}

/** Where a run stands after a walk, and how it ended if it did. */
export const describeRest = ({ position, rest }: Walk, now: number) =>
  'dueAt' in rest
    ? { ...position, status: 'active' as const, dueAt: rest.dueAt, since: now }
    : { ...position, status: rest.status, reason: rest.reason, endedAt: now };

/** Queues the mails of a walk and writes its steps. A node's mail is sent once per run, also where an edit of the graph moved the node. */
export async function recordWalk(
  tx: Tx,
  run: { id: string; workflowId: string; contactId: string },
  epoch: number,
  { steps, mails }: Walk,
  person: Person | null,
  now: number,
): Promise<void> {
  const skipped = new Set<number>();
  for (const { visit, nodeId, emailMessageId } of mails) {
    const mail = { contactId: run.contactId, to: person?.email ?? '', emailMessageId, transactional: false };
    const event = person?.eventProperties ?? {};
    const data = Object.keys(event).length ? { event } : {}; // where nothing is kept, nothing can be forgotten
    const of = { data, workflow: { id: run.workflowId, epoch, runId: run.id } };
    if ((await queueMail(tx, { ...mail, ...of, key: `${run.id}:${nodeId}` }, now)) === null) skipped.add(visit);
  }
  for (const step of steps)
    await addStep(tx, {
      ...step,
      outcome: skipped.has(step.visit) ? 'skipped' : step.outcome,
      runId: run.id,
      workflowId: run.workflowId,
      at: now,
      doneAt: step.outcome === 'waiting' ? null : now,
    });
}
