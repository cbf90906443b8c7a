import { expect, test } from 'bun:test';
import {
  addWay,
  changeNode,
  changeTrigger,
  explainStay,
  type Graph,
  insertNode,
  removeNode,
  sortProblems,
} from '../../src/dashboard/workflows/graph.ts';
import { BOX, layOutGraph } from '../../src/dashboard/workflows/layOut.ts';

const empty: Graph = {
  rootNodeId: 'trigger',
  nodes: {
    trigger: { typeName: 'BlankTrigger', nextNodeIds: ['exit'] },
    exit: { typeName: 'ExitAction', nextNodeIds: [] },
  },
};
const first = { from: 'trigger', index: 0 };
const findWays = (graph: Graph) =>
  Object.fromEntries(Object.entries(graph.nodes).map(([id, node]) => [id, node.nextNodeIds.join(',')]));

test('a node goes in between, and comes out again', () => {
  const { graph, id } = insertNode(empty, first, 'TimerAction', { amount: 1, unit: 'd' });
  expect(id).toBe('timer1');
  expect(findWays(graph)).toEqual({ trigger: 'timer1', timer1: 'exit', exit: '' });
  expect(insertNode(graph, first, 'TimerAction', {}).id).toBe('timer2');
  expect(findWays(removeNode(graph, 'timer1'))).toEqual(findWays(empty));
});

test('a branch comes with two filters, gets more, loses ways, and goes with all its filters', () => {
  const { graph } = insertNode(empty, first, 'BranchNode', {});
  expect(findWays(graph)).toEqual({
    ...{ trigger: 'branch1', branch1: 'audienceFilter1,audienceFilter2' },
    ...{ audienceFilter1: 'exit', audienceFilter2: 'exit', exit: '' },
  });
  const wide = addWay(graph, 'branch1');
  expect(wide.nodes.branch1?.nextNodeIds).toHaveLength(3);
  expect(wide.nodes.audienceFilter3?.nextNodeIds).toEqual(['exit1']);
  const narrow = removeNode(wide, 'audienceFilter3');
  expect(findWays(narrow)).toEqual(findWays(graph)); // its own end went with it
  const one = removeNode(narrow, 'audienceFilter2');
  expect(explainStay(one, 'audienceFilter1')).toContain('only way');
  expect(removeNode(one, 'audienceFilter1')).toBe(one);
  expect(findWays(removeNode(graph, 'branch1'))).toEqual(findWays(empty));
});

test('a wait for an event has two ways; an end cuts one off', () => {
  const { graph } = insertNode(empty, first, 'WaitForEventAction', { eventName: 'paid' });
  expect(graph.nodes.waitForEvent1?.nextNodeIds).toEqual(['exit', 'exit']);
  const cut = insertNode(graph, { from: 'waitForEvent1', index: 1 }, 'ExitAction', {}).graph;
  expect(cut.nodes.waitForEvent1?.nextNodeIds).toEqual(['exit', 'exit1']);
  expect(Object.keys(insertNode(empty, first, 'ExitAction', {}).graph.nodes)).toEqual(['trigger', 'exit1']);
});

test('the trigger stays and changes its type; a field that is taken away is gone', () => {
  expect(explainStay(empty, 'trigger')).not.toBeNull();
  expect(explainStay(empty, 'exit')).toBe('Every way needs an end.');
  const graph = changeTrigger(empty, 'EventTrigger', { eventName: 'paid', reEligible: true });
  expect(graph.nodes.trigger).toEqual({
    ...{ typeName: 'EventTrigger', eventName: 'paid', reEligible: true },
    nextNodeIds: ['exit'],
  });
  const changed = changeNode(graph, 'trigger', { eventName: 'lost', reEligible: undefined });
  expect(changed.nodes.trigger).toEqual({ typeName: 'EventTrigger', eventName: 'lost', nextNodeIds: ['exit'] });
});

test('what the API says is sorted by node', () => {
  const problems = sortProblems("It can't start yet: node a: eventName: is not set; node b: x; y: z; and 3 more.");
  expect([...problems]).toEqual([
    ['', ["It can't start yet", 'and 3 more']],
    ['a', ['eventName: is not set']],
    ['b', ['x; y: z']],
  ]);
});

test('no box covers another one, however the graph branches', () => {
  let graph = insertNode(empty, first, 'BranchNode', {}).graph;
  for (let n = 0; n < 3; n++) graph = addWay(graph, 'branch1');
  graph = insertNode(graph, { from: 'audienceFilter2', index: 0 }, 'WaitForEventAction', {}).graph;
  graph = insertNode(graph, { from: 'audienceFilter4', index: 0 }, 'BranchNode', {}).graph;
  graph = insertNode(graph, { from: 'waitForEvent1', index: 1 }, 'TimerAction', {}).graph;
  const { spots, lines, width, height } = layOutGraph(graph);
  expect(spots).toHaveLength(Object.keys(graph.nodes).length);
  for (const a of spots) {
    expect(a.x >= 0 && a.x + BOX.width <= width && a.y >= 0 && a.y + BOX.height <= height).toBe(true);
    for (const b of spots)
      if (a !== b) expect(Math.abs(a.x - b.x) >= BOX.width || Math.abs(a.y - b.y) >= BOX.height).toBe(true);
  }
  expect(lines).toHaveLength(Object.values(graph.nodes).reduce((sum, node) => sum + node.nextNodeIds.length, 0));
  const deep = new Map(spots.map(each => [each.id, each.y]));
  for (const { from, to } of lines) expect(deep.get(to) ?? 0).toBeGreaterThan(deep.get(from) ?? 0);
});
