import type { z } from 'zod';
import type { workflow } from '../../http/v1/workflowShapes.ts';

export type Workflow = z.infer<typeof workflow>;
export type Node = Workflow['nodes'][string];
export interface Graph {
  rootNodeId: string;
  nodes: Record<string, Node>;
}
/** The `index`-th way out of the node `from`. */
export interface Edge {
  from: string;
  index: number;
}

/** Nodes whose ways are told apart by their place. */
const TWO_WAYS = ['WaitForEventAction'];

const getNext = (graph: Graph, { from, index }: Edge): string | undefined => graph.nodes[from]?.nextNodeIds[index];

/** A name that no node has yet: the type's beginning and a number. */
function makeId(graph: Graph, typeName: string): string {
  const stem = typeName.replace(/(Action|Node|Trigger)$/, '').replace(/^./, first => first.toLowerCase());
  for (let n = 1; ; n++) if (!Object.hasOwn(graph.nodes, `${stem}${n}`)) return `${stem}${n}`;
}

function putNode(graph: Graph, id: string, node: Node): Graph {
  return { ...graph, nodes: { ...graph.nodes, [id]: node } };
}

function putNext(graph: Graph, { from, index }: Edge, to: string): Graph {
  const node = graph.nodes[from];
  if (!node) return graph;
  return putNode(graph, from, { ...node, nextNodeIds: node.nextNodeIds.map((each, at) => (at === index ? to : each)) });
}

/** Without the nodes that no way leads to. */
function pruneNodes(graph: Graph): Graph {
  const reached = new Set<string>();
  const open = [graph.rootNodeId];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (reached.has(id)) continue;
    reached.add(id);
    open.push(...(graph.nodes[id]?.nextNodeIds ?? []));
  }
  return { ...graph, nodes: Object.fromEntries(Object.entries(graph.nodes).filter(([id]) => reached.has(id))) };
}

/** A new node on an edge. A branch comes with two filters, an end cuts the way off. Gives the graph and the new node's id. */
export function insertNode(graph: Graph, edge: Edge, typeName: string, fields: object): { graph: Graph; id: string } {
  const after = getNext(graph, edge);
  if (after === undefined) return { graph, id: edge.from };
  const id = makeId(graph, typeName);
  let grown = putNode(graph, id, { typeName, ...fields, nextNodeIds: [after] });
  if (typeName === 'ExitAction') grown = putNode(grown, id, { typeName, nextNodeIds: [] });
  if (TWO_WAYS.includes(typeName)) grown = putNode(grown, id, { typeName, ...fields, nextNodeIds: [after, after] });
  if (typeName === 'BranchNode') {
    grown = putNode(grown, id, { typeName, ...fields, nextNodeIds: [] });
    for (let n = 0; n < 2; n++) grown = addWay(grown, id, after);
  }
  return { graph: pruneNodes(putNext(grown, edge, id)), id };
}

/** One more way out of a branch: a filter, and what follows it; an end of its own if not said. */
export function addWay(graph: Graph, id: string, after?: string): Graph {
  const branch = graph.nodes[id];
  if (!branch) return graph;
  const filter = makeId(graph, 'AudienceFilter');
  const end = after ?? makeId(graph, 'ExitAction');
  let grown = putNode(graph, filter, {
    ...{ typeName: 'AudienceFilter', audienceFilter: null, appliesDownstream: false },
    nextNodeIds: [end],
  });
  if (after === undefined) grown = putNode(grown, end, { typeName: 'ExitAction', nextNodeIds: [] });
  return putNode(grown, id, { ...branch, nextNodeIds: [...branch.nextNodeIds, filter] });
}

/** Why a node can't be removed by itself; null: it can. */
export function explainStay(graph: Graph, id: string): string | null {
  if (id === graph.rootNodeId) return 'A workflow begins with its trigger: give it another type instead.';
  const node = graph.nodes[id];
  const branches = Object.values(graph.nodes).filter(
    each => each.typeName === 'BranchNode' && each.nextNodeIds.includes(id),
  );
  if (branches.some(each => each.nextNodeIds.length < 2))
    return 'It is the only way out of its branch: remove the branch.';
  if (node?.typeName === 'ExitAction' && branches.length === 0) return 'Every way needs an end.';
  return null;
}

/** Without a node. Who came by goes on behind it, along its first way; a way out of a branch goes with all that follows. */
export function removeNode(graph: Graph, id: string): Graph {
  const gone = graph.nodes[id];
  if (!gone || explainStay(graph, id) !== null) return graph;
  const [first = ''] = gone.nextNodeIds;
  // behind a branch stand its filters, which are nothing without it
  const after = gone.typeName === 'BranchNode' ? (graph.nodes[first]?.nextNodeIds[0] ?? first) : first;
  const nodes = Object.fromEntries(
    Object.entries(graph.nodes)
      .filter(([key]) => key !== id)
      .map(([key, node]) => {
        const isBranch = node.typeName === 'BranchNode';
        const next = isBranch
          ? node.nextNodeIds.filter(each => each !== id)
          : node.nextNodeIds.map(each => (each === id ? after : each));
        return [key, { ...node, nextNodeIds: next }];
      }),
  );
  return pruneNodes({ ...graph, nodes });
}

/** The node with these fields changed; `undefined` takes one away. */
export function changeNode(graph: Graph, id: string, change: Record<string, unknown>): Graph {
  const node = graph.nodes[id];
  if (!node) return graph;
  const fields = Object.entries({ ...node, ...change }).filter(([, value]) => value !== undefined);
  return putNode(graph, id, { typeName: node.typeName, nextNodeIds: node.nextNodeIds, ...Object.fromEntries(fields) });
}

/** Another trigger in the place of the present one. */
export function changeTrigger(graph: Graph, typeName: string, fields: object): Graph {
  const { nextNodeIds = [] } = graph.nodes[graph.rootNodeId] ?? {};
  return putNode(graph, graph.rootNodeId, { typeName, ...fields, nextNodeIds });
}

/** The API's words, by the node they are about; `''`: about the whole. */
export function sortProblems(message: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const part of message.split(/; (?=node |and \d+ more)|: (?=node )/)) {
    const [, id = '', text = part] = /^node ([\w-]+): ([\s\S]*)$/.exec(part) ?? [];
    found.set(id, [...(found.get(id) ?? []), text.replace(/\.$/, '')]);
  }
  return found;
}
