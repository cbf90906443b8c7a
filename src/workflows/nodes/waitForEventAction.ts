import { z } from 'zod';
import { filterProblem } from '../conditions.ts';
import { expectedEvent } from '../expected.ts';
import {
  convertToMs,
  declareNode,
  duration,
  findDurationProblem,
  type Move,
  moveOn,
  nextNodeIds,
  type Visit,
} from './node.ts';

const fields = z.strictObject({ ...expectedEvent.shape, timeout: z.strictObject(duration), nextNodeIds });
type Fields = z.output<typeof fields>;

function decide(node: Fields, visit: Visit, since: number): Move {
  const [matched, timedOut] = node.nextNodeIds;
  const event = visit.findEvent(node);
  if (event) return moveOn('waited', matched, { detail: { eventId: event.id } });
  const waitUntil = since + convertToMs(node.timeout);
  if (waitUntil <= visit.now) return moveOn('waited', timedOut);
  return { outcome: 'waiting', detail: { until: new Date(waitUntil).toISOString() }, to: { waitUntil } };
}

/** Events count from the beginning of the run, so that one between two steps is not missed. */
export const waitForEventAction = declareNode({
  typeName: 'WaitForEventAction',
  summary:
    'waits for an event that passes the `filter`, `timeout` (`{"amount":3,"unit":"d"}`) at the longest; the first way is for who had it, the second for who had not. Events count from the beginning of the run, by the time of the provider',
  fields,
  ways: [2, 2],
  findProblem(node, known) {
    const problem = findDurationProblem(node.timeout);
    if (problem) return `timeout.${problem}`;
    const wrong = node.filter && filterProblem(node.filter, known.typeOf, known.isList);
    return wrong ? wrong.replace(/^audienceFilter/, 'filter') : null;
  },
  findExpected: ({ eventName, filter }) => ({ eventName, filter }),
  enter: (node, visit) => decide(node, visit, visit.now),
  resume: (node, visit) => decide(node, visit, visit.waitingSince ?? Number.NEGATIVE_INFINITY),
});
