import { z } from 'zod';
import { declareTrigger, nextNodeIds, reEligible } from './node.ts';

export const eventTrigger = declareTrigger({
  typeName: 'EventTrigger',
  summary:
    'an event was received; with `oneAtATime` it starts nothing while a run of the contact in this workflow is under way',
  fields: z.strictObject({
    eventName: z.string().min(1).max(100).nullable(),
    reEligible,
    oneAtATime: z.boolean().optional(),
    eventProperties: z.unknown().optional(),
    nextNodeIds,
  }),
  findLack: node => (node.eventName === null ? 'eventName: is not set' : null),
  isExclusive: node => node.oneAtATime === true,
  findEntry(node, change) {
    if (change.kind !== 'event' || change.eventName !== node.eventName) return null;
    return node.reEligible ? change.eventId : '';
  },
});
