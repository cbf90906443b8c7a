import { z } from 'zod';
import { declareTrigger, nextNodeIds, reEligible } from './node.ts';

export const eventTrigger = declareTrigger({
  typeName: 'EventTrigger',
  summary: 'an event was received',
  fields: z.strictObject({
    eventName: z.string().min(1).max(100).nullable(),
    reEligible,
    eventProperties: z.unknown().optional(),
    nextNodeIds,
  }),
  findLack: node => (node.eventName === null ? 'eventName: is not set' : null),
  findEntry(node, change) {
    if (change.kind !== 'event' || change.eventName !== node.eventName) return null;
    return node.reEligible ? change.eventId : '';
  },
});
