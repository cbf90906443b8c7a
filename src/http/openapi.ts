import { swagger } from '@elysiajs/swagger';
import { z } from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import type { Route } from './route.ts';
import { tested } from './v1/examples.ts';

type JsonSchema = Record<string, unknown>;

/** The schema as OpenAPI 3.0 has it; transforms show what goes in. */
function describeSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    target: 'openapi-3.0',
  }) as JsonSchema;
  return rest;
}

const describeContent = (schema: JsonSchema, example?: unknown) => ({
  'application/json': { schema, ...(example !== undefined && { example }) },
});

const describeCsv = (example: unknown) => ({ 'text/csv': { schema: { type: 'string', format: 'binary' }, example } });

const failureSchema = {
  type: 'object',
  required: ['success', 'message'],
  properties: {
    success: { type: 'boolean', enum: [false] },
    message: { type: 'string', description: 'What went wrong and what to do next' },
  },
};
const FAILURES: Record<number, string> = {
  400: 'A field is missing, unknown or of the wrong form; the message names it',
  401: 'Invalid API key, or a session that has ended',
  403: 'The key or session may only read, or a request by cookie came from another page',
  404: 'No such thing',
  409: 'Not possible in its present state; the message says why',
  413: 'The body is too large',
  415: 'The body is compressed',
  429: 'Too many requests',
  503: 'The database is not writable now; see Retry-After',
};
const describeFailures = (statuses: number[]) =>
  Object.fromEntries(
    statuses.map(status => [
      String(status),
      {
        description: FAILURES[status] ?? 'Failure',
        content: describeContent(failureSchema, { success: false, message: FAILURES[status] ?? 'Failure' }),
      },
    ]),
  );

function queryParameters(query: z.ZodType | null) {
  if (!query) return [];
  const { properties = {}, required = [] } = describeSchema(query, 'input') as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    in: 'query',
    name,
    required: required.includes(name),
    ...(typeof description === 'string' && { description }),
    schema,
  }));
}

const describePathParameters = (path: string) =>
  [...path.matchAll(/:([a-zA-Z]+)/g)].map(([, name]) => ({
    in: 'path',
    name,
    required: true,
    schema: { type: 'string' },
  }));

const idempotencyKey = {
  in: 'header',
  name: 'Idempotency-Key',
  required: false,
  description: 'Used again within 24 hours it is a 409, and nothing happens',
  schema: { type: 'string', maxLength: 100 },
};

/** What the documentation says of a route, all of it from the schemas that check its calls. */
export function describeRoute(route: Route): JsonSchema {
  const open = !route.path.startsWith('/api/');
  const answer = route.stream
    ? { 'text/event-stream': { schema: { type: 'string' as const }, example: route.answer } }
    : route.download
      ? describeCsv(route.answer)
      : describeContent(describeSchema(route.response, 'output'), route.answer);
  const done = { description: 'Done', content: answer };
  const statuses = [
    ...(open ? [] : [401, 429]),
    ...(route.scope === 'all' && !open ? [403] : []),
    ...(route.errors ?? []),
    ...(route.body || route.upload ? [400, 413, 415] : []),
    ...(route.query ? [400] : []),
    503,
  ];
  return {
    summary: route.summary,
    tags: [route.tag],
    ...(route.description && { description: route.description }),
    ...(!open && { security: route.scope === 'open' ? [] : [{ bearer: [] }] }),
    parameters: [
      ...describePathParameters(route.path),
      ...queryParameters(route.query),
      ...(route.idempotent ? [idempotencyKey] : []),
    ],
    ...(route.body && {
      requestBody: { required: true, content: describeContent(describeSchema(route.body, 'input'), route.example) },
    }),
    ...(route.upload && { requestBody: { required: true, content: describeCsv(route.example) } }),
    responses: { [String(route.status)]: done, ...describeFailures([...new Set(statuses)].sort()) },
  };
}

const answerSchema = {
  type: 'object',
  required: ['success', 'result', 'message', 'deliveryId'],
  properties: {
    success: { type: 'boolean' },
    result: { type: 'string', enum: ['accepted', 'duplicate', 'ignored'] },
    message: { type: 'string' },
    deliveryId: { type: 'string' },
  },
};

const webhookPath = {
  post: {
    operationId: 'receiveWebhook',
    summary: 'Receive a webhook',
    tags: ['Webhooks'],
    description:
      "For providers: their signature is the proof. The URL to paste into a provider is the endpoint's `url`.",
    parameters: [{ in: 'path' as const, name: 'endpointId', required: true, schema: { type: 'string' as const } }],
    requestBody: {
      required: true,
      content: { 'application/json': { schema: { type: 'object' as const }, example: { type: 'customer.created' } } },
    },
    responses: {
      '200': { description: 'Verified and on disk', content: describeContent(answerSchema, tested.body) },
      ...describeFailures([401, 404, 413, 415, 503]),
    },
  },
};

const TAGS = [
  { name: 'Endpoints', description: 'A URL for one provider account: settings, secrets, what each event type does' },
  { name: 'Back-fills', description: 'Reading the people a provider has already, and finding what webhooks missed' },
  { name: 'Deliveries', description: 'The webhook log: what arrived, what it did, why it was refused; replay' },
  { name: 'Contacts', description: 'The audience' },
  { name: 'Import and export', description: 'CSV in and out, of any length' },
  { name: 'Lists', description: 'Mailing lists' },
  { name: 'Events', description: 'What happened to contacts' },
  { name: 'Keys', description: 'API keys, and sessions of the page' },
  { name: 'Webhooks', description: 'Where providers post to' },
  { name: 'Workflows', description: 'What follows from what happens to contacts: graphs, runs, counts' },
  { name: 'Email messages', description: 'What mails say, with variables' },
  { name: 'Transactional', description: 'Mails that your own product sends, by their id' },
  { name: 'Mails', description: 'Every mail to every recipient: queued, held, sent, bounced' },
  { name: 'Mail', description: 'How mail goes out: limits, pauses, and what is wrong with it' },
  { name: 'Outgoing webhooks', description: 'Where Inlet posts what happens, signed, and every call of it' },
  { name: 'Jobs', description: 'Work in the background that was given up, to be run again' },
  { name: 'Health', description: 'Is it well?' },
];

/** The plugin that collects the OpenAPI document at /swagger/json. */
export function collectDocument(publicUrl: string) {
  return swagger({
    path: '/swagger',
    excludeStaticFile: false,
    exclude: ['/swagger', '/swagger/json'],
    documentation: {
      info: {
        title: 'Inlet',
        version: packageJson.version,
        description:
          'Incoming webhooks of Stripe, Clerk, Supabase and Polar, turned into an audience. Press Authorize and paste an API key to try things.',
      },
      servers: [
        { url: '/', description: 'This server' },
        ...(publicUrl ? [{ url: publicUrl, description: 'Public address' }] : []),
      ],
      tags: TAGS,
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'An API key (inlet_…)' } },
      },
      paths: { '/webhooks/{endpointId}': webhookPath } as never, // the plugin's type knows no open schemas
    },
  });
}
