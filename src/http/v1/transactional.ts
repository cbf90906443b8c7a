import { z } from 'zod';
import { transactionals } from '../../db/schema.ts';
import { sendTransactional } from '../../mail/sendTransactional.ts';
import {
  createTransactional,
  openDraft,
  publish,
  publishedOnly,
  renameTransactional,
  viewTransactional,
  viewTransactionals,
} from '../../mail/transactional.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import { makePage } from './examples.ts';
import { example, transactional } from './mailShapes.ts';

const tag = 'Transactional';
const PATH = '/api/v1/transactional-emails';
const SEND = '/api/v1/transactional';
const name = z.string().trim().min(1).max(255);
const transactionalGroupId = z.null('groups are not part of Inlet; leave it out').optional();
const scalar = z.union([z.string().max(10_000), z.number(), z.boolean()]);
/** Clients send an absent map as `[]` or null. */
const isNothing = (given: unknown) => given === undefined || given === null || (Array.isArray(given) && !given.length);
const value = z.union([scalar, z.array(z.record(z.string().max(100), scalar)).max(500)]);

export const transactionalRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Transactional emails, newest first',
    tag,
    query: z.strictObject(pageQuery),
    response: describePage(transactional),
    answer: makePage(example.transactional),
    handle: ({ ctx, query: { perPage, cursor } }) => {
      const request = { perPage, cursor, url: ctx.config.publicUrl + PATH, filters: {} };
      return loadPage(ctx.store, transactionals, {}, request, ids => viewTransactionals(ctx, ids));
    },
  }),
  route('POST', PATH, {
    summary: 'Make a transactional email, with an empty draft',
    description: 'Then write the draft with `POST /email-messages/{draftEmailMessageId}` and publish it.',
    tag,
    audit: { action: 'transactional.create', subject: 'transactional' },
    status: 201,
    body: z.strictObject({ name, transactionalGroupId }),
    example: { name: 'Sign-up confirmation' },
    response: transactional,
    answer: example.transactional,
    handle: async ({ ctx, body }) => {
      const { id } = await ctx.store.write(tx => createTransactional(tx, body.name, ctx.now()));
      return viewTransactional(ctx, id);
    },
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One transactional email',
    tag,
    errors: [404],
    response: transactional,
    answer: example.transactional,
    handle: ({ ctx, params }) => viewTransactional(ctx, params.id),
  }),
  route('POST', `${PATH}/:id`, {
    summary: 'Rename a transactional email',
    tag,
    audit: { action: 'transactional.rename', subject: 'transactional' },
    errors: [404],
    body: z.strictObject({ name, transactionalGroupId }),
    example: { name: 'Welcome' },
    response: transactional,
    answer: { ...example.transactional, name: 'Welcome' },
    handle: async ({ ctx, params, body }) => {
      const { id } = await ctx.store.write(tx => renameTransactional(tx, params.id, body.name, ctx.now()));
      return viewTransactional(ctx, id);
    },
  }),
  route('POST', `${PATH}/:id/draft`, {
    summary: 'The draft; made from what is published where there is none',
    tag,
    audit: { action: 'transactional.draft', subject: 'transactional' },
    errors: [404],
    response: transactional,
    answer: example.transactional,
    handle: async ({ ctx, params }) => {
      const { id } = await ctx.store.write(tx => openDraft(tx, params.id, ctx.now()));
      return viewTransactional(ctx, id);
    },
  }),
  route('POST', `${PATH}/:id/publish`, {
    summary: 'Send the draft from now on',
    tag,
    audit: { action: 'transactional.publish', subject: 'transactional' },
    errors: [404, 409],
    response: transactional,
    answer: {
      ...example.transactional,
      publishedEmailMessageId: example.transactional.draftEmailMessageId,
      draftEmailMessageId: null,
      draftEmailMessageContentRevisionId: null,
    },
    handle: async ({ ctx, params }) => {
      const { id } = await ctx.store.write(tx => publish(tx, params.id, ctx.now()));
      return viewTransactional(ctx, id);
    },
  }),
  route('GET', SEND, {
    summary: 'Published transactional emails (older clients)',
    tag,
    query: z.strictObject(pageQuery),
    response: describePage(transactional),
    answer: makePage({ ...example.transactional, publishedEmailMessageId: 'em_0mwt0c8w00006a1b2c3d4e5f' }),
    handle: ({ ctx, query: { perPage, cursor } }) => {
      const request = { perPage, cursor, url: ctx.config.publicUrl + SEND, filters: {} };
      return loadPage(ctx.store, transactionals, publishedOnly, request, ids => viewTransactionals(ctx, ids));
    },
  }),
  route('POST', SEND, {
    summary: 'Send a transactional email',
    description:
      'An `Idempotency-Key` header (at most 100 characters) makes a second send within 24 hours a 409. `example` is a built-in one to try with.',
    tag,
    errors: [404, 409],
    idempotent: true,
    body: z.strictObject({
      transactionalId: z.string().min(1).max(64),
      email: z.string().min(1).max(254),
      addToAudience: z.boolean().nullish(),
      dataVariables: z.preprocess(given => (isNothing(given) ? {} : given), z.record(z.string().max(100), value)),
      attachments: z.array(z.never('are not supported: link to the file instead')).nullish(),
    }),
    example: { transactionalId: 'example', email: 'ada@example.com', dataVariables: { name: 'Ada' } },
    response: z.object({ success: z.literal(true), mailId: z.string() }),
    answer: { success: true, mailId: example.mail.id },
    handle: async ({ ctx, body, idempotencyKey }) => {
      const mailId = await sendTransactional(ctx, body, idempotencyKey);
      return { success: true, mailId };
    },
  }),
];
