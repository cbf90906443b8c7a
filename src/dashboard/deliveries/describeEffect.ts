import type { Delivery } from '../api.ts';

type Effect = Delivery['effects'][number];

const TEXTS: Record<string, string> = {
  'contact.created': 'Made a new contact',
  'contact.updated': 'Changed the contact',
  'contact.merged': 'Two contacts turned out to be one person and became one',
  'contact.deleted': 'Deleted the contact',
  'contact.unsubscribed': 'Unsubscribed the contact',
  'contact.resubscribed': 'Subscribed the contact again',
  'contact.kept': 'Left the contact as it is',
  'contact.split': 'A payer left for an address of its own',
  'contact.parked': 'A user lost the address to somebody else',
  'contact.unparked': 'A user has an address again',
  'link.withheld': 'The sign-up got nothing of the contact with this address',
  'person.untied': 'One person too many of this address: counted alone',
  'property.dropped': 'Left a property out',
  'property.withheld': 'Left a property out: it sounds like a secret',
  'property.cut': 'Shortened a property',
  'list.subscribed': 'Put the contact on a list',
  'list.unsubscribed': 'Took the contact off a list',
  'event.triggered': 'Fired an event',
  'event.tooOld': 'Fired no event: what happened is too long ago',
  'event.skipped': 'Fired no event',
  'event.repeated': 'Fired an event again',
  'mail.bounced': 'Noted that nobody has the address: no mail goes there any more',
  'mail.softBounced': 'Noted that the mail did not arrive',
  'mail.complained': 'Noted that the recipient marked the mail as spam: no mail goes there any more',
  'workflow.started': 'Started a workflow',
  'workflow.cut': 'Started no workflow: the contact had started too many',
};

/** What a delivery did, as a sentence; details that are names or reasons stand behind it. */
export function describeEffect({ kind, ...detail }: Effect): string {
  const { eventName, property, reason, listId, workflowId, mailId, changed } = detail;
  const names = [eventName, property, listId, workflowId, mailId, Array.isArray(changed) ? changed.join(', ') : null];
  const said = [...names, reason].filter(each => typeof each === 'string' && each !== '');
  return [TEXTS[kind] ?? kind, ...said].join(' · ');
}
