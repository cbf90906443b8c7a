import { buildWriteCall } from '../audience/apiCalls.ts';
import type { ContactWrite, WriteOrigin } from '../audience/apiWrite.ts';
import type { PersonCall } from '../audience/personCall.ts';
import type { Scalar } from '../db/schema.ts';
import { makeId } from '../id.ts';
import { changeOfEvent, type NewEvent } from './events.ts';

interface SentEvent {
  name: string;
  properties: Record<string, Scalar>;
}

/** An event of the API: first the contact is created or updated, then the event fires. Refused as an API write. */
export function buildSendCall(
  write: ContactWrite,
  { name, properties }: SentEvent,
  origin: WriteOrigin,
): PersonCall<string> {
  const call = buildWriteCall('upsert', write, { ...origin, source: 'API' });
  return {
    keys: call.keys,
    apply(people, now) {
      const outcome = call.apply(people, now);
      const { contactId, email, userId } = outcome.result;
      const event: NewEvent = {
        id: makeId('evt', now),
        effectKey: `${origin.key}:event`,
        contact: { id: contactId, email, userId },
        eventName: name,
        eventProperties: properties,
        deliveryId: null,
      };
      return { ...outcome, result: contactId, events: [event], changes: [...outcome.changes, changeOfEvent(event)] };
    },
  };
}
