import { and, asc, eq, inArray } from 'drizzle-orm';
import { loadMergedIdsOf } from '../audience/merges.ts';
import type { Search } from '../db/scan.ts';
import { mails, runs, steps } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { notFound } from '../errors.ts';
import { inStatus, type RunRow } from './runs.ts';

interface RunFilter {
  workflowId: string;
  status?: RunRow['status'] | undefined;
  contactId?: string | undefined;
}

/** The filter as a search. The id of a contact finds the runs of all that are one with it. */
export async function searchRuns(tx: Tx, { workflowId, status, contactId }: RunFilter): Promise<Search> {
  const where = and(
    eq(runs.workflowId, workflowId),
    status === undefined ? undefined : inStatus(status),
    contactId === undefined ? undefined : inArray(runs.contactId, await loadMergedIdsOf(tx, contactId)),
  );
  return { where, narrow: contactId === undefined ? undefined : where };
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

const viewRun = (row: RunRow) => ({
  id: row.id,
  workflowId: row.workflowId,
  contactId: row.contactId,
  status: row.status,
  nodeId: row.nodeId,
  eventId: row.eventId,
  deliveryId: row.deliveryId,
  reason: row.reason,
  nextAt: row.status === 'active' ? iso(row.dueAt) : null,
  createdAt: iso(row.createdAt) ?? '',
  endedAt: iso(row.endedAt),
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
      at: iso(each.at) ?? '',
      doneAt: iso(each.doneAt),
      detail: { ...each.detail, ...mailOf(each) },
    })),
  };
}
