import { z } from 'zod';
import { declareNode, nextNodeIds } from './node.ts';

export const exitAction = declareNode({
  typeName: 'ExitAction',
  summary: 'the end of a way',
  fields: z.strictObject({ nextNodeIds: nextNodeIds.default([]) }),
  ways: [0, 0],
  enter: () => ({ outcome: 'exited', to: { end: 'completed', reason: null } }),
});
