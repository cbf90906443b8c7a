import { desc, eq, inArray } from 'drizzle-orm';
import { emailMessages, events, workflows } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { getNode } from './graph.ts';
import { isTrigger, type Node } from './nodes/index.ts';
import { getWorkflow, QUEUEING_MS, type WorkflowRow } from './workflows.ts';

const LOOPS_STATUS = { draft: 'Draft', running: 'Sending', stopped: 'Paused' } as const;

/** Our state as Loops names it. A stopped workflow sends and queues nothing, as a long paused one. */
function formatLoopsStatus({ state, pausedAt }: Pick<WorkflowRow, 'state' | 'pausedAt'>, now: number) {
  if (state !== 'paused') return LOOPS_STATUS[state];
  return now < (pausedAt ?? 0) + QUEUEING_MS ? 'PausedAndQueueing' : 'Paused';
}

const formatTimes = (row: WorkflowRow) => ({
  createdAt: new Date(row.createdAt).toISOString(),
  updatedAt: new Date(row.updatedAt).toISOString(),
});

async function loadSubjects(tx: Tx, nodes: Node[]): Promise<Map<string, string>> {
  const ids = nodes.flatMap(node =>
    'emailMessageId' in node && node.emailMessageId !== null ? [node.emailMessageId] : [],
  );
  if (!ids.length) return new Map();
  const rows = await tx
    .select({ id: emailMessages.id, content: emailMessages.content })
    .from(emailMessages)
    .where(inArray(emailMessages.id, ids));
  return new Map(rows.map(row => [row.id, row.content.subject]));
}

const viewNode = (node: Node, subjects: Map<string, string>) =>
  'emailMessageId' in node ? { ...node, subject: subjects.get(node.emailMessageId ?? '') ?? '' } : node;

/** Loops' SimplifiedWorkflow, with our state and times. */
export async function viewWorkflow(tx: Tx, row: WorkflowRow, now: number) {
  const { id, state, name, description, mailingListId, exitOn, revisionId: workflowRevisionId, graph } = row;
  const subjects = await loadSubjects(tx, Object.values(graph.nodes));
  const nodes = Object.fromEntries(Object.entries(graph.nodes).map(([key, node]) => [key, viewNode(node, subjects)]));
  const status = formatLoopsStatus(row, now);
  const shown = { id, workflowRevisionId, status, state, name, description, mailingListId, exitOn };
  return { ...shown, rootNodeId: graph.rootNodeId, nodes, ...formatTimes(row) };
}

/** Workflows in the order of `ids`, in short. */
export async function viewWorkflows(tx: Tx, ids: string[], now: number) {
  const rows = ids.length ? await tx.select().from(workflows).where(inArray(workflows.id, ids)) : [];
  return ids.flatMap(id => {
    const row = rows.find(each => each.id === id) as WorkflowRow | undefined;
    return row
      ? [{ id, name: row.name, status: formatLoopsStatus(row, now), state: row.state, ...formatTimes(row) }]
      : [];
  });
}

/** One node as Loops' node read has it. @throws AppError notFound */
export async function viewOneNode(tx: Tx, workflowId: string, nodeId: string) {
  const row = await getWorkflow(tx, workflowId);
  const node = getNode(row.graph, nodeId);
  if (!node) throw new AppError('notFound', 'Workflow node not found.');
  const seen =
    isTrigger(node) && 'eventName' in node ? { eventProperties: await inferEventProperties(tx, node.eventName) } : {};
  const shown = viewNode(node, await loadSubjects(tx, [node]));
  return { id: nodeId, ...shown, ...seen, workflowId, workflowRevisionId: row.revisionId };
}

/** Names and types as the newest event of that name had them. */
async function inferEventProperties(tx: Tx, eventName: string | null) {
  if (eventName === null) return [];
  const [last] = await tx
    .select({ properties: events.eventProperties })
    .from(events)
    .where(eq(events.eventName, eventName))
    .orderBy(desc(events.id))
    .limit(1);
  return Object.entries(last?.properties ?? {}).map(([name, value]) => ({ name, type: typeof value }));
}
