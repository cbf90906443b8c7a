import { z } from 'zod';
import type { Context } from '../../context.ts';
import { mails } from '../../db/schema.ts';
import { COUNTED } from '../../db/search.ts';
import type { Tx } from '../../db/store.ts';
import { cancelMail, countMails, getMail, retryMail, searchMails, viewMail, viewMails } from '../../mail/mails.ts';
import { loadMailSettings, RESTORED, setMailSettings } from '../../mail/settings.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import { done as doneExample, makePage } from './examples.ts';
import { example, MAIL_STATES, mail, wholeMail } from './mailShapes.ts';
import { done } from './shapes.ts';

const tag = 'Mails';
const PATH = '/api/v1/mails';
const STATUS = '/api/v1/mail';

const limits = {
  maxPerContactPerDay: z.number().int().min(0).max(1_000_000).nullable(),
  maxPerHour: z.number().int().min(0).max(1_000_000_000).nullable(),
};
const status = z.object({
  paused: z.boolean(),
  ...limits,
  smtp: z.boolean().describe('A mail server is set'),
  trouble: z.string().nullable().describe('Why no mail goes out now, as this instance sees it'),
  queued: z.number().describe('Counted up to 10,000'),
  held: z.number().describe('Counted up to 10,000'),
});
const statusExample = {
  ...{ paused: false, maxPerContactPerDay: 20, maxPerHour: 10_000 },
  ...{ smtp: true, trouble: null, queued: 0, held: 0 },
};

/** The settings as they are shown: why mail is paused is a trouble. */
async function readSettings(tx: Tx, trouble: string | null) {
  const { pauseReason, ...settings } = await loadMailSettings(tx);
  return { ...settings, trouble: settings.paused && pauseReason !== null ? pauseReason : trouble };
}

const readStatus = ({ store, config, health }: Context) =>
  store.read(async tx => ({
    ...(await readSettings(tx, health.mailTrouble)),
    smtp: config.smtp !== null,
    queued: await countMails(tx, 'queued', COUNTED),
    held: await countMails(tx, 'held', COUNTED),
  }));

export const mailRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Mails, newest first',
    tag,
    query: z.strictObject({
      ...pageQuery,
      state: z.enum(MAIL_STATES).optional(),
      contactId: z.string().max(64).optional(),
      email: z.string().max(254).optional(),
    }),
    response: describePage(mail),
    answer: makePage(example.mail),
    handle: async ({ ctx, query: { perPage, cursor, ...filter } }) => {
      const request = { perPage, cursor, url: ctx.config.publicUrl + PATH, filters: filter };
      const search = await ctx.store.read(tx => searchMails(tx, filter));
      return loadPage(ctx.store, mails, search, request, ids => ctx.store.read(tx => viewMails(tx, ids)));
    },
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One mail, as it went out',
    tag,
    errors: [404],
    withheld: { html: null, text: null },
    response: wholeMail,
    answer: { ...example.mail, html: '<p>Good to have you.</p>', text: 'Good to have you.' },
    handle: async ({ ctx, params }) => {
      const row = await ctx.store.read(tx => getMail(tx, params.id));
      return { ...viewMail(row), html: row.html, text: row.plain };
    },
  }),
  route('POST', `${PATH}/:id/retry`, {
    summary: 'Send a mail now that waits, was held, failed, bounced or was suppressed',
    description:
      'Whatever the limits say; its Message-ID stays. A suppressed address has to be freed first: `DELETE /contacts/suppression`.',
    tag,
    audit: { action: 'mail.retry', subject: 'mail' },
    errors: [404, 409],
    response: done,
    answer: doneExample,
    handle: async ({ ctx, params }) => {
      await ctx.store.write(tx => retryMail(tx, params.id, ctx.now()));
      ctx.wake();
      return { success: true };
    },
  }),
  route('POST', `${PATH}/:id/cancel`, {
    summary: 'Take a mail back that waits or is held',
    description: 'It is suppressed then. What is on its way or out already is a 409.',
    tag,
    audit: { action: 'mail.cancel', subject: 'mail' },
    errors: [404, 409],
    response: done,
    answer: doneExample,
    handle: async ({ ctx, params }) => {
      await ctx.store.write(tx => cancelMail(tx, params.id));
      return { success: true };
    },
  }),
  route('GET', STATUS, {
    summary: 'Whether mail goes out, and its limits',
    tag,
    response: status,
    answer: statusExample,
    handle: ({ ctx }) => readStatus(ctx),
  }),
  route('PATCH', STATUS, {
    summary: 'Stop all mail, let it go out again, or change its limits',
    description:
      'While paused, mails are queued and kept. The limits do not count transactional mails; what is over them is held: by the hour until there is room again, by the day until it is retried. null: no limit.',
    tag,
    audit: { action: 'mail.settings', subject: 'mailSettings', target: () => 'mail' },
    body: z.strictObject({
      paused: z.boolean().optional(),
      maxPerContactPerDay: limits.maxPerContactPerDay.optional(),
      maxPerHour: limits.maxPerHour.optional(),
    }),
    example: { paused: false },
    response: status,
    answer: statusExample,
    handle: async ({ ctx, body }) => {
      await ctx.store.write(tx => setMailSettings(tx, body));
      if (ctx.health.mailTrouble === RESTORED && body.paused === false) ctx.health.mailTrouble = null;
      ctx.wake();
      return readStatus(ctx);
    },
  }),
];
