/** Loops' event names, with the payloads that Loops' clients know. */
export const LOOPS_EVENTS = [
  'contact.created',
  'contact.unsubscribed',
  'contact.deleted',
  'contact.mailingList.subscribed',
  'contact.mailingList.unsubscribed',
  'transactional.email.sent',
  'campaign.email.sent',
  'loop.email.sent',
  'email.delivered',
  'email.softBounced',
  'email.hardBounced',
  'email.spamReported',
  'email.opened',
  'email.clicked',
  'email.unsubscribed',
  'email.resubscribed',
] as const;

/** Inlet's own: only for subscriptions that name it, since Loops' clients refuse names they don't know. */
export const EVENT_RECEIVED = 'event.received';
export const EVENT_NAMES = [...LOOPS_EVENTS, EVENT_RECEIVED] as const;
export type EventName = (typeof EVENT_NAMES)[number];

/** Sent on request only, to whoever asks for a test. */
export const TEST_EVENT = 'testing.testEvent';
