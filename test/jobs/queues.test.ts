import { expect, test } from 'bun:test';
import { openPostgres } from '../../src/db/connect.ts';
import { writeOutcome } from '../../src/db/outcome.ts';
import { deliveries, jobs, mails, runs, webhookCalls, webhookSubscriptions } from '../../src/db/schema.ts';
import { type Store, StoreUnavailable } from '../../src/db/store.ts';
import { claim, finish, giveBack, recover } from '../../src/inbound/leases.ts';
import { buryJob, claimJob, enqueue, finishJob, giveJobBack, MAX_JOB_STARTS, retryJob } from '../../src/jobs/queue.ts';
import { claimMails, recoverMails, settleMail } from '../../src/mail/leases.ts';
import { claimCalls, recordAttempt } from '../../src/outgoing/calls.ts';
import { claimRuns, giveRunsBack, settleRun } from '../../src/workflows/runs.ts';
import { eachBackend, postgresDatabase, withPostgres } from '../support/backends.ts';

const NOW = 1_800_000_000_000;
const LEASE = 130_000; // longer than any queue's
const HELD = 'held';

/** A queue as a worker uses it. A row that it claimed is opaque; what can't be settled by it any more throws or says false. */
interface Queue {
  fill(store: Store, ids: string[]): Promise<unknown>;
  /** All that is due; leases that ran out are due again. */
  claim(store: Store, now: number): Promise<{ id: string }[]>;
  /** Ends the work for good. */
  settle(store: Store, row: never, now: number): Promise<unknown>;
  /** The row stays in the queue and is due at `now`, as after a step, a retry, or an outage. */
  goOn: Record<string, (store: Store, row: never, now: number) => Promise<unknown>>;
  /** Every row, with all that a settle could change. */
  rows(store: Store): Promise<unknown>;
}

const attempt = { at: NOW, status: 200, ms: 1, answer: '', error: null };
const QUEUES: Record<string, Queue> = {
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
      await store.write(tx => recover(tx, now, now));
      return store.write(tx => claim(tx, now + 10_001, 64));
    },
    settle: (store, row) => store.write(tx => finish(tx, row, { status: 'processed' })),
    goOn: {
      'given back': (store, row) => store.write(tx => giveBack(tx, [row])),
      'failed once': (store, row, now) => store.write(tx => finish(tx, row, { status: 'failed', dueAt: now })),
    },
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
    settle: (store, row) => store.write(tx => settleRun(tx, row, { status: 'completed' })),
    goOn: {
      'given back': (store, row, now) => store.write(tx => giveRunsBack(tx, [row], now)),
      'a step on': (store, row, now) => store.write(tx => settleRun(tx, row, { attempts: 0, visits: 1, dueAt: now })),
    },
    rows: store => store.read(tx => tx.select().from(runs)),
  },
  jobs: {
    fill: (store, ids) =>
      store.write(async tx => {
        for (const id of ids) await enqueue(tx, 'test', { id }, 1);
      }),
    async claim(store, now) {
      const all: { id: string }[] = [];
      for (;;) {
        const job = await store.write(tx => claimJob(tx, now));
        if (!job) return all;
        all.push(job);
      }
    },
    settle: (store, row) => store.write(tx => finishJob(tx, row, null)),
    goOn: {
      'given back': (store, row, now) => store.write(tx => giveJobBack(tx, row, now)),
      'a step on': (store, row, now) => store.write(tx => finishJob(tx, row, { payload: {}, dueAt: now })),
      'failed once': (store, row, now) => store.write(tx => retryJob(tx, row, now)),
    },
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
      await store.write(tx => recoverMails(tx, now, now));
      return (await store.write(tx => claimMails(tx, now, 64, 'x.co', null))).rows;
    },
    settle: (store, row) => store.write(tx => settleMail(tx, row, { state: 'sent' })),
    goOn: {
      'failed once': (store, row, now) => store.write(tx => settleMail(tx, row, { state: 'queued', dueAt: now })),
    },
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
    goOn: {
      'failed once': (store, row, now) =>
        store.write(tx => recordAttempt(tx, row, { ...attempt, error: 'e' }, { dueAt: now, failures: 1 }, now)),
    },
    rows: store => store.read(tx => tx.select().from(webhookCalls)),
  },
};

/** What became of a settle by somebody who may not hold the row any more. */
const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    value => (value === false ? 'refused' : HELD),
    () => 'refused',
  );

for (const [name, queue] of Object.entries(QUEUES))
  eachBackend(`the queue of ${name}`, open => {
    test('what one holds another one does not get, and its outcome counts', async () => {
      const store = await open();
      await queue.fill(store, ['a', 'b']);
      const mine = await queue.claim(store, NOW);
      expect(mine).toHaveLength(2);
      expect(await queue.claim(store, NOW + 1)).toEqual([]);
      for (const row of mine) expect(await outcomeOf(queue.settle(store, row as never, NOW))).toBe(HELD);
      expect(await queue.claim(store, NOW + LEASE)).toEqual([]);
    });
    test('whose lease ran out changes nothing of the one who holds it now', async () => {
      const store = await open();
      await queue.fill(store, ['a']);
      const [first] = await queue.claim(store, NOW);
      const [second] = await queue.claim(store, NOW + LEASE);
      expect(second?.id).toBe(first!.id);
      const before = await queue.rows(store);
      for (const [how, goOn] of Object.entries({ settle: queue.settle, ...queue.goOn })) {
        await outcomeOf(goOn(store, first as never, NOW + LEASE));
        expect([how, await queue.rows(store)]).toEqual([how, before]);
      }
      expect(await outcomeOf(queue.settle(store, second as never, NOW + LEASE))).toBe(HELD);
    });
    for (const [how, goOn] of Object.entries(queue.goOn))
      test(`nor of who holds it after that, when it was ${how} in between`, async () => {
        const store = await open();
        await queue.fill(store, ['a']);
        const [first] = await queue.claim(store, NOW);
        const [second] = await queue.claim(store, NOW + LEASE);
        await goOn(store, second as never, NOW + LEASE);
        const [third] = await queue.claim(store, NOW + 2 * LEASE);
        expect(third?.id).toBe(first!.id);
        const before = await queue.rows(store);
        for (const late of [first, second]) await outcomeOf(queue.settle(store, late as never, NOW + 2 * LEASE));
        expect(await queue.rows(store)).toEqual(before);
        expect(await outcomeOf(queue.settle(store, third as never, NOW + 2 * LEASE))).toBe(HELD);
      });
  });

test.skipIf(!withPostgres)(
  'what is due is claimed once by eight workers of two instances, in every queue',
  async () => {
    for (const queue of Object.values(QUEUES)) {
      const url = await postgresDatabase();
      const stores = await Promise.all([openPostgres(url), openPostgres(url)]);
      const ids = Array.from({ length: 60 }, (_, i) => `r${i}`);
      await queue.fill(stores[0]!, ids);
      const all = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.claim(stores[i % 2]!, NOW)));
      const claimed = [...all.flat(), ...(await queue.claim(stores[0]!, NOW + 2))];
      for (const store of stores) await store.close();
      expect(claimed).toHaveLength(60);
      expect(new Set(claimed.map(row => row.id)).size).toBe(60);
    }
  },
);

test.skipIf(!withPostgres)(
  'two instances together keep to the limit of an hour, and take one suspect at a time',
  async () => {
    for (let round = 0; round < 3; round++) {
      const url = await postgresDatabase();
      const stores = await Promise.all([openPostgres(url), openPostgres(url)]);
      const [store] = stores;
      const all = Array.from({ length: 8 }, (_, i) => stores[i % 2]!);
      const ids = Array.from({ length: 60 }, (_, i) => `m${i}`);
      await QUEUES.mails!.fill(store, ids);
      await store.write(tx => tx.update(mails).set({ transactional: false }));
      const claims = await Promise.all(all.map(each => each.write(tx => claimMails(tx, NOW, 10, 'x.co', 25))));
      expect(claims.flatMap(claimed => claimed.rows).length).toBe(25);

      await QUEUES.deliveries!.fill(store, ids);
      await store.write(tx => tx.update(deliveries).set({ crashes: 1 }));
      const suspects = await Promise.all(all.map(each => each.write(tx => claim(tx, NOW, 10))));
      expect(suspects.flat()).toHaveLength(1);
      for (const each of stores) await each.close();
    }
  },
);

eachBackend('jobs', open => {
  test('one whose starts never ended is given up, the next one goes on', async () => {
    const store = await open();
    await store.write(tx => enqueue(tx, 'kills', {}, 1));
    for (let i = 0; i < MAX_JOB_STARTS; i++)
      expect((await store.write(tx => claimJob(tx, NOW + i * LEASE)))?.kind).toBe('kills');
    const later = NOW + MAX_JOB_STARTS * LEASE;
    await store.write(tx => enqueue(tx, 'fine', {}, later));
    expect((await store.write(tx => claimJob(tx, later)))?.kind).toBe('fine');
    const rows = await store.read(tx => tx.select().from(jobs).orderBy(jobs.id));
    expect(rows.map(row => row.status)).toEqual(['dead', 'queued']);
  });
  test('an outage gives the start back: it never counts towards giving it up', async () => {
    const store = await open();
    await store.write(tx => enqueue(tx, 'patient', {}, 1));
    for (let i = 0; i < 3 * MAX_JOB_STARTS; i++) {
      const job = await store.write(tx => claimJob(tx, NOW));
      expect(job).toMatchObject({ kind: 'patient', attempts: 1, fence: i + 1 });
      await store.write(tx => giveJobBack(tx, job!, NOW));
    }
    const job = await store.write(tx => claimJob(tx, NOW));
    await store.write(tx => buryJob(tx, job!));
    expect(await store.write(tx => claimJob(tx, NOW + LEASE))).toBe(null);
  });
});

test('a known outcome is written however long the database is away, until the process ends; other errors at once', async () => {
  let tries = 0;
  const away = async () => {
    if (++tries < 5) throw new StoreUnavailable('away');
    return 'written';
  };
  expect(await writeOutcome(away, () => false)).toBe('written');
  expect(tries).toBe(5);
  const never = () => Promise.reject(new StoreUnavailable('away'));
  let ending = false;
  const waiting = writeOutcome(never, () => ending).catch(error => error);
  ending = true;
  expect(await waiting).toBeInstanceOf(StoreUnavailable);
  const wrong = () => Promise.reject(new Error('wrong'));
  expect(await writeOutcome(wrong, () => false).catch(error => error.message)).toBe('wrong');
});
