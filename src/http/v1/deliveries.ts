import { z } from 'zod';
import { normalizeEmail } from '../../audience/emails.ts';
import { makeEmailTie } from '../../audience/people.ts';
import { deliveries } from '../../db/schema.ts';
import {
  getDelivery,
  replayAll,
  replayDelivery,
  STATUSES,
  searchOf,
  viewDeliveries,
} from '../../inbound/deliveries.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { listRoute } from './listRoute.ts';
import { deliveryDetail, deliveryView, moment } from './shapes.ts';

const tag = 'Deliveries';
const PATH = '/api/v1/deliveries';
const PAGE_PAYLOADS = 1_048_576; // bytes of payloads in one page
const withheld = { payload: null, payloadOmitted: true, headers: {} };
const filters = {
  endpointId: z.string().max(64).optional(),
  status: z.enum(STATUSES).optional(),
  type: z.string().max(200).optional(),
  email: z.string().max(254).optional().describe('Of the contact, now or formerly'),
  contactId: z.string().max(64).optional(),
  since: moment.optional(),
  until: moment.optional(),
};
const repeatEffects = z.boolean().default(false).describe('Fire events again that this delivery has fired');
const confirm = z.boolean().default(false).describe('With repeatEffects: that many effects are meant to happen again');

export const deliveryRoutes: Route[] = [
  listRoute(PATH, {
    summary: 'The webhook log, newest first',
    description:
      'A page holds up to 1 MiB of payloads; the others are marked payloadOmitted and come with the delivery itself.',
    tag,
    withheld,
    table: deliveries,
    filters,
    row: deliveryView,
    example: example.delivery,
    search: searchOf,
    view: (tx, ids) => viewDeliveries(tx, ids, PAGE_PAYLOADS),
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One delivery: payload, headers, effects, and what came of it',
    tag,
    errors: [404],
    withheld,
    response: deliveryDetail,
    answer: example.deliveryWhole,
    handle: ({ ctx, params }) => ctx.store.read(tx => getDelivery(tx, params.id)),
  }),
  route('POST', `${PATH}/:id/replay`, {
    summary: 'Apply a delivery again with the settings of today',
    description: 'Order rules hold, and each effect still happens once, unless repeatEffects is true.',
    tag,
    audit: { action: 'delivery.replay', subject: 'delivery', detail: (_, body) => ({ ...body }) },
    errors: [404, 409],
    body: z.strictObject({ repeatEffects }),
    example: {},
    response: z.object({ replayed: z.number() }),
    answer: { replayed: 1 },
    handle: async ({ ctx, params, body }) => {
      await ctx.store.write(tx => replayDelivery(tx, params.id, body.repeatEffects));
      ctx.wake();
      return { replayed: 1 };
    },
  }),
  route('POST', `${PATH}/replay`, {
    summary: 'Apply many deliveries again',
    description:
      'Takes the filters of the log, at least one. Runs in the background. With repeatEffects it asks for confirm where only a time was named or over 1,000 match. Rejected deliveries never count; those whose payload was pruned or whose endpoint was removed are skipped.',
    tag,
    audit: {
      action: 'deliveries.replay',
      person: (_, { email, contactId }) =>
        email === undefined
          ? contactId === undefined
            ? null
            : `contact:${contactId}`
          : makeEmailTie(normalizeEmail(email)),
      detail: (_, { email: __, contactId: ___, confirm: ____, ...body }) => body,
    },
    body: z.strictObject({ ...filters, repeatEffects, confirm }),
    example: { status: 'dead' },
    response: z.object({
      replayed: z.number().describe('How many match now'),
      totalIsCapped: z.boolean().optional().describe('True when there are more than that'),
      skipped: z.number().optional().describe('Match, but can not be replayed; absent when none'),
    }),
    answer: { replayed: 12 },
    handle: async ({ ctx, body }) => {
      const { repeatEffects, confirm, ...filter } = body;
      const { total, capped, skipped } = await replayAll(ctx.store, { filter, repeatEffects, confirm }, ctx.now());
      ctx.wake();
      return { replayed: total, ...(capped && { totalIsCapped: true }), ...(skipped > 0 && { skipped }) };
    },
  }),
];
