import { z } from 'zod';
import { declareTrigger, nextNodeIds } from './node.ts';

export const signupTrigger = declareTrigger({
  typeName: 'SignupTrigger',
  summary: 'a contact was created',
  fields: z.strictObject({ nextNodeIds }),
  findEntry: (_, change) => (change.kind === 'contact.created' && !change.split ? '' : null),
});
