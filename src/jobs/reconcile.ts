import { and, eq, inArray, sql } from 'drizzle-orm';
import { deliveries, endpoints, lists, unprocessed, workflows } from '../db/schema.ts';
import { query } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { NEVER } from '../inbound/pause.ts';
import { yieldTurn } from '../time.ts';
import { endSome, releaseSome } from '../workflows/runs.ts';
import { REMOVED, STOPPED } from '../workflows/workflows.ts';

const WINDOW = 500; // rows looked at in one go
const MAX_STEPS = 20; // of one rule; the next minute goes on
const MEMBERSHIPS = 1000; // removed per write

/** Puts some of what slipped right, after a place it reached before. Gives where to go on, null at the end. */
type Rule = (store: Store, after: string, now: number) => Promise<string | null>;

/**
 * What two writes at the same moment may leave behind: neither waits for the other. A webhook that comes while its endpoint is resumed,
 * a run that starts while its workflow is stopped, somebody who joins a list while it is removed. Also what a job that was given up did
 * not do.
 */
const RULES: Record<string, Rule> = {
  'deliveries set aside for an endpoint that is not paused': releaseParked,
  'runs of a workflow that is stopped, removed or resumed': settleRuns,
  'memberships of a list that was removed': removeMemberships,
};

const places = new WeakMap<Store, Map<string, string>>();

/** One round over all rules, some milliseconds each. @throws StoreUnavailable */
export async function reconcileAll(store: Store, now: number): Promise<void> {
  const mine = places.get(store) ?? new Map<string, string>();
  places.set(store, mine);
  for (const [name, rule] of Object.entries(RULES)) {
    let after: string | null = mine.get(name) ?? '';
    for (let i = 0; i < MAX_STEPS && after !== null; i++) {
      after = await rule(store, after, now);
      await yieldTurn(); // webhooks first
    }
    mine.set(name, after ?? '');
  }
}

async function releaseParked(store: Store, after: string): Promise<string | null> {
  const parked = and(unprocessed('queued'), eq(deliveries.dueAt, NEVER));
  const { rows, paused } = await store.read(async tx => ({
    rows: await tx
      .select({ id: deliveries.id, endpointId: deliveries.endpointId })
      .from(deliveries)
      .where(and(parked, sql`${deliveries.id} > ${after}`))
      .orderBy(deliveries.id)
      .limit(WINDOW),
    paused: new Set((await findPausedEndpoints(tx)).map(row => row.id)),
  }));
  const ids = rows.filter(row => !paused.has(row.endpointId)).map(row => row.id);
  if (ids.length)
    await store.write(async tx => {
      const still = (await findPausedEndpoints(tx)).map(row => row.id);
      await tx
        .update(deliveries)
        .set({ dueAt: 0 })
        .where(and(parked, inArray(deliveries.id, ids), sql`not ${inArray(deliveries.endpointId, [...still, ''])}`));
    });
  return rows.length < WINDOW ? null : (rows.at(-1)?.id ?? null);
}

const findPausedEndpoints = (tx: Tx) =>
  tx.select({ id: endpoints.id }).from(endpoints).where(eq(endpoints.paused, true));

/** One workflow with open runs a step; a big one takes several. */
async function settleRuns(store: Store, after: string, now: number): Promise<string | null> {
  const open = 'select workflow_id from runs where ended_at is null and workflow_id > ? order by workflow_id limit 1';
  const [next] = await store.read(tx => query(tx, open, [after]));
  if (!next) return null;
  const workflowId = next[0] as string;
  const stateIn = async (tx: Tx) =>
    (await tx.select({ state: workflows.state }).from(workflows).where(eq(workflows.id, workflowId)))[0]?.state;
  const step = async (tx: Tx) => {
    const state = await stateIn(tx);
    if (state === 'paused') return null;
    if (state === 'running') return releaseSome(tx, { workflowId }, now);
    return endSome(tx, { workflowId, nodeIds: null, reason: state ? STOPPED : REMOVED, at: now });
  };
  const state = await store.read(stateIn);
  if (state === 'paused') return workflowId;
  const held = `select id from runs where workflow_id = ? and status = 'held' limit 1`;
  if (state === 'running' && !(await store.read(tx => query(tx, held, [workflowId]))).length) return workflowId;
  return (await store.write(step)) === null ? workflowId : after;
}

/** One list that somebody is on a step; a big one takes several. */
async function removeMemberships(store: Store, after: string): Promise<string | null> {
  const joined = 'select list_id from memberships where list_id > ? order by list_id limit 1';
  const [next] = await store.read(tx => query(tx, joined, [after]));
  if (!next) return null;
  const listId = next[0] as string;
  const isThere = (tx: Tx) => tx.select({ id: lists.id }).from(lists).where(eq(lists.id, listId));
  if ((await store.read(isThere)).length) return listId;
  const some = `select contact_id from memberships where list_id = ? limit ${MEMBERSHIPS}`;
  const text = `delete from memberships where list_id = ? and contact_id in (${some}) returning contact_id`;
  const gone = await store.write(tx => query(tx, text, [listId, listId]));
  return gone.length < MEMBERSHIPS ? listId : after;
}
