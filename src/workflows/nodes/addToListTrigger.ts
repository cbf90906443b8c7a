import { z } from 'zod';
import { declareTrigger, nextNodeIds, reEligible } from './node.ts';

export const addToListTrigger = declareTrigger({
  typeName: 'AddToListTrigger',
  summary: 'a contact was added to a list',
  fields: z.strictObject({ mailingListId: z.string().max(64).nullable(), reEligible, nextNodeIds }),
  findProblem: (node, known) =>
    node.mailingListId !== null && !known.isList(node.mailingListId)
      ? `mailingListId: there is no list ${node.mailingListId}`
      : null,
  findLack: node => (node.mailingListId === null ? 'mailingListId: is not set' : null),
  findLeave: ({ mailingListId: id }, person) =>
    id !== null && !person.lists.has(id) ? `the contact left list ${id}` : null,
  findEntry(node, change, { key }) {
    if (change.kind !== 'list.subscribed' || change.split || change.listId !== node.mailingListId) return null;
    return node.reEligible ? `${key}:${change.listId}` : '';
  },
});
