import { expect, test } from 'bun:test';
import { eq, inArray } from 'drizzle-orm';
import { deliveries, endpoints, lists, memberships, runs, workflows } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { holdQueued, NEVER, releaseHeld } from '../../src/inbound/pause.ts';
import { reconcileAll } from '../../src/jobs/reconcile.ts';
import { eachBackend } from '../support/backends.ts';

const NOW = 1_800_000_000_000;

const endpoint = (id: string, paused: boolean) => ({
  ...{ id, provider: 'stripe', name: id, paused, settings: {}, events: {}, createdAt: 1, updatedAt: 1 },
  ...{ sealedApiKey: null, lastReceivedAt: null, lastRejectedAt: null, lastRejectedCause: null },
});
const delivery = (id: string, endpointId: string, dueAt: number) => ({
  ...{ id, endpointId, provider: 'stripe', externalId: id, type: 't', status: 'queued' as const, message: '' },
  ...{ receivedAt: 1, dueAt, leased: false, attempts: 0, crashes: 0, duplicates: 0, effects: [], replays: 0 },
  ...{ response: { status: 200 } },
});
const workflow = (id: string, state: 'running' | 'paused' | 'stopped') => ({
  ...{ id, name: id, state, graph: {}, rootNode: {}, createdAt: 1, updatedAt: 1 },
});
const run = (id: string, workflowId: string, status: 'active' | 'held') => ({
  ...{ id, workflowId, contactId: `c${id}`, entry: '', status, nodeId: 'n', waiting: true, visits: 1, guards: [] },
  ...{ dueAt: NOW + 1000, since: 1, attempts: 0, createdAt: 1 },
});

const dueOf = async (store: Store) =>
  Object.fromEntries((await store.read(tx => tx.select().from(deliveries))).map(row => [row.id, row.dueAt]));

eachBackend('what slipped is put right', open => {
  test('deliveries parked at endpoints that are not paused or gone become due; others stay', async () => {
    const store = await open();
    await store.write(async tx => {
      await tx.insert(endpoints).values([endpoint('on', false), endpoint('off', true)]);
      for (let i = 0; i < 12; i++)
        await tx
          .insert(deliveries)
          .values(Array.from({ length: 100 }, (_, n) => delivery(`off${i * 100 + n}`, 'off', NEVER)));
      await tx
        .insert(deliveries)
        .values([
          delivery('slipped', 'on', NEVER),
          delivery('zgone', 'removed', NEVER),
          delivery('later', 'on', NOW + 5),
        ]);
    });
    await reconcileAll(store, NOW);
    const due = await dueOf(store);
    expect([due.slipped, due.zgone, due.later]).toEqual([0, 0, NOW + 5]);
    expect(Object.entries(due).filter(([id, at]) => id.startsWith('off') && at !== NEVER)).toEqual([]);
  });
  test('a pause sets aside what is queued in steps, a resume takes it back, and each sees the other', async () => {
    const store = await open();
    await store.write(async tx => {
      await tx.insert(endpoints).values(endpoint('ep', true));
      for (let i = 0; i < 6; i++)
        await tx.insert(deliveries).values(Array.from({ length: 100 }, (_, n) => delivery(`d${i * 100 + n}`, 'ep', 0)));
      await tx.update(deliveries).set({ leased: true }).where(eq(deliveries.id, 'd1'));
    });
    const parked = async () => Object.values(await dueOf(store)).filter(at => at === NEVER).length;
    expect(await store.write(tx => holdQueued(tx, 'ep'))).toBe(true);
    expect(await parked()).toBe(500);
    expect(await store.write(tx => releaseHeld(tx, 'ep'))).toBe(false); // it is paused
    expect(await store.write(tx => holdQueued(tx, 'ep'))).toBe(false);
    expect(await parked()).toBe(599); // who is being applied is let alone
    await store.write(tx => tx.update(endpoints).set({ paused: false }));
    expect(await store.write(tx => holdQueued(tx, 'ep'))).toBe(false);
    expect(await store.write(tx => releaseHeld(tx, 'ep'))).toBe(true);
    expect(await store.write(tx => releaseHeld(tx, 'ep'))).toBe(false);
    expect(await parked()).toBe(0);
  });
  test('held runs of a running workflow go on, open ones of a stopped or removed one end, whatever their ids', async () => {
    const store = await open();
    await store.write(async tx => {
      await tx
        .insert(workflows)
        .values([workflow('runs', 'running'), workflow('rests', 'paused'), workflow('stopped', 'stopped')]);
      await tx.insert(runs).values([
        run('run_1', 'runs', 'held'),
        run('run_2', 'runs', 'active'),
        run('run_3', 'rests', 'held'),
        run('run_zzzzzzzzz', 'stopped', 'active'), // made while a clock was ahead
        run('run_4', 'removed', 'active'),
      ]);
    });
    await reconcileAll(store, NOW);
    const found = await store.read(tx => tx.select().from(runs).orderBy(runs.id));
    expect(found.map(({ id, status, reason }) => [id, status, reason])).toEqual([
      ['run_1', 'active', null],
      ['run_2', 'active', null],
      ['run_3', 'held', null],
      ['run_4', 'exited', 'the workflow was deleted'],
      ['run_zzzzzzzzz', 'exited', 'the workflow was stopped'],
    ]);
  });
  test('memberships of a list that is gone go, however many', async () => {
    const store = await open();
    await store.write(async tx => {
      await tx.insert(lists).values({ id: 'kept', name: 'kept', description: null, isPublic: true, createdAt: 1 });
      for (const listId of ['gone', 'kept', 'lost'])
        for (let i = 0; i < 12; i++)
          await tx
            .insert(memberships)
            .values(Array.from({ length: 100 }, (_, n) => ({ contactId: `c${i * 100 + n}`, listId })));
    });
    await reconcileAll(store, NOW);
    const left = (listIds: string[]) =>
      store.read(tx => tx.select().from(memberships).where(inArray(memberships.listId, listIds)));
    expect(await left(['gone', 'lost'])).toEqual([]);
    expect(await left(['kept'])).toHaveLength(1200);
  });
});
