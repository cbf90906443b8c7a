import { type ContactWrite, type WriteOrigin, type Written, writeContact } from './audience/write.ts';
import type { Scalar } from './db/schema.ts';
import type { Tx } from './db/store.ts';
import { recordEvent } from './events.ts';
import type { Listener } from './happenings.ts';

export interface SentEvent {
  name: string;
  properties: Record<string, Scalar>;
}

/** An event of the API: first the contact is created or updated, then the event fires. @throws AppError as `writeContact` */
export async function sendEvent(
  tx: Tx,
  write: ContactWrite,
  { name, properties }: SentEvent,
  origin: WriteOrigin,
  now: number,
  tell: Listener,
): Promise<Written> {
  const written = await writeContact(tx, 'upsert', write, { ...origin, source: 'API' }, now, tell);
  const effectKey = `${origin.key}:event`;
  const event = await recordEvent(
    tx,
    { effectKey, contact: written.contact, eventName: name, eventProperties: properties, deliveryId: null },
    now,
  );
  if (!event) return written;
  const told = await tell(tx, [event], { key: effectKey, deliveryId: null }, now);
  return { ...written, effects: [...written.effects, ...told], due: written.due || told.length > 0 };
}
