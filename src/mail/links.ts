import type { Sealer } from '../sealing.ts';

const CONTEXT = 'unsubscribe';

/** A link that names a contact and a mail, which nobody but us can make. It does not run out: old mails have it too. */
export const unsubscribeUrl = (publicUrl: string, sealer: Sealer, contactId: string, mailId: string): string =>
  `${publicUrl}/unsubscribe/${sealer.seal(`${contactId} ${mailId}`, CONTEXT)}`;

/** Whom a link names; null: it is not one of ours. */
export function openLink(sealer: Sealer, token: string): { contactId: string; mailId: string } | null {
  try {
    const [contactId = '', mailId = ''] = sealer.open(token, CONTEXT).split(' ');
    return { contactId, mailId };
  } catch {
    return null;
  }
}
