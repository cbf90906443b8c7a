import type { z } from 'zod';
import type { Context } from '../context.ts';
import type { Scope } from '../db/schema.ts';
import { AppError, invalid } from '../errors.ts';
import { parseJson } from '../providers/signatures.ts';
import { type Audit, noteChanges } from './audited.ts';
import { KEY_ID, SCOPE } from './callers.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

type ParamName<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamName<Rest>
  : P extends `${string}:${infer Name}`
    ? Name
    : never;

/** The parameters that a path such as `/api/v1/runs/:id` names. */
export type Params<P extends string> = Record<ParamName<P>, string>;

/** What a handler gets: everything parsed by the route's own schemas. */
interface Call<P extends string, Query, Body> {
  ctx: Context;
  params: Params<P>;
  query: Query;
  body: Body;
  /** Of a route that is `idempotent`, behind the id of the API key: each has its own; null where the caller gave none. */
  idempotencyKey: string | null;
  /** As it came; its body is unread where the route is an `upload`. */
  request: Request;
}

/** What the documentation says of a route. */
export interface Doc {
  summary: string;
  tag: string;
  description?: string;
  /** Statuses besides 401 and 429 that every route can answer. */
  errors?: number[];
  /** Takes an `Idempotency-Key`. */
  idempotent?: boolean;
  /** Reads its body itself, as it arrives: CSV of any length. */
  upload?: true;
  /** Answers with CSV of any length: its handler gives a `Response`. */
  download?: true;
  /** Answers with events for as long as the caller listens. */
  stream?: true;
  /** Fields of the answer, or of each row of its page, that a caller who may only read gets as they are here: bodies. */
  withheld?: Record<string, unknown>;
  /** A body that runs as it stands against a fresh server. */
  example?: unknown;
  /** An answer as it may look. */
  answer: unknown;
}

export interface Route extends Doc {
  method: Method;
  path: string;
  status: number;
  /** Who may call it: everybody, whoever may read, or who may do everything. */
  scope: Scope | 'open';
  query: z.ZodType | null;
  body: z.ZodType | null;
  response: z.ZodType;
  /** What is noted of the change that it makes, as `endpoint.update`; null: it changes no configuration. */
  action: string | null;
  run(ctx: Context, params: Record<string, string>, query: unknown, body: unknown, request: Request): Promise<unknown>;
}

interface Spec<P extends string, Q extends z.ZodType, B extends z.ZodType> extends Doc {
  query?: Q;
  body?: B;
  response: z.ZodType;
  status?: number;
  /** Where it is not what the method says: GET reads, everything else is for `all`. */
  scope?: Scope | 'open';
  /** Of every route that changes configuration. */
  audit?: Audit<z.output<Q>, z.output<B>>;
  handle(call: Call<P, z.output<Q>, z.output<B>>): Promise<unknown>;
}

/** Parses by a schema. @throws AppError invalid that names the field and never repeats the value */
function parseBy<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue?.code === 'unrecognized_keys') {
    throw invalid(
      `${issue.keys
        .slice(0, 5)
        .map(key => key.slice(0, 60))
        .join(', ')}: no such field here. Check its spelling in the API documentation.`,
    );
  }
  const field = issue?.path.map(part => String(part).slice(0, 60)).join('.') || where;
  if (issue?.code === 'invalid_type' && issue.message.endsWith('received undefined'))
    throw invalid(`${field}: is required.`);
  throw invalid(`${field}: ${issue?.message ?? 'is not valid'}`);
}

/** One route: its schemas check the call and make its documentation. */
export function route<
  const P extends string,
  Q extends z.ZodType = z.ZodType<unknown>,
  B extends z.ZodType = z.ZodType<unknown>,
>(method: Method, path: P, spec: Spec<P, Q, B>): Route {
  const { query = null, body = null, handle, audit, ...doc } = spec;
  return {
    ...doc,
    method,
    path,
    query,
    body,
    status: spec.status ?? 200,
    scope: spec.scope ?? (method === 'GET' ? 'read' : 'all'),
    action: audit?.action ?? null,
    run: (ctx, params, givenQuery, givenBody, request) => {
      const asked = (query ? parseBy(query, givenQuery, 'query') : undefined) as z.output<Q>;
      const sent = (body ? parseBy(body, givenBody, 'body') : undefined) as z.output<B>;
      return handle({
        ctx: audit ? noteChanges(ctx, audit, { params, query: asked, body: sent, request }) : ctx,
        params: params as Params<P>, // the router matched the path: each of them is there
        query: asked,
        body: sent,
        idempotencyKey: doc.idempotent ? readIdempotencyKey(request.headers) : null,
        request,
      });
    },
  };
}

const READ_ONLY =
  'This API key or session may only read. Use one that may do everything: inlet keys create NAME, or inlet login.';

/** @throws AppError forbidden where the caller may only read and the route does more */
export function requireScope({ scope }: Route, { headers }: Request): void {
  if (scope === 'all' && headers.get(SCOPE) === 'read') throw new AppError('forbidden', READ_ONLY);
}

/** The answer as the caller may see it: without the bodies where that may only read. */
export function withholdBodies({ withheld }: Route, { headers }: Request, answer: unknown): unknown {
  if (!withheld || headers.get(SCOPE) !== 'read') return answer;
  if (typeof answer !== 'object' || answer === null) return withheld;
  if (!('data' in answer && Array.isArray(answer.data))) return { ...answer, ...withheld };
  return { ...answer, data: answer.data.map((row: object) => ({ ...row, ...withheld })) };
}
const MAX_IDEMPOTENCY_KEY = 100; // characters

function readIdempotencyKey(headers: Headers): string | null {
  const key = headers.get('idempotency-key') || null;
  if (key !== null && key.length > MAX_IDEMPOTENCY_KEY)
    throw invalid(`Idempotency-Key: at most ${MAX_IDEMPOTENCY_KEY} characters.`);
  return key && `${headers.get(KEY_ID)} ${key}`;
}

/** PostgreSQL takes no NUL, and half a character would come back as another one. */
const isStorable = (text: string) => text.isWellFormed() && !text.includes('\0');
const UNSTORABLE = 'a text holds a NUL or half of a character. Send it without.';

/** What a body must not hold anywhere, or null. Schemas pass over `__proto__` in silence; an unknown field is to be named. */
function findUnfit(json: unknown): string | null {
  const open = [json];
  while (open.length) {
    const value = open.pop();
    if (typeof value === 'string' && !isStorable(value)) return `body: ${UNSTORABLE}`;
    if (typeof value !== 'object' || value === null) continue;
    for (const [key, inner] of Object.entries(value)) {
      if (key === '__proto__') return '__proto__: no such field here.';
      if (!isStorable(key)) return `body: ${UNSTORABLE}`;
      open.push(inner);
    }
  }
  return null;
}

/** A request's JSON object; an empty body counts as `{}`, since clients send a JSON content type without one. */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {};
  const { json, problem } = parseJson(bytes);
  if (problem !== undefined) throw invalid(`body: ${problem}. Send one JSON object.`);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw invalid('body: must be a JSON object.');
  const wrong = findUnfit(json);
  if (wrong !== null) throw invalid(wrong);
  return json;
}

/** Query parameters, form-encoded: the last one of a name counts, an empty one is none. */
export function queryOf(search: URLSearchParams): Record<string, string> {
  const out = new Map<string, string>();
  for (const [key, value] of search) {
    if (!isStorable(key) || !isStorable(value)) throw invalid(`${key.slice(0, 60)}: ${UNSTORABLE}`);
    if (value === '') out.delete(key);
    else out.set(key, value);
  }
  return Object.fromEntries(out);
}
