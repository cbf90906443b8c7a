import { and, asc, eq, exists, inArray, sql } from 'drizzle-orm';
import { loadMergedIdsOf } from '../audience/merges.ts';
import { mails, runs, steps } from '../db/schema.ts';
import type { Search } from '../db/search.ts';
import type { Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import { formatTime } from '../time.ts';
import { matchStatus, type RunRow } from './runs.ts';

interface RunFilter {
  workflowId: string;
  status?: RunRow['status'] | undefined;
  contactId?: string | undefined;
  /** Who came to this node, and there to this outcome. */
  nodeId?: string | undefined;
  outcome?: string | undefined;
}

/** Runs that came to an outcome at a node, by the index that the counts are made of. */
function findAtNode(tx: Tx, workflowId: string, nodeId: string, outcome: string) {
  const there = and(eq(steps.workflowId, workflowId), eq(steps.nodeId, nodeId), eq(steps.outcome, outcome));
  const step = tx
    .select({ one: sql`1` })
    .from(steps)
    .where(and(eq(steps.runId, runs.id), there));
  return { where: exists(step), index: { from: steps, id: steps.runId, where: there, ordered: true } };
}

/** The filter as a search. The id of a contact finds the runs of all that are one with it. */
export async function searchRuns(tx: Tx, filter: RunFilter): Promise<Search> {
  const { workflowId, status, contactId, nodeId, outcome } = filter;
  if ((nodeId === undefined) !== (outcome === undefined))
    throw invalid('nodeId: give nodeId and outcome together: who came to which node, and to what there.');
  const at = nodeId === undefined || outcome === undefined ? null : findAtNode(tx, workflowId, nodeId, outcome);
  const where = and(
    eq(runs.workflowId, workflowId),
    status === undefined ? undefined : matchStatus(status),
    contactId === undefined ? undefined : inArray(runs.contactId, await loadMergedIdsOf(tx, contactId)),
    at?.where,
  );
  if (at) return { where, indexes: [at.index] };
  return { where, narrow: contactId === undefined ? undefined : where };
}

const viewRun = (row: RunRow) => ({
  id: row.id,
  workflowId: row.workflowId,
  contactId: row.contactId,
  status: row.status,
  nodeId: row.nodeId,
  eventId: row.eventId,
  deliveryId: row.deliveryId,
  reason: row.reason,
  nextAt: row.status === 'active' ? formatTime(row.dueAt) : null,
  createdAt: formatTime(row.createdAt) ?? '',
  endedAt: formatTime(row.endedAt),
});

/** Runs in the order of `ids`. */
export async function viewRuns(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(runs).where(inArray(runs.id, ids)) : [];
  return ids.flatMap(id => rows.filter(row => row.id === id).map(viewRun));
}

/** One run with its steps and the mails it caused. @throws AppError notFound */
export async function getRun(tx: Tx, id: string) {
  const [row] = await tx.select().from(runs).where(eq(runs.id, id));
  if (!row) throw notFound('Run');
  const done = await tx.select().from(steps).where(eq(steps.runId, id)).orderBy(asc(steps.visit));
  const caused = done.filter(each => each.outcome === 'sent');
  const keysOf = (step: (typeof done)[number]) => {
    const key = `${id}:${step.nodeId}`;
    return [key, `${key}:${step.visit}`]; // the second: of releases before 0.2
  };
  const sent = caused.length
    ? await tx
        .select({ id: mails.id, key: mails.mailKey, state: mails.state })
        .from(mails)
        .where(inArray(mails.mailKey, caused.flatMap(keysOf)))
    : [];
  const mailOf = (step: (typeof done)[number]) => {
    const mail = step.outcome === 'sent' && sent.find(each => keysOf(step).includes(each.key));
    return mail ? { mailId: mail.id, mailState: mail.state } : {};
  };
  return {
    ...viewRun(row),
    steps: done.map(each => ({
      nodeId: each.nodeId,
      typeName: each.typeName,
      outcome: each.outcome,
      at: formatTime(each.at) ?? '',
      doneAt: formatTime(each.doneAt),
      detail: { ...each.detail, ...mailOf(each) },
    })),
  };
}
