import { and, eq, isNotNull, isNull } from 'drizzle-orm';
import { Webhook } from 'svix';
import packageJson from '../../package.json' with { type: 'json' };
import type { Context } from '../context.ts';
import { writeOutcome } from '../db/outcome.ts';
import { webhookSubscriptions } from '../db/schema.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import {
  type Claimed,
  callQueue,
  claimCalls,
  findDueSubscriptions,
  freeCalls,
  type Next,
  recordAttempt,
} from './calls.ts';
import { type Outcome, send } from './post.ts';
import { FAILING_MS, scheduleNextAttempt } from './schedule.ts';
import type { Subscription } from './subscriptions.ts';

const AT_ONCE = 32; // calls under way
const PER_SUBSCRIPTION = 4; // a slow receiver must not hold up the others
const PROBES = 1; // to one that fails: it is not met by all that waited when it comes back
const LOOK_MS = 200; // while calls are under way, others become due
const STEP_MS = 1000; // a clock set back by less is waited out
const STOP_MS = 2000; // calls under way may end until then
const MAX_CRASHES = 10; // in a row while making one call
const GONE = 410;

/** Sends what is queued for subscriptions. Each call is leased before and recorded after: kill it anywhere, at worst one is made again. */
export class CallSender {
  private readonly underWay = new Map<Promise<void>, string>(); // → the subscription's id
  private readonly unwritten = new Set<string>(); // calls whose outcome the database could not take yet
  private readonly end = new AbortController();
  private newestNow: number | null = null;

  constructor(private readonly ctx: Context) {}

  /** Starts what is due and there is room for. Gives how much that was, or 1 while calls are under way. */
  duty = async (now: number): Promise<number> => {
    if (this.end.signal.aborted) return 0;
    await this.followClock(now);
    const started = await this.start(now);
    if (started || !this.underWay.size) return started;
    await Promise.race([...this.underWay.keys(), Bun.sleep(LOOK_MS)]);
    return 1;
  };

  /** Waits some seconds for what is under way, then ends it: it is noted as failed and due again. */
  async stop(): Promise<void> {
    const cut = setTimeout(() => this.end.abort(), STOP_MS);
    await Promise.all(this.underWay.keys());
    clearTimeout(cut);
    this.end.abort();
  }

  /** Alone (SQLite), leases found at the start are void, and the clock is ours to follow. */
  private async followClock(now: number): Promise<void> {
    const { store } = this.ctx;
    const back = this.newestNow === null ? 0 : this.newestNow - now;
    if (store.kind === 'sqlite') {
      if (this.newestNow === null) await store.write(tx => freeCalls(tx, now));
      if (back >= STEP_MS) await store.write(tx => callQueue.shiftClock(tx, back));
    }
    if (this.newestNow === null || back < 0 || back >= STEP_MS) this.newestNow = now;
  }

  private async start(now: number): Promise<number> {
    const { store } = this.ctx;
    if (this.unwritten.size) return 0; // their leases may have run out meanwhile
    const counts = Map.groupBy(this.underWay.values(), id => id);
    const roomOf = (row: Subscription) =>
      (row.failingSince === null ? PER_SUBSCRIPTION : PROBES) - (counts.get(row.id)?.length ?? 0);
    const full = [...counts].filter(([, calls]) => calls.length >= PER_SUBSCRIPTION).map(([id]) => id);
    const free = AT_ONCE - this.underWay.size;
    if (free <= 0) return 0;
    const due = (await store.read(tx => findDueSubscriptions(tx, full, now))).filter(row => roomOf(row) > 0);
    if (!due.length) return 0; // an idle server commits nothing
    const claimed = await store.write(async tx => {
      const all: { row: Subscription; call: Claimed }[] = [];
      for (const row of shuffleItems(due)) {
        const room = Math.min(roomOf(row), free - all.length);
        if (room > 0) for (const call of await claimCalls(tx, row.id, room, now)) all.push({ row, call });
      }
      return all;
    });
    for (const { row, call } of claimed) this.begin(row, call);
    return claimed.length;
  }

  private begin(row: Subscription, call: Claimed): void {
    const work: Promise<void> = this.deliver(row, call)
      .catch(error => {
        if (!(error instanceof StoreUnavailable))
          this.ctx.log.error({ err: error, callId: call.id }, 'an outgoing call could not be recorded');
      })
      .finally(() => this.underWay.delete(work));
    this.underWay.set(work, row.id);
  }

  private async deliver(row: Subscription, call: Claimed): Promise<void> {
    const { store, config, log } = this.ctx;
    const at = this.ctx.now();
    const headers = this.headersOf(row, call, at);
    const outcome: Outcome =
      call.crashes >= MAX_CRASHES || headers === null
        ? { status: null, ms: 0, answer: null, error: headers ? STUCK : NO_SECRET, retryAfter: null }
        : await send(
            {
              url: row.url,
              body: call.body,
              headers,
              allowPrivate: config.allowPrivateTargets,
              resolve: this.ctx.resolve,
              signal: this.end.signal,
            },
            error => log.debug({ err: error, callId: call.id }, 'an outgoing call failed'),
          );
    const now = this.ctx.now();
    const { retryAfter: _, ...seen } = outcome;
    const cut = this.end.signal.aborted && outcome.status === null; // our doing, not the receiver's
    const next = cut ? { dueAt: now, failures: call.failures } : scheduleNext(call, outcome, now);
    const record = async (tx: Tx) => {
      if (!(await recordAttempt(tx, call, { at, ...seen }, next, now))) return null;
      return cut ? null : judge(tx, row, outcome, now);
    };
    const ended = await writeOutcome(
      () => store.write(record).catch(this.noteUnwritten(call.id)),
      () => this.end.signal.aborted,
    ).finally(() => this.unwritten.delete(call.id));
    if (ended === null) return;
    this.ctx.subscribed.invalidate();
    log.warn({ subscriptionId: row.id, reason: ended }, 'an outgoing webhook subscription was stopped');
  }

  private noteUnwritten(id: string) {
    return (error: unknown): never => {
      this.unwritten.add(id);
      throw error;
    };
  }

  /** Standard Webhooks, signed with the secret and for a while with the one before it; null when neither opens. */
  private headersOf(row: Subscription, call: Claimed, now: number): Record<string, string> | null {
    const old = row.oldSecretUntil !== null && row.oldSecretUntil > now ? row.sealedOldSecret : null;
    const signatures = [row.sealedSecret, old].flatMap(sealed => {
      const secret = sealed ? this.open(sealed, row.id) : null;
      return secret === null ? [] : [new Webhook(secret).sign(call.id, new Date(now), call.body)];
    });
    if (!signatures.length) return null;
    return {
      'content-type': 'application/json',
      'user-agent': `Inlet/${packageJson.version}`,
      'webhook-id': call.id,
      'webhook-timestamp': String(Math.floor(now / 1000)),
      'webhook-signature': signatures.join(' '),
    };
  }

  private open(sealed: string, id: string): string | null {
    try {
      return this.ctx.sealer.open(sealed, id);
    } catch {
      this.ctx.log.error({ subscriptionId: id }, 'A stored secret can not be opened with this INLET_SECRET_KEY');
      return null;
    }
  }
}

const STUCK = 'Inlet stopped each time while making this call. Replay it once the cause is mended.';
const NO_SECRET = 'Not sent: the secret to sign with can not be opened. Make a new one: POST …/rotate-secret.';

/** When to try again; null when the call has ended, one way or the other. */
function scheduleNext(call: Claimed, outcome: Outcome, now: number): Next | null {
  if (outcome.error === null || outcome.status === GONE || call.crashes >= MAX_CRASHES) return null;
  const failures = call.failures + 1;
  const dueAt = scheduleNextAttempt(failures, outcome.retryAfter, now, Math.random());
  return dueAt === null ? null : { dueAt, failures };
}

function shuffleItems<T>(items: T[]): T[] {
  return items
    .map(item => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

/** What an outcome says of the subscription: how long it fails, whether it goes on. Gives the reason when it was stopped now. */
async function judge(tx: Tx, row: Subscription, outcome: Outcome, now: number): Promise<string | null> {
  const own = eq(webhookSubscriptions.id, row.id);
  const stop = async (state: 'paused' | 'disabled', reason: string) => {
    const rows = await tx
      .update(webhookSubscriptions)
      .set({ state, reason, updatedAt: now })
      .where(and(own, eq(webhookSubscriptions.state, 'active'), eq(webhookSubscriptions.url, row.url)))
      .returning({ id: webhookSubscriptions.id });
    return rows.length ? reason : null;
  };
  if (outcome.error === null) {
    const failing = and(own, isNotNull(webhookSubscriptions.failingSince));
    await tx.update(webhookSubscriptions).set({ failingSince: null }).where(failing).run();
    return null;
  }
  if (outcome.status === GONE)
    return stop(
      'disabled',
      'The receiver answered 410 Gone. If that was a mistake, resume with PATCH {"paused":false}; otherwise remove the subscription.',
    );
  await tx
    .update(webhookSubscriptions)
    .set({ failingSince: now })
    .where(and(own, isNull(webhookSubscriptions.failingSince)));
  const [current] = await tx.select({ since: webhookSubscriptions.failingSince }).from(webhookSubscriptions).where(own);
  if (!current || current.since === null || now - current.since < FAILING_MS) return null;
  return stop(
    'paused',
    `Every call failed for 5 days; the last one: ${outcome.error} Mend the receiver, then resume with PATCH {"paused":false}: what is queued is sent then.`,
  );
}
