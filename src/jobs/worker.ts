import { failImport, JOB as IMPORT, pruneImports } from '../audience/import/imports.ts';
import type { Context } from '../context.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import { retain } from '../history/retention.ts';
import { countContacts } from '../history/stats.ts';
import { applyDelivery } from '../inbound/applyDelivery.ts';
import { type Claimed, claim, deliveryQueue, loadBodies, recover } from '../inbound/leases.ts';
import { retainMails } from '../mail/retention.ts';
import { retainCalls } from '../outgoing/retention.ts';
import { LeaseLost, LONGEST_DELAY_MS } from '../queue/queue.ts';
import { DAY_MS, MINUTE_MS } from '../time.ts';
import { retainRuns } from '../workflows/retention.ts';
import { kinds } from './kinds.ts';
import { buryJob, claimJob, finishJob, freeJobs, type Job, jobQueue, pruneJobs, retryJob } from './queue.ts';
import { reconcileAll } from './reconcile.ts';

const LANES = 2; // one claims while the other's deliveries commit
const PER_CLAIM = 64;
const POLL_MS = 1000; // other processes queue too
const WAKE_MS = 10;
const OTHERS_MS = 10_000; // leases of instances that died are looked for
const STEP_MS = 1000; // a clock set back by less is waited out
const MAX_PRUNED = 500; // jobs per minute

const ignoreLost = (error: unknown) => {
  if (!(error instanceof LeaseLost)) throw error;
};

/**
 * Work of one kind with a queue of its own (mail, timers, outgoing calls): does one batch of what is due and says how much it was.
 * Each has a lane to itself and may take long. Leases what it takes, so that a crash or another instance loses and doubles nothing.
 */
type Duty = (now: number) => Promise<number>;

/** Turns queued deliveries and jobs into effects. Nothing it knows is only in memory: kill it anywhere. */
export class Worker {
  private stopping = false;
  private lanes: Promise<void>[] = [];
  private wakers = new Set<() => void>();
  private waking: Timer | null = null;
  private unfinished: Claimed[] = []; // leases to give back once the database writes again
  private unfinishedJob: Job | null = null;
  private newestNow = 0;
  private lastMinute = -Infinity;
  private lastRecovery = -Infinity;

  /** No other process works on this database: leases found at the start are void, and the clock is ours alone. */
  private readonly alone: boolean;

  constructor(
    private readonly ctx: Context,
    private readonly duties: Duty[] = [],
  ) {
    this.alone = ctx.store.kind === 'sqlite';
  }

  /** Recovers what a crash left behind, then runs until `stop`. */
  async start(): Promise<void> {
    await this.recoverAll();
    const deliveries = Array.from({ length: LANES }, (_, lane) => () => this.applyAnd(lane === 0));
    const others = this.duties.map(duty => () => duty(this.now()));
    this.lanes = [...deliveries, ...others].map(work => this.run(work));
  }

  async recoverAll(): Promise<void> {
    if (!this.alone) return;
    await this.ctx.store.write(async tx => {
      await recover(tx, null, this.now());
      await deliveryQueue.capDueAt(tx, this.now() + LONGEST_DELAY_MS);
      await freeJobs(tx, this.now());
    });
  }

  /** Something may be due. Lanes that sleep look once in `WAKE_MS`, however often they are woken. */
  wake(): void {
    this.waking ??= setTimeout(() => {
      this.waking = null;
      this.wakeNow();
    }, WAKE_MS);
  }

  private wakeNow(): void {
    for (const wake of this.wakers) wake();
  }

  /** Lets the work in hand finish; queued work stays in the database. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wakeNow();
    await Promise.all(this.lanes);
  }

  /** Works until nothing is due. For tests and short-lived commands. */
  async drain(): Promise<void> {
    for (;;) {
      const deliveries = await this.applyDue();
      let worked = deliveries + Number(await this.runJob());
      for (const duty of this.duties) worked += await duty(this.now());
      if (!worked) return;
    }
  }

  /** Never steps back between two calls of `followClock`. */
  private now(): number {
    this.newestNow = Math.max(this.newestNow, this.ctx.now());
    return this.newestNow;
  }

  /** When the clock was set back, what is due moves back with it: nothing waits for the former time to come again. */
  private async followClock(): Promise<void> {
    const back = this.newestNow - this.ctx.now();
    if (back < STEP_MS) return;
    this.newestNow -= back; // before the write: the other lane must not move it a second time
    if (!this.alone) return;
    try {
      await this.ctx.store.write(async tx => {
        await deliveryQueue.shiftClock(tx, back);
        await jobQueue.shiftClock(tx, back);
      });
    } catch (error) {
      this.newestNow += back;
      throw error;
    }
  }

  /** One batch of deliveries; the first lane also sees to jobs and what comes round regularly. */
  private async applyAnd(first: boolean): Promise<number> {
    let worked = await this.applyDue();
    if (!first) return worked;
    if (await this.runJob()) worked++;
    await this.regularly();
    return worked;
  }

  private async run(work: () => Promise<number>): Promise<void> {
    while (!this.stopping) {
      let worked = 0;
      try {
        worked = await work();
      } catch (error) {
        if (!(error instanceof StoreUnavailable))
          this.ctx.log.error({ err: error }, 'the worker met an error and goes on');
        worked = 0;
      }
      if (!worked) await this.sleep();
    }
  }

  private sleep(): Promise<void> {
    if (this.stopping) return Promise.resolve();
    return new Promise(resolve => {
      const wake = () => {
        clearTimeout(timer);
        this.wakers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, POLL_MS);
      this.wakers.add(wake);
    });
  }

  /** Claims and applies one batch; the applications share group commits. Returns how many were claimed. */
  private async applyDue(): Promise<number> {
    const { store } = this.ctx;
    await this.followClock();
    if (this.unfinished.length) {
      const some = this.unfinished.slice(0, 200);
      await store.write(tx => deliveryQueue.giveBack(tx, some, this.now()));
      this.unfinished = this.unfinished.filter(row => !some.includes(row));
    }
    if (!(await store.read(tx => deliveryQueue.anyDue(tx, this.now())))) return 0; // an idle server commits nothing
    const claimed = await store.write(tx => claim(tx, this.now(), PER_CLAIM));
    if (!claimed.length) return 0;
    const ids = claimed.map(row => row.id);
    try {
      const bodies = await store.read(tx => loadBodies(tx, ids));
      const now = this.ctx.now();
      const outcomes = await Promise.all(claimed.map(row => applyDelivery(this.ctx, row, bodies.get(row.id), now)));
      this.unfinished.push(...claimed.filter((_, i) => outcomes[i] === 'giveBack'));
    } catch (error) {
      this.unfinished.push(...claimed);
      throw error;
    }
    return claimed.length;
  }

  private async runJob(): Promise<boolean> {
    const { store } = this.ctx;
    await this.giveJobBack();
    if (!(await store.read(tx => jobQueue.anyDue(tx, this.now())))) return false;
    const bury = (tx: Tx, given: Job) => this.bury(tx, given);
    const job = await store.write(tx => claimJob(tx, this.now(), bury));
    if (!job) return false;
    try {
      const step = await this.stepOf(job);
      await store.write(async tx => {
        const next = await step(tx);
        await finishJob(tx, job, next === null ? null : { payload: next, dueAt: this.now() });
      });
    } catch (error) {
      if (error instanceof StoreUnavailable) this.unfinishedJob = job;
      if (error instanceof StoreUnavailable) throw error;
      await this.failJob(job, error);
    }
    this.wake();
    return true;
  }

  private async giveJobBack(): Promise<void> {
    const job = this.unfinishedJob;
    if (!job) return;
    await this.ctx.store.write(tx => jobQueue.giveBack(tx, [job], this.now()));
    this.unfinishedJob = null;
  }

  private async failJob(job: Job, error: unknown): Promise<void> {
    if (error instanceof LeaseLost) return; // somebody else goes on with it
    const { store, log } = this.ctx;
    log.error({ err: error, jobId: job.id, kind: job.kind, attempts: job.attempts }, 'a job failed');
    const isDead = jobQueue.isSpent(job.attempts);
    await store.write(tx => (isDead ? this.bury(tx, job) : retryJob(tx, job, this.now()))).catch(ignoreLost);
  }

  /** Gives a job up, and whatever waits for it. */
  private async bury(tx: Tx, job: Job): Promise<void> {
    this.ctx.log.error({ jobId: job.id, kind: job.kind, attempts: job.attempts }, 'a job was given up');
    await buryJob(tx, job);
    if (job.kind === IMPORT) await failImport(tx, job.payload, this.now());
  }

  private async stepOf(job: Job) {
    const kind = Object.hasOwn(kinds, job.kind) ? kinds[job.kind] : undefined;
    if (!kind) throw new Error(`no such kind of job: ${job.kind}`);
    return kind(this.ctx, job.payload, this.now());
  }

  private async regularly(): Promise<void> {
    const at = performance.now();
    if (at - this.lastRecovery > (this.alone ? MINUTE_MS : OTHERS_MS)) {
      this.lastRecovery = at;
      await this.ctx.store.write(tx => recover(tx, this.now(), this.now()));
    }
    if (at - this.lastMinute < MINUTE_MS) return;
    this.lastMinute = at;
    const { ctx } = this;
    const before = this.now() - ctx.config.retentionDays * DAY_MS;
    await this.attempt(async () => {
      const latest = this.now() + LONGEST_DELAY_MS;
      if (!this.alone) await ctx.store.write(tx => deliveryQueue.capDueAt(tx, latest));
      if (!this.alone) await ctx.store.write(tx => jobQueue.capDueAt(tx, latest));
    });
    await this.attempt(() => reconcileAll(ctx.store, this.now()));
    for (const clean of [retain, retainCalls, retainRuns, retainMails]) await this.attempt(() => clean(ctx));
    await this.attempt(() => countContacts(ctx));
    await this.attempt(() => pruneImports(ctx.store, before, this.now()));
    await this.attempt(() => ctx.store.write(tx => pruneJobs(tx, before, MAX_PRUNED)));
    this.wake();
  }

  /** What comes round each minute: one that fails keeps none of the others from their turn. */
  private async attempt(task: () => Promise<unknown>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error;
      this.ctx.log.error({ err: error }, 'what is done every minute failed in part; it is tried again in a minute');
    }
  }
}
