import { eq, inArray } from 'drizzle-orm';
import { emailMessages, lists, properties, workflows } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';
import { makeId } from '../id.ts';
import { enqueue } from '../jobs/queue.ts';
import { parseName } from '../plainName.ts';
import { DEFAULT_PROPERTIES, filterProblem, type PropertyType } from './conditions.ts';
import type { Expected } from './expected.ts';
import { EMPTY, type Graph, getNode, type Known, listLacks, readGraph } from './graph.ts';
import { findExpected } from './nodes/index.ts';
import { type EndRuns, openRuns } from './runs.ts';

export type WorkflowRow = typeof workflows.$inferSelect & { graph: Graph; exitOn: Expected[] };

/** New entrants queue for so long while a workflow is paused; later ones are not taken in. */
export const QUEUEING_MS = 86_400_000;
const MAX_PROBLEMS = 10;

const makeNotFound = () => new AppError('notFound', 'Workflow not found.');

/** @throws AppError notFound */
export async function getWorkflow(tx: Tx, id: string): Promise<WorkflowRow> {
  const [row] = await tx.select().from(workflows).where(eq(workflows.id, id));
  if (!row) throw makeNotFound();
  return row as WorkflowRow;
}

async function requireList(tx: Tx, id: string | null | undefined): Promise<void> {
  if (id === null || id === undefined) return;
  const [row] = await tx.select({ id: lists.id }).from(lists).where(eq(lists.id, id));
  if (!row) throw invalid(`mailingListId: there is no list ${id}. GET /api/v1/lists shows them.`);
}

const getRoot = (graph: Graph) => ({ id: graph.rootNodeId, ...getNode(graph, graph.rootNodeId) });

interface WorkflowFields {
  name: string;
  description?: string | null | undefined;
  mailingListId?: string | null | undefined;
  /** Events that end a run wherever it is. */
  exitOn?: Expected[] | undefined;
}

/** Names of the events that runs are told of. */
function findListens(graph: Graph, exitOn: Expected[]): string[] {
  const awaited = Object.values(graph.nodes).flatMap(node => findExpected(node) ?? []);
  return [...new Set([...exitOn, ...awaited].map(each => each.eventName))];
}

async function requireExpected(tx: Tx, given: Expected[] | undefined): Promise<void> {
  const known = given?.some(each => each.filter) ? await loadKnown(tx, {}) : null;
  for (const [i, { filter }] of (given ?? []).entries()) {
    const problem = filter && known && filterProblem(filter, known.typeOf, known.isList);
    if (problem) throw invalid(`exitOn.${i}.${problem.replace(/^audienceFilter/, 'filter')}.`);
  }
}

/** A draft that does nothing yet. @throws AppError invalid */
export async function createWorkflow(tx: Tx, fields: WorkflowFields, now: number): Promise<WorkflowRow> {
  await requireList(tx, fields.mailingListId);
  await requireExpected(tx, fields.exitOn);
  const row: WorkflowRow = {
    id: makeId('wf', now),
    name: parseName(fields.name),
    description: fields.description ?? null,
    mailingListId: fields.mailingListId ?? null,
    state: 'draft',
    revisionId: null,
    graph: EMPTY,
    rootNode: getRoot(EMPTY),
    exitOn: fields.exitOn ?? [],
    listens: findListens(EMPTY, fields.exitOn ?? []),
    pausedAt: null,
    epoch: 0,
    stoppedEpoch: 0,
    createdAt: now,
    updatedAt: now,
  };
  await tx.insert(workflows).values(row);
  return row;
}

/** @throws AppError notFound; conflict when somebody changed it meanwhile */
async function requireRevision(tx: Tx, id: string, expected: string | null | undefined): Promise<WorkflowRow> {
  const row = await getWorkflow(tx, id);
  if (expected === undefined || row.revisionId === expected) return row;
  throw new AppError(
    'conflict',
    'expectedRevisionId: is stale, the workflow was changed since. Read it again and send its workflowRevisionId.',
  );
}

async function change(tx: Tx, row: WorkflowRow, set: Partial<WorkflowRow>, now: number): Promise<WorkflowRow> {
  const all = { ...set, updatedAt: now };
  await tx.update(workflows).set(all).where(eq(workflows.id, row.id));
  return { ...row, ...all };
}

/** @throws AppError notFound, conflict */
export async function updateWorkflow(
  tx: Tx,
  id: string,
  expected: string | null | undefined,
  fields: Partial<Omit<WorkflowFields, 'mailingListId'>>,
  now: number,
): Promise<WorkflowRow> {
  const row = await requireRevision(tx, id, expected);
  const name = fields.name === undefined ? row.name : parseName(fields.name);
  const { description = row.description, exitOn = row.exitOn } = fields;
  await requireExpected(tx, fields.exitOn);
  const set = { name, description, exitOn, listens: findListens(row.graph, exitOn) };
  return change(tx, row, { ...set, revisionId: makeId('rev', now) }, now);
}

/** What the graph may name, as of this transaction. */
async function loadKnown(tx: Tx, nodes: Record<string, Record<string, unknown>>): Promise<Known> {
  const typed = await tx.select({ key: properties.key, type: properties.type }).from(properties);
  const types = new Map<string, PropertyType>([
    ...Object.entries(DEFAULT_PROPERTIES),
    ...typed.map(row => [row.key, row.type] as const),
  ]);
  const listIds = new Set((await tx.select({ id: lists.id }).from(lists)).map(row => row.id));
  const named = Object.values(nodes).flatMap(each =>
    typeof each.emailMessageId === 'string' ? [each.emailMessageId] : [],
  );
  const messages = named.length
    ? await tx
        .select({ id: emailMessages.id })
        .from(emailMessages)
        .where(inArray(emailMessages.id, named.slice(0, 300)))
    : [];
  const messageIds = new Set(messages.map(row => row.id));
  return {
    typeOf: key => types.get(key),
    isList: id => listIds.has(id),
    isEmailMessage: id => messageIds.has(id),
  };
}

const joinProblems = (problems: string[]) => {
  const more = problems.length - MAX_PROBLEMS;
  return `${problems.slice(0, MAX_PROBLEMS).join('; ')}${more > 0 ? `; and ${more} more` : ''}.`;
};

/** What becomes of contacts who stand at what goes away: `fail` refuses the change, `discard` lets them leave. */
type QueuedContactPolicy = 'fail' | 'discard';

interface GivenGraph {
  expectedRevisionId?: string | null | undefined;
  rootNodeId: string;
  nodes: Record<string, Record<string, unknown>>;
  queuedContactPolicy: QueuedContactPolicy;
}

/**
 * Puts a whole graph in place of the present one. Runs follow it from the node they stand at.
 * @throws AppError invalid naming each wrong node; conflict when stale, or when contacts stand at a node that goes away
 */
export async function putGraph(tx: Tx, id: string, given: GivenGraph, now: number): Promise<WorkflowRow> {
  const row = await requireRevision(tx, id, given.expectedRevisionId);
  const read = readGraph(given.rootNodeId, given.nodes, await loadKnown(tx, given.nodes));
  if ('problems' in read) throw invalid(joinProblems(read.problems));
  const { graph } = read;
  const lacks = row.state === 'running' || row.state === 'paused' ? listLacks(graph) : [];
  if (lacks.length) throw invalid(`The workflow is ${row.state}: ${joinProblems(lacks)}`);
  const gone = Object.keys(row.graph.nodes).filter(
    key => getNode(graph, key)?.typeName !== getNode(row.graph, key)?.typeName,
  );
  const queued = row.state === 'draft' ? 0 : await openRuns(tx, id, gone);
  if (queued && given.queuedContactPolicy === 'fail')
    throw new AppError(
      'conflict',
      `${queued} contacts stand at nodes that this removes (${gone.slice(0, 5).join(', ')}). Keep those nodes, or send queuedContactPolicy: "discard" to let these contacts leave.`,
    );
  const next = queued ? await endRuns(tx, row, { nodeIds: gone, reason: 'its node was removed' }, now) : {};
  return change(
    tx,
    row,
    {
      ...next,
      graph,
      rootNode: getRoot(graph),
      listens: findListens(graph, row.exitOn),
      revisionId: makeId('rev', now),
    },
    now,
  );
}

/** Has a job end what runs there are now. Gives the epoch of those that start from here on. */
async function endRuns(
  tx: Tx,
  row: WorkflowRow,
  what: Pick<EndRuns, 'nodeIds' | 'reason'>,
  now: number,
): Promise<{ epoch: number }> {
  const epoch = row.epoch + 1;
  const ended: EndRuns = { workflowId: row.id, ...what, at: now, before: epoch };
  await enqueue(tx, 'workflows.end', ended, now);
  return { epoch };
}

/** @throws AppError conflict */
function refuse(row: WorkflowRow, what: string): never {
  throw new AppError('conflict', `The workflow is ${row.state}; ${what}`);
}

/** Begins to listen to the trigger. Nothing happens when it runs already. @throws AppError notFound, invalid, conflict */
export async function startWorkflow(tx: Tx, id: string, now: number): Promise<WorkflowRow> {
  const row = await getWorkflow(tx, id);
  if (row.state === 'running') return row;
  if (row.state === 'paused') refuse(row, 'resume it.');
  const { nodes, rootNodeId } = row.graph;
  const read = readGraph(rootNodeId, nodes, await loadKnown(tx, nodes));
  const problems = [...('problems' in read ? read.problems : []), ...listLacks(row.graph)];
  if (problems.length) throw invalid(`It can't start yet: ${joinProblems(problems)}`);
  return change(tx, row, { state: 'running', pausedAt: null }, now);
}

/** Keeps everybody in place; new entrants queue for a day. @throws AppError notFound, conflict */
export async function pauseWorkflow(tx: Tx, id: string, now: number): Promise<WorkflowRow> {
  const row = await getWorkflow(tx, id);
  if (row.state === 'paused') return row;
  if (row.state !== 'running') refuse(row, 'only a running one can be paused.');
  return change(tx, row, { state: 'paused', pausedAt: now }, now);
}

/** Lets everybody go on from where they are. @throws AppError notFound, conflict */
export async function resumeWorkflow(tx: Tx, id: string, now: number): Promise<WorkflowRow> {
  const row = await getWorkflow(tx, id);
  if (row.state === 'running') return row;
  if (row.state !== 'paused') refuse(row, 'only a paused one can be resumed. Start it.');
  await enqueue(tx, 'workflows.release', { workflowId: id }, now);
  return change(tx, row, { state: 'running', pausedAt: null }, now);
}

/** Lets everybody leave and takes nobody in. @throws AppError notFound, conflict */
export async function stopWorkflow(tx: Tx, id: string, now: number): Promise<WorkflowRow> {
  const row = await getWorkflow(tx, id);
  if (row.state === 'stopped') return row;
  if (row.state === 'draft') refuse(row, 'it was never started.');
  const { epoch } = await endRuns(tx, row, { nodeIds: null, reason: STOPPED }, now);
  return change(tx, row, { state: 'stopped', pausedAt: null, epoch, stoppedEpoch: epoch }, now);
}

export const STOPPED = 'the workflow was stopped';
export const REMOVED = 'the workflow was deleted';

/** Removes it; runs stay readable. @throws AppError notFound; conflict without `confirmed` while it is in use, or stale */
export async function deleteWorkflow(
  tx: Tx,
  id: string,
  expected: string | null | undefined,
  confirmed: boolean,
  now: number,
): Promise<void> {
  const row = await requireRevision(tx, id, expected);
  const queued = row.state === 'draft' ? 0 : await openRuns(tx, id, null);
  const inUse = queued > 0 || row.state === 'running' || row.state === 'paused';
  if (inUse && !confirmed)
    throw new AppError(
      'conflict',
      `The workflow is ${row.state} and ${queued} contacts are in it. Confirm deletion by sending a second request with confirmDelete: true.`,
    );
  if (queued) await endRuns(tx, row, { nodeIds: null, reason: REMOVED }, now);
  await tx.delete(workflows).where(eq(workflows.id, id));
}

interface ListChange {
  expectedRevisionId?: string | null | undefined;
  mailingListId: string | null;
  dryRun: boolean;
  queuedContactPolicy: QueuedContactPolicy;
}

/** Limits a workflow to the members of a list, or to none. Loops' three answers. @throws AppError notFound, invalid, conflict */
export async function changeList(tx: Tx, id: string, given: ListChange, now: number) {
  const row = await requireRevision(tx, id, given.expectedRevisionId);
  const { mailingListId } = given;
  await requireList(tx, mailingListId);
  const queuedContactCount = row.state === 'draft' ? 0 : await openRuns(tx, id, null);
  const counted = { mailingListId, queuedContactCount };
  if (given.dryRun) return { status: 'dryRun' as const, ...counted };
  if (queuedContactCount && given.queuedContactPolicy === 'fail')
    return { status: 'queuedContactsFound' as const, ...counted };
  const reason = 'its mailing list was changed';
  const next = queuedContactCount ? await endRuns(tx, row, { nodeIds: null, reason }, now) : {};
  const changed = await change(tx, row, { ...next, mailingListId, revisionId: makeId('rev', now) }, now);
  return { status: 'updated' as const, ...counted, workflowRevisionId: changed.revisionId, changed };
}
