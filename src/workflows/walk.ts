import type { NodeWrite } from '../audience/nodeWrite.ts';
import type { Person } from './conditions.ts';
import { describeEnd, type Expected, matchesEvent, NOTHING_SEEN, type Seen } from './expected.ts';
import { type Graph, getNode } from './graph.ts';
import { findNodeType, type TypeName } from './nodes/index.ts';
import type { Move } from './nodes/node.ts';

/** What a walk needs of the workflow. */
interface WorkflowGraph {
  graph: Graph;
  /** Only its members go on. */
  mailingListId: string | null;
  /** Any of these events ends a run wherever it is. */
  exitOn?: Expected[];
}

/** Where a run stands: about to enter a node, or `waiting` in a timer. */
interface Position {
  nodeId: string;
  waiting: boolean;
  visits: number;
  /** Ids of filters behind it that are checked again at every node. */
  guards: string[];
}

export type Outcome =
  | 'entered'
  | 'passed'
  | 'stopped'
  | 'waiting'
  | 'waited'
  | 'branched'
  | 'noBranch'
  | 'sent'
  | 'updated'
  | 'joined'
  | 'left'
  | 'skipped'
  | 'ended'
  | 'exited';

export interface Step {
  visit: number;
  nodeId: string;
  typeName: TypeName;
  outcome: Outcome;
  detail: Record<string, unknown>;
}

/** What one walk did: steps in order, and where it came to rest. */
export interface Walk {
  /** The timer at which it stood is over: that step ends now. */
  waited: boolean;
  steps: Step[];
  mails: { visit: number; nodeId: string; emailMessageId: string }[];
  position: Position;
  /** It came to rest because the contact is to be written first: what, the step that follows it, and the node after it. */
  pending: { write: NodeWrite; step: Step; next: string } | null;
  rest: { dueAt: number } | { status: 'completed' | 'exited'; reason: string | null };
}

/** Why a contact leaves before a node, or null. */
function findReasonToLeave(
  { graph, mailingListId, exitOn = [] }: WorkflowGraph,
  guards: string[],
  person: Person | null,
  { events }: Seen,
): string | null {
  if (!person) return 'the contact was deleted';
  if (!person.subscribed) return 'the contact is unsubscribed';
  const ended = events.find(event => exitOn.some(each => matchesEvent(each, event, person)));
  if (ended) return describeEnd(ended.eventName);
  if (mailingListId !== null && !person.lists.has(mailingListId)) return `the contact is not on list ${mailingListId}`;
  const root = getNode(graph, graph.rootNodeId);
  const left = root && findNodeType(root.typeName)?.findLeave?.(root, person);
  if (left) return left;
  const failed = guards.find(id => isRefused(graph, id, person));
  return failed === undefined ? null : `the contact no longer passes the filter ${failed}`;
}

const isRefused = (graph: Graph, id: string, person: Person): boolean => {
  const node = getNode(graph, id);
  return node !== undefined && findNodeType(node.typeName)?.lets?.(node, person) === false;
};

const letsPass = (graph: Graph, id: string, person: Person): boolean => {
  const node = getNode(graph, id);
  return node !== undefined && findNodeType(node.typeName)?.lets?.(node, person) === true;
};

/** Moves on in a node where the contact is to be written first, if it is such a one. */
function findPending({ nodeId, visits }: Position, typeName: TypeName, move: Move): Walk['pending'] {
  const { outcome, detail = {}, write, to } = move;
  if (write === undefined || outcome === null || !('next' in to)) return null;
  return { write, step: { visit: visits, nodeId, typeName, outcome, detail }, next: to.next ?? '' };
}

/**
 * Moves on from a position until a timer, a write of the contact or the end. Pure: the person as of now, `now` in ms. Bounded, since
 * a graph has no cycles and each node is entered once.
 */
export function walk(
  way: WorkflowGraph,
  from: Position,
  person: Person | null,
  now: number,
  seen: Seen = NOTHING_SEEN,
): Walk {
  const { graph } = way;
  const out: Walk = {
    waited: from.waiting,
    steps: [],
    mails: [],
    pending: null,
    position: { nodeId: from.nodeId, waiting: false, visits: from.visits, guards: [...from.guards] },
    rest: { status: 'exited', reason: null },
  };
  const at = out.position;
  const end = (status: 'completed' | 'exited', reason: string | null) => {
    out.rest = { status, reason };
    return out;
  };
  const wait = (dueAt: number, waited: boolean) => {
    at.waiting = true;
    return Object.assign(out, { waited, rest: { dueAt } });
  };
  const gone = () => end('exited', `node ${at.nodeId} was removed from the workflow`);
  const visit = (id: string, who: Person) => ({
    ...{ id, person: who, now, waitingSince: seen.waitingSince },
    passes: (other: string) => letsPass(graph, other, who),
    findEvent: (expected: Expected) => seen.events.find(event => matchesEvent(expected, event, who)),
  });
  if (from.waiting) {
    const node = getNode(graph, at.nodeId);
    if (!node) return gone();
    const move = person && findNodeType(node.typeName)?.resume?.(node, visit(at.nodeId, person));
    if (move && 'waitUntil' in move.to) return wait(move.to.waitUntil, false);
    if (move && 'end' in move.to) return end(move.to.end, move.to.reason);
    at.nodeId = (move && 'next' in move.to ? move.to.next : node.nextNodeIds[0]) ?? '';
  }
  for (;;) {
    const { nodeId } = at;
    const node = getNode(graph, nodeId);
    const type = node && findNodeType(node.typeName);
    if (!type) return gone();
    const leave = findReasonToLeave(way, at.guards, person, seen);
    if (leave !== null || !person) return end('exited', leave);
    const move = type.enter(node, visit(nodeId, person));
    out.pending = findPending(at, node.typeName, move);
    if (out.pending) return Object.assign(out, { rest: { dueAt: now } });
    if (move.mail !== undefined) out.mails.push({ visit: at.visits, nodeId, emailMessageId: move.mail });
    if (move.outcome !== null) {
      const { outcome, detail = {} } = move;
      out.steps.push({ visit: at.visits++, nodeId, typeName: node.typeName, outcome, detail });
    }
    if (move.isGuard) at.guards.push(nodeId);
    if ('end' in move.to) return end(move.to.end, move.to.reason);
    if ('waitUntil' in move.to) return wait(move.to.waitUntil, from.waiting);
    at.nodeId = move.to.next ?? '';
  }
}
