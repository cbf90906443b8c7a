import { afterEach, describe, expect, test } from 'bun:test';
import type { Store } from '../../src/db/store.ts';
import { Engine } from '../../src/workflows/engine.ts';
import { claimRuns } from '../../src/workflows/runs.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

// What nodes write of a contact: UpdateContactAction and ListAction.
const HOUR = 3_600_000;
const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});

type Nodes = Record<string, Record<string, unknown>>;
const exit = { typeName: 'ExitAction', nextNodeIds: [] };
const trigger = (next: string) => ({
  typeName: 'EventTrigger',
  eventName: 'go',
  reEligible: true,
  nextNodeIds: [next],
});
const timer = (next: string) => ({ typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: [next] });
const update = (set: Record<string, unknown>, next = 'x') => ({
  typeName: 'UpdateContactAction',
  set,
  nextNodeIds: [next],
});
const list = (mailingListId: string, action: 'join' | 'leave', next = 'x') => ({
  ...{ typeName: 'ListAction', mailingListId, action },
  nextNodeIds: [next],
});

async function openApp() {
  const app = await TestApp.open();
  open.push(app);
  app.time = Date.now();
  for (const [name, type] of [
    ['plan', 'string'],
    ['amount', 'number'],
    ['endsAt', 'date'],
    ['isPro', 'boolean'],
  ])
    await app.api('POST', '/contacts/properties', { name, type });
  return app;
}

async function run(app: TestApp, nodes: Nodes, name = 'w', more = {}) {
  const { id } = (await app.api('POST', '/workflows', { name, ...more })).body;
  const put = await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes });
  expect([put.status, put.body.message]).toEqual([200, undefined]);
  expect((await app.api('POST', `/workflows/${id}/start`)).status).toBe(200);
  return id as string;
}

const EMAIL = 'ada@x.co';
const send = async (app: TestApp, eventProperties = {}, email = EMAIL, eventName = 'go') => {
  expect((await app.api('POST', '/events/send', { email, eventName, eventProperties })).status).toBe(200);
  await app.drain();
};
const find = async (app: TestApp, email = EMAIL) =>
  (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body[0];
const newList = async (app: TestApp, name = 'Trial') => (await app.api('POST', '/lists', { name })).body.id as string;

/** The newest run with its steps: node and outcome, and the details of those that are asked for. */
async function lastRun(app: TestApp, id: string) {
  const [last] = (await app.api('GET', `/workflows/${id}/runs`)).body.data;
  const { body } = await app.api('GET', `/runs/${last.id}`);
  const steps = body.steps as { nodeId: string; outcome: string; detail: Record<string, unknown> }[];
  return {
    ...last,
    told: steps.map(step => `${step.nodeId} ${step.outcome}`),
    detailOf: (node: string) => steps.find(step => step.nodeId === node)?.detail,
  };
}

describe('UpdateContactAction', () => {
  test('sets what is constant, of the event and of the contact, each in the type of its property', async () => {
    const app = await openApp();
    const id = await run(app, {
      t: trigger('u'),
      u: update({
        ...{ plan: 'pro {{ event.tier }}', amount: '{{ event.cents }}', endsAt: '{{ event.end }}', isPro: 'true' },
        ...{ firstName: '{{ event.name }}', lastName: null, userGroup: '{{contact.firstName}} group' },
      }),
      x: exit,
    });
    await app.api('PUT', '/contacts/update', { email: EMAIL, firstName: 'Bob', lastName: 'Gone', subscribed: true });
    const given = { tier: 3, cents: '1250', end: '2027-01-02', name: 'Ada' };
    const { body: dry } = await app.api('POST', `/workflows/${id}/dry-run`, { email: EMAIL, eventProperties: given });
    expect(dry.steps.map((step: { outcome: string }) => step.outcome)).toEqual(['entered', 'updated', 'exited']);
    expect(await find(app)).toMatchObject({ firstName: 'Bob' });
    await send(app, given);
    expect(await find(app)).toMatchObject({
      ...{ plan: 'pro 3', amount: 1250, endsAt: '2027-01-02T00:00:00.000Z', isPro: true },
      ...{ firstName: 'Ada', lastName: null, userGroup: 'Bob group', subscribed: true },
    });
    const { told, detailOf, status } = await lastRun(app, id);
    expect([status, told]).toEqual(['completed', ['t entered', 'u updated', 'x exited']]);
    expect(detailOf('u')).toEqual({ set: ['plan', 'amount', 'endsAt', 'isPro', 'firstName', 'lastName', 'userGroup'] });
  });

  test('a value that does not fit or is not there is left out and told; the run goes on', async () => {
    const app = await openApp();
    const id = await run(app, {
      t: trigger('u'),
      u: update({ amount: '{{ event.n }}', plan: '{{ event.none }}', isPro: '{{ event.b }}' }),
      x: exit,
    });
    await app.api('PUT', '/contacts/update', { email: EMAIL, amount: 7, plan: 'free' });
    await send(app, { n: 'many', b: true });
    expect(await find(app)).toMatchObject({ amount: 7, plan: 'free', isPro: true });
    expect((await lastRun(app, id)).detailOf('u')).toEqual({
      set: ['amount', 'isPro'],
      dropped: { amount: 'it must be a number, as the property is' },
    });
    await send(app, { n: 'many' });
    const last = await lastRun(app, id);
    expect([last.status, last.told[1], last.detailOf('u')?.reason]).toEqual(['completed', 'u skipped', 'nothing fits']);
  });

  test('what follows sees it: a branch, another workflow, an outgoing webhook’s contact', async () => {
    const app = await openApp();
    const on = (value: string) => ({
      match: 'all',
      conditions: [{ type: 'property', key: 'plan', operator: 'equals', value }],
    });
    const id = await run(app, {
      t: trigger('u'),
      u: update({ plan: 'pro' }, 'f'),
      f: { typeName: 'AudienceFilter', audienceFilter: on('pro'), appliesDownstream: true, nextNodeIds: ['v'] },
      v: update({ amount: 1 }),
      x: exit,
    });
    const other = await run(
      app,
      {
        t: {
          ...{ typeName: 'ContactPropertyTrigger', reEligible: true, nextNodeIds: ['x'] },
          contactPropertyQuery: { key: 'plan', was: { operator: 'any' }, is: { operator: 'equal', value: 'pro' } },
        },
        x: exit,
      },
      'other',
    );
    await send(app);
    await send(app); // changes nothing
    expect((await lastRun(app, id)).told).toEqual(['t entered', 'u updated', 'f passed', 'v updated', 'x exited']);
    expect((await app.api('GET', `/workflows/${other}/runs`)).body.data).toHaveLength(1);
    expect(
      (await app.api('POST', `/workflows/${id}/dry-run`, {})).body.steps.map((s: { nodeId: string }) => s.nodeId),
    ).toEqual(['t', 'u', 'f', 'v', 'x']);
  });

  test.each([
    [{ subscribed: true }, 'set.subscribed: consent is never changed by a workflow'],
    [{ email: 'a@b.co' }, 'set.email: is not changed by a workflow'],
    [{ nothing: 1 }, 'set.nothing: there is no property nothing'],
    [{ amount: 'many' }, 'set.amount: must be a number, as the property is'],
    [{ plan: '{{ data.x }}' }, 'set.plan: only {{ event.name }} and {{ contact.name }} can stand in a value'],
    [{ userGroup: null }, 'set.userGroup: give "" to empty it'],
    [{}, 'set: name at least one property'],
    [{ plan: ['x'] }, 'set.plan'],
  ])('what is wrong is named: %p', async (set, problem) => {
    const app = await openApp();
    const { id } = (await app.api('POST', '/workflows', { name: 'w' })).body;
    const put = await app.api('PUT', `/workflows/${id}/graph`, {
      rootNodeId: 't',
      nodes: { t: trigger('u'), u: update(set), x: exit },
    });
    expect([put.status, put.body.message]).toEqual([400, expect.stringContaining(`node u: ${problem}`)]);
  });
});

describe('ListAction', () => {
  test('joins and leaves; a list in use by a node is not deleted', async () => {
    const app = await openApp();
    const trial = await newList(app);
    const id = await run(app, {
      t: trigger('j'),
      j: list(trial, 'join', 'w'),
      w: timer('l'),
      l: list(trial, 'leave'),
      x: exit,
    });
    const onList = await run(
      app,
      { t: { typeName: 'AddToListTrigger', mailingListId: trial, reEligible: true, nextNodeIds: ['x'] }, x: exit },
      'on list',
    );
    const dry = await app.api('POST', `/workflows/${id}/dry-run`, {});
    expect(dry.body.steps.map((step: { outcome: string }) => step.outcome)).toEqual([
      'entered',
      'joined',
      'waiting',
      'left',
      'exited',
    ]);
    await send(app);
    expect((await find(app)).mailingLists).toEqual({ [trial]: true });
    expect((await app.api('GET', `/workflows/${onList}/runs`)).body.data).toHaveLength(1);
    const refused = await app.api('DELETE', `/lists/${trial}`);
    expect([refused.status, refused.body.message]).toEqual([
      409,
      expect.stringContaining('(w) is running and needs this list'),
    ]);
    app.time! += HOUR + 1;
    await app.drain();
    expect((await find(app)).mailingLists).toEqual({});
    await send(app); // what a workflow left it may join again
    expect((await find(app)).mailingLists).toEqual({ [trial]: true });
    expect((await lastRun(app, id)).told).toEqual(['t entered', 'j joined', 'w waiting']);
    const activity = (await app.api('GET', `/contacts/${(await find(app)).id}/activity?perPage=100`)).body.data;
    const byWhom = activity.flatMap(({ detail }: { detail: { change?: string; by: string } }) =>
      detail.change === 'list.subscribed' ? [detail.by] : [],
    );
    expect(byWhom).toEqual(['workflow', 'workflow']);
  });

  test.each(['join', 'leave'] as const)('%s where there is nothing to do is told', async action => {
    const app = await openApp();
    const trial = await newList(app);
    const id = await run(app, { t: trigger('l'), l: list(trial, action), x: exit });
    if (action === 'join') await app.api('PUT', '/contacts/update', { email: EMAIL, mailingLists: { [trial]: true } });
    await send(app);
    expect((await lastRun(app, id)).detailOf('l')).toEqual({
      mailingListId: trial,
      reason: action === 'join' ? 'the contact is on the list already' : 'the contact is not on the list',
    });
  });

  test('a list that was left over the API or by the person is not joined again, by a dry run neither', async () => {
    const app = await openApp();
    const trial = await newList(app);
    const id = await run(app, { t: trigger('l'), l: list(trial, 'join'), x: exit });
    await send(app);
    await app.api('PUT', '/contacts/update', { email: EMAIL, mailingLists: { [trial]: false } });
    const { body: dry } = await app.api('POST', `/workflows/${id}/dry-run`, { email: EMAIL });
    expect(dry.steps.map((step: { outcome: string }) => step.outcome)).toEqual(['entered', 'skipped', 'exited']);
    await send(app);
    expect((await find(app)).mailingLists).toEqual({});
    const last = await lastRun(app, id);
    expect([last.status, last.told[1], last.detailOf('l')?.reason]).toEqual([
      'completed',
      'l skipped',
      'the list was left by the person or over the API',
    ]);
    await app.api('PUT', '/contacts/update', { email: EMAIL, mailingLists: { [trial]: true } });
    expect((await find(app)).mailingLists).toEqual({ [trial]: true });
  });

  test('nothing is joined while the contact is unsubscribed, also where that happens between two transactions', async () => {
    const app = await openApp();
    const trial = await newList(app);
    const id = await run(app, { t: trigger('w'), w: timer('l'), l: list(trial, 'join'), x: exit });
    await send(app);
    app.time! += HOUR + 1;
    const { ctx } = app.app;
    let before = true;
    const writePeople: Store['writePeople'] = async (lane, fn, patient) => ctx.store.writePeople(lane, fn, patient);
    const people = Object.create(ctx.people, {
      write: {
        value: async (kind: never, what: never) => {
          if (before) await app.api('PUT', '/contacts/update', { email: EMAIL, subscribed: false });
          before = false;
          return ctx.people.write(kind, what);
        },
      },
    });
    await new Engine({ ...ctx, store: Object.create(ctx.store, { writePeople: { value: writePeople } }), people }).duty(
      app.now(),
    );
    expect(before).toBe(false);
    const last = await lastRun(app, id);
    expect([last.status, last.reason]).toEqual(['exited', 'the contact is unsubscribed']);
    expect((await find(app)).mailingLists).toEqual({});
  });
});

describe('a write of a node happens once', () => {
  const counting = { t: trigger('w'), w: timer('u'), u: update({ plan: '{{ contact.plan }}i' }), x: exit };

  /** An engine that dies, or stands still, at a moment of its work. */
  function engineThat(app: TestApp, at: { write?: () => Promise<void>; after?: () => Promise<void> }) {
    const { ctx } = app.app;
    const people = Object.create(ctx.people, {
      write: {
        value: async (kind: never, what: never) => {
          await at.write?.();
          const done = await ctx.people.write(kind, what);
          await at.after?.();
          return done;
        },
      },
    });
    return new Engine({ ...ctx, people });
  }

  async function slept() {
    const app = await openApp();
    const id = await run(app, counting);
    await app.api('PUT', '/contacts/update', { email: EMAIL, plan: 'p' });
    await send(app);
    app.time! += HOUR + 1;
    return { app, id };
  }

  test('who stands still before the write, until another has done it, writes nothing', async () => {
    const { app, id } = await slept();
    let others = 0;
    const still = engineThat(app, {
      async write() {
        app.time! += 120_000; // the lease runs out, another instance goes on
        others += (await app.app.ctx.store.write(tx => claimRuns(tx, app.now(), 1))).length;
        app.time! += 120_000;
        await app.drain();
      },
    });
    await still.duty(app.now());
    expect(others).toBe(1);
    expect(await find(app)).toMatchObject({ plan: 'pi' });
    expect((await lastRun(app, id)).told).toEqual(['t entered', 'w waited', 'u updated', 'x exited']);
  });

  test.each(['write', 'after'] as const)('who dies (%s) leaves it to be done once', async moment => {
    const { app, id } = await slept();
    const dies = () => new Promise<void>(() => {});
    void engineThat(app, { [moment]: dies }).duty(app.now());
    await Bun.sleep(300);
    app.time! += 120_000;
    await app.drain();
    expect(await find(app)).toMatchObject({ plan: 'pi' });
    expect((await lastRun(app, id)).told).toEqual(['t entered', 'w waited', 'u updated', 'x exited']);
  });

  test('a node that an edit puts behind a timer does not write again', async () => {
    const app = await openApp();
    const nodes = { t: trigger('u'), u: update({ plan: '{{ contact.plan }}i' }, 'w'), w: timer('x'), x: exit };
    const id = await run(app, nodes);
    await app.api('PUT', '/contacts/update', { email: EMAIL, plan: 'p' });
    await send(app);
    const moved = { t: trigger('w'), w: timer('u'), u: update({ plan: '{{ contact.plan }}i' }), x: exit };
    expect((await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes: moved })).status).toBe(200);
    app.time! += HOUR + 1;
    await app.drain();
    expect(await find(app)).toMatchObject({ plan: 'pi' });
    const last = await lastRun(app, id);
    expect([last.told, last.status]).toEqual([
      ['t entered', 'u updated', 'w waited', 'u skipped', 'x exited'],
      'completed',
    ]);
  });

  const PEOPLE = ['ada@x.co', 'bob@x.co', 'eve@x.co', 'kim@x.co', 'tim@x.co'];
  test('a merge, a move, an end by exitOn, an erasure between leasing and writing', async () => {
    const app = await openApp();
    const id = await run(app, counting, 'w', { exitOn: [{ eventName: 'stop' }] });
    const stripe = await app.endpoint('stripe');
    const change = (email: string, type: string, more = {}) =>
      app.post(
        stripe,
        'stripe',
        stripeEvent(type, { id: `cus_${email[0]}`, email, ...more }, { created: Math.floor(app.now() / 1000) }),
      );
    for (const email of PEOPLE) await change(email, 'customer.created');
    await app.drain();
    for (const email of PEOPLE) {
      await app.api('PUT', '/contacts/update', { email, plan: 'p' });
      await send(app, {}, email);
    }
    app.time! += HOUR + 1;
    const kim = await find(app, 'kim@x.co');
    let between: Promise<void> | null = null; // all that is leased waits for it
    const engine = engineThat(app, {
      write() {
        between ??= (async () => {
          app.time! += 2000;
          await change('ada@x.co', 'customer.updated', { email: 'ada@home.co' });
          await change('bob@x.co', 'customer.updated', { email: 'eve@x.co' });
          await app.api('DELETE', `/contacts/${kim.id}?erase=true`);
          await app.api('POST', '/events/send', { email: 'tim@x.co', eventName: 'stop' });
        })();
        return between;
      },
    });
    await engine.duty(app.now());
    await app.drain();
    expect(between).not.toBeNull();
    const contacts = await app.contacts();
    expect(contacts.map(each => each.email).sort()).toEqual(['ada@home.co', 'eve@x.co', 'tim@x.co']);
    expect(await find(app, 'tim@x.co')).toMatchObject({ plan: 'p' });
    expect(await find(app, 'ada@home.co')).toMatchObject({ plan: 'pi' });
    expect(await find(app, 'eve@x.co')).toMatchObject({ plan: 'pii' }); // two runs, each once
    const runs = (await app.api('GET', `/workflows/${id}/runs`)).body.data as { status: string }[];
    expect(runs.map(each => each.status).filter(status => status !== 'completed' && status !== 'exited')).toEqual([]);
  });

  test('workflows that set each other off end at the brake', async () => {
    const app = await openApp();
    const when = (value: string, next: string) => ({
      t: {
        ...{ typeName: 'ContactPropertyTrigger', reEligible: true, nextNodeIds: ['u'] },
        contactPropertyQuery: { key: 'plan', was: { operator: 'any' }, is: { operator: 'equal', value } },
      },
      u: update({ plan: next }),
      x: exit,
    });
    const a = await run(app, when('a', 'b'), 'a');
    const b = await run(app, when('b', 'a'), 'b');
    const stripe = await app.endpoint('stripe', {
      events: { 'customer.updated': { contactProperties: { plan: 'data.object.metadata.plan' } } },
    });
    await app.post(stripe, 'stripe', stripeEvent('customer.created', { id: 'cus_b', email: EMAIL }));
    await app.post(
      stripe,
      'stripe',
      stripeEvent('customer.updated', { id: 'cus_b', email: EMAIL, metadata: { plan: 'a' } }),
    );
    for (let i = 0; i < 40; i++) await app.drain();
    const runsOf = async (id: string) =>
      (await app.api('GET', `/workflows/${id}/runs?perPage=100`)).body.data as { status: string }[];
    const all = [...(await runsOf(a)), ...(await runsOf(b))].map(each => each.status);
    expect(all.filter(status => status === 'cut')).toHaveLength(1);
    expect(all.length).toBeLessThanOrEqual(23);
  });
});
