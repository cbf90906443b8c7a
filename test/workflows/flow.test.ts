import { afterEach, describe, expect, test } from 'bun:test';
import { sql } from 'drizzle-orm';
import { runs as runsTable } from '../../src/db/schema.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});

async function started(): Promise<TestApp> {
  const app = await TestApp.open();
  app.time = Date.now();
  open.push(app);
  return app;
}

type Nodes = Record<string, Record<string, unknown>>;
const exit = { typeName: 'ExitAction', nextNodeIds: [] };
const send = (id: string, next = 'x') => ({ typeName: 'SendEmailAction', emailMessageId: id, nextNodeIds: [next] });
const timer = (amount: number, unit: string, next: string) => ({
  typeName: 'TimerAction',
  amount,
  unit,
  nextNodeIds: [next],
});
const onEvent = (next: string, reEligible = true, eventName = 'paid') => ({
  ...{ typeName: 'EventTrigger', eventName, reEligible },
  nextNodeIds: [next],
});

/** Makes and starts a workflow; its id. */
async function workflow(app: TestApp, nodes: Nodes, more: Record<string, unknown> = {}): Promise<string> {
  const { id } = (await app.api('POST', '/workflows', { name: 'w', ...more })).body;
  const put = await app.api('PUT', `/workflows/${id}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes });
  if (put.status !== 200) throw new Error(JSON.stringify(put.body));
  const begun = await app.api('POST', `/workflows/${id}/start`);
  if (begun.status !== 200) throw new Error(JSON.stringify(begun.body));
  return id;
}

const message = async (app: TestApp, subject = 'Thanks') =>
  (await app.api('POST', '/email-messages', { subject, html: 'x' })).body.id as string;
const subjects = async (app: TestApp) =>
  (await app.api('GET', '/mails?perPage=100')).body.data.map((mail: { subject: string }) => mail.subject).reverse();
const runsOf = async (app: TestApp, id: string) =>
  (await app.api('GET', `/workflows/${id}/runs?perPage=100`)).body.data;

/** A person pays: over a webhook whose type triggers `paid`. */
async function paying(app: TestApp) {
  const set = { triggerEvent: 'paid', eventProperties: { amount: 'data.object.amount_paid' } };
  const endpoint = await app.endpoint('stripe', { events: { 'invoice.paid': set } });
  let n = 0;
  return async (email: string, amount = 2900, id = `evt_pay_${n++}_${email}`) => {
    const object = {
      id: `in_${id}`,
      object: 'invoice',
      customer: `cus_${email}`,
      customer_email: email,
      amount_paid: amount,
    };
    const created = Math.floor(app.now() / 1000);
    const event = { id, object: 'event', type: 'invoice.paid', created, livemode: false, data: { object } };
    const answer = await app.post(endpoint, 'stripe', event);
    await app.drain();
    return answer.body;
  };
}

describe('a workflow', () => {
  test('webhook → event → run → timer → mail, and the whole chain can be read', async () => {
    const app = await started();
    const pay = await paying(app);
    const em = await message(app, 'Thanks for {{ event.amount }}');
    const id = await workflow(app, { t: onEvent('w'), w: timer(1, 'h', 'm'), m: send(em), x: exit });
    const { deliveryId } = await pay('ada@example.com');
    await app.drain();
    expect(await subjects(app)).toEqual([]);
    const delivery = (await app.api('GET', `/deliveries/${deliveryId}`)).body;
    const { runId } = delivery.effects.find((each: { kind: string }) => each.kind === 'workflow.started');
    const waiting = (await app.api('GET', `/runs/${runId}`)).body;
    expect(waiting).toMatchObject({ status: 'active', nodeId: 'w', deliveryId });
    app.time! += HOUR - 1000;
    await app.drain();
    expect(await subjects(app)).toEqual([]);
    app.time! += 2000;
    await app.drain();
    expect(await subjects(app)).toEqual(['Thanks for 2900']);
    const done = (await app.api('GET', `/runs/${runId}`)).body;
    expect(done.status).toBe('completed');
    expect(done.steps.map((step: { nodeId: string; outcome: string }) => `${step.nodeId} ${step.outcome}`)).toEqual([
      't entered',
      'w waited',
      'm sent',
      'x exited',
    ]);
    const mail = (await app.api('GET', `/mails/${done.steps[2].detail.mailId}`)).body;
    expect(mail).toMatchObject({ workflowRunId: runId, to: 'ada@example.com' });
    expect((await app.api('GET', `/workflows/${id}/counts`)).body).toEqual({
      runs: { completed: 1 },
      nodes: { t: { entered: 1 }, w: { waited: 1 }, m: { sent: 1 }, x: { exited: 1 } },
    });
  });

  test('once or every time; a doubled webhook starts nothing twice', async () => {
    const app = await started();
    const pay = await paying(app);
    const once = await workflow(app, { t: onEvent('x', false), x: exit });
    const always = await workflow(app, { t: onEvent('x', true), x: exit });
    await pay('ada@example.com', 1, 'evt_1');
    await pay('ada@example.com', 1, 'evt_1');
    await pay('ada@example.com', 1, 'evt_2');
    expect([(await runsOf(app, once)).length, (await runsOf(app, always)).length]).toEqual([1, 2]);
  });

  test('added, changed from what to what, put on a list', async () => {
    const app = await started();
    const list = (await app.api('POST', '/lists', { name: 'l' })).body.id;
    const added = await workflow(app, { t: { typeName: 'SignupTrigger', nextNodeIds: ['x'] }, x: exit });
    const query = {
      key: 'userGroup',
      was: { operator: 'equal', value: 'Trial' },
      is: { operator: 'equal', value: 'Paid' },
    };
    const changed = await workflow(app, {
      t: { typeName: 'ContactPropertyTrigger', contactPropertyQuery: query, reEligible: true, nextNodeIds: ['x'] },
      x: exit,
    });
    const listed = await workflow(app, {
      t: { typeName: 'AddToListTrigger', mailingListId: list, reEligible: true, nextNodeIds: ['x'] },
      x: exit,
    });
    const counts = async () => [
      (await runsOf(app, added)).length,
      (await runsOf(app, changed)).length,
      (await runsOf(app, listed)).length,
    ];
    const write = async (body: Record<string, unknown>) => {
      const answer = await app.api('PUT', '/contacts/update', { email: 'ada@example.com', ...body });
      expect(answer.status).toBe(200);
      await app.drain();
    };
    await write({ userGroup: 'Trial' });
    expect(await counts()).toEqual([1, 0, 0]);
    await write({ userGroup: 'Other' });
    await write({ userGroup: 'Paid' });
    expect(await counts()).toEqual([1, 0, 0]);
    await write({ userGroup: 'Trial' });
    await write({ userGroup: 'Paid' });
    expect(await counts()).toEqual([1, 1, 0]);
    await write({ mailingLists: { [list]: true } });
    await write({ mailingLists: { [list]: true } });
    expect(await counts()).toEqual([1, 1, 1]);
  });

  test('an event over the API starts it, and its properties reach branch and mail', async () => {
    const app = await started();
    const big = await message(app, 'Big {{ event.amount }}');
    const small = await message(app, 'Small {{ event.amount }}');
    const filter = (operator: string, value: number, next: string) => ({
      typeName: 'AudienceFilter',
      audienceFilter: { match: 'all', conditions: [{ type: 'eventProperty', key: 'amount', operator, value }] },
      appliesDownstream: false,
      nextNodeIds: [next],
    });
    await workflow(app, {
      t: onEvent('b', true, 'ordered'),
      b: { typeName: 'BranchNode', nextNodeIds: ['f1', 'f2'] },
      f1: filter('greaterThan', 100, 'm1'),
      f2: filter('greaterThan', 10, 'm2'),
      m1: send(big),
      m2: send(small),
      x: exit,
    });
    for (const amount of [5, 50, 500])
      await app.api('POST', '/events/send', {
        email: 'ada@example.com',
        eventName: 'ordered',
        eventProperties: { amount },
      });
    await app.drain();
    await app.drain();
    expect((await subjects(app)).sort()).toEqual(['Big 500', 'Small 50']);
  });

  test('who unsubscribes or is deleted leaves at the next node; a filter can hold downstream', async () => {
    const app = await started();
    const em = await message(app);
    const pro = {
      typeName: 'AudienceFilter',
      audienceFilter: {
        match: 'all',
        conditions: [{ type: 'property', key: 'userGroup', operator: 'equals', value: 'Pro' }],
      },
      appliesDownstream: true,
      nextNodeIds: ['w'],
    };
    const id = await workflow(app, { t: onEvent('f'), f: pro, w: timer(1, 'd', 'm'), m: send(em), x: exit });
    const people = ['stays', 'leaves', 'gone', 'downgraded', 'never'];
    for (const who of people) {
      const userGroup = who === 'never' ? 'Free' : 'Pro';
      await app.api('POST', '/contacts/create', { email: `${who}@x.co`, userGroup });
      await app.api('POST', '/events/send', { email: `${who}@x.co`, eventName: 'paid' });
    }
    await app.drain();
    await app.api('PUT', '/contacts/update', { email: 'leaves@x.co', subscribed: false });
    await app.api('POST', '/contacts/delete', { email: 'gone@x.co' });
    await app.api('PUT', '/contacts/update', { email: 'downgraded@x.co', userGroup: 'Free' });
    app.time! += DAY + 1000;
    await app.drain();
    expect((await app.api('GET', '/mails')).body.data.map((mail: { to: string }) => mail.to)).toEqual(['stays@x.co']);
    const reasons = (await runsOf(app, id)).map((run: { reason: string | null }) => run.reason).sort();
    expect(reasons).toEqual(
      [
        null,
        'the contact does not pass the filter f',
        'the contact is unsubscribed',
        'the contact no longer passes the filter f',
        'the contact was deleted',
      ].sort(),
    );
  });

  test('pausing keeps everybody in place and lets new ones queue for a day; stopping ends all', async () => {
    const app = await started();
    const pay = await paying(app);
    const em = await message(app);
    const id = await workflow(app, { t: onEvent('w'), w: timer(1, 'h', 'm'), m: send(em), x: exit });
    await pay('ada@example.com');
    expect((await app.api('POST', `/workflows/${id}/pause`)).body).toMatchObject({
      state: 'paused',
      status: 'PausedAndQueueing',
    });
    await pay('bob@example.com');
    app.time! += 2 * HOUR;
    await app.drain();
    expect(await subjects(app)).toEqual([]);
    expect((await runsOf(app, id)).map((run: { status: string }) => run.status)).toEqual(['held', 'held']);
    app.time! += DAY;
    await pay('late@example.com');
    expect((await runsOf(app, id)).length).toBe(2);
    await app.api('POST', `/workflows/${id}/resume`);
    await app.drain();
    expect((await subjects(app)).length).toBe(1); // ada's timer is over, bob's begins
    expect((await app.api('POST', `/workflows/${id}/stop`)).body.state).toBe('stopped');
    await app.drain();
    app.time! += 2 * HOUR;
    await app.drain();
    expect((await subjects(app)).length).toBe(1);
    expect((await runsOf(app, id))[0]).toMatchObject({ status: 'exited', reason: 'the workflow was stopped' });
  });

  test('workflows that start each other are cut by the limit of a contact', async () => {
    const app = await started();
    const id = await workflow(app, { t: onEvent('x'), x: exit });
    const send = { email: 'ada@example.com', eventName: 'paid' };
    for (let i = 0; i < 25; i++) await app.api('POST', '/events/send', send);
    await app.drain();
    const all = await runsOf(app, id);
    expect(all.filter((run: { status: string }) => run.status === 'completed').length).toBe(20);
    expect(all[0]).toMatchObject({ status: 'cut', reason: expect.stringContaining('within an hour') });
  });

  test('what a provider sends is never cut: thirty receipts on the day of billing', async () => {
    const app = await started();
    const pay = await paying(app);
    const em = await message(app, 'Receipt');
    const id = await workflow(app, { t: onEvent('m'), m: send(em), x: exit });
    for (let i = 0; i < 30; i++) await pay('ada@example.com');
    await app.drain();
    expect((await runsOf(app, id)).map((run: { status: string }) => run.status)).toEqual(
      Array.from({ length: 30 }, () => 'completed'),
    );
    expect((await subjects(app)).length).toBe(30);
    await app.api('POST', '/events/send', { email: 'ada@example.com', eventName: 'paid' }); // counts by itself
    await app.drain();
    expect((await runsOf(app, id))[0]).toMatchObject({ status: 'completed' });
  });

  test('a limited workflow lets only members on; contacts that become one take their runs along', async () => {
    const app = await started();
    const list = (await app.api('POST', '/lists', { name: 'l' })).body.id;
    const em = await message(app);
    await workflow(app, { t: onEvent('m'), m: send(em), x: exit }, { mailingListId: list });
    await app.api('POST', '/contacts/create', { email: 'in@x.co', mailingLists: { [list]: true } });
    await app.api('POST', '/contacts/create', { email: 'out@x.co' });
    for (const email of ['in@x.co', 'out@x.co']) await app.api('POST', '/events/send', { email, eventName: 'paid' });
    await app.drain();
    await app.drain();
    expect((await app.api('GET', '/mails')).body.data.map((mail: { to: string }) => mail.to)).toEqual(['in@x.co']);
  });

  test('a dry run shows the way and does nothing', async () => {
    const app = await started();
    const em = await message(app);
    const id = await workflow(app, { t: onEvent('w'), w: timer(2, 'd', 'm'), m: send(em), x: exit });
    await app.api('POST', '/contacts/create', { email: 'ada@x.co' });
    const way = (await app.api('POST', `/workflows/${id}/dry-run`, { email: 'ada@x.co' })).body;
    expect(way.status).toBe('completed');
    expect(way.steps.map((step: { nodeId: string }) => step.nodeId)).toEqual(['t', 'w', 'm', 'x']);
    expect(Date.parse(way.steps[2].at) - Date.parse(way.steps[0].at)).toBe(2 * DAY);
    expect((await runsOf(app, id)).length).toBe(0);
    await app.drain();
    expect(await subjects(app)).toEqual([]);
  });
});

describe('the graph', () => {
  const put = async (app: TestApp, nodes: Nodes, more: Record<string, unknown> = {}) => {
    const { id } = (await app.api('POST', '/workflows', { name: 'w' })).body;
    return app.api('PUT', `/workflows/${id}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes, ...more });
  };
  test.each([
    ['an unknown type', { t: { typeName: 'Nothing', nextNodeIds: [] } }, 'node t: typeName'],
    ['an unknown field', { t: { ...onEvent('x'), colour: 1 }, x: exit }, 'node t: colour: no such field'],
    ['a way to nowhere', { t: onEvent('y'), x: exit }, 'node t: nextNodeIds: there is no node y'],
    ['a cycle', { t: onEvent('a'), a: timer(1, 'h', 'b'), b: timer(1, 'h', 'a') }, 'a workflow has no loops'],
    ['a node nobody reaches', { t: onEvent('x'), x: exit, y: exit }, 'node y: no way leads to it'],
    ['a wrong unit', { t: onEvent('w'), w: timer(1, 'w', 'x'), x: exit }, 'node w: unit'],
    ['an endless timer', { t: onEvent('w'), w: timer(400, 'd', 'x'), x: exit }, 'node w: amount'],
    [
      'an unknown message',
      { t: onEvent('m'), m: send('em_none'), x: exit },
      'node m: emailMessageId: there is no email message em_none',
    ],
    ['two triggers', { t: onEvent('u'), u: onEvent('x'), x: exit }, 'node u: typeName: only the root may be a trigger'],
    [
      'a branch without filters',
      { t: onEvent('b'), b: { typeName: 'BranchNode', nextNodeIds: ['x'] }, x: exit },
      'node b: nextNodeIds: x must be an AudienceFilter',
    ],
  ] as [string, Nodes, string][])('names the node of %s', async (_, nodes, expected) => {
    const app = await started();
    const answer = await put(app, nodes);
    expect([answer.status, answer.body.message]).toEqual([400, expect.stringContaining(expected)]);
  });

  test('own names in the prototype are no nodes, too many are refused', async () => {
    const app = await started();
    expect((await put(app, { t: onEvent('constructor'), x: exit })).status).toBe(400);
    const many = Object.fromEntries(Array.from({ length: 301 }, (_, i) => [`n${i}`, exit]));
    expect((await put(app, { t: onEvent('n0'), ...many })).body.message).toContain('too many');
  });

  test('a stale revision is a 409; a draft without what it needs does not start', async () => {
    const app = await started();
    const { id } = (await app.api('POST', '/workflows', { name: 'w' })).body;
    const cannot = await app.api('POST', `/workflows/${id}/start`);
    expect([cannot.status, cannot.body.message]).toEqual([400, expect.stringContaining('choose a trigger')]);
    const nodes = { t: onEvent('x'), x: exit };
    const first = await app.api('PUT', `/workflows/${id}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes });
    expect(first.status).toBe(200);
    expect(
      (await app.api('PUT', `/workflows/${id}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes })).status,
    ).toBe(409);
    const again = { expectedRevisionId: first.body.workflowRevisionId, rootNodeId: 't', nodes };
    expect((await app.api('PUT', `/workflows/${id}/graph`, again)).status).toBe(200);
    await app.api('POST', `/workflows/${id}/start`);
    const asked = await app.api('DELETE', `/workflows/${id}`, {});
    expect([asked.status, asked.body.message]).toEqual([
      409,
      expect.stringMatching(/Confirm deletion by sending a second request with confirmDelete: true\.$/),
    ]);
    expect((await app.api('DELETE', `/workflows/${id}`, { confirmDelete: true })).status).toBe(204);
    expect((await app.api('GET', `/workflows/${id}`)).status).toBe(404);
  });
});

test('a run that can not go on fails after five tries and delays nobody', async () => {
  const app = await started();
  const pay = await paying(app);
  const em = await message(app);
  const broken = await workflow(app, { t: onEvent('w'), w: timer(1, 'h', 'm'), m: send(em), x: exit });
  await workflow(app, { t: onEvent('w'), w: timer(1, 'h', 'm'), m: send(em), x: exit });
  await pay('ada@example.com');
  await app.app.ctx.store.write(tx => tx.run(sql`update workflows set graph = 'no json' where id = ${broken}`));
  for (let i = 0; i < 8; i++) {
    app.time! += HOUR + 1000;
    await app.drain();
    expect(await subjects(app)).toHaveLength(1);
  }
  const runs = await app.app.ctx.store.read(tx => tx.select().from(runsTable));
  expect(runs.map(run => run.status).sort()).toEqual(['completed', 'failed']);
  expect(runs.find(run => run.status === 'failed')).toMatchObject({ workflowId: broken, attempts: 5 });
});

test('stripe events of other types start nothing', async () => {
  const app = await started();
  const id = await workflow(app, { t: onEvent('x'), x: exit });
  const endpoint = await app.endpoint('stripe');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  expect(await runsOf(app, id)).toEqual([]);
});
