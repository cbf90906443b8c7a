import { contactBy } from '../audience/contacts.ts';
import type { Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import type { Person } from './conditions.ts';
import { personOf } from './record.ts';
import { type Walk, walk } from './walk.ts';
import { type WorkflowRow, workflowById } from './workflows.ts';

const MAX_TIMERS = 1000; // and looks at a date that is waited for

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

async function personFor(tx: Tx, { contactId, email, eventProperties = {} }: DryRun): Promise<Person> {
  if (contactId === undefined && email === undefined) return { ...SAMPLE, eventProperties };
  if (contactId !== undefined && email !== undefined) throw invalid('Give contactId or email, not both.');
  const row = await contactBy(tx, contactId === undefined ? { email: email ?? '' } : { id: contactId });
  const person = row && (await personOf(tx, row.id, eventProperties));
  if (!person) throw notFound('Contact');
  return person;
}

/** The way a contact as it is now would take, timers passed over. Nothing is written or sent. @throws AppError notFound, invalid */
export async function dryRun(tx: Tx, id: string, given: DryRun, now: number) {
  const workflow: WorkflowRow = await workflowById(tx, id);
  const person = await personFor(tx, given);
  const steps: { nodeId: string; typeName: string; outcome: string; at: string }[] = [];
  let at = now;
  let position: Walk['position'] = { nodeId: workflow.graph.rootNodeId, waiting: false, visits: 0, guards: [] };
  for (let timers = 0; timers <= MAX_TIMERS; timers++) {
    const done = walk(workflow, position, person, at);
    for (const { nodeId, typeName, outcome } of done.steps)
      steps.push({ nodeId, typeName, outcome, at: new Date(at).toISOString() });
    if (!('dueAt' in done.rest)) return { steps, ...done.rest };
    at = done.rest.dueAt;
    position = done.position;
  }
  return { steps, status: 'exited' as const, reason: 'more timers than a workflow may have' };
}
