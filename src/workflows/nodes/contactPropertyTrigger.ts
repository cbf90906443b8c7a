import { z } from 'zod';
import { matchesChange, propertyQuery, queryProblem } from '../conditions.ts';
import { declareTrigger, nextNodeIds, reEligible } from './node.ts';

export const contactPropertyTrigger = declareTrigger({
  typeName: 'ContactPropertyTrigger',
  summary: 'a property changed from what to what',
  fields: z.strictObject({ contactPropertyQuery: propertyQuery.nullable(), reEligible, nextNodeIds }),
  findProblem: (node, known) => node.contactPropertyQuery && queryProblem(node.contactPropertyQuery, known.typeOf),
  findLack: node => (node.contactPropertyQuery === null ? 'contactPropertyQuery: is not set' : null),
  findEntry(node, change, { key }) {
    const query = node.contactPropertyQuery;
    if (change.kind !== 'contact.changed' || !query || !matchesChange(query, change.was, change.is)) return null;
    return node.reEligible ? `${key}:${query.key}` : '';
  },
});
