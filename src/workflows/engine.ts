import { and, eq } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { contacts, events, memberships, steps, workflows } from '../db/schema.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import { queueMail } from '../mail/mails.ts';
import type { Person } from './conditions.ts';
import { anyRunDue, claimRuns, followClock, freeRuns, LeaseLost, type RunRow, settleRun } from './runs.ts';
import { type Walk, walk } from './walk.ts';
import { REMOVED, STOPPED, type WorkflowRow } from './workflows.ts';

const BATCH = 64;
const MAX_STARTS = 5;
const STEP_MS = 1000; // a clock set back by less is waited out
const BACK_OFF_MS = 10_000; // doubled with each failure

/** The contact of a run as conditions and mails see it; null: gone. */
export async function personOf(tx: Tx, contactId: string, eventId: string | null): Promise<Person | null> {
  const [row] = await tx.select().from(contacts).where(eq(contacts.id, contactId));
  if (!row) return null;
  const on = await tx.select({ id: memberships.listId }).from(memberships).where(eq(memberships.contactId, contactId));
  const [event] =
    eventId === null
      ? []
      : await tx.select({ properties: events.eventProperties }).from(events).where(eq(events.id, eventId));
  const { id, email, userId, firstName, lastName, source, userGroup, subscribed } = row;
  return {
    ...{ id, email, subscribed },
    properties: { ...row.properties, email, userId, firstName, lastName, source, userGroup, subscribed },
    lists: new Set(on.map(each => each.id)),
    eventProperties: event?.properties ?? {},
  };
}

/** Moves runs on from node to node. A step, what it queues and where the run stands then are one transaction. */
export class Engine {
  private started = false;
  private newestNow = 0;

  constructor(private readonly ctx: Context) {}

  /** One batch; how many runs it was. For the worker. */
  readonly duty = async (now: number): Promise<number> => {
    const { store } = this.ctx;
    await this.prepare(now);
    if (!(await store.read(tx => anyRunDue(tx, now)))) return 0;
    const claimed = await store.write(tx => claimRuns(tx, now, BATCH));
    await Promise.all(claimed.map(run => this.advance(run, now)));
    if (claimed.length) this.ctx.wake(); // mails
    return claimed.length;
  };

  private async prepare(now: number): Promise<void> {
    const { store } = this.ctx;
    if (!this.started && store.kind === 'sqlite') await store.write(tx => freeRuns(tx, now));
    if ((!this.started || now < this.newestNow - STEP_MS) && store.kind === 'sqlite')
      while (await store.write(tx => followClock(tx, now)));
    this.started = true;
    this.newestNow = now;
  }

  private async advance(run: RunRow, now: number): Promise<void> {
    const { store, log } = this.ctx;
    try {
      if (run.attempts > MAX_STARTS) throw new Error('started too often without coming to an end');
      await store.write(tx => this.step(tx, run, now));
    } catch (error) {
      if (error instanceof StoreUnavailable || error instanceof LeaseLost) return; // due again when its lease ends
      log.error({ err: error, runId: run.id, attempts: run.attempts }, 'a run failed');
      const dead = run.attempts >= MAX_STARTS;
      const reason = `Failed ${run.attempts} times; the log has the cause under the id of this run.`;
      const set: Partial<RunRow> = dead
        ? { status: 'failed', reason, endedAt: now }
        : { dueAt: now + BACK_OFF_MS * 2 ** (run.attempts - 1) };
      await store
        .write(tx => settleRun(tx, run, set))
        .catch(cause => log.warn({ err: cause, runId: run.id }, 'a run is tried again when its lease ends'));
    }
  }

  private async step(tx: Tx, run: RunRow, now: number): Promise<void> {
    const [workflow] = (await tx.select().from(workflows).where(eq(workflows.id, run.workflowId))) as WorkflowRow[];
    const exit = (reason: string) => settleRun(tx, run, { status: 'exited', reason, endedAt: now });
    if (!workflow) return exit(REMOVED);
    if (workflow.state === 'stopped' || workflow.state === 'draft') return exit(STOPPED);
    if (workflow.state === 'paused') return settleRun(tx, run, { status: 'held', dueAt: now, attempts: 0 });
    const person = await personOf(tx, run.contactId, run.eventId);
    const walked = walk(workflow, run, person, now);
    await record(tx, run, walked, now);
    for (const { visit, nodeId, emailMessageId } of walked.mails) {
      const mail = { contactId: run.contactId, to: person?.email ?? '', emailMessageId, transactional: false };
      const data = { event: person?.eventProperties ?? {} };
      await queueMail(tx, { ...mail, data, key: `${run.id}:${nodeId}:${visit}`, workflowRunId: run.id }, now);
    }
  }
}

/** Writes the steps of a walk and where it came to rest. */
async function record(tx: Tx, run: RunRow, { steps: done, position, rest, waited }: Walk, now: number): Promise<void> {
  if (waited)
    await tx
      .update(steps)
      .set({ outcome: 'waited', doneAt: now })
      .where(and(eq(steps.runId, run.id), eq(steps.visit, run.visits - 1)));
  for (const each of done)
    await tx.insert(steps).values({
      ...each,
      runId: run.id,
      workflowId: run.workflowId,
      at: now,
      doneAt: each.outcome === 'waiting' ? null : now,
    });
  const resting =
    'dueAt' in rest ? { dueAt: rest.dueAt, since: now } : { status: rest.status, reason: rest.reason, endedAt: now };
  await settleRun(tx, run, { ...position, ...resting, attempts: 0 });
}
