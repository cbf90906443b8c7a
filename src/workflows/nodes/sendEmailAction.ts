import { z } from 'zod';
import { declareNode, leaveRun, moveOn, nextNodeIds } from './node.ts';

export const sendEmailAction = declareNode({
  typeName: 'SendEmailAction',
  summary: 'sends an email message',
  fields: z.strictObject({
    emailMessageId: z.string().max(64).nullable(),
    subject: z.unknown().optional(),
    nextNodeIds,
  }),
  findProblem: (node, known) =>
    node.emailMessageId !== null && !known.isEmailMessage(node.emailMessageId)
      ? `emailMessageId: there is no email message ${node.emailMessageId}`
      : null,
  findLack: node => (node.emailMessageId === null ? 'emailMessageId: is not set' : null),
  enter({ emailMessageId, nextNodeIds }, { id }) {
    if (emailMessageId === null) return leaveRun(null, `node ${id} has no email message`);
    return moveOn('sent', nextNodeIds[0], { mail: emailMessageId, detail: { emailMessageId } });
  },
});
