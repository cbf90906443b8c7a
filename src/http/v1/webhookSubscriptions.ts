import { z } from 'zod';
import type { Context } from '../../context.ts';
import { webhookCalls } from '../../db/schema.ts';
import { invalid } from '../../errors.ts';
import { checkTarget, Refused } from '../../net/target.ts';
import { callSearch, getCall, replayCall, STATES, viewCalls } from '../../outgoing/calls.ts';
import { EVENT_NAMES, LOOPS_EVENTS } from '../../outgoing/names.ts';
import {
  closeSubscription,
  createSubscription,
  deleteSubscription,
  getSubscription,
  listSubscriptions,
  patchSubscription,
  queueTest,
  rotateSecret,
  thinCalls,
  viewSubscription,
} from '../../outgoing/subscriptions.ts';
import { decodeCursor, describePage, loadPage, pageQuery, wrapPage } from '../page.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { callDetail, callView, done, subscriptionView } from './shapes.ts';

const tag = 'Outgoing webhooks';
const PATH = '/api/v1/webhook-subscriptions';
const CALLS = '/api/v1/webhook-calls';
const name = z.string().trim().max(100).describe('For you; not unique');
const url = z.string().describe('https; at most 2048 characters, no user or password');
const eventNames = z
  .array(z.enum(EVENT_NAMES, `must be one of ${EVENT_NAMES.join(', ')}`))
  .min(1)
  .max(EVENT_NAMES.length)
  .transform(names => [...new Set(names)]);

const pickDeps = (ctx: Context) => ({ sealer: ctx.sealer, now: ctx.now() });
const showSubscription = (ctx: Context, id: string) =>
  ctx.store.read(async tx => viewSubscription(tx, await getSubscription(tx, id), ctx.now()));

/** The URL in its normal spelling. @throws AppError invalid when webhooks must not go there */
async function checkUrl(ctx: Context, given: string): Promise<string> {
  try {
    return await checkTarget(given, ctx.config.allowPrivateTargets, ctx.resolve);
  } catch (error) {
    if (error instanceof Refused) throw invalid(`url: ${error.message}`);
    throw error;
  }
}

function announceChange(ctx: Context): void {
  ctx.subscribed.invalidate();
  ctx.wake();
}

export const webhookSubscriptionRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Outgoing webhook subscriptions, newest first',
    tag,
    query: z.strictObject(pageQuery),
    response: describePage(subscriptionView),
    answer: example.makePage(example.subscription),
    handle: ({ ctx, query }) =>
      ctx.store.read(async tx => {
        const all = await listSubscriptions(tx);
        const after = decodeCursor(query.cursor);
        const older = after === null ? all : all.filter(row => row.id < after);
        const rows = older.slice(0, query.perPage);
        const data = [];
        for (const row of rows) data.push(await viewSubscription(tx, row, ctx.now()));
        const next = older.length > rows.length ? (rows.at(-1)?.id ?? null) : null;
        const request = { perPage: query.perPage, url: ctx.config.publicUrl + PATH, filters: {} };
        return wrapPage(request, data, { total: all.length, capped: false }, next);
      }),
  }),
  route('POST', PATH, {
    summary: 'Have happenings sent to a URL',
    description:
      'Payloads and event names are those of Loops, signed as Standard Webhooks say; event.received is Inlet’s own. Every 2xx takes a call; others are tried again for 75 hours. At least once, in no promised order: tell repeats by webhook-id. The secret is shown this once.',
    tag,
    audit: { action: 'subscription.create', subject: 'subscription' },
    status: 201,
    errors: [409],
    body: z.strictObject({
      url,
      eventNames: eventNames.optional().describe('Left out: all of Loops’ names, without event.received'),
      name: name.optional(),
    }),
    example: { url: 'https://example.com/webhooks/inlet', eventNames: ['contact.created', 'event.received'] },
    response: subscriptionView.extend({ secret: z.string().describe('whsec_ and base64; shown this once') }),
    answer: example.madeSubscription,
    handle: async ({ ctx, body }) => {
      const target = await checkUrl(ctx, body.url);
      const input = {
        name: body.name || new URL(target).host,
        url: target,
        eventNames: body.eventNames ?? [...LOOPS_EVENTS],
      };
      const { subscription, secret } = await ctx.store.write(tx => createSubscription(tx, pickDeps(ctx), input));
      announceChange(ctx);
      return { ...(await showSubscription(ctx, subscription.id)), secret };
    },
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One outgoing webhook subscription',
    tag,
    errors: [404],
    response: subscriptionView,
    answer: example.subscription,
    handle: ({ ctx, params }) => showSubscription(ctx, params.id),
  }),
  route('PATCH', `${PATH}/:id`, {
    summary: 'Change, pause or resume an outgoing webhook subscription',
    description:
      'While paused, calls queue; resuming sends them, up to 7 days old or INLET_RETENTION_DAYS, whichever is longer.',
    tag,
    audit: { action: 'subscription.update', subject: 'subscription' },
    errors: [404, 409],
    body: z.strictObject({
      url: url.optional(),
      eventNames: eventNames.optional(),
      name: name.min(1).optional(),
      paused: z.boolean().optional(),
    }),
    example: { paused: false },
    response: subscriptionView,
    answer: example.subscription,
    handle: async ({ ctx, params, body }) => {
      const id = params.id;
      const target = body.url === undefined ? {} : { url: await checkUrl(ctx, body.url) };
      const given = Object.entries({ ...body, ...target }).filter(([, value]) => value !== undefined);
      await ctx.store.write(tx => patchSubscription(tx, id, Object.fromEntries(given), ctx.now()));
      announceChange(ctx);
      return showSubscription(ctx, id);
    },
  }),
  route('DELETE', `${PATH}/:id`, {
    summary: 'Remove an outgoing webhook subscription and its calls',
    tag,
    audit: { action: 'subscription.delete', subject: 'subscription' },
    errors: [404],
    response: done,
    answer: example.done,
    handle: async ({ ctx, params }) => {
      const id = params.id;
      await ctx.store.write(tx => closeSubscription(tx, id));
      ctx.subscribed.invalidate();
      while (await ctx.store.write(tx => thinCalls(tx, id)));
      await ctx.store.write(tx => deleteSubscription(tx, id));
      return { success: true };
    },
  }),
  route('POST', `${PATH}/:id/rotate-secret`, {
    summary: 'Make a new secret, shown this once',
    description: 'The old one signs beside it for a day, so that the receiver can change over.',
    tag,
    audit: { action: 'subscription.rotateSecret', subject: 'subscription' },
    errors: [404],
    body: z.strictObject({
      keepOldHours: z.number().min(0).max(168).default(24).describe('0: the old secret is void at once'),
    }),
    example: {},
    response: subscriptionView.extend({ secret: z.string() }),
    answer: { ...example.madeSubscription, oldSecretUntil: example.subscription.createdAt },
    handle: async ({ ctx, params, body }) => {
      const id = params.id;
      const secret = await ctx.store.write(tx => rotateSecret(tx, pickDeps(ctx), id, body.keepOldHours));
      return { ...(await showSubscription(ctx, id)), secret };
    },
  }),
  route('POST', `${PATH}/:id/test`, {
    summary: 'Send testing.testEvent',
    description: 'Queues one call; GET /webhook-calls/{id} shows what came of it.',
    tag,
    audit: { action: 'subscription.test', subject: 'subscription' },
    errors: [404, 409],
    response: callDetail,
    answer: example.webhookCall,
    handle: async ({ ctx, params }) => {
      const callId = await ctx.store.write(tx => queueTest(tx, params.id, ctx.now()));
      ctx.wake();
      return ctx.store.read(tx => getCall(tx, callId));
    },
  }),
  route('GET', `${PATH}/:id/calls`, {
    summary: 'Calls of a subscription, newest first',
    tag,
    errors: [404],
    query: z.strictObject({ ...pageQuery, state: z.enum(STATES).optional() }),
    response: describePage(callView),
    answer: example.makePage(example.webhookCallRow),
    handle: async ({ ctx, params, query }) => {
      const id = params.id;
      await ctx.store.read(tx => getSubscription(tx, id));
      const { state, ...rest } = query;
      const request = { ...rest, url: `${ctx.config.publicUrl}${PATH}/${id}/calls`, filters: { state } };
      return loadPage(ctx.store, webhookCalls, callSearch(id, state), request, ids =>
        ctx.store.read(tx => viewCalls(tx, ids)),
      );
    },
  }),
  route('GET', `${CALLS}/:id`, {
    summary: 'One call: payload and attempts',
    tag,
    errors: [404],
    withheld: { payload: null },
    response: callDetail,
    answer: example.webhookCall,
    handle: ({ ctx, params }) => ctx.store.read(tx => getCall(tx, params.id)),
  }),
  route('POST', `${CALLS}/:id/replay`, {
    summary: 'Make a call again',
    description:
      'With the same webhook-id and payload, at once, and with all its retries; waits while the subscription is paused.',
    tag,
    audit: { action: 'call.replay', subject: 'call' },
    errors: [404, 409],
    response: callDetail,
    answer: example.webhookCall,
    handle: async ({ ctx, params }) => {
      const call = await ctx.store.write(tx => replayCall(tx, params.id, ctx.now()));
      ctx.wake();
      return call;
    },
  }),
];
