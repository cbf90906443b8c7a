import { expect, test } from 'bun:test';
import { eq, sql } from 'drizzle-orm';
import { jobs, lists, meta } from '../../src/db/schema.ts';
import type { Store, Tx } from '../../src/db/store.ts';
import { claimJob, enqueue } from '../../src/jobs/queue.ts';
import { eachBackend } from '../support/backends.ts';

const list = (id: string) => ({ id, name: id, description: null, isPublic: true, createdAt: 1 });
const ids = async (store: Store) =>
  (await store.read(tx => tx.select({ id: lists.id }).from(lists).orderBy(lists.id))).map(row => row.id);
const counter = async (tx: Tx) => Number((await tx.select().from(meta).where(eq(meta.key, 'n')))[0]?.value ?? 0);

// What domain code may rely on, whichever database is behind it.
eachBackend('store', open => {
  test('gives back what was written, types included', async () => {
    const store = await open();
    await store.write(tx =>
      tx.insert(jobs).values({
        id: 'j',
        kind: 'k',
        uniqueKey: null,
        payload: { a: [1, 'é', null] },
        status: 'queued',
        dueAt: 1790000000000,
        attempts: 0,
        error: null,
        createdAt: 2,
      }),
    );
    const [row] = await store.read(tx => tx.select().from(jobs));
    expect(row).toMatchObject({ payload: { a: [1, 'é', null] }, dueAt: 1790000000000, uniqueKey: null });
    await store.write(tx => tx.insert(lists).values(list('l')));
    expect((await store.read(tx => tx.select().from(lists)))[0]?.isPublic).toBe(true);
  });
  test('rolls back a write that throws, and its neighbours in the same commit stay', async () => {
    const store = await open();
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c'].map(id =>
        store.write(async tx => {
          await tx.insert(lists).values(list(id));
          if (id === 'b') throw new Error('no');
        }),
      ),
    );
    expect(outcomes.map(o => o.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await ids(store)).toEqual(['a', 'c']);
  });
  test('shows readers committed state only', async () => {
    const store = await open();
    let during: string[] = [];
    await store.write(async tx => {
      await tx.insert(lists).values(list('a'));
      during = await ids(store);
    });
    expect(during).toEqual([]);
    expect(await ids(store)).toEqual(['a']);
  });
  test('loses no update of concurrent read-modify-writes', async () => {
    const store = await open();
    await store.write(tx => tx.insert(meta).values({ key: 'n', value: '0' }));
    await Promise.all(
      Array.from({ length: 50 }, () =>
        store.write(async tx => {
          const n = await counter(tx);
          await tx
            .update(meta)
            .set({ value: String(n + 1) })
            .where(eq(meta.key, 'n'));
        }),
      ),
    );
    expect(await store.read(counter)).toBe(50);
  });
  test('refuses a write inside a write', async () => {
    const store = await open();
    const inner = await store.write(() =>
      store
        .write(async () => 1)
        .then(
          () => 'allowed',
          error => String(error),
        ),
    );
    expect(inner).toContain('write inside write');
  });
  test('keeps a unique key, and the failed statement harms nobody else in the batch', async () => {
    const store = await open();
    await store.write(tx => tx.insert(lists).values(list('a')));
    const outcomes = await Promise.allSettled(
      ['b', 'a', 'c'].map(id => store.write(tx => tx.insert(lists).values(list(id)))),
    );
    expect(outcomes.map(o => o.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await ids(store)).toEqual(['a', 'b', 'c']);
    const again = await store.write(tx => tx.insert(lists).values(list('a')).onConflictDoNothing().returning());
    expect(again).toEqual([]);
  });
  test('has 200 jobs claimed once each by 8 workers', async () => {
    const store = await open();
    await store.write(async tx => {
      for (let i = 0; i < 200; i++) await enqueue(tx, 'k', i, 1000 + i);
    });
    const claimed: string[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (;;) {
          const job = await store.write(tx => claimJob(tx, 5000));
          if (!job) return;
          claimed.push(job.id);
        }
      }),
    );
    expect(claimed.length).toBe(200);
    expect(new Set(claimed).size).toBe(200);
  });
  test('has the tables and columns that schema.ts names', async () => {
    const store = await open();
    const schema = await import('../../src/db/schema.ts');
    const { getTableConfig, SQLiteTable } = await import('drizzle-orm/sqlite-core');
    const { is } = await import('drizzle-orm');
    let tables = 0;
    for (const table of Object.values(schema)) {
      if (!is(table, SQLiteTable)) continue;
      tables++;
      const config = getTableConfig(table);
      const columns = config.columns.map(column => sql.raw(column.name));
      await store.read(tx =>
        tx
          .select({ one: sql`${sql.join(columns, sql` || `)}` })
          .from(table)
          .limit(1),
      );
    }
    expect(tables).toBeGreaterThan(10);
  });
});
