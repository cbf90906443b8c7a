import { z } from 'zod';
import type { Context } from '../../context.ts';
import { AppError, invalid } from '../../errors.ts';
import {
  addSecret,
  createEndpoint,
  type Deps,
  deleteEndpoint,
  deleteSecret,
  getEndpoint,
  listEndpoints,
  patchEndpoint,
} from '../../inbound/endpoints.ts';
import { viewEndpoint } from '../../inbound/endpointView.ts';
import { allProviders } from '../../providers/index.ts';
import { decodeCursor, describePage, pageQuery, wrapPage } from '../page.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { done, endpointView } from './shapes.ts';

const tag = 'Endpoints';
const PATH = '/api/v1/endpoints';
const name = z.string().max(100).describe('For you; not unique');
const settings = z.record(z.string().max(60), z.unknown()).describe("See the provider's settings in GET /providers");
const events = z
  .record(z.string().max(100), z.record(z.string().max(60), z.unknown()).nullable())
  .describe('Per event type, only what differs from the defaults; null restores one');
const secret = z.string().max(600).describe('The signing secret as the provider shows it; never shown again');

const pickDeps = (ctx: Context): Deps => ({ sealer: ctx.sealer, now: ctx.now(), publicUrl: ctx.config.publicUrl });
const view = async (ctx: Context, id: string) =>
  ctx.store.read(async tx => viewEndpoint(tx, pickDeps(ctx), await getEndpoint(tx, id)));

/** Runs a change and shows the endpoint as it is afterwards. */
async function changeEndpoint(ctx: Context, id: string, change: Parameters<Context['store']['write']>[0]) {
  await ctx.store.write(change);
  ctx.live.invalidate();
  ctx.wake();
  return view(ctx, id);
}

/** What endpoints are paged by: their ids are random. */
const makeAge = (row: { id: string; createdAt: number }) => `${String(row.createdAt).padStart(16, '0')}z${row.id}`;

const providerView = z.object({
  id: z.string(),
  name: z.string(),
  about: z
    .enum(['people', 'mail'])
    .describe('mail: it tells what became of mails that Inlet sent; of its events only `enabled` can be set'),
  eventTypes: z.array(
    z.object({
      type: z.string(),
      description: z.string(),
      carriesEmail: z.enum(['always', 'usually', 'sometimes', 'never']),
      deletion: z.boolean(),
    }),
  ),
  settings: z.record(z.string(), z.unknown()).describe('JSON Schema'),
  setup: z.array(z.string()),
  backfill: z
    .object({ eventType: z.string(), apiKey: z.string(), needs: z.array(z.string()) })
    .nullable()
    .describe('What a back-fill needs: the key as settings.apiKey, and other settings. Null: there is none'),
});

/** `receive`: the real path of a webhook, for test deliveries. */
export function listEndpointRoutes(receive: (endpointId: string, request: Request) => Promise<Response>): Route[] {
  return [
    route('GET', '/api/v1/providers', {
      summary: 'Providers, their event types, settings and set-up steps',
      tag,
      response: z.array(providerView),
      answer: [example.provider],
      handle: async () =>
        allProviders.map(({ id, name, class: kind, types, settings, setup, backfill }) => ({
          id,
          name,
          about: kind === 'mail' ? ('mail' as const) : ('people' as const),
          eventTypes: types.map(({ type, description, carriesEmail, deletion }) => ({
            type,
            description,
            carriesEmail,
            deletion,
          })),
          settings: z.toJSONSchema(settings, { io: 'input', unrepresentable: 'any' }),
          setup,
          backfill: backfill ? { eventType: backfill.type, apiKey: backfill.key, needs: backfill.needs } : null,
        })),
    }),
    route('POST', PATH, {
      summary: 'Make an endpoint',
      description:
        'The secret may come later: create the endpoint, paste its url into the provider, then add the secret it shows.',
      tag,
      audit: { action: 'endpoint.create', subject: 'endpoint' },
      status: 201,
      body: z.strictObject({
        provider: z.string().max(40),
        name: name.optional(),
        secret: secret.optional(),
        settings: settings.optional(),
        events: events.optional(),
      }),
      example: {
        provider: 'stripe',
        name: 'Production',
        settings: { mode: 'any' },
        events: { 'customer.created': { userGroup: 'Customers', triggerEvent: 'signup' } },
      },
      response: endpointView,
      answer: example.fresh,
      handle: async ({ ctx, body }) => {
        const { row, made } = await ctx.store.write(tx => createEndpoint(tx, pickDeps(ctx), body));
        ctx.live.invalidate();
        const shown = await view(ctx, row.id);
        return made === null
          ? shown
          : { ...shown, secretHeader: { name: String(row.settings.headerName), value: made } };
      },
    }),
    route('GET', PATH, {
      summary: 'Endpoints, newest first',
      tag,
      query: z.strictObject(pageQuery),
      response: describePage(endpointView),
      answer: example.makePage(example.endpoint),
      handle: ({ ctx, query }) =>
        ctx.store.read(async tx => {
          const all = (await listEndpoints(tx)).reverse();
          const after = decodeCursor(query.cursor);
          const older = after === null ? all : all.filter(row => makeAge(row) < after);
          const shown = older.slice(0, query.perPage);
          const data = [];
          for (const row of shown) data.push(await viewEndpoint(tx, pickDeps(ctx), row));
          const last = older.length > shown.length ? shown.at(-1) : undefined;
          const next = last ? makeAge(last) : null;
          const request = { perPage: query.perPage, url: ctx.config.publicUrl + PATH, filters: {} };
          return wrapPage(request, data, { total: all.length, capped: false }, next);
        }),
    }),
    route('GET', `${PATH}/:id`, {
      summary: 'One endpoint, with its state and what to do next',
      tag,
      errors: [404],
      response: endpointView,
      answer: example.endpoint,
      handle: ({ ctx, params }) => view(ctx, params.id),
    }),
    route('PATCH', `${PATH}/:id`, {
      summary: 'Change an endpoint',
      description:
        'Replaces the named settings, and the named keys of the named event types; null restores a default. A paused endpoint stores and applies later.',
      tag,
      audit: { action: 'endpoint.update', subject: 'endpoint' },
      errors: [404],
      body: z.strictObject({
        name: name.optional(),
        paused: z.boolean().optional(),
        settings: settings.optional(),
        events: events.optional(),
      }),
      example: { name: 'Production', events: { 'customer.deleted': { onDelete: 'delete' } } },
      response: endpointView,
      answer: example.endpoint,
      handle: ({ ctx, params, body }) =>
        changeEndpoint(ctx, params.id, tx => patchEndpoint(tx, pickDeps(ctx), params.id, body)),
    }),
    route('DELETE', `${PATH}/:id`, {
      summary: 'Remove an endpoint and its secrets',
      description: 'Its deliveries stay in the log.',
      tag,
      audit: { action: 'endpoint.delete', subject: 'endpoint' },
      errors: [404],
      response: done,
      answer: example.done,
      handle: async ({ ctx, params }) => {
        await ctx.store.write(tx => deleteEndpoint(tx, params.id));
        ctx.live.invalidate();
        return { success: true };
      },
    }),
    route('POST', `${PATH}/:id/secrets`, {
      summary: 'Add a signing secret',
      description: 'Beside the ones there are, so that nothing is refused while a provider rolls its secret.',
      tag,
      audit: { action: 'endpoint.secret.add', subject: 'endpoint' },
      status: 201,
      errors: [404],
      body: z.strictObject({
        secret,
        expireOthersInHours: z
          .number()
          .min(0)
          .max(24 * 366)
          .optional(),
      }),
      example: { secret: 'whsec_0123456789abcdef0123456789abcdef', expireOthersInHours: 24 },
      response: endpointView,
      answer: example.endpoint,
      handle: ({ ctx, params, body }) =>
        changeEndpoint(ctx, params.id, tx =>
          addSecret(tx, pickDeps(ctx), params.id, body.secret, body.expireOthersInHours ?? null),
        ),
    }),
    route('DELETE', `${PATH}/:id/secrets/:secretId`, {
      summary: 'Remove a signing secret',
      tag,
      audit: { action: 'endpoint.secret.remove', subject: 'endpoint' },
      errors: [404],
      response: endpointView,
      answer: example.endpoint,
      handle: ({ ctx, params }) => changeEndpoint(ctx, params.id, tx => deleteSecret(tx, params.id, params.secretId)),
    }),
    route('POST', `${PATH}/:id/test`, {
      summary: 'Send a signed sample through the real path',
      tag,
      errors: [404, 409],
      body: z.strictObject({ type: z.string().max(100), email: z.string().max(254).optional() }),
      example: { type: 'customer.created', email: 'ada@example.com' },
      response: z.object({ status: z.number(), body: z.looseObject({ success: z.boolean(), message: z.string() }) }),
      answer: example.tested,
      handle: ({ ctx, params, body }) => sendTest(ctx, receive, params.id, body.type, body.email ?? 'ada@example.com'),
    }),
  ];
}

async function sendTest(
  ctx: Context,
  receive: (id: string, request: Request) => Promise<Response>,
  id: string,
  type: string,
  email: string,
) {
  await ctx.store.read(tx => getEndpoint(tx, id));
  const live = await ctx.live.get(id);
  if (!live?.provider.types.some(each => each.type === type))
    throw invalid('type: is not an event type of this provider. GET /api/v1/providers lists them.');
  const now = ctx.now();
  const secret = live.secrets.find(each => each.expiresAt === null || each.expiresAt > now);
  if (!secret) throw new AppError('conflict', 'The endpoint has no signing secret yet. Add one under secrets first.');
  const body = JSON.stringify(live.provider.sample(type, email, now));
  const headers = {
    'content-type': 'application/json',
    'user-agent': 'inlet-test',
    ...live.provider.sign(body, secret.value, live.settings, now),
  };
  const answer = await receive(id, new Request('http://inlet/', { method: 'POST', body, headers }));
  return { status: answer.status, body: await answer.json() };
}
