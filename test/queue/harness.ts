import { eq } from 'drizzle-orm';
import { deliveries, jobs, mails, runs, webhookCalls, webhookSubscriptions } from '../../src/db/schema.ts';
import type { Store, Tx } from '../../src/db/store.ts';
import { claim, deliveryQueue, recover } from '../../src/inbound/leases.ts';
import { claimJob, enqueue, finishJob, freeJobs, jobQueue } from '../../src/jobs/queue.ts';
import { claimMails, mailQueue } from '../../src/mail/leases.ts';
import { callQueue, claimCalls, freeCalls, recordAttempt } from '../../src/outgoing/calls.ts';
import { claimRuns, followClock, freeRuns, runQueue } from '../../src/workflows/runs.ts';

export const NOW = 1_800_000_000_000;
export const LEASE = 130_000; // longer than any queue's
const SUSPECT_MS = 10_001; // what was in several crashes waits at most so long

interface Claimed {
  id: string;
  attempts: number;
  crashes?: number;
}
type Do = (store: Store, row: never, now: number) => Promise<unknown>;

/** A queue as a worker uses it. A row that it claimed is opaque; what can't be settled by it any more throws or says false. */
export interface Queue {
  fill(store: Store, ids: string[]): Promise<unknown>;
  /** All that is due; leases that ran out are due again. */
  claim(store: Store, now: number): Promise<Claimed[]>;
  /** Ends the work for good. */
  settle: Do;
  /** The row stays in the queue and is due at `now`. */
  retry: Do;
  /** The database was away, which is no fault of the row; null: what was begun has an outcome, which is written whenever it is back. */
  giveBack: Do | null;
  /** Other ways to stay in the queue, due at `now`. */
  goOn?: Record<string, Do>;
  /** How many starts of a claimed row nobody noted the end of. */
  crashesOf(row: Claimed): number;
  /** So many crashes make a row one that goes alone; null: none does. */
  suspect: { from: number; mark(tx: Tx, id: string, crashes: number): Promise<unknown> } | null;
  /** The only process was killed and begins again. */
  restart(store: Store, now: number): Promise<unknown>;
  /** The clock was set back by `ms` and shows `now`. */
  followBack(store: Store, ms: number, now: number): Promise<unknown>;
  /** What was noted while the clock was far ahead, as each minute sees to it. */
  followAhead(store: Store, now: number): Promise<unknown>;
  /** Every row, with all that a settle could change. */
  rows(store: Store): Promise<unknown>;
}

const LATEST = 600_000; // as far ahead as anything may be due
const attempt = { at: NOW, status: 200, ms: 1, answer: '', error: null };
const starts = ({ attempts }: Claimed) => attempts - 1;
const crashes = (row: Claimed) => row.crashes ?? 0;

export const QUEUES: Record<string, Queue> = {
  deliveries: {
    fill: (store, ids) =>
      store.write(tx =>
        tx.insert(deliveries).values(
          ids.map(id => ({
            ...{ id, endpointId: 'ep', provider: 'stripe', externalId: id, type: 't', status: 'queued' as const },
            ...{ message: '', receivedAt: 1, dueAt: 0, leased: false, attempts: 0, crashes: 0, duplicates: 0 },
            ...{ response: { status: 200 }, effects: [], replays: 0 },
          })),
        ),
      ),
    async claim(store, now) {
      await store.write(tx => recover(tx, now, now - SUSPECT_MS));
      return store.write(tx => claim(tx, now, 64));
    },
    settle: (store, row) => store.write(tx => deliveryQueue.complete(tx, row, { status: 'processed' })),
    retry: (store, row, now) => store.write(tx => deliveryQueue.complete(tx, row, { status: 'failed', dueAt: now })),
    giveBack: (store, row, now) => store.write(tx => deliveryQueue.giveBack(tx, [row], now)),
    crashesOf: crashes,
    suspect: {
      from: 1,
      mark: (tx, id, n) => tx.update(deliveries).set({ crashes: n }).where(eq(deliveries.id, id)).returning(),
    },
    restart: (store, now) => store.write(tx => recover(tx, null, now)),
    followBack: (store, ms) => store.write(tx => deliveryQueue.shiftClock(tx, ms)),
    followAhead: (store, now) => store.write(tx => deliveryQueue.capDueAt(tx, now + LATEST)),
    rows: store => store.read(tx => tx.select().from(deliveries)),
  },
  runs: {
    fill: (store, ids) =>
      store.write(tx =>
        tx.insert(runs).values(
          ids.map(id => ({
            ...{ id, workflowId: 'w', contactId: id, entry: '', status: 'active' as const, nodeId: 'n', guards: [] },
            ...{ waiting: false, visits: 0, dueAt: 0, since: 0, attempts: 0, createdAt: 1 },
          })),
        ),
      ),
    claim: (store, now) => store.write(tx => claimRuns(tx, now, 64)),
    settle: (store, row) => store.write(tx => runQueue.complete(tx, row, { status: 'completed' })),
    retry: (store, row, dueAt) => store.write(tx => runQueue.complete(tx, row, { dueAt })),
    giveBack: (store, row, now) => store.write(tx => runQueue.giveBack(tx, [row], now)),
    goOn: {
      'a step on': (store, row, now) =>
        store.write(tx => runQueue.complete(tx, row, { attempts: 0, visits: 1, dueAt: now })),
    },
    crashesOf: starts,
    suspect: null, // a step is short and bounded
    restart: (store, now) => store.write(tx => freeRuns(tx, now)),
    followBack: (store, _, now) => store.write(tx => followClock(tx, now)),
    followAhead: (store, now) => store.write(tx => followClock(tx, now)),
    rows: store => store.read(tx => tx.select().from(runs)),
  },
  jobs: {
    fill: (store, ids) =>
      store.write(async tx => {
        for (const id of ids) await enqueue(tx, 'test', { id }, 1);
      }),
    async claim(store, now) {
      const all: Claimed[] = [];
      for (;;) {
        const job = await store.write(tx => claimJob(tx, now));
        if (!job) return all;
        all.push(job);
      }
    },
    settle: (store, row) => store.write(tx => finishJob(tx, row, null)),
    retry: (store, row, dueAt) => store.write(tx => jobQueue.complete(tx, row, { dueAt, error: 'e' })),
    giveBack: (store, row, now) => store.write(tx => jobQueue.giveBack(tx, [row], now)),
    goOn: {
      'a step on': (store, row, now) => store.write(tx => finishJob(tx, row, { payload: {}, dueAt: now })),
    },
    crashesOf: starts,
    suspect: null, // each goes alone
    restart: (store, now) => store.write(tx => freeJobs(tx, now)),
    followBack: (store, ms) => store.write(tx => jobQueue.shiftClock(tx, ms)),
    followAhead: (store, now) => store.write(tx => jobQueue.capDueAt(tx, now + LATEST)),
    rows: store => store.read(tx => tx.select().from(jobs)),
  },
  mails: {
    fill: (store, ids) =>
      store.write(tx =>
        tx.insert(mails).values(
          ids.map(id => ({
            ...{ id, mailKey: id, recipient: 'a@x.co', emailMessageId: 'em', data: {}, transactional: true },
            ...{ state: 'queued' as const, forced: false, messageId: id, dueAt: 0, attempts: 0, failures: 0 },
            ...{ crashes: 0, createdAt: 1 },
          })),
        ),
      ),
    async claim(store, now) {
      await store.write(tx => mailQueue.rescue(tx, now, now));
      return (await store.write(tx => claimMails(tx, now, 64, 'x.co', null))).rows;
    },
    settle: (store, row) => store.write(tx => mailQueue.settle(tx, row, { state: 'sent' })),
    retry: (store, row, now) => store.write(tx => mailQueue.settle(tx, row, { state: 'queued', dueAt: now })),
    giveBack: (store, row, now) => store.write(tx => mailQueue.giveBack(tx, [row], now)),
    crashesOf: crashes,
    suspect: {
      from: 3,
      mark: (tx, id, n) => tx.update(mails).set({ crashes: n }).where(eq(mails.id, id)).returning(),
    },
    restart: (store, now) => store.write(tx => mailQueue.rescue(tx, null, now)),
    followBack: (store, ms) => store.write(tx => mailQueue.shiftClock(tx, ms)),
    followAhead: (store, now) => store.write(tx => mailQueue.capDueAt(tx, now + LATEST)),
    rows: store => store.read(tx => tx.select().from(mails)),
  },
  calls: {
    fill: (store, ids) =>
      store.write(async tx => {
        await tx.insert(webhookSubscriptions).values({
          ...{ id: 'sub', name: 's', url: 'https://x.co', eventNames: [], state: 'active', createdAt: 1, updatedAt: 1 },
          ...{ sealedSecret: 's', secretHint: 's' },
        });
        await tx.insert(webhookCalls).values(
          ids.map(id => ({
            ...{ id, uniqueKey: id, subscriptionId: 'sub', eventName: 'e', body: '{}', state: 'queued' as const },
            ...{ dueAt: 0, leased: false, attempts: 0, failures: 0, crashes: 0, history: [], createdAt: 1 },
          })),
        );
      }),
    claim: (store, now) => store.write(tx => claimCalls(tx, 'sub', 64, now)),
    settle: (store, row, now) => store.write(tx => recordAttempt(tx, row, attempt, null, now)),
    retry: (store, row, now) =>
      store.write(tx => recordAttempt(tx, row, { ...attempt, error: 'e' }, { dueAt: now, failures: 1 }, now)),
    giveBack: null,
    crashesOf: crashes,
    suspect: null, // few go to one receiver at a time
    restart: (store, now) => store.write(tx => freeCalls(tx, now)),
    followBack: (store, ms) => store.write(tx => callQueue.shiftClock(tx, ms)),
    followAhead: (store, now) => store.write(tx => callQueue.capDueAt(tx, now + LATEST)),
    rows: store => store.read(tx => tx.select().from(webhookCalls)),
  },
};
