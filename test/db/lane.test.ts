import { expect, test } from 'bun:test';
import { and, eq, sql } from 'drizzle-orm';
import fc from 'fast-check';
import { openPostgres } from '../../src/db/connect.ts';
import { contacts, identities, memberships, ties } from '../../src/db/schema.ts';
import { onKey } from '../../src/db/sql.ts';
import { openSqlite } from '../../src/db/sqlite.ts';
import { prepare, type Store, type Tx } from '../../src/db/store.ts';
import { postgresDatabase, sqliteFile, withPostgres } from '../support/backends.ts';

const RUNS = Number(process.env.LANE_RUNS ?? 60);
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const p = sql.placeholder;

/** What one step of a write does with small numbers as keys; all of it by prepared statements, as domain code does. */
const steps: Record<string, (tx: Tx, a: string, b: string) => Promise<unknown>> = {
  readIdentity: (tx, a) =>
    prepare(tx, 'identity?', t =>
      t
        .select()
        .from(identities)
        .where(eq(identities.id, p('a')))
        .prepare(),
    ).get({ a }) as Promise<unknown>,
  readByProvider: (tx, a) =>
    prepare(tx, 'provider?', t =>
      t
        .select({ id: identities.id, registers: identities.registers })
        .from(identities)
        .where(eq(identities.provider, p('a')))
        .prepare(),
    ).all({ a }) as Promise<unknown>,
  readWithoutKey: (tx, a) =>
    prepare(tx, 'withoutKey?', t =>
      t
        .select({ registers: identities.registers })
        .from(identities)
        .where(eq(identities.contactId, p('a')))
        .prepare(),
    ).all({ a }) as Promise<unknown>,
  readTies: (tx, a) =>
    prepare(tx, 'ties?', t =>
      t
        .select({ id: ties.identityId })
        .from(ties)
        .where(eq(ties.value, p('a')))
        .prepare(),
    ).all({ a }) as Promise<unknown>,
  count: tx => tx.select({ n: sql`count(*)`.mapWith(Number) }).from(ties),
  tie: (tx, value, id) =>
    prepare(tx, 'tie+', t =>
      t
        .insert(ties)
        .values({ value: p('value'), identityId: p('id') })
        .onConflictDoNothing()
        .prepare(),
    ).run({ value, id }) as Promise<unknown>,
  upsert: (tx, id, b) =>
    prepare(tx, 'identity=', t =>
      t
        .insert(identities)
        .values({ id: p('id'), provider: p('b'), contactId: p('b'), registers: sql`${p('b')}`, createdAt: 1 })
        .onConflictDoUpdate({
          target: onKey(identities.id),
          set: { contactId: sql`excluded.contact_id`, registers: sql`excluded.registers` },
        })
        .prepare(),
    ).run({ id, b }) as Promise<unknown>,
  update: (tx, id, b) =>
    prepare(tx, 'update', t =>
      t
        .update(identities)
        .set({ provider: sql`${p('b')}` })
        .where(eq(identities.id, p('id')))
        .prepare(),
    ).run({ id, b }) as Promise<unknown>,
  updateSome: (tx, id, b) =>
    prepare(tx, 'updateSome', t =>
      t
        .update(identities)
        .set({ provider: sql`${p('b')}` })
        .where(and(eq(identities.id, p('id')), eq(identities.contactId, p('b'))))
        .prepare(),
    ).run({ id, b }) as Promise<unknown>,
  updateMany: (tx, a, b) => tx.update(identities).set({ contactId: b }).where(eq(identities.provider, a)),
  remove: (tx, a) => tx.delete(ties).where(eq(ties.value, a)),
  returning: (tx, a, b) => tx.insert(memberships).values({ contactId: a, listId: b }).onConflictDoNothing().returning(),
};
const names = Object.keys(steps);
const step = fc.tuple(fc.constantFrom(...names), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }));
/** One write: what it reads goes into what it writes last, so that a stale read shows. */
const write = fc.array(step, { minLength: 1, maxLength: 5 });
const history = fc.array(write, { minLength: 2, maxLength: 120 });

/** Rows of a select without an order come as they like. */
const sorted = (value: unknown): unknown =>
  Array.isArray(value) ? value.map(each => JSON.stringify(each)).sort() : value;

async function run(store: Store, writes: [string, number, number][][]): Promise<unknown> {
  const answers = await Promise.all(
    writes.map((each, n) =>
      store.write(async tx => {
        const seen: unknown[] = [];
        for (const [name, a, b] of each) {
          const result = await steps[name]!(tx, String(a), String(b));
          if (/^read|^count|^returning/.test(name)) seen.push(sorted(result ?? null));
        }
        const digest = String(Bun.hash(JSON.stringify(seen)));
        await steps.upsert!(tx, `last${n % 4}`, digest);
        return seen;
      }),
    ),
  );
  const tables = await store.read(async tx => [
    await tx.select().from(identities).orderBy(identities.id),
    await tx.select().from(ties).orderBy(ties.value, ties.identityId),
    await tx.select().from(memberships).orderBy(memberships.contactId, memberships.listId),
    await tx.select().from(contacts),
  ]);
  return { answers, tables };
}

test.skipIf(!withPostgres)(
  'writes that share a transaction see and leave what they would one after the other',
  async () => {
    console.log(`lane: SEED=${SEED} LANE_RUNS=${RUNS}`);
    const postgres = await openPostgres(await postgresDatabase());
    const empty = async (store: Store) =>
      store.write(async tx => {
        for (const table of [identities, ties, memberships]) await tx.delete(table);
      });
    const sqlite = openSqlite(await sqliteFile());
    try {
      await fc.assert(
        fc.asyncProperty(history, async writes => {
          await Promise.all([empty(postgres), empty(sqlite)]);
          const given = writes as [string, number, number][][];
          expect(await run(postgres, given)).toEqual(await run(sqlite, given));
        }),
        { numRuns: RUNS, seed: SEED, endOnFailure: true },
      );
    } finally {
      await Promise.all([postgres.close(), sqlite.close()]);
    }
  },
  120_000,
);

test.skipIf(!withPostgres)(
  'reads that go together find what each would find by itself, whatever its value',
  async () => {
    const store = await openPostgres(await postgresDatabase());
    const values = ['null', '', 'a', 'A', 'ä', 'a\0b', '\ud800x', '\ufffdx', '1', '01', "'", '%', ' ', 'a '];
    const asked = [...values, null, 'nobody'] as (string | null)[];
    for (const [n, value] of values.entries()) await store.write(tx => steps.tie!(tx, value, `of${n}`));
    const read = (value: string | null) =>
      store.write(tx => steps.readTies!(tx, value as string, '') as Promise<object[]>);
    const alone: unknown[] = [];
    for (const value of asked) alone.push(sorted(await read(value)));
    expect((await Promise.all(asked.map(read))).map(sorted)).toEqual(alone);
    expect(alone.slice(-2)).toEqual([[], []]);
    expect(alone.slice(0, 5).map(rows => (rows as unknown[]).length)).toEqual([1, 1, 1, 1, 1]);
    await store.close();
  },
);

test.skipIf(!withPostgres)(
  'instances count on nothing that another one has written meanwhile, nor on what failed',
  async () => {
    const url = await postgresDatabase();
    const [a, b] = await Promise.all([openPostgres(url), openPostgres(url)]);
    const ROUNDS = 40;
    const BURST = 80;
    let failed = 0;
    const add = (store: Store, n: number) =>
      store.write(async tx => {
        const id = n % 8 ? `counter${n}` : `shared${n % 16}`;
        const row = (await steps.readIdentity!(tx, id, '')) as { registers: unknown } | undefined;
        await steps.upsert!(tx, id, String(Number(row?.registers ?? 0) + 1));
        if (Math.random() < 0.002) throw new Error('on purpose');
      });
    // Transactions of one burst mostly touch different counters, which are what the other side touches meanwhile.
    const side = async (store: Store, second: boolean) => {
      for (let round = 0; round < ROUNDS; round++) {
        const burst = Array.from({ length: BURST }, (_, n) => add(store, second ? BURST - n : n));
        for (const { status } of await Promise.allSettled(burst)) failed += Number(status === 'rejected');
        if (second) await Bun.sleep(Math.random() * 30);
      }
    };
    await Promise.all([side(a, false), side(b, true)]);
    const rows = await a.read(tx => tx.select({ n: identities.registers }).from(identities));
    expect(rows.reduce((sum, { n }) => sum + Number(n), 0)).toBe(2 * ROUNDS * BURST - failed);
    await Promise.all([a.close(), b.close()]);
  },
  60_000,
);
