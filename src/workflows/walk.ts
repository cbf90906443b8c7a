import { type Person, passes } from './conditions.ts';
import { type Graph, isTrigger, type Node, nodeOf, timerMs } from './graph.ts';

/** What a walk needs of the workflow. */
export interface Way {
  graph: Graph;
  /** Only its members go on. */
  mailingListId: string | null;
}

/** Where a run stands: about to enter a node, or `waiting` in a timer. */
export interface Position {
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

export interface Step {
  visit: number;
  nodeId: string;
  typeName: Node['typeName'];
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
function reasonToLeave({ graph, mailingListId }: Way, guards: string[], person: Person | null): string | null {
  if (!person) return 'the contact was deleted';
  if (!person.subscribed) return 'the contact is unsubscribed';
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
export function walk(way: Way, from: Position, person: Person | null, now: number): Walk {
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
  const gone = () => end('exited', `node ${at.nodeId} was removed from the workflow`);
  const note = (node: Node, outcome: Outcome, detail: Record<string, unknown> = {}) =>
    out.steps.push({ visit: at.visits++, nodeId: at.nodeId, typeName: node.typeName, outcome, detail });
  if (from.waiting) {
    const timer = nodeOf(graph, at.nodeId);
    if (!timer) return gone();
    at.nodeId = timer.nextNodeIds[0] ?? '';
  }
  for (;;) {
    const node = nodeOf(graph, at.nodeId);
    if (!node) return gone();
    const leave = reasonToLeave(way, at.guards, person);
    if (leave !== null || !person) return end('exited', leave);
    if (node.typeName === 'TimerAction' && timerMs(node) > 0) {
      const dueAt = now + timerMs(node);
      note(node, 'waiting', { until: new Date(dueAt).toISOString() });
      at.waiting = true;
      out.rest = { dueAt };
      return out;
    }
    if (node.typeName === 'AudienceFilter') {
      const passed = lets(graph, at.nodeId, person);
      note(node, passed ? 'passed' : 'stopped');
      if (!passed) return end('exited', `the contact does not pass the filter ${at.nodeId}`);
      if (node.appliesDownstream) at.guards.push(at.nodeId);
    } else if (node.typeName === 'BranchNode') {
      const chosen = node.nextNodeIds.find(id => lets(graph, id, person));
      note(node, chosen === undefined ? 'noBranch' : 'branched', chosen === undefined ? {} : { nodeId: chosen });
      if (chosen === undefined) return end('exited', `no branch of ${at.nodeId} fits the contact`);
      at.nodeId = chosen;
      continue;
    } else if (node.typeName === 'SendEmailAction') {
      const { emailMessageId } = node;
      if (emailMessageId === null) return end('exited', `node ${at.nodeId} has no email message`);
      out.mails.push({ visit: at.visits, nodeId: at.nodeId, emailMessageId });
      note(node, 'sent', { emailMessageId });
    } else if (node.typeName === 'ExitAction') {
      note(node, 'exited');
      return end('completed', null);
    } else note(node, isTrigger(node) ? 'entered' : 'waited');
    at.nodeId = node.nextNodeIds[0] ?? '';
  }
}
