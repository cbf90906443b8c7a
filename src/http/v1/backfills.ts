import { eq } from 'drizzle-orm';
import { z } from 'zod';
import { backfills } from '../../db/schema.ts';
import { avoidIndex } from '../../db/search.ts';
import {
  cancelBackfill,
  getBackfill,
  startBackfill,
  viewBackfill,
  viewBackfills,
} from '../../inbound/backfill/backfills.ts';
import { getEndpoint } from '../../inbound/endpoints.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { listRoute } from './listRoute.ts';
import { backfillView } from './shapes.ts';

const tag = 'Back-fills';
const OF_ENDPOINT = '/api/v1/endpoints/:id';
const PATH = '/api/v1/backfills';

export const backfillRoutes: Route[] = [
  route('POST', `${OF_ENDPOINT}/backfill`, {
    summary: 'Read everybody the provider has already',
    description:
      'All customers of Stripe or Polar, users of Clerk, auth.users of Supabase, through the same path as webhooks, with the settings of customer.created, user.created or INSERT. Runs in the background; needs settings.apiKey. Run again it finds what webhooks missed and changes nothing else. One that failed goes on where it stopped. Nobody is removed.',
    tag,
    audit: { action: 'backfill.start', subject: 'endpoint', detail: (_, body) => ({ dryRun: body.dryRun }) },
    status: 202,
    errors: [404, 409],
    body: z.strictObject({
      dryRun: z.boolean().default(false).describe('Only count what would be done'),
      triggerEvents: z
        .boolean()
        .default(false)
        .describe("Fire that type's event, start workflows and call webhooks, for people the provider never told of"),
      requestsPerSecond: z.int().min(1).max(25).default(5),
    }),
    example: { dryRun: true },
    response: backfillView,
    answer: { ...example.backfill, state: 'queued', dryRun: true },
    handle: async ({ ctx, params, body }) => {
      const row = await ctx.store.write(tx => startBackfill(tx, params.id, body, ctx.now()));
      ctx.wake();
      return viewBackfill(row);
    },
  }),
  listRoute(`${OF_ENDPOINT}/backfills`, {
    summary: 'Back-fills of an endpoint, newest first',
    tag,
    errors: [404],
    table: backfills,
    row: backfillView,
    example: example.backfill,
    search: async (tx, _, { id }) => {
      await getEndpoint(tx, id);
      return { where: eq(avoidIndex(backfills.endpointId), id), narrow: eq(backfills.endpointId, id) };
    },
    view: viewBackfills,
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One back-fill: how far it is, and its report',
    tag,
    errors: [404],
    response: backfillView,
    answer: example.backfill,
    handle: async ({ ctx, params }) => viewBackfill(await ctx.store.read(tx => getBackfill(tx, params.id))),
  }),
  route('POST', `${PATH}/:id/cancel`, {
    summary: 'End a back-fill',
    description: 'What it applied stays. One that failed is given up: the next one starts at the beginning.',
    tag,
    audit: { action: 'backfill.cancel', subject: 'backfill' },
    errors: [404],
    response: backfillView,
    answer: { ...example.backfill, state: 'cancelled' },
    handle: async ({ ctx, params }) =>
      viewBackfill(await ctx.store.write(tx => cancelBackfill(tx, params.id, ctx.now()))),
  }),
];
