import { eq } from 'drizzle-orm';
import { contactBy } from '../audience/contacts.ts';
import { isSuppressed } from '../audience/suppressions.ts';
import type { Context } from '../context.ts';
import { contacts, type mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { mailsOfDay } from './leases.ts';
import { unsubscribeUrl } from './links.ts';
import type { MailRow } from './mails.ts';
import { getMessage } from './messages.ts';
import { render, type Values } from './render.ts';
import { mailSettings } from './settings.ts';
import type { Letter } from './transport.ts';

export type Update = Partial<typeof mails.$inferInsert>;
/** What goes out and what is kept of it; or why nothing does. */
export type Prepared = { letter: Letter; shown: Update } | { instead: Update };

const refused = (error: string): Prepared => ({ instead: { state: 'suppressed', error } });

/** A contact's fields as templates see them. */
export function contactValues({ properties, ...fields }: typeof contacts.$inferSelect): Record<string, unknown> {
  return { ...properties, ...fields };
}

async function lookUp(tx: Tx, row: MailRow, now: number) {
  const [shown] =
    row.contactId === null ? await tx.select().from(contacts).where(eq(contacts.email, row.recipient)) : [];
  // Its contact may have become one with another, whose history is yet to be moved.
  const contact = row.contactId === null ? shown : await contactBy(tx, { id: row.contactId });
  const to = row.transactional ? row.recipient : (contact?.email ?? row.recipient); // where the person is now
  const limited = !row.transactional && !row.forced && row.contactId !== null;
  const most = limited ? (await mailSettings(tx)).maxPerContactPerDay : null;
  return {
    contact,
    to,
    message: await getMessage(tx, row.emailMessageId),
    suppressed: await isSuppressed(tx, to),
    most,
    today: most === null ? 0 : await mailsOfDay(tx, row, now),
  };
}

/** Fills a mail in for its recipient, as everything is now. @throws AppError when the message is gone or can't be rendered */
export async function prepare(ctx: Context, row: MailRow, now: number): Promise<Prepared> {
  const { config, sealer } = ctx;
  const { contact, to, message, suppressed, most, today } = await ctx.store.read(tx => lookUp(tx, row, now));
  if (suppressed) return refused('The address is suppressed: mail to it bounced, or the person complained.');
  if (!row.transactional && !contact) return refused('The contact is gone.');
  if (!row.transactional && !contact?.subscribed) return refused('The contact is unsubscribed.');
  if (most !== null && today >= most) {
    const error = `The limit of ${most} mails to a contact within a day is reached (maxPerContactPerDay). Retry it to send it anyway.`;
    return { instead: { state: 'held', heldFor: 'contactCap', error } };
  }
  const test = row.data.contact !== undefined;
  const link =
    contact && !row.transactional
      ? unsubscribeUrl(config.publicUrl, sealer, contact.id, row.id)
      : test
        ? `${config.publicUrl}/unsubscribe/test`
        : '';
  const values: Values = {
    contact: test ? { email: to, ...row.data.contact } : contact ? contactValues(contact) : { email: to },
    event: row.data.event ?? {},
    data: row.data.data ?? {},
    unsubscribeUrl: link,
  };
  const { subject, html, text, fromName } = render(message.content, values);
  const from = config.mailFrom ?? { name: '', address: 'inlet@localhost' };
  const { fromEmail, replyToEmail } = message.content;
  const letter: Letter = {
    messageId: row.messageId,
    from: {
      name: fromName || from.name,
      address: fromEmail ? `${fromEmail}@${from.address.split('@')[1]}` : from.address,
    },
    replyTo: replyToEmail || null,
    to,
    subject,
    html: message.content.emailFormat === 'plain' || !html ? null : html,
    text,
    unsubscribeUrl: row.transactional ? null : link,
  };
  return { letter, shown: { recipient: to, subject, html: letter.html, plain: text } };
}
