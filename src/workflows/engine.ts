import { findContact } from '../audience/contacts.ts';
import type { Context } from '../context.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import { LeaseLost } from '../queue/queue.ts';
import type { Person } from './conditions.ts';
import { type ContactStep, writeContact } from './contactStep.ts';
import { describeRest, loadEventProperties, loadPerson, loadWorkflow, recordWalk } from './record.ts';
import { claimRuns, endWait, findNextRunDue, followClock, freeRuns, lockRun, type RunRow, runQueue } from './runs.ts';
import { readSeen } from './signals.ts';
import { walk } from './walk.ts';
import { REMOVED, STOPPED } from './workflows.ts';

const BATCH = 64;
const MAX_AGAIN = 5; // looks at a run whose contact or workflow changed between two of its transactions
const SOON_MS = 1000;
const STEP_MS = 1000; // a clock set back by less is waited out

/** Moves runs on from node to node. A step, what it queues and where the run stands then are one transaction. */
export class Engine {
  private started = false;
  private newestNow = 0;
  private soon: Timer | undefined;
  private unfinished: RunRow[] = []; // leases to give back once the database writes again

  constructor(private readonly ctx: Context) {}

  /** One batch; how many runs it was. For the worker. */
  readonly duty = async (now: number): Promise<number> => {
    const { store } = this.ctx;
    await this.prepare(now);
    await this.giveBack(now);
    const next = await store.read(findNextRunDue);
    if (next === null || next > now) {
      if (next !== null) this.wakeAt(next, now);
      return 0;
    }
    const claimed = await store.write(tx => claimRuns(tx, now, BATCH));
    await Promise.all(claimed.map(run => this.advance(run, now)));
    if (claimed.length) this.ctx.wake(); // mails
    return claimed.length;
  };

  /** The worker looks by itself only once a second. */
  private wakeAt(dueAt: number, now: number): void {
    clearTimeout(this.soon);
    if (dueAt >= now + SOON_MS) return;
    this.soon = setTimeout(() => this.ctx.wake(), Math.min(dueAt - now, SOON_MS));
    this.soon.unref();
  }

  private async prepare(now: number): Promise<void> {
    const { store } = this.ctx;
    if (!this.started && store.kind === 'sqlite') await store.write(tx => freeRuns(tx, now));
    if ((!this.started || now < this.newestNow - STEP_MS) && store.kind === 'sqlite')
      while (await store.write(tx => followClock(tx, now)));
    this.started = true;
    this.newestNow = now;
  }

  private async giveBack(now: number): Promise<void> {
    const rows = this.unfinished;
    if (!rows.length) return;
    await this.ctx.store.write(tx => runQueue.giveBack(tx, rows, now));
    this.unfinished = this.unfinished.filter(row => !rows.includes(row));
  }

  private async advance(claimed: RunRow, now: number): Promise<void> {
    const { store, people, log } = this.ctx;
    let run = claimed; // as its newest transaction left it
    try {
      if (runQueue.isSpent(run.attempts - 1)) throw new Error('started too often without coming to an end');
      for (let again = 0; again <= MAX_AGAIN; ) {
        const step = await store.write(tx => this.step(tx, run, now));
        if (!step) return;
        run = step.run;
        const moved = await writeContact(people, step);
        if (moved) run = moved;
        else again++;
      }
      throw new Error('its contact changed again and again');
    } catch (error) {
      if (error instanceof StoreUnavailable) this.unfinished.push(run);
      if (error instanceof StoreUnavailable || error instanceof LeaseLost) return;
      log.error({ err: error, runId: run.id, attempts: run.attempts }, 'a run failed');
      const reason = `Failed ${run.attempts} times; the log has the cause under the id of this run.`;
      const end = runQueue.isSpent(run.attempts);
      await store
        .write(tx =>
          end
            ? runQueue.complete(tx, run, { status: 'failed', reason, endedAt: now })
            : runQueue.retry(tx, run, run.attempts, now, {}),
        )
        .catch(cause => log.warn({ err: cause, runId: run.id }, 'a run is tried again when its lease ends'));
    }
  }

  /** One walk. Gives what the contact is to be written with, the lease kept for it; null: it came to rest. */
  private async step(tx: Tx, leased: RunRow, now: number): Promise<ContactStep | null> {
    const run = { ...leased, contactId: await lockRun(tx, leased) };
    const workflow = await loadWorkflow(tx, run.workflowId);
    const exit = async (reason: string) => {
      await runQueue.complete(tx, run, { status: 'exited', reason, endedAt: now });
      return null;
    };
    if (!workflow) return exit(REMOVED);
    const isOver = workflow.state === 'stopped' || run.epoch < workflow.stoppedEpoch;
    if (isOver || workflow.state === 'draft') return exit(STOPPED);
    if (workflow.state === 'paused') {
      await runQueue.complete(tx, run, { status: 'held', dueAt: now, attempts: 0 });
      return null;
    }
    const person = await findPerson(tx, run);
    // Who heard of it may not have known a graph that was put in place meanwhile.
    const from = run.visits === 0 ? { ...run, nodeId: workflow.graph.rootNodeId } : run;
    const walked = walk(workflow, from, person, now, await readSeen(tx, run, workflow));
    if (walked.waited) await endWait(tx, run.id, run.visits - 1, now);
    const contactId = person?.id ?? run.contactId;
    await recordWalk(tx, { ...run, contactId }, workflow.epoch, walked, person, now);
    if (!walked.pending || !person) {
      await runQueue.complete(tx, run, { ...describeRest(walked, now), attempts: 0 });
      return null;
    }
    await runQueue.complete(tx, run, { ...walked.position, since: now }); // a start that kills the process goes on being counted
    const { join, leave } = walked.pending.write;
    const lists = [join, leave].filter(id => id !== undefined);
    return { run: { ...run, ...walked.position, fence: run.fence + 1 }, contactId, email: person.email, lists };
  }
}

/** The contact of a run, or of a merge whose job has not come to this run yet. */
async function findPerson(tx: Tx, { contactId, eventId }: RunRow): Promise<Person | null> {
  const eventProperties = await loadEventProperties(tx, eventId);
  const person = await loadPerson(tx, contactId, eventProperties);
  if (person) return person;
  const survivor = await findContact(tx, { id: contactId });
  return survivor ? loadPerson(tx, survivor.id, eventProperties) : null;
}
