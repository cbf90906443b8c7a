import type { Effect, Scalar } from './db/schema.ts';
import type { Tx } from './db/store.ts';

/** The contact something happened to, as it is now or was last. */
export interface Who {
  id: string;
  email: string;
  userId: string | null;
}

/**
 * What happened to a contact, whichever way it came about. `was` and `is` hold the fields that changed, custom properties by key.
 * `split`: the contact left another one; nobody signed up.
 */
export type ContactChange = { contact: Who } & (
  | { kind: 'contact.created'; split?: true }
  | { kind: 'contact.unsubscribed' | 'contact.resubscribed' | 'contact.deleted' }
  | { kind: 'contact.changed'; was: Record<string, Scalar | null>; is: Record<string, Scalar | null> }
  | { kind: 'contact.merged'; from: string }
  | { kind: 'list.subscribed'; listId: string; split?: true }
  | { kind: 'list.unsubscribed'; listId: string }
  | {
      kind: 'event';
      eventId: string;
      eventName: string;
      eventProperties: Record<string, Scalar>;
      /** By the provider's time, ms since 1970; absent: now. */
      occurredAt?: number | undefined;
    }
);

/** Why: `key` is unique to the change, so that what follows from it can have keys of its own and happen once. */
export interface Cause {
  key: string;
  deliveryId: string | null;
}

/** Hears what happened in the transaction that did it, and says what it did about it. Look at the database only when it concerns you. */
export type Listener = (tx: Tx, changes: ContactChange[], cause: Cause, now: number) => Promise<Effect[]>;

/** All listeners as one. */
export const publishToAll =
  (listeners: Listener[]): Listener =>
  async (tx, changes, cause, now) => {
    const effects: Effect[] = [];
    if (changes.length) for (const hear of listeners) effects.push(...(await hear(tx, changes, cause, now)));
    return effects;
  };

/** For changes that nothing may follow from. */
export const ignoreChanges: Listener = async () => [];
