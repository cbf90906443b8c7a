import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { normalEmail } from '../../audience/contacts.ts';
import { contacts, type MailData, mails } from '../../db/schema.ts';
import type { Tx } from '../../db/store.ts';
import { notFound } from '../../errors.ts';
import { newId } from '../../id.ts';
import { getMail, mailSearch, queueMail, retryMail, viewMail, viewMails } from '../../mail/mails.ts';
import { createMessage, getMessage, updateMessage, viewMessage } from '../../mail/messages.ts';
import { render, type Values } from '../../mail/render.ts';
import { mailSettings, setMailSettings } from '../../mail/settings.ts';
import { requireDraft } from '../../mail/transactional.ts';
import { page, pageOf, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import { pageWith } from './examples.ts';
import { example, MAIL_STATES, mail, message, messageFields, rendered, wholeMail } from './mailShapes.ts';

const MESSAGES = '/api/v1/email-messages';
const MAILS = '/api/v1/mails';
const tag = 'Email messages';

const values = z.record(z.string(), z.unknown());
const sample = {
  contactId: z.string().max(64).optional(),
  email: z.string().max(254).optional(),
  contactProperties: values.optional(),
  eventProperties: values.optional(),
  dataVariables: values.optional(),
};
const SAMPLE = { firstName: 'Ada', lastName: 'Lovelace', email: 'ada@example.com', userId: 'user_1' };

interface Sample {
  contactId?: string | undefined;
  email?: string | undefined;
  contactProperties?: Record<string, unknown> | undefined;
  eventProperties?: Record<string, unknown> | undefined;
  dataVariables?: Record<string, unknown> | undefined;
}

/** Values of a contact that exists, or of a made-up one. @throws AppError notFound */
async function valuesOf(tx: Tx, given: Sample): Promise<Values> {
  let contact: Record<string, unknown> = SAMPLE;
  if (given.contactId !== undefined || given.email !== undefined) {
    const by =
      given.contactId !== undefined
        ? eq(contacts.id, given.contactId)
        : eq(contacts.email, normalEmail(given.email ?? ''));
    const [row] = await tx.select().from(contacts).where(by);
    if (!row) throw notFound('Contact');
    const { properties, ...fields } = row;
    contact = { ...properties, ...fields };
  }
  return {
    contact: { ...contact, ...given.contactProperties },
    event: given.eventProperties ?? {},
    data: given.dataVariables ?? {},
    unsubscribeUrl: 'https://example.com/unsubscribe',
  };
}

export const messageRoutes: Route[] = [
  route('POST', MESSAGES, {
    summary: 'Write an email message',
    description:
      'Variables: `{{ contact.firstName }}`, `{{ event.amount }}`, `{{ data.confirmationUrl }}`, `{{ unsubscribeUrl }}`, in Liquid. Values are escaped for HTML; without `text` it is made from the HTML.',
    tag,
    status: 201,
    body: z.strictObject({ ...messageFields, subject: z.string().min(1).max(500) }),
    example: { subject: 'Welcome, {{ contact.firstName }}', html: '<p>Good to have you.</p>' },
    response: message,
    answer: example.message,
    handle: async ({ ctx, body }) => viewMessage(await ctx.store.write(tx => createMessage(tx, body, ctx.now()))),
  }),
  route('GET', `${MESSAGES}/:id`, {
    summary: 'One email message',
    tag,
    errors: [404],
    response: message,
    answer: example.message,
    handle: async ({ ctx, params }) => viewMessage(await ctx.store.read(tx => getMessage(tx, params.id ?? ''))),
  }),
  route('POST', `${MESSAGES}/:id`, {
    summary: 'Change an email message',
    description:
      'With `expectedRevisionId` a change that somebody else made meanwhile is a 409. Fallbacks are merged by key; null removes one.',
    tag,
    errors: [404, 409],
    body: z.strictObject({ ...messageFields, expectedRevisionId: z.string().max(64).nullish() }),
    example: { subject: 'Welcome to Acme, {{ contact.firstName }}' },
    response: message,
    answer: example.message,
    handle: async ({ ctx, params, body: { expectedRevisionId, ...change } }) =>
      viewMessage(
        await ctx.store.write(async tx => {
          await requireDraft(tx, await getMessage(tx, params.id ?? ''));
          return updateMessage(tx, params.id ?? '', change, expectedRevisionId ?? undefined, ctx.now());
        }),
      ),
  }),
  route('POST', `${MESSAGES}/:id/render`, {
    summary: 'What a contact would get',
    description: 'For a contact (`contactId` or `email`) or a made-up one, with the given properties on top.',
    tag,
    errors: [404],
    body: z.strictObject(sample),
    example: { contactProperties: { firstName: 'Grace' } },
    response: rendered,
    answer: example.rendered,
    handle: async ({ ctx, params, body }) => {
      const { content } = await ctx.store.read(tx => getMessage(tx, params.id ?? ''));
      const given = await ctx.store.read(tx => valuesOf(tx, body));
      const { subject, html, text } = render(content, given);
      return { subject, html, text };
    },
  }),
  route('POST', `${MESSAGES}/:id/preview`, {
    summary: 'Send a test to some addresses',
    description: 'Variables are filled as in render, without a contact; at most 10 addresses.',
    tag,
    errors: [404],
    body: z.strictObject({
      emails: z
        .array(
          z
            .string()
            .regex(/^[^\s@<>",;]+@[^\s@<>",;]+$/, 'must be addresses')
            .max(254),
        )
        .min(1)
        .max(10),
      contactProperties: values.optional(),
      eventProperties: values.optional(),
      dataVariables: values.optional(),
    }),
    example: { emails: ['you@example.com'] },
    response: z.object({ id: z.string() }),
    answer: { id: 'mail_0mwt0c8w00009a1b2c3d4e5f' },
    handle: async ({ ctx, params, body: { emails, ...given } }) => {
      const now = ctx.now();
      const key = newId('test', now);
      const ids = await ctx.store.write(async tx => {
        const { content, id } = await getMessage(tx, params.id ?? '');
        const all = await valuesOf(tx, given);
        render(content, all);
        const data: MailData = { event: all.event, data: all.data };
        const made: (string | null)[] = [];
        for (const [i, to] of emails.entries())
          made.push(
            await queueMail(
              tx,
              {
                key: `${key}:${i}`,
                contactId: null,
                to: normalEmail(to),
                emailMessageId: id,
                data,
                transactional: true,
              },
              now,
            ),
          );
        return made;
      });
      ctx.wake();
      return { id: ids[0] };
    },
  }),
];

export const mailRoutes: Route[] = [
  route('GET', MAILS, {
    summary: 'Mails, newest first',
    tag: 'Mails',
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(MAIL_STATES).optional(),
      contactId: z.string().max(64).optional(),
      email: z.string().max(254).optional(),
    }),
    response: pageOf(mail),
    answer: pageWith(example.mail),
    handle: async ({ ctx, query: { perPage, cursor, ...filter } }) => {
      const request = { perPage, cursor, url: ctx.config.publicUrl + MAILS, filters: filter };
      return page(ctx.store, mails, mailSearch(filter), request, ids => ctx.store.read(tx => viewMails(tx, ids)));
    },
  }),
  route('GET', `${MAILS}/:id`, {
    summary: 'One mail, as it went out',
    tag: 'Mails',
    errors: [404],
    response: wholeMail,
    answer: { ...example.mail, html: '<p>Good to have you.</p>', text: 'Good to have you.' },
    handle: async ({ ctx, params }) => {
      const row = await ctx.store.read(tx => getMail(tx, params.id ?? ''));
      return { ...viewMail(row), html: row.html, text: row.plain };
    },
  }),
  route('POST', `${MAILS}/:id/retry`, {
    summary: 'Send a mail that was held, failed, bounced or suppressed',
    description: 'Its Message-ID stays. A suppressed address has to be freed first: `DELETE /contacts/suppression`.',
    tag: 'Mails',
    errors: [404, 409],
    response: z.object({ success: z.literal(true) }),
    answer: { success: true },
    handle: async ({ ctx, params }) => {
      await ctx.store.write(tx => retryMail(tx, params.id ?? '', ctx.now()));
      ctx.wake();
      return { success: true };
    },
  }),
  route('GET', '/api/v1/mail', {
    summary: 'Whether mail goes out',
    tag: 'Mails',
    response: z.object({ paused: z.boolean(), smtp: z.boolean().describe('A mail server is set') }),
    answer: { paused: false, smtp: true },
    handle: async ({ ctx }) => ({ ...(await ctx.store.read(mailSettings)), smtp: ctx.config.smtp !== null }),
  }),
  route('PATCH', '/api/v1/mail', {
    summary: 'Stop all mail, or let it go out again',
    description: 'While paused, mails are queued and kept.',
    tag: 'Mails',
    body: z.strictObject({ paused: z.boolean() }),
    example: { paused: false },
    response: z.object({ paused: z.boolean(), smtp: z.boolean() }),
    answer: { paused: false, smtp: true },
    handle: async ({ ctx, body }) => {
      await ctx.store.write(tx => setMailSettings(tx, body));
      ctx.wake();
      return { ...body, smtp: ctx.config.smtp !== null };
    },
  }),
];
