import { and, asc, eq, inArray, isNotNull, lt, lte, notInArray, sql } from 'drizzle-orm';
import { type Attempt, webhookCalls, webhookSubscriptions } from '../db/schema.ts';
import { avoidIndex, type Search } from '../db/search.ts';
import type { Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { makeIdAt } from '../id.ts';
import { queue } from '../queue/queue.ts';
import { formatTime } from '../time.ts';
import type { Subscription } from './subscriptions.ts';

type CallRow = typeof webhookCalls.$inferSelect;
const CALL = ['id', 'subscriptionId', 'body', 'attempts', 'failures', 'crashes', 'history'] as const;
export type Claimed = Pick<CallRow, (typeof CALL)[number]>;
export const STATES = ['queued', 'delivered', 'failed'] as const;

const QUICK_CRASHES = 3;
const KEPT_ATTEMPTS = 20; // shown per call

/** Written out, so that a database uses the partial index: a bound value proves nothing to it. */
export const QUEUED = sql`${webhookCalls.state} = 'queued'`;

/** Active subscriptions that have a call due, but for those in `busy`. */
export function findDueSubscriptions(tx: Tx, busy: string[], now: number): Promise<Subscription[]> {
  const due = sql`exists (select 1 from ${webhookCalls} where ${and(
    eq(webhookCalls.subscriptionId, webhookSubscriptions.id),
    QUEUED,
    lte(webhookCalls.dueAt, now),
  )})`;
  const free = busy.length ? notInArray(webhookSubscriptions.id, busy) : undefined;
  return tx
    .select()
    .from(webhookSubscriptions)
    .where(and(eq(webhookSubscriptions.state, 'active'), free, due));
}

const ANY_SUBSCRIPTION = 'subscription_id in (select id from webhook_subscriptions)'; // the index begins with it

export const callQueue = queue(webhookCalls, {
  due: [`state = 'queued'`],
  held: 'leased = 1',
  open: [`state = 'queued' and ${ANY_SUBSCRIPTION}`],
  lease: 'leased = 1, crashes = crashes + leased', // nobody noted how the attempt before ended
  settled: 'leased = 0, crashes = 0',
  leaseMs: 60_000, // a call takes 15 s at most
  fence: 'attempts',
  looks: ['id'],
  holds: CALL,
});

/** Leases up to `limit` due calls of a subscription; the attempt is counted and committed before it is made. */
export async function claimCalls(tx: Tx, subscriptionId: string, limit: number, now: number): Promise<Claimed[]> {
  const due = await callQueue.findDue(tx, now, limit, { text: 'subscription_id = ?', params: [subscriptionId] });
  return callQueue.lease(
    tx,
    due.map(row => row.id),
    now,
  );
}

/** What is to come of a call that goes on: when, and how many attempts have failed by now. */
export interface Next {
  dueAt: number;
  failures: number;
}

/** Ends an attempt: `next` null when the call ended with it. False when the lease ran out and another worker has it. */
export async function recordAttempt(
  tx: Tx,
  call: Claimed,
  attempt: Attempt,
  next: Next | null,
  now: number,
): Promise<boolean> {
  const done = attempt.error === null ? 'delivered' : 'failed';
  const set = next ?? ({ state: done, finishedAt: now } as const);
  const history = [...call.history, attempt].slice(-KEPT_ATTEMPTS);
  return callQueue.settle(tx, call, { ...set, history });
}

/**
 * After a restart no lease is held by anybody; one process per database only. What was under way at several crashes in a row still
 * waits for the lease's end, so that a call that kills the process leaves the others their turn.
 */
export async function freeCalls(tx: Tx, now: number): Promise<void> {
  await tx
    .update(webhookCalls)
    .set({ dueAt: now })
    .where(and(sql`${webhookCalls.leased} = 1`, lt(webhookCalls.crashes, QUICK_CRASHES)));
}

/** @throws AppError notFound */
export async function getCall(tx: Tx, id: string) {
  const [row] = await tx.select().from(webhookCalls).where(eq(webhookCalls.id, id));
  if (!row) throw notFound('Webhook call');
  const attempts = row.history.map(({ at, ...rest }) => ({ at: formatTime(at), ...rest }));
  return { ...viewCall(row), payload: JSON.parse(row.body) as unknown, attempts };
}

/** Sends a call again, with the `webhook-id` it had and all its retries. @throws AppError notFound, conflict */
export async function replayCall(tx: Tx, id: string, now: number) {
  const [row] = await tx.select().from(webhookCalls).where(eq(webhookCalls.id, id));
  if (!row) throw notFound('Webhook call');
  if (row.leased && row.dueAt > now)
    throw new AppError('conflict', 'The call is being made right now. Look at it again in some seconds.');
  await tx
    .update(webhookCalls)
    .set({ state: 'queued', dueAt: now, failures: 0, crashes: 0, leased: false, finishedAt: null })
    .where(eq(webhookCalls.id, id));
  return getCall(tx, id);
}

/** Calls of one subscription, of one state where that is given. */
export function callSearch(subscriptionId: string, state: CallRow['state'] | undefined): Search {
  const ofState = state === undefined ? undefined : state === 'queued' ? QUEUED : eq(webhookCalls.state, state);
  const own = eq(webhookCalls.subscriptionId, subscriptionId);
  return {
    where: and(eq(avoidIndex(webhookCalls.subscriptionId), subscriptionId), ofState),
    narrow: and(own, ofState),
  };
}

function viewCall(row: CallRow) {
  const last = row.history.at(-1);
  return {
    id: row.id,
    subscriptionId: row.subscriptionId,
    eventName: row.eventName,
    state: row.state,
    sending: row.leased,
    attemptCount: row.attempts,
    lastStatus: last?.status ?? null,
    error: last?.error ?? null,
    nextAttemptAt: row.state === 'queued' && !row.leased ? formatTime(row.dueAt) : null,
    createdAt: formatTime(row.createdAt),
    finishedAt: formatTime(row.finishedAt),
  };
}

/** Calls in the order of `ids`, without payloads and attempts. */
export async function viewCalls(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(webhookCalls).where(inArray(webhookCalls.id, ids)) : [];
  const byId = new Map(rows.map(row => [row.id, row]));
  return ids.flatMap(id => {
    const row = byId.get(id);
    return row ? [viewCall(row)] : [];
  });
}

/** Removes up to `limit` calls finished before `before`; unsent ones, too, when made before `unsentBefore`. Gives how many. */
export async function pruneCalls(tx: Tx, before: number, unsentBefore: number, limit: number): Promise<number> {
  const finished = and(isNotNull(webhookCalls.finishedAt), lt(webhookCalls.finishedAt, before));
  const unsent = and(lt(webhookCalls.id, makeIdAt('msg', unsentBefore)), QUEUED, eq(webhookCalls.leased, false));
  let gone = 0;
  for (const where of [finished, unsent]) {
    const some = tx
      .select({ id: webhookCalls.id })
      .from(webhookCalls)
      .where(where)
      .orderBy(asc(webhookCalls.id))
      .limit(limit);
    gone += (await tx.delete(webhookCalls).where(inArray(webhookCalls.id, some)).returning({ id: webhookCalls.id }))
      .length;
  }
  return gone;
}
