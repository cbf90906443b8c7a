import { and, asc, eq, gt, sql } from 'drizzle-orm';
import { type RunStatus, runs, steps } from '../db/schema.ts';
import type { Store, Tx } from '../db/store.ts';
import { yieldTurn } from '../time.ts';
import { matchStatus } from './runs.ts';

const WINDOW = 10_000; // index entries counted at once: 1 to 2 ms

/** Ids of the next window above one, in order. */
type Ids = (tx: Tx, after: string) => Promise<{ n: unknown; last: unknown }[]>;

/** Counts in windows, so that webhooks are answered in between. */
async function countAll(store: Store, window: Ids): Promise<number> {
  let total = 0;
  for (let after = ''; ; ) {
    const [found] = await store.read(tx => window(tx, after));
    const n = Number(found?.n ?? 0);
    total += n;
    if (n < WINDOW) return total;
    after = String(found?.last);
    await yieldTurn();
  }
}

function countRuns(store: Store, workflowId: string, status: RunStatus): Promise<number> {
  return countAll(store, (tx, after) => {
    const some = tx
      .select({ id: runs.id })
      .from(runs)
      .where(and(eq(runs.workflowId, workflowId), matchStatus(status), gt(runs.id, after)))
      .orderBy(asc(runs.id))
      .limit(WINDOW)
      .as('some');
    return tx.select({ n: sql`count(*)`, last: sql`max(${some.id})` }).from(some);
  });
}

function countSteps(store: Store, workflowId: string, nodeId: string, outcome: string): Promise<number> {
  return countAll(store, (tx, after) => {
    const some = tx
      .select({ id: steps.runId })
      .from(steps)
      .where(
        and(
          eq(steps.workflowId, workflowId),
          eq(steps.nodeId, nodeId),
          eq(steps.outcome, outcome),
          gt(steps.runId, after),
        ),
      )
      .orderBy(asc(steps.runId))
      .limit(WINDOW)
      .as('some');
    return tx.select({ n: sql`count(*)`, last: sql`max(${some.id})` }).from(some);
  });
}

/** The next pair of node and outcome that has steps: one look into the index. */
const findPairAfter = (tx: Tx, workflowId: string, nodeId: string, outcome: string) =>
  tx
    .select({ nodeId: steps.nodeId, outcome: steps.outcome })
    .from(steps)
    .where(and(eq(steps.workflowId, workflowId), sql`(${steps.nodeId}, ${steps.outcome}) > (${nodeId}, ${outcome})`))
    .orderBy(asc(steps.nodeId), asc(steps.outcome))
    .limit(1);

const STATUSES: RunStatus[] = ['active', 'held', 'completed', 'exited', 'failed', 'cut'];

/** How often each node came to what outcome: `{ nodeId: { waiting: 3, sent: 12 } }`, and runs by status. */
export async function countOutcomes(store: Store, workflowId: string) {
  const byStatus: Record<string, number> = {};
  for (const status of STATUSES) {
    const n = await countRuns(store, workflowId, status);
    if (n) byStatus[status] = n;
  }
  const nodes: Record<string, Record<string, number>> = {};
  for (let at = { nodeId: '', outcome: '' }; ; ) {
    const { nodeId, outcome } = at;
    const [next] = await store.read(tx => findPairAfter(tx, workflowId, nodeId, outcome));
    if (!next) return { runs: byStatus, nodes };
    at = next;
    nodes[at.nodeId] = {
      ...nodes[at.nodeId],
      [at.outcome]: await countSteps(store, workflowId, at.nodeId, at.outcome),
    };
  }
}
