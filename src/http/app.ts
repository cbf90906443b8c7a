import { randomUUID } from 'node:crypto';
import { Elysia } from 'elysia';
import { PROPERTY_KEY } from '../audience/properties.ts';
import type { Context } from '../context.ts';
import { StoreUnavailable } from '../db/store.ts';
import { AppError, type ErrorCode } from '../errors.ts';
import { Auth, type Caller } from './auth.ts';
import { BUSY, type Unread, useBody } from './body.ts';
import { KEY_ID, SCOPE, SESSION_ID } from './callers.ts';
import { answerDashboard } from './dashboard.ts';
import { startDownload } from './downloads.ts';
import { makeHookReceiver } from './hooks.ts';
import { explainNotOffered } from './notOffered.ts';
import { collectDocument, describeRoute } from './openapi.ts';
import { parseJsonBody, queryOf, type Route, requireScope, withholdBodies } from './route.ts';
import { Streams } from './streams.ts';
import { serveSwaggerFile, swaggerPaths } from './swagger.ts';
import { readTarget, type SentSegments } from './target.ts';
import { UNSUBSCRIBE, unsubscribe } from './unsubscribe.ts';
import { healthRoute, listApiRoutes } from './v1/index.ts';

const STATUS: Record<ErrorCode, number> = {
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  notFound: 404,
  methodNotAllowed: 405,
  conflict: 409,
  tooLarge: 413,
  unsupportedMedia: 415,
  rateLimited: 429,
  unavailable: 503,
};
const NOT_HERE = { success: false, message: 'This instance only works (INLET_ROLE=worker). Send requests to another.' };
const UNREADABLE =
  'Send the path as it is meant: no "." or ".." in it, no backslash, no "#", no encoded slash, no empty part.';
const MAX_API_BODY = 1_048_576;
const HOOK = /^\/webhooks\/([^/]*)$/;
const HOOK_AND_SLASH = /^\/webhooks\/[^/]+\/$/;
const NO_SLASH =
  'The URL ends in a slash. Remove it at the provider: /webhooks/ep_… and nothing behind. Nothing of this request was stored.';
const GUARDS = Object.entries({
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
});

const answerJson = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } });

const RATE_LIMIT = 'x-ratelimit-limit';

/** Clients read it off every answer, errors included. */
function showRate(answer: Response, limit: number, left: number): void {
  answer.headers.set(RATE_LIMIT, String(limit));
  answer.headers.set('x-ratelimit-remaining', String(left));
}

/** The answer to a failure: our own messages as they are, anything else blank, with the cause in the log. */
function answerFailure(ctx: Context, error: unknown, requestId: string): Response {
  if (error instanceof AppError) {
    const { message } = error;
    const extra = error.code === 'unauthorized' ? { error: message } : {};
    const retry = error.code === 'unavailable' ? { 'retry-after': '30' } : undefined;
    return answerJson(STATUS[error.code], { success: false, message, ...extra }, retry);
  }
  if (error instanceof StoreUnavailable) {
    ctx.log.warn({ err: error, requestId }, 'the database could not serve a request');
    return answerJson(
      503,
      { success: false, message: "Inlet can't read or write its database now. Try again later." },
      { 'retry-after': '30' },
    );
  }
  ctx.log.error({ err: error, requestId }, 'a request failed');
  return answerJson(500, {
    success: false,
    message: `Something went wrong on our side. The log has the cause under request id ${requestId}.`,
  });
}

/** HEAD is a GET whose body stays here: monitors ask so. */
const readMethod = ({ method }: Request) => (method === 'HEAD' ? 'GET' : method);

const compilePattern = (path: string) => new RegExp(`^${path.replace(/:[a-zA-Z]+/g, '[^/]+')}$`);

export interface Http {
  /** `sent`: see `readTarget`. */
  fetch(request: Request, peer?: string | null, sent?: SentSegments): Promise<Response>;
  /** Ends what would never end by itself. */
  endStreams(): void;
}

/** All HTTP: webhooks, health, documentation, management API. */
export function createHttp(ctx: Context): Http {
  const auth = new Auth(ctx);
  const receive = makeHookReceiver(ctx);
  const streams = new Streams(ctx, request => auth.isStillValid(request));
  const forget = () => {
    auth.forget();
    void streams.dropRevoked().catch(() => {}); // the next look ends them
  };
  const routes = listApiRoutes(receive, forget, (request, caller) => streams.open(request, caller));
  const elysia = mountRoutes(ctx, routes);
  const table = [...routes, healthRoute].map(({ method, path }) => ({
    method,
    path: compilePattern(path),
    fixed: !path.includes(':'),
  }));
  const isOpen = (method: string, path: string) =>
    routes.some(each => each.scope === 'open' && each.method === method && each.path === path);
  const allowed = (path: string): string[] => {
    if (swaggerPaths.has(path)) return ['GET'];
    const matching = table.filter(each => each.path.test(path));
    const fixed = matching.filter(each => each.fixed); // "/contacts/create" is no contact's id
    return [...new Set((fixed.length ? fixed : matching).map(each => each.method))];
  };

  const dispatch = async (request: Request, url: URL, peer: string | null, requestId: string): Promise<Response> => {
    if (ctx.config.role === 'worker' && url.pathname !== '/health') return answerJson(503, NOT_HERE);
    const hook = HOOK.exec(url.pathname);
    if (hook && request.method === 'POST') return receive(hook[1] ?? '', request, peer);
    const link = UNSUBSCRIBE.exec(url.pathname);
    if (link && /^(GET|POST)$/.test(readMethod(request))) return unsubscribe(ctx, request, link[1] ?? '', peer);
    if (HOOK_AND_SLASH.test(url.pathname)) return answerJson(404, { success: false, message: NO_SLASH });
    const page = await answerDashboard(ctx.config, request, url.pathname);
    if (page) return page;
    const methods = hook ? ['POST'] : link ? ['GET', 'POST'] : allowed(url.pathname);
    const instead = explainNotOffered(url.pathname);
    if (!methods.length)
      return answerJson(404, { success: false, message: instead ?? 'No such path. /swagger lists them all.' });
    if (!methods.includes(readMethod(request))) {
      return answerJson(
        405,
        { success: false, message: instead ?? `Method not allowed. Use ${methods.join(' or ')}.` },
        { allow: methods.join(', ') },
      );
    }
    const file = serveSwaggerFile(url.pathname);
    if (file) return file;
    if (url.pathname === healthRoute.path)
      return elysia.handle(rewriteRequest(request, url, requestId, { keyId: await auth.identify(request, peer) }));
    if (!url.pathname.startsWith('/api/')) return elysia.handle(rewriteRequest(request, url, requestId));
    if (isOpen(request.method, url.pathname)) {
      const opened = await elysia.handle(rewriteRequest(request, url, requestId));
      if (opened.status === 401) auth.countFailure(peer);
      return opened;
    }
    const caller = await auth.authenticate(request, peer);
    const limit = ctx.config.rateLimit;
    const left = limit === 0 ? null : auth.spend(caller.hash);
    const answer =
      left === -1
        ? answerJson(429, {
            success: false,
            message: `Rate limit of ${limit} requests per second exceeded. Slow down, or raise INLET_RATE_LIMIT.`,
          })
        : await elysia.handle(rewriteRequest(request, url, requestId, caller));
    if (left !== null) showRate(answer, limit, Math.max(0, left));
    return answer;
  };

  return {
    endStreams: () => streams.endAll(),
    async fetch(request, peer = null, sent = {}) {
      const requestId = randomUUID();
      const url = readTarget(request, sent);
      let response: Response;
      try {
        response = url
          ? await dispatch(request, url, peer, requestId)
          : answerJson(400, { success: false, message: UNREADABLE });
      } catch (error) {
        response = answerFailure(ctx, error, requestId);
      }
      const { rateLimit } = ctx.config;
      if (rateLimit > 0 && url?.pathname.startsWith('/api/') && !response.headers.has(RATE_LIMIT))
        showRate(response, rateLimit, response.status === 429 ? 0 : rateLimit); // refused before anything was spent
      for (const [name, value] of GUARDS) if (!response.headers.has(name)) response.headers.set(name, value);
      response.headers.set('x-request-id', requestId);
      if (request.method !== 'HEAD') return response;
      void response.body?.cancel().catch(() => {}); // a download would go on being made for nobody
      return new Response(null, response);
    },
  };
}

/** The same request at an address of our own making: routing must not see what a Host header did to the URL. */
function rewriteRequest(request: Request, url: URL, requestId: string, caller: Partial<Caller> = {}): Request {
  const copy = new Request(url.href, request);
  copy.headers.set('x-request-id', requestId);
  copy.headers.set(KEY_ID, caller.keyId ?? '');
  copy.headers.set(SCOPE, caller.scope ?? '');
  copy.headers.set(SESSION_ID, caller.sessionId ?? '');
  return copy;
}

interface Routed {
  request: Request;
  params?: Record<string, string>; // absent on a path without any
}

function mountRoutes(ctx: Context, routes: Route[]) {
  const app = new Elysia({ normalize: false });
  app.use(collectDocument(ctx.config.publicUrl));
  for (const each of [...routes, healthRoute]) {
    const detail = describeRoute(each);
    const handle = ({ request, params }: Routed) => answerRoute(ctx, each, request, params ?? {});
    app.route(each.method, each.path, handle, {
      parse: 'none',
      detail: detail as never, // the plugin's type knows no open schemas
    });
    if (each.method === 'GET') app.route('HEAD', each.path, handle, { parse: 'none', detail: { hide: true } });
  }
  return app;
}

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const NAME = /^[^\0]{1,500}$/u; // what is looked up by its name
const OTHER_PARAMS: Record<string, RegExp> = { eventName: NAME, propertyKey: PROPERTY_KEY };
const isParam = ([name, value]: [string, string]) => (OTHER_PARAMS[name] ?? ID).test(value);

/** Elysia never sees an error: its own answer would show the message. */
async function answerRoute(
  ctx: Context,
  each: Route,
  request: Request,
  params: Record<string, string>,
): Promise<Response> {
  try {
    return await answer(ctx, each, request, params);
  } catch (error) {
    return answerFailure(ctx, error, request.headers.get('x-request-id') ?? '');
  }
}

async function answer(ctx: Context, each: Route, request: Request, params: Record<string, string>): Promise<Response> {
  requireScope(each, request);
  if (!Object.entries(params).every(isParam)) throw new AppError('notFound', 'No such id.');
  if (!each.body) return perform(ctx, each, request, params, undefined);
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity')
    throw new AppError('unsupportedMedia', 'Send the body uncompressed.');
  const sender = { to: request.headers.get(KEY_ID) ?? '', peer: null }; // an API key's holder is no stranger
  return useBody(request, MAX_API_BODY, sender, async body => {
    if (typeof body === 'string') throw refuseUnread(body);
    return perform(ctx, each, request, params, parseJsonBody(body));
  });
}

async function perform(
  ctx: Context,
  each: Route,
  request: Request,
  params: Record<string, string>,
  body: unknown,
): Promise<Response> {
  const query = queryOf(new URL(request.url).searchParams);
  const run = () => each.run(ctx, params, query, body, request);
  if (each.download) return startDownload(run as () => Promise<Response>);
  const result = await run();
  if (result instanceof Response) return result; // it sets a cookie
  const unwell = each === healthRoute && ctx.health.storeTrouble !== null;
  if (each.status === 204) return new Response(null, { status: 204 });
  return answerJson(unwell ? 503 : each.status, withholdBodies(each, request, result));
}

function refuseUnread(why: Unread): AppError {
  if (why === 'tooLarge') return new AppError('tooLarge', `The body is over ${MAX_API_BODY} bytes.`);
  if (why === 'busy') return new AppError('unavailable', BUSY);
  return new AppError('invalid', 'The body ended before it was complete.');
}
