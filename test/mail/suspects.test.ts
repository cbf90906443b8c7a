import { expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { mails } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { claimMails, LEASE_MS, mailQueue } from '../../src/mail/leases.ts';
import { queueMail } from '../../src/mail/mails.ts';
import { eachBackend } from '../support/backends.ts';

const NOW = 1_800_000_000_000;

const queue = (store: Store, key: string, now = NOW) =>
  store.write(async tx => {
    const mail = { key, contactId: null, to: `${key}@example.com`, emailMessageId: 'em_x', data: {} };
    return (await queueMail(tx, { ...mail, transactional: true }, now)) ?? '';
  });
const claim = async (store: Store, now: number) =>
  (await store.write(tx => claimMails(tx, now, 10, 'acme.test', null))).rows;
const rowOf = async (store: Store, id: string) => {
  const [row] = await store.read(tx => tx.select().from(mails).where(eq(mails.id, id)));
  return row!;
};
const crash = (store: Store, now: number) => store.write(tx => mailQueue.rescue(tx, null, now));

eachBackend('mails under way at crashes', open => {
  test('two crashes: due again at once; the third: after seconds, one at a time, and others go before', async () => {
    const store = await open();
    const ids = [await queue(store, 'a'), await queue(store, 'b')];
    for (let n = 1; n <= 3; n++) {
      expect(await claim(store, NOW)).toHaveLength(2);
      await crash(store, NOW);
      for (const id of ids) expect(await rowOf(store, id)).toMatchObject({ state: 'queued', crashes: n });
    }
    for (const id of ids) {
      const { dueAt } = await rowOf(store, id);
      expect(dueAt).toBeGreaterThanOrEqual(NOW + 3000);
      expect(dueAt).toBeLessThanOrEqual(NOW + 6000);
    }
    expect(await claim(store, NOW)).toEqual([]);

    const then = NOW + 6000;
    const fresh = await queue(store, 'c', then);
    const [first, ...more] = await claim(store, then);
    expect(more).toEqual([]);
    expect(ids).toContain(first!.id);
    expect((await claim(store, then)).map(row => row.id)).toEqual([fresh]); // no suspect beside a suspect
    expect(await claim(store, then)).toEqual([]);
    expect(await store.write(tx => mailQueue.settle(tx, first!, { state: 'sent', sentAt: then }))).toBe(true);
    const second = await claim(store, then);
    expect(second.map(row => row.id)).toEqual(ids.filter(id => id !== first!.id));
    expect(await rowOf(store, first!.id)).toMatchObject({ state: 'sent', crashes: 0 });
  });

  test('each crash more doubles the wait; a lease that runs out counts as one', async () => {
    const store = await open();
    const id = await queue(store, 'killer');
    let now = NOW;
    for (let n = 1; n <= 6; n++) {
      expect(await claim(store, now)).toHaveLength(1);
      if (n % 2) await crash(store, now);
      else {
        now += LEASE_MS;
        await store.write(tx => mailQueue.rescue(tx, now, now));
        expect((await rowOf(store, id)).state).toBe('sending'); // not before its end
        now++;
        await store.write(tx => mailQueue.rescue(tx, now, now));
      }
      const { crashes, dueAt } = await rowOf(store, id);
      expect(crashes).toBe(n);
      const least = n < 3 ? 0 : 3000 * 2 ** (n - 3);
      expect(dueAt - now).toBeGreaterThanOrEqual(least);
      expect(dueAt - now).toBeLessThanOrEqual(2 * least);
      now = dueAt;
    }
  });

  test('the urgent before the rest, and alone where there is no room for more', async () => {
    const store = await open();
    const bulk = (key: string) =>
      store.write(tx => {
        const mail = { key, contactId: null, to: `${key}@example.com`, emailMessageId: 'em_x', data: {} };
        return queueMail(tx, { ...mail, transactional: false }, NOW);
      });
    for (let i = 0; i < 20; i++) await bulk(`b${i}`);
    const urgent = await queue(store, 'urgent', NOW + 1);
    const keep = { all: 0, urgent: 8 };
    expect((await store.write(tx => claimMails(tx, NOW, keep, 'acme.test', null))).rows).toEqual([]);
    const alone = await store.write(tx => claimMails(tx, NOW + 1, keep, 'acme.test', null));
    expect(alone.rows.map(row => row.id)).toEqual([urgent]);
    const second = await queue(store, 'second', NOW + 2);
    const both = (await store.write(tx => claimMails(tx, NOW + 2, 5, 'acme.test', null))).rows;
    expect(both).toHaveLength(5);
    expect(both.map(row => row.id)).toContain(second);
  });

  test('who holds a mail no longer does not settle it', async () => {
    const store = await open();
    await queue(store, 'a');
    const [first] = await claim(store, NOW);
    await store.write(tx => mailQueue.rescue(tx, NOW + LEASE_MS + 1, NOW + LEASE_MS + 1));
    const [second] = await claim(store, NOW + LEASE_MS + 1);
    expect(await store.write(tx => mailQueue.settle(tx, first!, { state: 'failed' }))).toBe(false);
    expect((await rowOf(store, first!.id)).state).toBe('sending');
    expect(await store.write(tx => mailQueue.settle(tx, second!, { state: 'sent' }))).toBe(true);
  });

  test('a lease that is renewed does not run out; one that is over is not renewed', async () => {
    const store = await open();
    const id = await queue(store, 'slow');
    const [held] = await claim(store, NOW);
    await store.write(tx => mailQueue.renew(tx, [held!], NOW + LEASE_MS));
    await store.write(tx => mailQueue.rescue(tx, NOW + LEASE_MS + 1, NOW + LEASE_MS + 1));
    expect(await rowOf(store, id)).toMatchObject({ state: 'sending', dueAt: NOW + 2 * LEASE_MS });
    expect(await store.write(tx => mailQueue.settle(tx, held!, { state: 'sent', sentAt: NOW }))).toBe(true);
    await store.write(tx => mailQueue.renew(tx, [held!], NOW + 3 * LEASE_MS));
    expect((await rowOf(store, id)).dueAt).not.toBe(NOW + 4 * LEASE_MS);
  });
});
