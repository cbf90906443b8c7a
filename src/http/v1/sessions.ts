import { z } from 'zod';
import { isSameOrigin, makeCookie, readCookie } from '../../access/cookie.ts';
import { hashKey } from '../../access/keys.ts';
import {
  endSession,
  findSession,
  type LiveSession,
  listSessions,
  openByKey,
  openByLink,
} from '../../access/sessions.ts';
import type { Context } from '../../context.ts';
import { AppError, invalid } from '../../errors.ts';
import { formatTime } from '../../time.ts';
import { KEY_ID, SCOPE, SESSION_ID } from '../callers.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { done, time } from './shapes.ts';

const tag = 'Keys';
const session = z.object({
  id: z.string(),
  keyId: z.string().nullable().describe('Of the key that signed in, with which it ends; null: signed in by a link'),
  scope: z.enum(['all', 'read']),
  createdAt: time,
  lastSeenAt: time.nullable(),
  expiresAt: time.describe('30 days after it was last used'),
  current: z.boolean().describe('The one that asks'),
});
/** Who calls, also by key. */
const self = z.object({
  keyId: z.string().nullable(),
  scope: z.enum(['all', 'read']),
  session: session.nullable().describe('Null: called by an API key'),
});

const viewSession = (row: LiveSession, currentId: string | null) => ({
  id: row.id,
  keyId: row.keyId,
  scope: row.scope,
  createdAt: formatTime(row.createdAt),
  lastSeenAt: row.lastSeenAt === null ? null : formatTime(row.lastSeenAt),
  expiresAt: formatTime(row.expiresAt),
  current: row.id === currentId,
});

const hashOwn = ({ config }: Context) => (config.apiKey === null ? null : hashKey(config.apiKey));

/** An answer that sets the session's cookie; null removes it. */
const answerWithCookie = (ctx: Context, status: number, body: unknown, token: string | null) =>
  Response.json(body, { status, headers: { 'set-cookie': makeCookie(ctx.config.publicUrl, token) } });

async function signIn(ctx: Context, given: { key?: string | undefined; token?: string | undefined }) {
  const { key, token } = given;
  const now = ctx.now();
  if (key !== undefined && token === undefined)
    return ctx.store.write(tx => openByKey(tx, key.trim(), hashOwn(ctx), now));
  if (token !== undefined && key === undefined) return ctx.store.write(tx => openByLink(tx, token, now));
  throw invalid('key: send either key (an API key) or token (from a link that inlet login prints).');
}

const OTHER_PAGE = 'Sign in on the page of Inlet itself: this request came from another one.';

/** `forget`: drops what is cached of valid sessions. */
export const makeSessionRoutes = (forget: () => void): Route[] => [
  route('POST', '/api/v1/session', {
    summary: 'Sign in, for the page',
    description:
      'With an API key, or with the token of a one-time link (`inlet login`; 15 minutes). Sets a cookie that holds for 30 days after it was last used. What a cookie changes has to come from the same origin. Scripts need no session: they send their key with every request.',
    tag,
    audit: { action: 'session.open', subject: 'session' },
    scope: 'open',
    status: 201,
    errors: [403],
    body: z.strictObject({ key: z.string().max(300).optional(), token: z.string().max(100).optional() }),
    example: { key: 'inlet_(your key)' },
    response: session,
    answer: example.session,
    handle: async ({ ctx, body, request }) => {
      if (isSameOrigin(request.headers, ctx.config.publicUrl) === false) throw new AppError('forbidden', OTHER_PAGE);
      const { row, token } = await signIn(ctx, body);
      return answerWithCookie(ctx, 201, viewSession(row, row.id), token);
    },
  }),
  route('GET', '/api/v1/session', {
    summary: 'Who is signed in',
    description: 'Lengthens the cookie of a session.',
    tag,
    response: self,
    answer: { keyId: example.session.keyId, scope: 'all', session: example.session },
    handle: async ({ ctx, request: { headers } }) => {
      const id = headers.get(SESSION_ID) || null;
      const token = id === null ? null : readCookie(headers, ctx.config.publicUrl);
      if (token === null) return { keyId: headers.get(KEY_ID), scope: headers.get(SCOPE), session: null };
      const row = await ctx.store.read(tx => findSession(tx, hashKey(token), hashOwn(ctx), ctx.now()));
      if (!row) throw new AppError('unauthorized', 'Your session has just ended. Sign in again.');
      const body = { keyId: row.keyId, scope: row.scope, session: viewSession(row, id) };
      return answerWithCookie(ctx, 200, body, token);
    },
  }),
  route('DELETE', '/api/v1/session', {
    summary: 'Sign out',
    tag,
    audit: {
      action: 'session.end',
      subject: 'session',
      target: (_, { headers }) => headers.get(SESSION_ID) ?? '',
    },
    scope: 'read', // ends what called, nothing else
    response: done,
    answer: example.done,
    handle: async ({ ctx, request: { headers } }) => {
      const id = headers.get(SESSION_ID);
      if (!id) return { success: true };
      await ctx.store.write(tx => endSession(tx, id));
      forget();
      return answerWithCookie(ctx, 200, { success: true }, null);
    },
  }),
  route('GET', '/api/v1/sessions', {
    summary: 'Who is signed in everywhere, newest first',
    tag,
    response: z.array(session),
    answer: [example.session],
    handle: async ({ ctx, request }) => {
      const rows = await ctx.store.read(tx => listSessions(tx, hashOwn(ctx), ctx.now()));
      return rows.map(row => viewSession(row, request.headers.get(SESSION_ID) || null));
    },
  }),
  route('DELETE', '/api/v1/sessions/:id', {
    summary: 'End a session',
    tag,
    audit: { action: 'session.end', subject: 'session' },
    errors: [404],
    response: done,
    answer: example.done,
    handle: async ({ ctx, params }) => {
      await ctx.store.write(tx => endSession(tx, params.id));
      forget();
      return { success: true };
    },
  }),
];
