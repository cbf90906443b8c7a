import type { z } from 'zod';
import type { PropertyType } from './conditions.ts';
import { findNodeType, isTrigger, type Node, SHOWN_ONLY, TYPE_NAMES } from './nodes/index.ts';

const MAX_NODES = 300;
const NODE_ID = /^[A-Za-z0-9_-]{1,64}$/;
const LATER = ['ExperimentBranchNode', 'VariantNode'];

export interface Graph {
  rootNodeId: string;
  nodes: Record<string, Node>;
}

export const EMPTY: Graph = {
  rootNodeId: 'trigger',
  nodes: {
    trigger: { typeName: 'BlankTrigger', nextNodeIds: ['exit'] },
    exit: { typeName: 'ExitAction', nextNodeIds: [] },
  },
};

export const getNode = (graph: Graph, id: string): Node | undefined =>
  Object.hasOwn(graph.nodes, id) ? graph.nodes[id] : undefined;

/** What the database knows of the things that a graph names. */
export interface Known {
  typeOf(property: string): PropertyType | undefined;
  isList(id: string): boolean;
  isEmailMessage(id: string): boolean;
}

const shortenText = (text: string) => text.slice(0, 64);

/** Where in a node something is wrong, and what. */
function issueText(issue: z.core.$ZodIssue | undefined): string {
  const path = issue?.path.map(part => shortenText(String(part))).join('.') ?? '';
  if (issue?.code === 'unrecognized_keys')
    return `${[path, shortenText(issue.keys.join(', '))].filter(Boolean).join('.')}: no such field in this type of node`;
  if (issue?.code === 'invalid_type' && issue.message.endsWith('received undefined')) return `${path}: is required`;
  return `${path}: ${issue?.message ?? 'is not valid'}`;
}

function readNode(id: string, given: Record<string, unknown>): Node | string {
  if (!NODE_ID.test(id)) return 'its id may hold 1 to 64 letters, digits, - and _';
  const { typeName, ...fields } = given;
  const type = typeof typeName === 'string' ? findNodeType(typeName) : undefined;
  if (!type) {
    if (LATER.includes(String(typeName))) return `typeName: ${typeName} is not supported yet`;
    return `typeName: must be one of ${TYPE_NAMES.join(', ')}`;
  }
  const parsed = type.fields.safeParse(fields);
  if (!parsed.success) return issueText(parsed.error.issues[0]);
  const data: Record<string, unknown> = { ...(parsed.data as object) };
  for (const key of SHOWN_ONLY) delete data[key];
  return { typeName, ...data } as Node; // the schema of this very type made it
}

function describeNumber(least: number, most: number): string {
  if (least < most) return `${least} to ${most} nodes`;
  return most === 1 ? 'one node' : `${most} nodes`;
}

function findWaysProblem(graph: Graph, node: Node): string | null {
  const next: string[] = node.nextNodeIds;
  const [least, most] = findNodeType(node.typeName)?.ways ?? [1, 1];
  const missing = next.find(id => !getNode(graph, id));
  if (missing !== undefined) return `nextNodeIds: there is no node ${missing}`;
  if (next.length < least || next.length > most)
    return most === 0
      ? 'nextNodeIds: must be empty, nothing follows an exit'
      : `nextNodeIds: must name ${describeNumber(least, most)}; end a way with an ExitAction`;
  const mayMeet = least === most; // ways told apart by their place
  return new Set(next).size < next.length && !mayMeet ? 'nextNodeIds: names a node twice' : null;
}

function findFieldProblem(graph: Graph, node: Node, known: Known): string | null {
  return findNodeType(node.typeName)?.findProblem?.(node, known, id => getNode(graph, id)?.typeName) ?? null;
}

/** Ids in the order of a walk from the root, and one that leads back to a node before it, if any. */
function explore(graph: Graph): { reached: Set<string>; cycle: string | null } {
  const reached = new Set<string>();
  const open = new Set<string>(); // on the way from the root to here
  let cycle: string | null = null;
  const visit = (id: string) => {
    if (open.has(id)) cycle ??= id;
    if (reached.has(id)) return;
    reached.add(id);
    open.add(id);
    for (const next of getNode(graph, id)?.nextNodeIds ?? []) visit(next);
    open.delete(id);
  };
  visit(graph.rootNodeId);
  return { reached, cycle };
}

/** Reads a whole document. Gives the graph, or everything that is wrong with it: one sentence each, with the node's id. */
export function readGraph(
  rootNodeId: string,
  given: Record<string, Record<string, unknown>>,
  known: Known,
): { graph: Graph } | { problems: string[] } {
  const entries = Object.entries(given);
  if (entries.length > MAX_NODES) return { problems: [`nodes: ${entries.length} are too many; ${MAX_NODES} may be`] };
  const problems: string[] = [];
  const nodes: [string, Node][] = [];
  for (const [id, fields] of entries) {
    const node = readNode(id, fields);
    if (typeof node === 'string') problems.push(`node ${shortenText(id)}: ${node}`);
    else nodes.push([id, node]);
  }
  if (problems.length) return { problems };
  const graph: Graph = { rootNodeId, nodes: Object.fromEntries(nodes) };
  const root = getNode(graph, rootNodeId);
  if (!root) return { problems: [`rootNodeId: there is no node ${shortenText(rootNodeId)}`] };
  if (!isTrigger(root)) problems.push(`node ${rootNodeId}: typeName: the root must be a trigger`);
  for (const [id, node] of nodes) {
    if (id !== rootNodeId && isTrigger(node)) problems.push(`node ${id}: typeName: only the root may be a trigger`);
    const problem = findWaysProblem(graph, node) ?? findFieldProblem(graph, node, known);
    if (problem) problems.push(`node ${id}: ${problem}`);
  }
  if (problems.length) return { problems };
  const { reached, cycle } = explore(graph);
  if (cycle !== null) problems.push(`node ${cycle}: a way leads from it back to itself; a workflow has no loops`);
  for (const [id] of nodes) if (!reached.has(id)) problems.push(`node ${id}: no way leads to it from the root`);
  return problems.length ? { problems } : { graph };
}

/** What a workflow still lacks before it can start: one sentence each, with the node's id. */
export function listLacks(graph: Graph): string[] {
  return Object.entries(graph.nodes).flatMap(([id, node]) => {
    const what = findNodeType(node.typeName)?.findLack?.(node) ?? null;
    return what === null ? [] : [`node ${id}: ${what}`];
  });
}
