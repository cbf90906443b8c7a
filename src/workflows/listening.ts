import { inArray } from 'drizzle-orm';
import { type WorkflowState, workflows } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { isTrigger, type Node } from './nodes/index.ts';

/** Workflows that take somebody in, with what each waits for. */
export async function listListening(tx: Tx) {
  const states: WorkflowState[] = ['running', 'paused'];
  const rows = await tx
    .select({
      id: workflows.id,
      state: workflows.state,
      pausedAt: workflows.pausedAt,
      mailingListId: workflows.mailingListId,
      root: workflows.rootNode,
      listens: workflows.listens,
    })
    .from(workflows)
    .where(inArray(workflows.state, states));
  return rows.flatMap(row => {
    const { id: rootNodeId, ...trigger } = row.root as { id: string } & Node;
    return isTrigger(trigger) ? [{ ...row, rootNodeId, trigger }] : [];
  });
}
export type Listening = Awaited<ReturnType<typeof listListening>>[number];
