import { z } from 'zod';
import { findContact } from '../../audience/contacts.ts';
import { parseEmail } from '../../audience/emails.ts';
import { emailMessages } from '../../db/schema.ts';
import type { Tx } from '../../db/store.ts';
import { AppError, notFound } from '../../errors.ts';
import { makeId } from '../../id.ts';
import { collectContactValues } from '../../mail/compose.ts';
import { findForeignTags } from '../../mail/foreignTags.ts';
import { makeLinks, TEST_TOKEN } from '../../mail/links.ts';
import { queueMail } from '../../mail/mails.ts';
import { getMessage, type MessageRow, viewMessage, viewShortMessages } from '../../mail/messages.ts';
import { renderMessage } from '../../mail/renderMessage.ts';
import { changeUnsaved, saveChange, saveMessage } from '../../mail/saveMessage.ts';
import type { Values } from '../../templates/templates.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import { makePage } from './examples.ts';
import { example, message, messageFields, rendered, shortMessage } from './mailShapes.ts';

const PATH = '/api/v1/email-messages';
const tag = 'Email messages';
const MAX_LMX = 100_000;
const MAX_TESTS = 10; // addresses

const values = z.record(z.string(), z.unknown()).optional();
const variables = { contactProperties: values, eventProperties: values, dataVariables: values };
const SAMPLE = { firstName: 'Ada', lastName: 'Lovelace', email: 'ada@example.com', userId: 'user_1' };

interface Sample {
  contactId?: string | undefined;
  email?: string | undefined;
  contactProperties?: Record<string, unknown> | undefined;
  eventProperties?: Record<string, unknown> | undefined;
  dataVariables?: Record<string, unknown> | undefined;
}

/** Values of a contact that exists, or of a made-up one, with the given ones on top. @throws AppError notFound */
async function collectValues(tx: Tx, given: Sample, publicUrl: string): Promise<Values> {
  let contact: Record<string, unknown> = SAMPLE;
  if (given.contactId !== undefined || given.email !== undefined) {
    const { contactId, email = '' } = given;
    const row = await findContact(tx, contactId === undefined ? { email } : { id: contactId });
    if (!row) throw notFound('Contact');
    contact = collectContactValues(row);
  }
  return {
    contact: { ...contact, ...given.contactProperties },
    event: given.eventProperties ?? {},
    data: given.dataVariables ?? {},
    ...makeLinks(publicUrl, TEST_TOKEN),
  };
}

function requireSize(lmx: string | undefined): void {
  if (lmx !== undefined && lmx.length > MAX_LMX) throw new AppError('tooLarge', `lmx: is over ${MAX_LMX} characters.`);
}

const LMX_WARNING = {
  rule: 'lmxNotSent',
  severity: 'warning' as const,
  message: 'LMX is kept, but not sent. Give html.',
};

/** With what its author should know of it. */
function viewSaved(row: MessageRow) {
  const { lmx, html, text } = row.content;
  return {
    ...viewMessage(row),
    warnings: [...(lmx && !html && !text ? [LMX_WARNING] : []), ...findForeignTags(row.content)],
  };
}

export const messageRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Email messages, newest first, in short',
    description: 'Versions of transactional emails among them, with their `transactionalId`.',
    tag,
    query: z.strictObject(pageQuery),
    response: describePage(shortMessage),
    answer: makePage(example.shortMessage),
    handle: ({ ctx, query: { perPage, cursor } }) => {
      const request = { perPage, cursor, url: ctx.config.publicUrl + PATH, filters: {} };
      return loadPage(ctx.store, emailMessages, {}, request, ids => ctx.store.read(tx => viewShortMessages(tx, ids)));
    },
  }),
  route('POST', PATH, {
    summary: 'Write an email message',
    description:
      'Variables: `{{ contact.firstName }}`, `{{ event.amount }}`, `{{ data.confirmationUrl }}`, `{{ unsubscribeUrl }}`, `{{ preferencesUrl }}`, in Liquid, with `if`, `for` and filters. In html values are escaped once, for where they stand: text, an attribute in quotes, the query of a link (percent-encoded); one that begins a link must be `https`, `http`, `mailto` or `tel`, else it becomes `#`. Where nothing can be escaped (an attribute without quotes, the name of a tag, style, script) the message is refused with line and column. The `raw` filter switches escaping off. Without `text` it is made from the html. Reading and filling in may take 250 ms.',
    tag,
    audit: { action: 'message.create', subject: 'message' },
    status: 201,
    body: z.strictObject({ ...messageFields, subject: z.string().min(1).max(500) }),
    example: { subject: 'Welcome, {{ contact.firstName }}', html: '<p>Good to have you.</p>' },
    response: message,
    answer: example.message,
    handle: async ({ ctx, body }) => {
      requireSize(body.lmx);
      return viewSaved(await saveMessage(ctx, body));
    },
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One email message',
    tag,
    errors: [404],
    response: message,
    answer: example.message,
    handle: async ({ ctx, params }) => viewMessage(await ctx.store.read(tx => getMessage(tx, params.id))),
  }),
  route('POST', `${PATH}/:id`, {
    summary: 'Change an email message',
    description:
      'With `expectedRevisionId` a change that somebody else made meanwhile is a 409. Fallbacks are merged by key; null removes one.',
    tag,
    audit: { action: 'message.update', subject: 'message' },
    errors: [404, 409],
    body: z.strictObject({ ...messageFields, expectedRevisionId: z.string().max(64).nullish() }),
    example: { subject: 'Welcome to Acme, {{ contact.firstName }}' },
    response: message,
    answer: example.message,
    handle: async ({ ctx, params, body: { expectedRevisionId, ...change } }) => {
      requireSize(change.lmx);
      return viewSaved(await saveChange(ctx, params.id, change, expectedRevisionId ?? undefined));
    },
  }),
  route('POST', `${PATH}/:id/render`, {
    summary: 'What a contact would get',
    description:
      'For a contact (`contactId` or `email`) or a made-up one, with the given properties on top. `message`: as it would be with these fields changed; nothing is saved.',
    tag,
    errors: [404],
    body: z.strictObject({
      contactId: z.string().max(64).optional(),
      email: z.string().max(254).optional(),
      message: z.strictObject(messageFields).optional(),
      ...variables,
    }),
    example: { contactProperties: { firstName: 'Grace' } },
    response: rendered,
    answer: example.rendered,
    handle: async ({ ctx, params, body }) => {
      const saved = await ctx.store.read(tx => getMessage(tx, params.id));
      const message = body.message === undefined ? saved : await changeUnsaved(ctx, saved, body.message);
      const given = await ctx.store.read(tx => collectValues(tx, body, ctx.config.publicUrl));
      const { subject, html, text } = await renderMessage(ctx.templates, message, given);
      return { subject, html, text };
    },
  }),
  route('POST', `${PATH}/:id/preview`, {
    summary: 'Send a test to some addresses',
    description: `Variables are filled as in render, for a made-up contact; at most ${MAX_TESTS} addresses. Gives the id of the first mail.`,
    tag,
    errors: [404],
    body: z.strictObject({ emails: z.array(z.string().max(254)).min(1).max(MAX_TESTS), ...variables }),
    example: { emails: ['you@example.com'] },
    response: z.object({ id: z.string(), mailIds: z.array(z.string()) }),
    answer: { id: example.mail.id, mailIds: [example.mail.id] },
    handle: async ({ ctx, params, body: { emails, ...given } }) => {
      const now = ctx.now();
      const key = makeId('test', now);
      const to = [...new Set(emails.map(parseEmail))];
      const message = await ctx.store.read(tx => getMessage(tx, params.id));
      const { contact, event, data } = await ctx.store.read(tx => collectValues(tx, given, ctx.config.publicUrl));
      await renderMessage(ctx.templates, message, { contact, event, data, ...makeLinks('', null) });
      const test = { contactId: null, emailMessageId: message.id, data: { contact, event, data }, transactional: true };
      const mailIds = await ctx.store.write(async tx => {
        const ids: string[] = [];
        for (const each of to) ids.push((await queueMail(tx, { ...test, key: `${key}:${each}`, to: each }, now)) ?? '');
        return ids;
      });
      ctx.wake();
      return { id: mailIds[0], mailIds };
    },
  }),
];
