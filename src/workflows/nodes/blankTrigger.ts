import { z } from 'zod';
import { declareTrigger, nextNodeIds } from './node.ts';

/** What a new workflow begins with. */
export const blankTrigger = declareTrigger({
  typeName: 'BlankTrigger',
  summary: 'nothing yet; a draft begins with it',
  fields: z.strictObject({ nextNodeIds }),
  findLack: () => 'typeName: choose a trigger',
  findEntry: () => null,
});
