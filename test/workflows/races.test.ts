import { afterEach, expect, test } from 'bun:test';
import { type Store, StoreUnavailable } from '../../src/db/store.ts';
import { Engine } from '../../src/workflows/engine.ts';
import { pauseWorkflow, putGraph, resumeWorkflow, stopWorkflow } from '../../src/workflows/workflows.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});

const trigger = { typeName: 'EventTrigger', eventName: 'paid', reEligible: true };
const exit = { typeName: 'ExitAction', nextNodeIds: [] };
type Nodes = Record<string, Record<string, unknown>>;

async function begun(nodes: Nodes, more: Record<string, unknown> = {}) {
  const app = await TestApp.open();
  open.push(app);
  app.time = Date.now();
  const { id } = (await app.api('POST', '/workflows', { name: 'w', ...more })).body;
  const put = await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes });
  expect([put.status, put.body.message]).toEqual([200, undefined]);
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
  return { app, id: id as string };
}
const pay = async (app: TestApp, email = 'ada@x.co') =>
  expect((await app.api('POST', '/events/send', { email, eventName: 'paid' })).status).toBe(200);
const runsOf = async (app: TestApp, id: string) => (await app.api('GET', `/workflows/${id}/runs`)).body.data;
const simple = { t: { ...trigger, nextNodeIds: ['x'] }, x: exit };

// Another instance hears of a change up to a second later: what it starts meanwhile must come out right all the same.
test('heard as paused by who does not know of the resume yet: the run goes on, nobody waits for ever', async () => {
  const { app, id } = await begun(simple);
  const { store } = app.app.ctx;
  await app.api('POST', `/workflows/${id}/pause`);
  await pay(app, 'first@x.co');
  await app.drain();
  await store.write(tx => resumeWorkflow(tx, id, app.now())); // as another instance: nothing here is told
  await app.drain();
  await pay(app, 'second@x.co');
  await app.drain();
  expect((await runsOf(app, id)).map((run: { status: string }) => run.status)).toEqual(['completed', 'completed']);
});

test('heard as running by who does not know of the pause or the stop yet: it waits, or leaves', async () => {
  const { app, id } = await begun(simple);
  const { store } = app.app.ctx;
  await pay(app);
  await app.drain();
  await store.write(tx => pauseWorkflow(tx, id, app.now()));
  await pay(app);
  await app.drain();
  expect((await runsOf(app, id))[0].status).toBe('held');
  await store.write(tx => stopWorkflow(tx, id, app.now()));
  await pay(app);
  await app.drain();
  const reasons = (await runsOf(app, id)).map((run: { reason: string | null }) => run.reason);
  expect(reasons).toEqual(['the workflow was stopped', 'the workflow was stopped', null]);
});

test('heard with a trigger of a former id: the run takes the way of the graph there is now', async () => {
  const { app, id } = await begun(simple);
  const { store } = app.app.ctx;
  await pay(app);
  await app.drain();
  const nodes = { start: { ...trigger, nextNodeIds: ['x'] }, x: exit };
  await store.write(tx => putGraph(tx, id, { rootNodeId: 'start', nodes, queuedContactPolicy: 'fail' }, app.now()));
  await pay(app);
  await app.drain();
  expect((await runsOf(app, id)).map((run: { status: string }) => run.status)).toEqual(['completed', 'completed']);
});

test('a graph put in place while people sleep: 409 with how many, or they leave; those at nodes that stay go on', async () => {
  const timer = (next: string) => ({ typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: [next] });
  const two = { t: { ...trigger, nextNodeIds: ['a'] }, a: timer('b'), b: timer('x'), x: exit };
  const { app, id } = await begun(two);
  await pay(app, 'early@x.co');
  await app.drain();
  app.time! += HOUR + 1;
  await app.drain();
  await pay(app, 'late@x.co');
  await app.drain(); // early sleeps in b, late in a
  const one = { t: { ...trigger, nextNodeIds: ['b'] }, b: timer('x'), x: exit };
  const refused = await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes: one });
  expect([refused.status, refused.body.message]).toEqual([409, expect.stringContaining('1 contacts stand at nodes')]);
  const put = { rootNodeId: 't', nodes: one, queuedContactPolicy: 'discard' };
  expect((await app.api('PUT', `/workflows/${id}/graph`, put)).status).toBe(200);
  await app.drain();
  app.time! += HOUR;
  await app.drain();
  const ended = (await runsOf(app, id)).map((run: { status: string; reason: string | null }) => [
    run.status,
    run.reason,
  ]);
  expect(ended).toEqual([
    ['exited', 'its node was removed'],
    ['completed', null],
  ]);
});

test('of two changes over the same revision one wins, the other is told to read again', async () => {
  const { app, id } = await begun(simple);
  const { workflowRevisionId } = (await app.api('GET', `/workflows/${id}`)).body;
  const put = { expectedRevisionId: workflowRevisionId, rootNodeId: 't', nodes: simple };
  const answers = await Promise.all([1, 2, 3].map(() => app.api('PUT', `/workflows/${id}/graph`, put)));
  expect(answers.map(each => each.status).sort()).toEqual([200, 409, 409]);
});

test('after a day of downtime and with the clock a day off, each timer fires once', async () => {
  const nodes = {
    t: { ...trigger, nextNodeIds: ['w'] },
    w: { typeName: 'TimerAction', amount: 2, unit: 'd', nextNodeIds: ['x'] },
    x: exit,
  };
  const { app, id } = await begun(nodes);
  for (let i = 0; i < 5; i++) await pay(app, `p${i}@x.co`);
  await app.drain();
  const states = async () => (await runsOf(app, id)).map((run: { status: string }) => run.status);
  const five = (status: string) => Array.from({ length: 5 }, () => status);
  app.time! -= DAY;
  await app.drain();
  if (app.app.ctx.store.kind === 'sqlite') {
    app.time! += 2 * DAY - 1000;
    await app.drain();
    expect(await states()).toEqual(five('active'));
    app.time! += 2000;
  } else app.time! += 3 * DAY + 1000;
  await app.drain();
  expect(await states()).toEqual(five('completed'));
  app.time! += 30 * DAY;
  await app.drain();
  const counts = (await app.api('GET', `/workflows/${id}/counts`)).body;
  expect(counts.nodes).toEqual({ t: { entered: 5 }, w: { waited: 5 }, x: { exited: 5 } });
});

test('a contact who becomes part of another one between lease and step takes the run along', async () => {
  const { app, id } = await begun({
    t: { ...trigger, nextNodeIds: ['w'] },
    w: { typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: ['x'] },
    x: exit,
  });
  const { ctx } = app.app;
  const stripe = await app.endpoint('stripe');
  const customer = (email: string, of: string) => stripeEvent('customer.created', { id: of, email });
  await app.post(stripe, 'stripe', customer('one@x.co', 'cus_1'));
  await app.post(stripe, 'stripe', customer('two@x.co', 'cus_2'));
  await pay(app, 'two@x.co');
  await app.drain();
  app.time! += HOUR + 1;
  let writes = ctx.store.kind === 'sqlite' ? -2 : 0; // alone, it sees to leases and the clock at its start
  const write: Store['write'] = async fn => {
    const moved = stripeEvent('customer.updated', { id: 'cus_2', email: 'one@x.co' });
    moved.created += 5;
    if (++writes === 2) expect((await app.post(stripe, 'stripe', moved)).status).toBe(200); // leased, not looked at yet
    return ctx.store.write(fn);
  };
  const engine = new Engine({ ...ctx, store: Object.create(ctx.store, { write: { value: write } }) as Store });
  await engine.duty(app.now());
  const [run] = await runsOf(app, id);
  expect([run.status, run.reason]).toEqual(['completed', null]);
});

test('a commit that an outage hides is not taken back: the wait that began with it keeps its length', async () => {
  const { app, id } = await begun({
    t: { ...trigger, nextNodeIds: ['a'] },
    a: { typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: ['b'] },
    b: { typeName: 'TimerAction', amount: 2, unit: 'd', nextNodeIds: ['x'] },
    x: exit,
  });
  const { ctx } = app.app;
  await pay(app);
  await app.drain();
  app.time! += HOUR + 1;
  let isHidden = false;
  const write: Store['write'] = async fn => {
    const done = await ctx.store.write(fn);
    const [run] = await runsOf(app, id);
    if (isHidden || run.nodeId !== 'b') return done;
    isHidden = true;
    throw new StoreUnavailable('the answer got lost');
  };
  const engine = new Engine({ ...ctx, store: Object.create(ctx.store, { write: { value: write } }) as Store });
  for (let i = 0; i < 3; i++) await engine.duty(app.now());
  expect(isHidden).toBe(true);
  expect((await runsOf(app, id))[0]).toMatchObject({ status: 'active', nodeId: 'b' });
  app.time! += 2 * DAY + 1;
  await app.drain();
  expect((await runsOf(app, id))[0].status).toBe('completed');
});
