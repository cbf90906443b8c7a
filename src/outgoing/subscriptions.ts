import { randomBytes } from 'node:crypto';
import { and, count, desc, eq, inArray } from 'drizzle-orm';
import { webhookCalls, webhookSubscriptions } from '../db/schema.ts';
import { takeTurn } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { makeId } from '../id.ts';
import type { Sealer } from '../sealing.ts';
import { formatTime, HOUR_MS } from '../time.ts';
import { QUEUED } from './calls.ts';
import { TEST_EVENT } from './names.ts';
import { formatPayload, queueCalls } from './publish.ts';

export type Subscription = typeof webhookSubscriptions.$inferSelect;

/** What the functions here need besides the transaction. */
interface Deps {
  sealer: Sealer;
  now: number;
}

const MAX_SUBSCRIPTIONS = 100; // each is looked at for every happening
const SECRET_BYTES = 32;
const CHUNK = 1000; // calls removed per write
const COUNTED = 10_000;

/** `whsec_` and plain base64: clients take what stands after the one underscore. */
function makeSecret(deps: Deps, id: string) {
  const secret = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
  return { secret, sealedSecret: deps.sealer.seal(secret, id), secretHint: `whsec_…${secret.slice(-4)}` };
}

interface NewSubscription {
  name: string;
  /** Checked already. */
  url: string;
  eventNames: string[];
}

/** Makes a subscription; its secret is shown this once. @throws AppError conflict when there are too many */
export async function createSubscription(tx: Tx, deps: Deps, input: NewSubscription) {
  await takeTurn(tx, 'subscriptions');
  const [row] = await tx.select({ n: count() }).from(webhookSubscriptions);
  if (Number(row?.n) >= MAX_SUBSCRIPTIONS)
    throw new AppError(
      'conflict',
      `There are ${MAX_SUBSCRIPTIONS} subscriptions already. Remove one that is not used.`,
    );
  const id = makeId('sub', deps.now);
  const { secret, ...sealed } = makeSecret(deps, id);
  const subscription: Subscription = {
    ...input,
    ...sealed,
    id,
    state: 'active',
    reason: null,
    sealedOldSecret: null,
    oldSecretUntil: null,
    failingSince: null,
    createdAt: deps.now,
    updatedAt: deps.now,
  };
  await tx.insert(webhookSubscriptions).values(subscription);
  return { subscription, secret };
}

/** @throws AppError notFound */
export async function getSubscription(tx: Tx, id: string): Promise<Subscription> {
  const [row] = await tx.select().from(webhookSubscriptions).where(eq(webhookSubscriptions.id, id));
  if (!row) throw notFound('Webhook subscription');
  return row;
}

/** All of them (at most 100), newest first; ids sort by age. */
export const listSubscriptions = (tx: Tx): Promise<Subscription[]> =>
  tx.select().from(webhookSubscriptions).orderBy(desc(webhookSubscriptions.id));

interface SubscriptionPatch extends Partial<NewSubscription> {
  paused?: boolean | undefined;
}

/** Changes the named parts. Resuming goes on with what is queued, and forgets how long it failed. @throws AppError */
export async function patchSubscription(tx: Tx, id: string, patch: SubscriptionPatch, now: number): Promise<void> {
  const row = await getSubscription(tx, id);
  const { paused, ...fields } = patch;
  const set: Partial<Subscription> = { ...fields, updatedAt: now };
  if (paused === true && row.state === 'active') {
    set.state = 'paused';
    set.reason = 'Paused by request. Calls queue meanwhile; resume with PATCH {"paused":false}.';
  }
  if (paused === false && row.state !== 'active') {
    if (row.sealedSecret === '')
      throw new AppError('conflict', 'Its secret is lost. Make a new one first: POST …/rotate-secret.');
    Object.assign(set, { state: 'active', reason: null, failingSince: null });
  }
  await tx.update(webhookSubscriptions).set(set).where(eq(webhookSubscriptions.id, id));
}

/** A new secret, shown this once; the old one signs beside it for `hours`. @throws AppError notFound */
export async function rotateSecret(tx: Tx, deps: Deps, id: string, hours: number): Promise<string> {
  const row = await getSubscription(tx, id);
  const { secret, ...sealed } = makeSecret(deps, id);
  const keep = hours > 0 && row.sealedSecret !== '';
  const old = keep
    ? { sealedOldSecret: row.sealedSecret, oldSecretUntil: deps.now + hours * HOUR_MS }
    : { sealedOldSecret: null, oldSecretUntil: null };
  await tx
    .update(webhookSubscriptions)
    .set({ ...sealed, ...old, updatedAt: deps.now })
    .where(eq(webhookSubscriptions.id, id));
  return secret;
}

/** No new calls and no sending from here on, so that what is queued can be removed in steps. @throws AppError notFound */
export async function closeSubscription(tx: Tx, id: string): Promise<void> {
  await getSubscription(tx, id);
  const reason = 'It is being removed. Repeat the DELETE if it stays.';
  await tx.update(webhookSubscriptions).set({ state: 'disabled', reason }).where(eq(webhookSubscriptions.id, id));
}

/** Removes some calls of a subscription; false when that was the rest. */
export async function thinCalls(tx: Tx, id: string): Promise<boolean> {
  const some = tx
    .select({ id: webhookCalls.id })
    .from(webhookCalls)
    .where(eq(webhookCalls.subscriptionId, id))
    .limit(CHUNK);
  const gone = await tx.delete(webhookCalls).where(inArray(webhookCalls.id, some)).returning({ id: webhookCalls.id });
  return gone.length === CHUNK;
}

export async function deleteSubscription(tx: Tx, id: string): Promise<void> {
  while (await thinCalls(tx, id));
  await tx.delete(webhookSubscriptions).where(eq(webhookSubscriptions.id, id));
}

/** Queues a test call, whatever the subscription wants to hear. Gives its id. @throws AppError notFound, conflict while paused */
export async function queueTest(tx: Tx, id: string, now: number): Promise<string> {
  const row = await getSubscription(tx, id);
  if (row.state !== 'active')
    throw new AppError('conflict', `The subscription is ${row.state}. Resume it first: PATCH {"paused":false}.`);
  const body = formatPayload(TEST_EVENT, null, { message: 'test' }, now);
  const uniqueKey = makeId('test', now);
  const [call] = await queueCalls(tx, [{ subscriptionId: id, eventName: TEST_EVENT, uniqueKey, body }], now);
  if (!call) throw new Error('a test call with a key of its own was not queued');
  return call.id;
}

/** After the sealing key was lost: nothing is sent until a secret was made anew. */
export async function forgetSubscriptionSecrets(tx: Tx): Promise<void> {
  const reason =
    'Its secret was lost with the sealing key. POST …/rotate-secret, then resume with PATCH {"paused":false}.';
  await tx
    .update(webhookSubscriptions)
    .set({ sealedSecret: '', sealedOldSecret: null, oldSecretUntil: null, state: 'paused', reason });
}

/** How many calls wait to be sent, counted up to 10,000. */
async function countQueued(tx: Tx, id: string): Promise<number> {
  const some = tx
    .select({ id: webhookCalls.id })
    .from(webhookCalls)
    .where(and(eq(webhookCalls.subscriptionId, id), QUEUED))
    .limit(COUNTED)
    .as('some');
  const [row] = await tx.select({ n: count() }).from(some);
  return Number(row?.n ?? 0);
}

/** The subscription as the API shows it; never a secret. */
export async function viewSubscription(tx: Tx, row: Subscription, now: number) {
  return {
    id: row.id,
    name: row.name,
    url: row.url,
    eventNames: row.eventNames,
    state: row.state,
    paused: row.state !== 'active',
    reason: row.reason,
    secretHint: row.secretHint,
    oldSecretUntil: row.oldSecretUntil !== null && row.oldSecretUntil > now ? formatTime(row.oldSecretUntil) : null,
    failingSince: formatTime(row.failingSince),
    queued: await countQueued(tx, row.id),
    createdAt: formatTime(row.createdAt),
    updatedAt: formatTime(row.updatedAt),
  };
}
