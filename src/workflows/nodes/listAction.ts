import { z } from 'zod';
import { declareNode, leaveRun, moveOn, nextNodeIds } from './node.ts';

export const listAction = declareNode({
  typeName: 'ListAction',
  summary:
    'puts the contact on a list (`join`) or takes it off (`leave`). A list that the person left, or that was left over the API, is not joined again',
  fields: z.strictObject({
    mailingListId: z.string().max(64).nullable(),
    action: z.enum(['join', 'leave']),
    nextNodeIds,
  }),
  findProblem: (node, known) =>
    node.mailingListId !== null && !known.isList(node.mailingListId)
      ? `mailingListId: there is no list ${node.mailingListId}`
      : null,
  findLack: node => (node.mailingListId === null ? 'mailingListId: is not set' : null),
  enter({ mailingListId, action, nextNodeIds }, { id }) {
    if (mailingListId === null) return leaveRun(null, `node ${id} has no list`);
    const [outcome, write] =
      action === 'join'
        ? (['joined', { join: mailingListId }] as const)
        : (['left', { leave: mailingListId }] as const);
    return moveOn(outcome, nextNodeIds[0], { write, detail: { mailingListId } });
  },
});
