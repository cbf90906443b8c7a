import { afterEach, expect, test } from 'bun:test';
import type { Config } from '../../src/config.ts';
import { TestApp } from '../support/app.ts';
import { postgresDatabase, withPostgres } from '../support/backends.ts';

const DAY = 86_400_000;
const apps: TestApp[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.stop();
});

const NODES = {
  t: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['w'] },
  w: { typeName: 'TimerAction', amount: 30, unit: 'd', nextNodeIds: ['x'] },
  x: { typeName: 'ExitAction', nextNodeIds: [] },
};

async function opened(time: number, overrides: Partial<Config> = {}): Promise<TestApp> {
  const app = await TestApp.open({}, overrides);
  apps.push(app);
  app.time = time;
  return app;
}
async function begin(app: TestApp, nodes: Record<string, unknown> = NODES): Promise<string> {
  const { id } = (await app.api('POST', '/workflows', { name: 'w' })).body;
  expect((await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes })).status).toBe(200);
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
  return id;
}
const pay = async (app: TestApp, email: string) =>
  expect((await app.api('POST', '/events/send', { email, eventName: 'paid' })).status).toBe(200);
/** Statuses of all runs, by contact. */
async function statusesOf(app: TestApp, id: string): Promise<Record<string, string>> {
  const { data } = (await app.api('GET', `/workflows/${id}/runs`)).body;
  const entries = data.map(async (run: { contactId: string; status: string }) => {
    const { email } = (await app.api('GET', `/contacts/${run.contactId}`)).body;
    return [email, run.status];
  });
  return Object.fromEntries(await Promise.all(entries));
}
const move = async (app: TestApp, id: string, to: string) =>
  expect((await app.api('POST', `/workflows/${id}/${to}`)).status).toBe(200);

test('a clock that goes back: a stop ends the runs of the days ahead, and it can be started again at once', async () => {
  const now = Date.now();
  const app = await opened(now + 2 * DAY);
  const id = await begin(app);
  await pay(app, 'ahead@x.co');
  app.time = now; // put right
  await pay(app, 'before@x.co');
  await move(app, id, 'stop');
  await move(app, id, 'start'); // the job has not ended anybody yet
  await pay(app, 'after@x.co');
  await app.drain();
  expect(await statusesOf(app, id)).toEqual({
    'ahead@x.co': 'exited',
    'before@x.co': 'exited',
    'after@x.co': 'active',
  });
});

test('who came before a stop goes no step further when it is started again, whatever became of the job', async () => {
  const app = await opened(Date.now());
  const id = await begin(app);
  await pay(app, 'before@x.co');
  await move(app, id, 'stop');
  await move(app, id, 'start');
  await pay(app, 'after@x.co');
  await app.app.ctx.store.write(tx => tx.run(`update jobs set status = 'dead'`));
  app.time! += 31 * DAY;
  await app.drain();
  expect(await statusesOf(app, id)).toEqual({ 'before@x.co': 'exited', 'after@x.co': 'completed' });
});

test('who entered after a node was taken out stays, also where that node is back under another type', async () => {
  const now = Date.now();
  const app = await opened(now);
  const id = await begin(app);
  await pay(app, 'before@x.co');
  app.time = now - DAY; // later entries have earlier ids
  const until = {
    typeName: 'WaitForEventAction',
    eventName: 'seen',
    timeout: { amount: 30, unit: 'd' },
    nextNodeIds: ['x', 'x'],
  };
  const nodes = { ...NODES, w: until };
  const put = { rootNodeId: 't', nodes, queuedContactPolicy: 'discard' };
  const changed = await app.api('PUT', `/workflows/${id}/graph`, put);
  expect([changed.status, changed.body.message]).toEqual([200, undefined]);
  await pay(app, 'after@x.co');
  await app.drain();
  expect(await statusesOf(app, id)).toEqual({ 'before@x.co': 'exited', 'after@x.co': 'active' });
});

test.skipIf(!withPostgres)(
  'two instances whose clocks are days apart end the same runs',
  async () => {
    const now = Date.now();
    const shared = { secretKey: new Uint8Array(32).fill(7), databaseUrl: await postgresDatabase() };
    const ahead = await opened(now + 2 * DAY, shared);
    const behind = await opened(now, shared);
    const id = await begin(ahead);
    await Bun.sleep(1000); // an instance sees another one's changes within a second
    await pay(ahead, 'ahead@x.co');
    await pay(behind, 'behind@x.co');
    await move(behind, id, 'stop');
    await move(behind, id, 'start');
    await Bun.sleep(1000);
    await pay(behind, 'after@x.co');
    await behind.drain();
    const statuses = { 'ahead@x.co': 'exited', 'behind@x.co': 'exited', 'after@x.co': 'active' };
    expect(await statusesOf(behind, id)).toEqual(statuses);
    // and the other way round: whoever is ahead stops, and what starts at the other one is of after it
    await move(ahead, id, 'stop');
    await move(ahead, id, 'start');
    await Bun.sleep(1000);
    await pay(behind, 'last@x.co');
    await ahead.drain();
    expect(await statusesOf(behind, id)).toEqual({ ...statuses, 'after@x.co': 'exited', 'last@x.co': 'active' });
  },
  30_000,
);
