// databases: sqlite
import { afterEach, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findNodeType } from '../../src/dashboard/workflows/nodeTypes.ts';
import type { Person } from '../../src/workflows/conditions.ts';
import { type Graph, type Known, readGraph } from '../../src/workflows/graph.ts';
import { describeNodeTypes, TYPE_NAMES } from '../../src/workflows/nodes/index.ts';
import { walk } from '../../src/workflows/walk.ts';
import { TestApp } from '../support/app.ts';

const DAY = 86_400_000;
const NOW = Date.parse('2026-03-01T12:00:00Z');
const open: TestApp[] = [];
afterEach(async () => {
  for (const app of open.splice(0)) await app.stop();
});

const KNOWN: Known = {
  typeOf: key => (key === 'trialEndsAt' ? 'date' : key === 'plan' ? 'string' : undefined),
  isList: () => true,
  isEmailMessage: () => true,
};
const nodesWith = (wait: Record<string, unknown>) => ({
  t: { typeName: 'EventTrigger', eventName: 'trial', reEligible: true, nextNodeIds: ['w'] },
  w: { typeName: 'WaitUntilAction', nextNodeIds: ['m'], ...wait },
  m: { typeName: 'SendEmailAction', emailMessageId: 'em_1', nextNodeIds: ['x'] },
  x: { typeName: 'ExitAction', nextNodeIds: [] },
});

function graphWith(wait: Record<string, unknown>): Graph {
  const read = readGraph('t', nodesWith(wait), KNOWN);
  if ('problems' in read) throw new Error(read.problems.join('; '));
  return read.graph;
}

const person = (more: Partial<Person> = {}): Person => ({
  ...{ id: 'con_1', email: 'ada@example.com', subscribed: true, lists: new Set<string>() },
  ...{ properties: {}, eventProperties: {} },
  ...more,
});
const START = { nodeId: 't', waiting: false, visits: 0, guards: [] };
const iso = (ms: number) => new Date(ms).toISOString();

test('each type of node is a file and a line of the registry, and described to users', () => {
  const files = readdirSync(join(import.meta.dir, '../../src/workflows/nodes')).filter(
    file => file !== 'node.ts' && file !== 'index.ts',
  );
  const named = TYPE_NAMES.map(name => `${name[0]?.toLowerCase()}${name.slice(1)}.ts`);
  expect(files.sort()).toEqual([...named].sort());
  for (const name of TYPE_NAMES) expect(describeNodeTypes()).toContain(`* \`${name}\``);
  expect(describeNodeTypes()).toContain('`WaitUntilAction` `{property, eventProperty, offset}`');
});

// What else may name a type: what a draft begins with, what must follow a branch, examples and texts for users.
const NAMED_ELSEWHERE: Record<string, string[]> = {
  AddToListTrigger: ['http/notOffered.ts'],
  BlankTrigger: ['workflows/graph.ts'],
  ExitAction: ['workflows/graph.ts', 'http/v1/workflowShapes.ts'],
  EventTrigger: ['http/v1/workflowShapes.ts'],
  TimerAction: ['http/v1/workflowShapes.ts'],
  AudienceFilter: ['workflows/nodes/branchNode.ts', 'http/notOffered.ts'],
};

test('no other code of the server names a type of node: a new one is a file and a line', async () => {
  const src = join(import.meta.dir, '../../src');
  const all = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'));
  const files = all.filter(file => !file.startsWith('dashboard/')); // the page has words and forms for those it knows
  const named: Record<string, string[]> = {};
  for (const file of files) {
    const code = (await Bun.file(join(src, file)).text()).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    for (const name of TYPE_NAMES) {
      const own = `workflows/nodes/${name[0]?.toLowerCase()}${name.slice(1)}.ts`;
      if (file !== own && new RegExp(`\\b${name}\\b`).test(code)) named[name] = [...(named[name] ?? []), file];
    }
  }
  for (const files of Object.values(named)) files.sort();
  expect(named).toEqual(
    Object.fromEntries(Object.entries(NAMED_ELSEWHERE).map(([name, at]) => [name, [...at].sort()])),
  );
});

test('the page shows a type that it has no form for', () => {
  expect(findNodeType('SendPostcardAction')).toMatchObject({ title: 'SendPostcardAction', fields: [] });
  for (const name of TYPE_NAMES) expect(findNodeType(name).title, name).not.toBe(name);
});

describe('WaitUntilAction', () => {
  const before = { property: 'trialEndsAt', offset: { amount: -3, unit: 'd' } };

  test.each([
    ['three days before a date', before, { properties: { trialEndsAt: iso(NOW + 3.5 * DAY) } }, NOW + 0.5 * DAY],
    ['at a date', { property: 'trialEndsAt' }, { properties: { trialEndsAt: NOW + 1000 } }, NOW + 1000],
    [
      'after an event’s seconds',
      { eventProperty: 'trial_end', offset: { amount: 2, unit: 'h' } },
      { eventProperties: { trial_end: NOW / 1000 } },
      NOW + 7_200_000,
    ],
    [
      'for an event’s text',
      { eventProperty: 'trial_end' },
      { eventProperties: { trial_end: iso(NOW + 30 * DAY) } },
      NOW + 30 * DAY,
    ],
    [
      'a property far ahead is looked at daily',
      { property: 'trialEndsAt' },
      { properties: { trialEndsAt: iso(NOW + 90 * DAY) } },
      NOW + DAY,
    ],
  ])('%s', (_, wait, more, dueAt) => {
    const { rest, position, steps } = walk({ graph: graphWith(wait), mailingListId: null }, START, person(more), NOW);
    expect(rest).toEqual({ dueAt });
    expect(position).toMatchObject({ nodeId: 'w', waiting: true });
    expect(steps.map(step => step.outcome)).toEqual(['entered', 'waiting']);
  });

  test('a date that is past goes on at once; none ends the run with a reason', () => {
    const way = { graph: graphWith(before), mailingListId: null };
    const past = walk(way, START, person({ properties: { trialEndsAt: iso(NOW + DAY) } }), NOW);
    expect([past.rest, past.mails]).toMatchObject([{ status: 'completed' }, [{ emailMessageId: 'em_1' }]]);
    const without: Person['properties'][] = [{}, { trialEndsAt: null }, { trialEndsAt: 'soon' }, { trialEndsAt: true }];
    for (const properties of without) {
      const none = walk(way, START, person({ properties }), NOW);
      expect(none.rest).toEqual({ status: 'exited', reason: 'trialEndsAt holds no date to wait for' });
      expect(none.mails).toEqual([]);
    }
  });

  test('a date that moves meanwhile is followed, without another step', () => {
    const way = { graph: graphWith(before), mailingListId: null };
    const ends = (days: number) => person({ properties: { trialEndsAt: iso(NOW + days * DAY) } });
    const first = walk(way, START, ends(4), NOW);
    expect(first.rest).toEqual({ dueAt: NOW + DAY });
    const moved = walk(way, first.position, ends(5.5), NOW + DAY);
    expect(moved).toMatchObject({
      waited: false,
      steps: [],
      rest: { dueAt: NOW + 2 * DAY },
      position: { waiting: true },
    });
    const sooner = walk(way, moved.position, ends(2), NOW + 2 * DAY);
    expect(sooner).toMatchObject({ waited: true, mails: [{ nodeId: 'm', visit: 2 }], rest: { status: 'completed' } });
    const cancelled = walk(way, moved.position, person(), NOW + 2 * DAY);
    expect(cancelled).toMatchObject({ waited: true, mails: [], rest: { status: 'exited' } });
    expect(walk(way, moved.position, null, NOW + 2 * DAY).rest).toMatchObject({ reason: 'the contact was deleted' });
  });

  test.each([
    [{}, 'property: give property or eventProperty, one of them'],
    [{ property: 'trialEndsAt', eventProperty: 'e' }, 'property: give property or eventProperty, one of them'],
    [{ property: 'nothing' }, 'property: there is no property nothing'],
    [{ property: 'plan' }, 'property: plan is a string, not a date'],
    [
      { property: 'trialEndsAt', offset: { amount: -400, unit: 'd' } },
      'offset.amount: a timer may take 366 days at most',
    ],
    [{ eventProperty: 'e', offset: { amount: 1, unit: 'y' } }, 'offset.unit'],
  ])('what is wrong is named: %p', (wait, problem) => {
    const read = readGraph('t', nodesWith(wait), KNOWN);
    expect('problems' in read ? read.problems.join('\n') : '').toStartWith(`node w: ${problem}`);
  });

  test('in a running workflow: the mail goes three days before the trial ends, also after it was prolonged', async () => {
    const app = await TestApp.open();
    open.push(app);
    app.time = Date.now();
    await app.api('POST', '/contacts/properties', { name: 'trialEndsAt', type: 'date' });
    const { id: em } = (await app.api('POST', '/email-messages', { subject: 'Trial', html: 'x' })).body;
    const { id } = (await app.api('POST', '/workflows', { name: 'trial' })).body;
    const nodes = { ...nodesWith(before), m: { ...nodesWith(before).m, emailMessageId: em } };
    expect((await app.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes })).status).toBe(200);
    await app.api('POST', `/workflows/${id}/start`);
    const email = 'ada@example.com';
    const setEnd = (days: number) =>
      app.api('PUT', '/contacts/update', { email, trialEndsAt: iso(app.now() + days * DAY) });
    await setEnd(5);
    await app.api('POST', '/events/send', { email, eventName: 'trial' });
    await app.drain();
    const mails = async () => (await app.api('GET', '/mails')).body.data.length;
    const passDays = async (days: number) => {
      app.time = app.now() + days * DAY + 1000;
      await app.drain();
    };
    const { body: dry } = await app.api('POST', `/workflows/${id}/dry-run`, { email });
    expect(dry.steps.map((step: { outcome: string }) => step.outcome)).toEqual([
      'entered',
      'waiting',
      'sent',
      'exited',
    ]);
    await passDays(1);
    await setEnd(10);
    await passDays(1.5);
    expect(await mails()).toBe(0);
    await passDays(5);
    await passDays(1);
    expect(await mails()).toBe(1);
    const [run] = (await app.api('GET', `/workflows/${id}/runs`)).body.data;
    const { body: whole } = await app.api('GET', `/runs/${run.id}`);
    expect(whole.steps.map((step: { outcome: string }) => step.outcome)).toEqual([
      'entered',
      'waited',
      'sent',
      'exited',
    ]);
  });
});
