import { z } from 'zod';
import { audienceFilter, filterProblem, type PropertyType, propertyQuery, queryProblem } from './conditions.ts';

export const MAX_NODES = 300;
const MAX_BRANCHES = 20;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST_MS = 366 * UNIT_MS.d;
export const NODE_ID = /^[A-Za-z0-9_-]{1,64}$/;

const nextNodeIds = z.array(z.string().max(64)).max(MAX_BRANCHES);
const reEligible = z.boolean();

/** Loops' node types and fields. What a draft may lack is null. Those only shown by reads may come back and are passed over. */
const TYPES = {
  BlankTrigger: z.strictObject({ nextNodeIds }),
  SignupTrigger: z.strictObject({ nextNodeIds }),
  EventTrigger: z.strictObject({
    eventName: z.string().min(1).max(100).nullable(),
    reEligible,
    eventProperties: z.unknown().optional(),
    nextNodeIds,
  }),
  ContactPropertyTrigger: z.strictObject({ contactPropertyQuery: propertyQuery.nullable(), reEligible, nextNodeIds }),
  AddToListTrigger: z.strictObject({ mailingListId: z.string().max(64).nullable(), reEligible, nextNodeIds }),
  AudienceFilter: z.strictObject({
    audienceFilter: audienceFilter.nullable(),
    audienceSegmentId: z.null({ error: 'segments come later; give the filter itself' }).optional(),
    appliesDownstream: z.boolean().default(false),
    nextNodeIds,
  }),
  TimerAction: z.strictObject({ amount: z.number().int().min(0), unit: z.enum(['m', 'h', 'd']), nextNodeIds }),
  BranchNode: z.strictObject({ nextNodeIds }),
  SendEmailAction: z.strictObject({
    emailMessageId: z.string().max(64).nullable(),
    subject: z.unknown().optional(),
    nextNodeIds,
  }),
  ExitAction: z.strictObject({ nextNodeIds: nextNodeIds.default([]) }),
};
type Types = typeof TYPES;
export type TypeName = keyof Types;
export type Node = { [T in TypeName]: { typeName: T } & Omit<z.output<Types[T]>, ShownOnly> }[TypeName];
export type NodeOf<T extends TypeName> = Extract<Node, { typeName: T }>;
const SHOWN_ONLY = ['subject', 'eventProperties', 'audienceSegmentId'] as const;
type ShownOnly = (typeof SHOWN_ONLY)[number];
const LATER = ['ExperimentBranchNode', 'VariantNode'];

const TRIGGERS = [
  'BlankTrigger',
  'SignupTrigger',
  'EventTrigger',
  'ContactPropertyTrigger',
  'AddToListTrigger',
] as const;
export type Trigger = NodeOf<(typeof TRIGGERS)[number]>;
export const isTrigger = (node: Node): node is Trigger => (TRIGGERS as readonly string[]).includes(node.typeName);

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

export const nodeOf = (graph: Graph, id: string): Node | undefined =>
  Object.hasOwn(graph.nodes, id) ? graph.nodes[id] : undefined;

export const timerMs = ({ amount, unit }: NodeOf<'TimerAction'>) => amount * UNIT_MS[unit];

/** What the database knows of the things that a graph names. */
export interface Known {
  typeOf(property: string): PropertyType | undefined;
  isList(id: string): boolean;
  isEmailMessage(id: string): boolean;
}

const short = (text: string) => text.slice(0, 64);

/** Where in a node something is wrong, and what. */
function issueText(issue: z.core.$ZodIssue | undefined): string {
  const path = issue?.path.map(part => short(String(part))).join('.') ?? '';
  if (issue?.code === 'unrecognized_keys')
    return `${[path, short(issue.keys.join(', '))].filter(Boolean).join('.')}: no such field in this type of node`;
  if (issue?.code === 'invalid_type' && issue.message.endsWith('received undefined')) return `${path}: is required`;
  return `${path}: ${issue?.message ?? 'is not valid'}`;
}

function readNode(id: string, given: Record<string, unknown>): Node | string {
  if (!NODE_ID.test(id)) return 'its id may hold 1 to 64 letters, digits, - and _';
  const { typeName, ...fields } = given;
  if (typeof typeName !== 'string' || !Object.hasOwn(TYPES, typeName)) {
    if (LATER.includes(String(typeName))) return `typeName: ${typeName} is not supported yet`;
    return `typeName: must be one of ${Object.keys(TYPES).join(', ')}`;
  }
  const parsed = TYPES[typeName as TypeName].safeParse(fields);
  if (!parsed.success) return issueText(parsed.error.issues[0]);
  const data: Record<string, unknown> = { ...parsed.data };
  for (const key of SHOWN_ONLY) delete data[key];
  return { typeName, ...data } as Node; // the schema of this very type made it
}

/** Ways out of a node that its type asks for: from, to. */
const WAYS: Partial<Record<TypeName, [number, number]>> = { ExitAction: [0, 0], BranchNode: [1, MAX_BRANCHES] };

function waysProblem(graph: Graph, node: Node): string | null {
  const { typeName, nextNodeIds: next } = node;
  const [least, most] = WAYS[typeName] ?? [1, 1];
  const missing = next.find(id => !nodeOf(graph, id));
  if (missing !== undefined) return `nextNodeIds: there is no node ${missing}`;
  if (next.length < least || next.length > most)
    return most === 0
      ? 'nextNodeIds: must be empty, nothing follows an exit'
      : `nextNodeIds: must name ${least === most ? 'one node' : `${least} to ${most} nodes`}; end a way with an ExitAction`;
  if (new Set(next).size < next.length) return 'nextNodeIds: names a node twice';
  const other = typeName === 'BranchNode' && next.find(id => nodeOf(graph, id)?.typeName !== 'AudienceFilter');
  if (other) return `nextNodeIds: ${other} must be an AudienceFilter, as every node right after a branch`;
  return null;
}

function fieldProblem(node: Node, known: Known): string | null {
  switch (node.typeName) {
    case 'TimerAction':
      return timerMs(node) > LONGEST_MS ? 'amount: a timer may take 366 days at most' : null;
    case 'AddToListTrigger':
      return node.mailingListId !== null && !known.isList(node.mailingListId)
        ? `mailingListId: there is no list ${node.mailingListId}`
        : null;
    case 'SendEmailAction':
      return node.emailMessageId !== null && !known.isEmailMessage(node.emailMessageId)
        ? `emailMessageId: there is no email message ${node.emailMessageId}`
        : null;
    case 'ContactPropertyTrigger':
      return node.contactPropertyQuery && queryProblem(node.contactPropertyQuery, known.typeOf);
    case 'AudienceFilter':
      return node.audienceFilter && filterProblem(node.audienceFilter, known.typeOf, known.isList);
    default:
      return null;
  }
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
    for (const next of nodeOf(graph, id)?.nextNodeIds ?? []) visit(next);
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
    if (typeof node === 'string') problems.push(`node ${short(id)}: ${node}`);
    else nodes.push([id, node]);
  }
  if (problems.length) return { problems };
  const graph: Graph = { rootNodeId, nodes: Object.fromEntries(nodes) };
  const root = nodeOf(graph, rootNodeId);
  if (!root) return { problems: [`rootNodeId: there is no node ${short(rootNodeId)}`] };
  if (!isTrigger(root)) problems.push(`node ${rootNodeId}: typeName: the root must be a trigger`);
  for (const [id, node] of nodes) {
    if (id !== rootNodeId && isTrigger(node)) problems.push(`node ${id}: typeName: only the root may be a trigger`);
    const problem = waysProblem(graph, node) ?? fieldProblem(node, known);
    if (problem) problems.push(`node ${id}: ${problem}`);
  }
  if (problems.length) return { problems };
  const { reached, cycle } = explore(graph);
  if (cycle !== null) problems.push(`node ${cycle}: a way leads from it back to itself; a workflow has no loops`);
  for (const [id] of nodes) if (!reached.has(id)) problems.push(`node ${id}: no way leads to it from the root`);
  return problems.length ? { problems } : { graph };
}

/** What a workflow still lacks before it can start: one sentence each, with the node's id. */
export function lacking(graph: Graph): string[] {
  return Object.entries(graph.nodes).flatMap(([id, node]) => {
    const what =
      node.typeName === 'BlankTrigger'
        ? 'typeName: choose a trigger'
        : node.typeName === 'EventTrigger' && node.eventName === null
          ? 'eventName: is not set'
          : node.typeName === 'ContactPropertyTrigger' && node.contactPropertyQuery === null
            ? 'contactPropertyQuery: is not set'
            : node.typeName === 'AddToListTrigger' && node.mailingListId === null
              ? 'mailingListId: is not set'
              : node.typeName === 'AudienceFilter' && node.audienceFilter === null
                ? 'audienceFilter: is not set'
                : node.typeName === 'SendEmailAction' && node.emailMessageId === null
                  ? 'emailMessageId: is not set'
                  : null;
    return what === null ? [] : [`node ${id}: ${what}`];
  });
}
