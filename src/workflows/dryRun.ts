import { eq } from 'drizzle-orm';
import { findContact } from '../audience/contacts.ts';
import { findListsLeft } from '../audience/nodeWrite.ts';
import { decodeIdentity } from '../audience/workingSet.ts';
import { identities, type Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import type { Person } from './conditions.ts';
import { loadPerson } from './record.ts';
import { type Outcome, type Walk, walk } from './walk.ts';
import { getWorkflow, type WorkflowRow } from './workflows.ts';

const MAX_RESTS = 1000; // timers, looks at a date that is waited for, writes

type Pending = NonNullable<Walk['pending']>;

const SAMPLE = {
  id: 'con_sample',
  email: 'ada@example.com',
  subscribed: true,
  properties: { email: 'ada@example.com', firstName: 'Ada', lastName: 'Lovelace', userId: 'user_1', subscribed: true },
  lists: new Set<string>(),
};

interface DryRun {
  contactId?: string | undefined;
  email?: string | undefined;
  eventProperties?: Record<string, Scalar> | undefined;
}

async function loadDryPerson(tx: Tx, { contactId, email, eventProperties = {} }: DryRun): Promise<Person> {
  if (contactId === undefined && email === undefined) return { ...SAMPLE, eventProperties };
  if (contactId !== undefined && email !== undefined) throw invalid('Give contactId or email, not both.');
  const row = await findContact(tx, contactId === undefined ? { email: email ?? '' } : { id: contactId });
  const person = row && (await loadPerson(tx, row.id, eventProperties));
  if (!person) throw notFound('Contact');
  return person;
}

/** The person after a node wrote it, as far as a dry run tells, and what became of the step. */
function applyPending(
  person: Person,
  { write, step }: Pending,
  left: Set<string>,
): { person: Person; outcome: Outcome } {
  const { set = {}, join, leave } = write;
  const lists = new Set(person.lists);
  const isOn = lists.has(join ?? leave ?? '');
  if ((join !== undefined && (isOn || left.has(join))) || (leave !== undefined && !isOn))
    return { person, outcome: 'skipped' };
  if (join !== undefined) lists.add(join);
  if (leave !== undefined) lists.delete(leave);
  return { person: { ...person, lists, properties: { ...person.properties, ...set } }, outcome: step.outcome };
}

/** Lists that a contact or the API left: no workflow joins them again. */
async function readListsLeft(tx: Tx, contactId: string): Promise<Set<string>> {
  const rows = await tx.select().from(identities).where(eq(identities.contactId, contactId));
  return findListsLeft(rows.map(decodeIdentity));
}

/** The way a contact as it is now would take, timers passed over. Nothing is written or sent. @throws AppError notFound, invalid */
export async function runDry(tx: Tx, id: string, given: DryRun, now: number) {
  const workflow: WorkflowRow = await getWorkflow(tx, id);
  let person = await loadDryPerson(tx, given);
  const left = await readListsLeft(tx, person.id);
  const steps: { nodeId: string; typeName: string; outcome: string; at: string }[] = [];
  let at = now;
  let position: Walk['position'] = { nodeId: workflow.graph.rootNodeId, waiting: false, visits: 0, guards: [] };
  const note = ({ nodeId, typeName }: Walk['steps'][number], outcome: Outcome) =>
    steps.push({ nodeId, typeName, outcome, at: new Date(at).toISOString() });
  for (let rests = 0; rests <= MAX_RESTS; rests++) {
    const done = walk(workflow, position, person, at);
    for (const step of done.steps) note(step, step.outcome);
    if (!('dueAt' in done.rest)) return { steps, ...done.rest };
    at = done.rest.dueAt;
    position = done.position;
    if (!done.pending) continue;
    const after = applyPending(person, done.pending, left);
    note(done.pending.step, after.outcome);
    person = after.person;
    position = { ...position, nodeId: done.pending.next, visits: position.visits + 1 };
  }
  return { steps, status: 'exited' as const, reason: 'more timers than a workflow may have' };
}
