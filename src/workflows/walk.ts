import { type Person, passes } from './conditions.ts';
import { describeEnd, type Expected, matchesEvent, NOTHING_SEEN, type Seen } from './expected.ts';
import { type Graph, nodeOf } from './graph.ts';
import { findNodeType, type TypeName } from './nodes/index.ts';

/** What a walk needs of the workflow. */
interface Way {
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
  | 'skipped'
  | 'ended'
  | 'exited';

interface Step {
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
  rest: { dueAt: number } | { status: 'completed' | 'exited'; reason: string | null };
}

/** Why a contact leaves before a node, or null. */
function reasonToLeave(
  { graph, mailingListId, exitOn = [] }: Way,
  guards: string[],
  person: Person | null,
  { events }: Seen,
): string | null {
  if (!person) return 'the contact was deleted';
  if (!person.subscribed) return 'the contact is unsubscribed';
  const ended = events.find(event => exitOn.some(each => matchesEvent(each, event, person)));
  if (ended) return describeEnd(ended.eventName);
  if (mailingListId !== null && !person.lists.has(mailingListId)) return `the contact is not on list ${mailingListId}`;
  const root = nodeOf(graph, graph.rootNodeId);
  if (root?.typeName === 'AddToListTrigger' && root.mailingListId !== null && !person.lists.has(root.mailingListId))
    return `the contact left list ${root.mailingListId}`;
  const failed = guards.find(id => {
    const guard = nodeOf(graph, id);
    return guard?.typeName === 'AudienceFilter' && guard.audienceFilter && !passes(person, guard.audienceFilter);
  });
  return failed === undefined ? null : `the contact no longer passes the filter ${failed}`;
}

const lets = (graph: Graph, id: string, person: Person): boolean => {
  const node = nodeOf(graph, id);
  return node?.typeName === 'AudienceFilter' && node.audienceFilter !== null && passes(person, node.audienceFilter);
};

/**
 * Moves on from a position until a timer or the end. Pure: the person as of now, `now` in ms. Bounded, since a graph has no
 * cycles and each node is entered once.
 */
export function walk(way: Way, from: Position, person: Person | null, now: number, seen: Seen = NOTHING_SEEN): Walk {
  const { graph } = way;
  const out: Walk = {
    waited: from.waiting,
    steps: [],
    mails: [],
    position: { ...from, waiting: false, guards: [...from.guards] },
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
    passes: (other: string) => lets(graph, other, who),
    findEvent: (expected: Expected) => seen.events.find(event => matchesEvent(expected, event, who)),
  });
  if (from.waiting) {
    const node = nodeOf(graph, at.nodeId);
    if (!node) return gone();
    const move = person && findNodeType(node.typeName)?.resume?.(node, visit(at.nodeId, person));
    if (move && 'waitUntil' in move.to) return wait(move.to.waitUntil, false);
    if (move && 'end' in move.to) return end(move.to.end, move.to.reason);
    at.nodeId = (move && 'next' in move.to ? move.to.next : node.nextNodeIds[0]) ?? '';
  }
  for (;;) {
    const { nodeId } = at;
    const node = nodeOf(graph, nodeId);
    const type = node && findNodeType(node.typeName);
    if (!type) return gone();
    const leave = reasonToLeave(way, at.guards, person, seen);
    if (leave !== null || !person) return end('exited', leave);
    const move = type.enter(node, visit(nodeId, person));
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
