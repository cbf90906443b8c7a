import { z } from 'zod';
import { audienceFilter as filter, filterProblem, passes as passesFilter } from '../conditions.ts';
import { declareNode, leaveRun, moveOn, nextNodeIds } from './node.ts';

export const audienceFilter = declareNode({
  typeName: 'AudienceFilter',
  summary: 'who does not pass leaves; with `appliesDownstream` it is asked again at every node that follows',
  fields: z.strictObject({
    audienceFilter: filter.nullable(),
    audienceSegmentId: z.null({ error: 'segments come later; give the filter itself' }).optional(),
    appliesDownstream: z.boolean().default(false),
    nextNodeIds,
  }),
  findProblem: (node, known) => node.audienceFilter && filterProblem(node.audienceFilter, known.typeOf, known.isList),
  findLack: node => (node.audienceFilter === null ? 'audienceFilter: is not set' : null),
  lets: ({ audienceFilter: asked }, person) => asked !== null && passesFilter(person, asked),
  enter: (node, { id, passes }) =>
    passes(id)
      ? moveOn('passed', node.nextNodeIds[0], { isGuard: node.appliesDownstream })
      : leaveRun('stopped', `the contact does not pass the filter ${id}`),
});
