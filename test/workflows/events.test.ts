import { afterEach, describe, expect, test } from 'bun:test';
import { stripeEvent, TestApp } from '../support/app.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});

type Nodes = Record<string, Record<string, unknown>>;
const exit = { typeName: 'ExitAction', nextNodeIds: [] };
const trigger = (next: string, eventName = 'failed', reEligible = true) => ({
  ...{ typeName: 'EventTrigger', eventName, reEligible },
  nextNodeIds: [next],
});
const timer = (amount: number, next: string) => ({ typeName: 'TimerAction', amount, unit: 'd', nextNodeIds: [next] });
const waitFor = (eventName: string, days: number, ways: [string, string], more = {}) => ({
  ...{ typeName: 'WaitForEventAction', eventName, timeout: { amount: days, unit: 'd' } },
  nextNodeIds: ways,
  ...more,
});

/** The app with a workflow that runs; `mail(subject, next)` makes a node that sends. */
async function begin(
  make: (mail: (subject: string, next: string) => Promise<Nodes[string]>) => Promise<Nodes>,
  more = {},
) {
  const app = await TestApp.open();
  open.push(app);
  app.time = Date.now();
  const mail = async (subject: string, next: string) => {
    const { body } = await app.api('POST', '/email-messages', { subject, html: 'x' });
    return { typeName: 'SendEmailAction', emailMessageId: body.id, nextNodeIds: [next] };
  };
  const { id } = (await app.api('POST', '/workflows', { name: 'w', ...more })).body;
  const put = await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes: await make(mail) });
  expect([put.status, put.body.message]).toEqual([200, undefined]);
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
  return {
    ...{ app, id: id as string },
    async send(eventName: string, eventProperties = {}, email = 'ada@x.co') {
      expect((await app.api('POST', '/events/send', { email, eventName, eventProperties })).status).toBe(200);
      await app.drain();
    },
    async pass(ms: number) {
      app.time = app.now() + ms + 1000;
      await app.drain();
    },
    mails: async () =>
      (await app.api('GET', '/mails?perPage=100')).body.data.map((each: { subject: string }) => each.subject).reverse(),
    runs: async () => (await app.api('GET', `/workflows/${id}/runs?perPage=100`)).body.data,
  };
}

const dunning = async (mail: (subject: string, next: string) => Promise<Nodes[string]>) => ({
  t: trigger('m1', 'failed', false),
  m1: await mail('first', 'w1'),
  w1: timer(3, 'm2'),
  m2: await mail('second', 'w2'),
  w2: timer(4, 'm3'),
  m3: await mail('third', 'x'),
  x: exit,
});

describe('exitOn', () => {
  test('three mails while the payment goes on failing, none after it was paid', async () => {
    const { send, pass, mails, runs, app, id } = await begin(dunning, { exitOn: [{ eventName: 'paid' }] });
    expect((await app.api('GET', `/workflows/${id}`)).body.exitOn).toEqual([{ eventName: 'paid' }]);
    await send('failed');
    await send('failed');
    await send('failed', {}, 'bob@x.co');
    await pass(3 * DAY);
    await send('failed');
    await send('other');
    await send('paid');
    await pass(4 * DAY);
    await pass(4 * DAY);
    expect((await mails()).sort()).toEqual(['first', 'first', 'second', 'second', 'third']);
    const [bob, ada] = await runs();
    expect([ada.status, ada.reason]).toEqual(['exited', 'the event paid ended it']);
    expect(bob.status).toBe('completed');
    const { steps } = (await app.api('GET', `/runs/${ada.id}`)).body;
    expect(steps.filter((step: { doneAt: string | null }) => step.doneAt === null)).toEqual([]);
    expect(steps.at(-1)).toMatchObject({ nodeId: 'w2', outcome: 'ended' }); // it was not waited for to its end
  });

  test('only by an event that passes the filter; the event that starts a run does not end it', async () => {
    const filter = {
      match: 'all',
      conditions: [{ type: 'eventProperty', key: 'amount', operator: 'greaterThan', value: 10 }],
    };
    const { send, runs, app } = await begin(dunning, {
      exitOn: [{ eventName: 'failed' }, { eventName: 'paid', filter }],
    });
    await send('failed');
    await send('paid', { amount: 5 });
    expect((await runs()).map((run: { status: string }) => run.status)).toEqual(['active']);
    await send('paid', { amount: 50 });
    expect((await runs())[0].reason).toBe('the event paid ended it');
    const wrong = await app.api('POST', '/workflows', {
      name: 'w',
      exitOn: [
        { eventName: 'e', filter: { match: 'all', conditions: [{ type: 'property', key: 'no', operator: 'empty' }] } },
      ],
    });
    expect([wrong.status, wrong.body.message]).toEqual([
      400,
      'exitOn.0.filter.conditions.0.key: there is no property no.',
    ]);
  });

  test('also while the workflow is paused, and set on one that runs', async () => {
    const { send, pass, runs, mails, app, id } = await begin(dunning);
    await send('failed');
    await send('failed', {}, 'bob@x.co');
    expect((await app.api('POST', `/workflows/${id}`, { exitOn: [{ eventName: 'paid' }] })).status).toBe(200);
    await app.api('POST', `/workflows/${id}/pause`);
    await pass(3 * DAY);
    await send('paid');
    await app.api('POST', `/workflows/${id}/resume`);
    await pass(HOUR);
    expect((await runs()).map((run: { status: string }) => run.status)).toEqual(['active', 'exited']);
    expect(await mails()).toEqual(['first', 'first', 'second']);
  });
});

const waiting =
  (days: number, more = {}) =>
  async (mail: (subject: string, next: string) => Promise<Nodes[string]>) => ({
    t: trigger('m0'),
    m0: await mail('start', 'd'),
    d: timer(1, 'w'),
    w: waitFor('paid', days, ['yes', 'no'], more),
    yes: await mail('yes', 'x'),
    no: await mail('no', 'x'),
    x: exit,
  });

describe('WaitForEventAction', () => {
  test('the event, at once; the time-out; an event between two steps; none of before', async () => {
    const { send, pass, mails } = await begin(waiting(2));
    await send('paid');
    await pass(HOUR);
    await send('failed');
    await pass(DAY);
    expect(await mails()).toEqual(['start']); // what was paid before the run began does not count
    await send('paid');
    expect(await mails()).toEqual(['start', 'yes']);
    await send('failed', {}, 'bob@x.co');
    await send('paid', {}, 'bob@x.co'); // while the run is in its timer
    await pass(DAY);
    expect(await mails()).toEqual(['start', 'yes', 'start', 'yes']);
    await send('failed', {}, 'eve@x.co');
    await pass(DAY);
    await pass(2 * DAY - HOUR);
    expect((await mails()).slice(4)).toEqual(['start']);
    await pass(HOUR);
    expect((await mails()).slice(4)).toEqual(['start', 'no']);
    await send('paid', {}, 'eve@x.co');
    await pass(3 * DAY);
    expect(await mails()).toHaveLength(6);
  });

  test('an event that comes at the very moment at which the wait begins is not missed', async () => {
    const { app, mails } = await begin(waiting(30));
    const emails = Array.from({ length: 40 }, (_, i) => `p${i}@x.co`);
    const sendAll = (eventName: string) =>
      Promise.all(emails.map(email => app.api('POST', '/events/send', { email, eventName })));
    await sendAll('failed');
    await app.drain();
    app.time = app.now() + DAY + 1000;
    await Promise.all([app.drain(), sendAll('paid'), app.drain()]);
    await app.drain();
    expect((await mails()).sort()).toEqual([...Array(40).fill('start'), ...Array(40).fill('yes')]);
  });

  test('only events that pass the filter count, and others do not end the wait', async () => {
    const filter = {
      match: 'all',
      conditions: [{ type: 'eventProperty', key: 'plan', operator: 'equals', value: 'pro' }],
    };
    const { send, pass, mails, app } = await begin(waiting(2, { filter }));
    await send('failed', { plan: 'pro' });
    await pass(DAY);
    await send('paid', { plan: 'free' });
    await pass(HOUR);
    expect(await mails()).toEqual(['start']);
    await send('paid', { plan: 'pro' });
    expect(await mails()).toEqual(['start', 'yes']);
    const [run] = (await app.api('GET', '/workflows')).body.data;
    const dry = await app.api('POST', `/workflows/${run.id}/dry-run`, { email: 'ada@x.co' });
    expect(dry.body.steps.map((step: { nodeId: string }) => step.nodeId)).toEqual(['t', 'm0', 'd', 'w', 'no', 'x']);
  });

  test('an event of a contact that becomes the same one counts', async () => {
    const { send, pass, mails, app } = await begin(waiting(2));
    const endpoint = await app.endpoint('stripe');
    const customer = async (type: string, email: string) => {
      const created = Math.floor(app.now() / 1000);
      await app.post(endpoint, 'stripe', stripeEvent(type, { id: 'cus_1', email }, { created }));
      await app.drain();
    };
    await customer('customer.created', 'ada@x.co');
    await send('failed');
    await pass(HOUR);
    await send('paid', {}, 'ada@home.co');
    await customer('customer.updated', 'ada@home.co');
    expect((await app.contacts()).map(each => each.email)).toEqual(['ada@home.co']);
    await pass(DAY);
    expect(await mails()).toEqual(['start', 'yes']);
  });

  test.each([
    [{ nextNodeIds: ['yes'] }, 'nextNodeIds: must name 2 nodes'],
    [{ timeout: { amount: 500, unit: 'd' } }, 'timeout.amount: a timer may take 366 days at most'],
    [{ eventName: '' }, 'eventName'],
    [
      { filter: { match: 'all', conditions: [{ type: 'list', listId: 'no' }] } },
      'filter.conditions.0.listId: there is no list no',
    ],
  ])('what is wrong is named: %p', async (more, problem) => {
    const app = await TestApp.open();
    open.push(app);
    const { id } = (await app.api('POST', '/workflows', { name: 'w' })).body;
    const nodes = { t: trigger('w'), w: waitFor('paid', 1, ['yes', 'yes'], more), yes: exit };
    const put = await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes });
    expect([put.status, put.body.message]).toEqual([400, expect.stringContaining(`node w: ${problem}`)]);
  });
});

test('what happened before, by the time of the provider, ends nothing, however late it arrives', async () => {
  const { pass, runs, app } = await begin(dunning, { exitOn: [{ eventName: 'paid' }] });
  const events = { 'invoice.payment_failed': { triggerEvent: 'failed' }, 'invoice.paid': { triggerEvent: 'paid' } };
  const endpoint = await app.endpoint('stripe', { events });
  const at = Math.floor(app.now() / 1000);
  const invoice = async (type: string, created: number, customer = 'cus_1') => {
    const object = { id: `in_${type}_${created}`, object: 'invoice', customer, customer_email: `${customer}@x.co` };
    const answer = await app.post(endpoint, 'stripe', stripeEvent(type, object, { created }));
    expect(answer.body.result).toBe('accepted');
    await app.drain();
  };
  await invoice('invoice.payment_failed', at - 60);
  await invoice('invoice.paid', at - 3600);
  await pass(HOUR);
  expect((await runs())[0].status).toBe('active');
  await invoice('invoice.paid', at - 30);
  expect((await runs())[0].reason).toBe('the event paid ended it');
});
