import { inArray } from 'drizzle-orm';
import { makeAddressIdentity } from '../audience/apiWrite.ts';
import { findContact } from '../audience/findContact.ts';
import { applyNodeWrite, type NodeWritten } from '../audience/nodeWrite.ts';
import { makeEmailTie, type People } from '../audience/people.ts';
import type { Outcome, PeopleWriter, WriteKind } from '../audience/peopleWriter.ts';
import { runs, type Scalar, steps, workflows } from '../db/schema.ts';
import { limitLocked } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { LeaseLost } from '../queue/queue.ts';
import { composePerson, loadEventProperties } from './record.ts';
import { addStep, type RunRow, runQueue } from './runs.ts';
import { type Step, walk } from './walk.ts';
import type { WorkflowRow } from './workflows.ts';

/** A leased run that stands at a node which writes its contact, and whom it was about then. */
export interface ContactStep {
  run: RunRow;
  contactId: string;
  email: string;
  /** Lists that it names. */
  lists: string[];
}

interface Context {
  runs: Map<string, RunRow>;
  workflows: Map<string, WorkflowRow>;
  /** What the events had that started runs, by run. */
  events: Map<string, Record<string, Scalar>>;
  /** `run node` of steps that were taken before. */
  taken: Set<string>;
  done: { run: RunRow; moved: Partial<RunRow>; step: Step }[];
}

async function loadRuns(tx: Tx, ids: string[]): Promise<Context> {
  const found = await tx
    .select()
    .from(runs)
    .where(inArray(runs.id, ids))
    .orderBy(runs.id)
    .limit(limitLocked(tx, ids.length));
  const byId = new Map(found.map(run => [run.id, run]));
  const of = [...new Set(found.map(run => run.workflowId))];
  const flows = of.length ? await tx.select().from(workflows).where(inArray(workflows.id, of)) : [];
  const before = await tx
    .select({ runId: steps.runId, nodeId: steps.nodeId })
    .from(steps)
    .where(inArray(steps.runId, ids));
  const events: Context['events'] = new Map();
  for (const run of found) events.set(run.id, await loadEventProperties(tx, run.eventId));
  return {
    runs: byId,
    workflows: new Map(flows.map(row => [row.id, row as WorkflowRow])),
    events,
    taken: new Set(before.map(each => `${each.runId} ${each.nodeId}`)),
    done: [],
  };
}

/** Something changed meanwhile: the engine looks at the run anew. */
const ASIDE: Outcome = {
  ...{ result: null, changes: [], events: [], known: [], effects: [] },
  cause: { key: '', deliveryId: null },
};

const SKIPPED_MOVED = 'it was done before the graph was changed';

function takeStep(people: People, { run: leased, email }: ContactStep, context: Context, now: number): Outcome {
  const run = context.runs.get(leased.id);
  if (run?.status !== 'active' || run.fence !== leased.fence) throw new LeaseLost('runs', leased.id);
  const workflow = context.workflows.get(run.workflowId);
  const contact = findContact(people, { id: run.contactId });
  const isOver = workflow?.state !== 'running' || run.epoch < workflow.stoppedEpoch;
  if (isOver || (contact && contact.email !== email)) return { ...ASIDE, effects: [] };
  const eventProperties = context.events.get(run.id) ?? {};
  const person = contact && composePerson(contact, contact.lists, eventProperties);
  const { pending, steps: others } = walk(workflow, run, person, now);
  if (!contact || !pending || others.length) return { ...ASIDE, effects: [] };
  const key = `${run.id}:${run.nodeId}`;
  const told = context.taken.has(`${run.id} ${run.nodeId}`)
    ? { written: null, dropped: {}, reason: SKIPPED_MOVED }
    : applyNodeWrite(people, contact, pending.write, key, now);
  // The lease goes on: it counts as the one start of the next step.
  const moved = { nodeId: pending.next, visits: run.visits + 1, waiting: false, since: now, attempts: 1 };
  context.done.push({ run, moved, step: describeStep(pending.step, told) });
  const { changes = [], known = [], effects = [] } = told.written ?? {};
  return {
    result: { ...run, ...moved, fence: run.fence + 1 },
    changes,
    cause: { key, deliveryId: null },
    events: [],
    known,
    effects: [...effects],
  };
}

/** Names and reasons only: values are personal. */
function describeStep(step: Step, { written, dropped, reason }: NodeWritten): Step {
  const left = Object.keys(dropped).length ? { dropped } : {};
  if (written === null) return { ...step, outcome: 'skipped', detail: { ...step.detail, ...left, reason } };
  return { ...step, detail: { ...step.detail, ...left } };
}

/** The write of a node, its step and the run's next place are one transaction: a crash leaves all of them or none. */
const stepping: WriteKind<ContactStep, Context> = {
  lane: ({ email }) => makeEmailTie(email),
  load: (tx, writes) =>
    loadRuns(
      tx,
      writes.map(each => each.run.id),
    ),
  keys: ({ contactId, email, lists }) => ({
    ...{ contacts: [contactId], ids: [makeAddressIdentity(email)], ties: [makeEmailTie(email)] },
    lists,
  }),
  apply: takeStep,
  async save(tx, { done }, now) {
    for (const { run, moved, step } of done) {
      await runQueue.complete(tx, run, moved);
      await addStep(tx, { ...step, runId: run.id, workflowId: run.workflowId, at: now, doneAt: now });
    }
  },
};

/**
 * Has a node write its contact, once per run and node. Gives the run as it stands then, still leased; null: something changed
 * meanwhile, nothing was written. @throws LeaseLost, StoreUnavailable
 */
export const writeContact = (people: PeopleWriter, step: ContactStep): Promise<RunRow | null> =>
  people.write(stepping, step);
