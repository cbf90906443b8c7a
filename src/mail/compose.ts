import { eq, inArray } from 'drizzle-orm';
import { findContact } from '../audience/contacts.ts';
import { isSuppressed } from '../audience/suppressions.ts';
import type { Context } from '../context.ts';
import { contacts, endpoints, mails, workflows } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { allProviders } from '../providers/index.ts';
import type { Templates, Values } from '../templates/templates.ts';
import { countMailsOfDay } from './leases.ts';
import { makeLinks, requireLinkSealer, sealToken, TEST_TOKEN } from './links.ts';
import type { MailRow } from './mails.ts';
import { getMessage } from './messages.ts';
import { renderMessage } from './renderMessage.ts';
import { findUrlTrouble, loadMailSettings } from './settings.ts';
import type { Letter } from './transports/transport.ts';

export type Update = Partial<typeof mails.$inferInsert>;
/** What goes out and what is kept of it; or why nothing does. */
export type Prepared = { letter: Letter; shown: Update } | { instead: Update };

const refuseMail = (error: string): Prepared => ({ instead: { state: 'suppressed', error } });

/** A contact's fields as templates see them. */
export function collectContactValues({ properties, ...fields }: typeof contacts.$inferSelect): Record<string, unknown> {
  return { ...properties, ...fields };
}

/** Whom a mail is for as of now: a merge may have moved it since it was claimed, or is about to. */
async function findRecipient(tx: Tx, { id, recipient }: MailRow) {
  const [fresh] = await tx.select({ contactId: mails.contactId }).from(mails).where(eq(mails.id, id));
  const contactId = fresh?.contactId ?? null;
  if (contactId !== null) return findContact(tx, { id: contactId });
  const [shown] = await tx.select().from(contacts).where(eq(contacts.email, recipient));
  return shown;
}

/** What a mail's workflow says against it, null: nothing. A stop holds for all mails of before it. */
async function findObjection(tx: Tx, row: MailRow): Promise<Update | null> {
  if (row.workflowId === null) return null;
  const [workflow] = await tx
    .select({ state: workflows.state, stoppedEpoch: workflows.stoppedEpoch })
    .from(workflows)
    .where(eq(workflows.id, row.workflowId));
  if (!workflow) return { state: 'suppressed', error: 'The workflow was deleted.' };
  if (workflow.state === 'stopped' || (row.workflowEpoch ?? 0) < workflow.stoppedEpoch)
    return { state: 'suppressed', error: 'The workflow was stopped.' };
  if (workflow.state === 'paused')
    return { state: 'held', heldFor: 'workflow', error: 'The workflow is paused. It goes out when that is resumed.' };
  return null;
}

const marking = allProviders.flatMap(({ id, markMail }) => (markMail ? [{ id, markMail }] : []));
const markingIds = marking.map(each => each.id);

/** Headers by which the events of mail providers, as far as they have an endpoint, will name a mail again. */
async function findMarks(tx: Tx, mailId: string): Promise<Record<string, string>> {
  const used = await tx
    .selectDistinct({ provider: endpoints.provider })
    .from(endpoints)
    .where(inArray(endpoints.provider, markingIds));
  const marks = marking.filter(each => used.some(({ provider }) => provider === each.id));
  return Object.assign({}, ...marks.map(each => each.markMail(mailId)));
}

async function lookUp(tx: Tx, row: MailRow, now: number) {
  const contact = await findRecipient(tx, row);
  const to = row.transactional ? row.recipient : (contact?.email ?? row.recipient); // where the person is now
  const limited = !row.transactional && !row.forced && row.contactId !== null;
  const most = limited ? (await loadMailSettings(tx)).maxPerContactPerDay : null;
  return {
    contact,
    to,
    objection: await findObjection(tx, row),
    message: await getMessage(tx, row.emailMessageId),
    marks: await findMarks(tx, row.id),
    suppressed: await isSuppressed(tx, to),
    most,
    today: most === null ? 0 : await countMailsOfDay(tx, row, now),
  };
}

/** Fills a mail in for its recipient, as everything is now. @throws AppError when the message is gone or can't be rendered; Overdue */
export async function prepare(ctx: Context, templates: Templates, row: MailRow, now: number): Promise<Prepared> {
  const { config } = ctx;
  const { contact, to, objection, message, marks, suppressed, most, today } = await ctx.store.read(tx =>
    lookUp(tx, row, now),
  );
  if (suppressed) return refuseMail('The address is suppressed: mail to it bounced, or the person complained.');
  if (!row.transactional && !contact) return refuseMail('The contact is gone.');
  if (!row.transactional && !contact?.subscribed) return refuseMail('The contact is unsubscribed.');
  if (objection) return { instead: objection };
  const trouble = row.transactional ? null : findUrlTrouble(config);
  if (trouble !== null) return { instead: { state: 'held', heldFor: 'publicUrl', error: trouble } };
  if (most !== null && today >= most) {
    const error = `The limit of ${most} mails to a contact within a day is reached (maxPerContactPerDay). Retry it to send it anyway.`;
    return { instead: { state: 'held', heldFor: 'contactCap', error } };
  }
  const test = row.data.contact !== undefined;
  const token =
    contact && !row.transactional
      ? sealToken(await requireLinkSealer(ctx.store), contact.id, row.id, to)
      : test
        ? TEST_TOKEN
        : null;
  const links = makeLinks(config.publicUrl, token);
  const values: Values = {
    contact: test ? { email: to, ...row.data.contact } : contact ? collectContactValues(contact) : { email: to },
    event: row.data.event ?? {},
    data: row.data.data ?? {},
    ...links,
  };
  const { subject, html, text, fromName } = await renderMessage(templates, message, values);
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
    unsubscribeUrl: row.transactional ? null : links.unsubscribeUrl,
    marks,
  };
  return { letter, shown: { recipient: to, subject, html: letter.html, plain: text } };
}
