import { expect, test } from 'bun:test';
import { writeOutcome } from '../../src/db/outcome.ts';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { deliveries, jobs, mails } from '../../src/db/schema.ts';
import { type Store, StoreUnavailable } from '../../src/db/store.ts';
import { claim } from '../../src/inbound/leases.ts';
import { buryJob, claimJob, enqueue, jobQueue, MAX_JOB_STARTS } from '../../src/jobs/queue.ts';
import { claimMails } from '../../src/mail/leases.ts';
import { eachBackend, postgresDatabase, withPostgres } from '../support/backends.ts';
import { LEASE, NOW, QUEUES, type Queue } from './harness.ts';

/** What every queue does, on both databases. `harness.ts` says how each of them is spoken to. */

const HELD = 'held';
const MINUTE = 60_000;
const DAY = 86_400_000;

/** What became of a settle by somebody who may not hold the row any more. */
const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    value => (value === false ? 'refused' : HELD),
    () => 'refused',
  );

const waysOn = ({ retry, giveBack, goOn }: Queue) => ({
  'failed once': retry,
  ...(giveBack && { 'given back': giveBack }),
  ...goOn,
});

/** What was in crashes does not come with the others. */
async function claimAll(queue: Queue, store: Store, now: number) {
  const all = await queue.claim(store, now);
  return [...all, ...(await queue.claim(store, now))];
}

async function filled(open: () => Promise<Store>, queue: Queue, count: number): Promise<Store> {
  const store = await open();
  const ids = Array.from({ length: count }, (_, i) => `r${i}`);
  await queue.fill(store, ids);
  return store;
}

for (const [name, queue] of Object.entries(QUEUES))
  eachBackend(`the queue of ${name}`, open => {
    test('what is due is claimed once by eight', async () => {
      const store = await filled(open, queue, 60);
      const all = await Promise.all(Array.from({ length: 8 }, () => queue.claim(store, NOW)));
      const claimed = [...all.flat(), ...(await queue.claim(store, NOW + 2))];
      expect(claimed).toHaveLength(60);
      expect(new Set(claimed.map(row => row.id)).size).toBe(60);
    });
    test('what one holds another one does not get, and its outcome counts', async () => {
      const store = await filled(open, queue, 2);
      const mine = await queue.claim(store, NOW);
      expect(mine).toHaveLength(2);
      expect(await queue.claim(store, NOW + 1)).toEqual([]);
      for (const row of mine) expect(await outcomeOf(queue.settle(store, row as never, NOW))).toBe(HELD);
      expect(await queue.claim(store, NOW + LEASE)).toEqual([]);
    });
    test('whose lease ran out changes nothing of the one who holds it now', async () => {
      const store = await filled(open, queue, 1);
      const [first] = await queue.claim(store, NOW);
      const [second] = await queue.claim(store, NOW + LEASE);
      expect(second?.id).toBe(first!.id);
      const before = await queue.rows(store);
      for (const [how, goOn] of Object.entries({ settle: queue.settle, ...waysOn(queue) })) {
        await outcomeOf(goOn(store, first as never, NOW + LEASE));
        expect([how, await queue.rows(store)]).toEqual([how, before]);
      }
      expect(await outcomeOf(queue.settle(store, second as never, NOW + LEASE))).toBe(HELD);
    });
    for (const [how, goOn] of Object.entries(waysOn(queue)))
      test(`nor of who holds it after that, when it was ${how} in between`, async () => {
        const store = await filled(open, queue, 1);
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
    test('a start whose end nobody noted is counted', async () => {
      const store = await filled(open, queue, 1);
      const seen: number[] = [];
      for (let i = 0; i < 3; i++) {
        const [row] = await queue.claim(store, NOW + i * LEASE);
        seen.push(row ? queue.crashesOf(row) : -1);
      }
      expect(seen).toEqual([0, 1, 2]);
    });
    test('after a restart what was under way is due within seconds', async () => {
      const store = await filled(open, queue, 1);
      expect(await queue.claim(store, NOW)).toHaveLength(1);
      await queue.restart(store, NOW + 5);
      expect(await queue.claim(store, NOW + 10_010)).toHaveLength(1);
    });
    if (queue.giveBack)
      test('an outage gives the start back: due at once, and never counted', async () => {
        const store = await filled(open, queue, 1);
        for (let i = 0; i < 12; i++) {
          const [row] = await queue.claim(store, NOW + i);
          expect([i, row && queue.crashesOf(row)]).toEqual([i, 0]);
          await queue.giveBack?.(store, row as never, NOW + i);
        }
      });
    test('a clock that is set back holds nothing up: waits and leases keep their length', async () => {
      const store = await filled(open, queue, 2);
      const [first] = await queue.claim(store, NOW);
      await queue.retry(store, first as never, NOW + 10 * MINUTE);
      const then = NOW - DAY;
      await queue.followBack(store, DAY, then);
      expect(await queue.claim(store, then + 40_000)).toEqual([]);
      const [lapsed, ...none] = await queue.claim(store, then + LEASE);
      expect(none).toEqual([]);
      await queue.settle(store, lapsed as never, then + LEASE);
      expect(await queue.claim(store, then + 9 * MINUTE)).toEqual([]);
      expect((await queue.claim(store, then + 10 * MINUTE)).map(row => row.id)).toEqual([first!.id]);
    });
    test('what was noted while the clock was days ahead does not wait for those days', async () => {
      const store = await filled(open, queue, 2);
      const ahead = NOW + 2 * DAY;
      const [first] = await queue.claim(store, ahead);
      await queue.retry(store, first as never, ahead + 10 * MINUTE);
      expect(await queue.claim(store, NOW)).toEqual([]);
      await queue.followAhead(store, NOW);
      expect(await claimAll(queue, store, NOW + 11 * MINUTE)).toHaveLength(2);
    });
    if (queue.suspect)
      test('what was in crashes goes alone, one at a time, and holds the others up no longer', async () => {
        const { suspect } = queue;
        const store = await filled(open, queue, 4);
        await store.write(async tx => {
          for (const id of ['r1', 'r2']) await suspect?.mark(tx, id, suspect.from);
        });
        const [one, ...none] = await queue.claim(store, NOW);
        expect([one?.id, none]).toEqual(['r1', []]);
        const others = await queue.claim(store, NOW + 1);
        expect(others.map(row => row.id).sort()).toEqual(['r0', 'r3']);
        expect(await queue.claim(store, NOW + 2)).toEqual([]);
        await queue.settle(store, one as never, NOW + 3);
        expect((await queue.claim(store, NOW + 4)).map(row => row.id)).toEqual(['r2']);
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
      await store.write(tx => jobQueue.giveBack(tx, [job!], NOW));
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
