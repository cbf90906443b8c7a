import type { Mail } from '../api.ts';

const TEXTS: Record<Mail['state'], string> = {
  queued: 'It waits for its turn, or for the next attempt.',
  held: 'It is held back. Send it now, or put right what holds it: then it goes out by itself.',
  sending: 'It is on its way to the mail server.',
  sent: 'The mail server took it. Whether it was read nobody knows: Inlet counts no openings.',
  failed: 'It was given up. Once the cause is mended, send it again.',
  bounced: 'The mailbox does not exist. The address gets no more mail until it is taken off the suppressed ones.',
  suppressed: 'It was not sent, out of regard for its reader.',
};

/** What the state of a mail means, and what can be done. */
export function explainMail({ state }: Mail): string {
  return TEXTS[state];
}

/** Whether the API would send it (again). */
export const canRetry = ({ state }: Mail): boolean => state !== 'sent' && state !== 'sending';
/** Whether the API would take it back. */
export const canCancel = ({ state }: Mail): boolean => state === 'queued' || state === 'held';
