import { z } from 'zod';
import { declareNode, leaveRun, MAX_BRANCHES, moveOn, nextNodeIds } from './node.ts';

/** The first of the filters that follow which the contact passes is the way. */
export const branchNode = declareNode({
  typeName: 'BranchNode',
  summary: 'the first filter that follows and lets the contact pass is the way',
  fields: z.strictObject({ nextNodeIds }),
  ways: [1, MAX_BRANCHES],
  findProblem(node, _, typeNameOf) {
    const other = node.nextNodeIds.find(id => typeNameOf(id) !== 'AudienceFilter');
    return other === undefined
      ? null
      : `nextNodeIds: ${other} must be an AudienceFilter, as every node right after a branch`;
  },
  enter(node, { id, passes }) {
    const chosen = node.nextNodeIds.find(passes);
    return chosen === undefined
      ? leaveRun('noBranch', `no branch of ${id} fits the contact`)
      : moveOn('branched', chosen, { detail: { nodeId: chosen } });
  },
});
