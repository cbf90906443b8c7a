import { z } from 'zod';
import { convertToMs, declareNode, duration, findDurationProblem, moveOn, nextNodeIds } from './node.ts';

export const timerAction = declareNode({
  typeName: 'TimerAction',
  summary: 'waits minutes, hours or days',
  fields: z.strictObject({ ...duration, nextNodeIds }),
  findProblem: findDurationProblem,
  enter(node, { now }) {
    const waitUntil = now + convertToMs(node);
    if (waitUntil <= now) return moveOn('waited', node.nextNodeIds[0]);
    return { outcome: 'waiting', detail: { until: new Date(waitUntil).toISOString() }, to: { waitUntil } };
  },
});
