// databases: sqlite
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { suppress } from '../../src/audience/suppressions.ts';
import { jobs } from '../../src/db/schema.ts';
import { healthRoute, listApiRoutes } from '../../src/http/v1/index.ts';
import { enqueue } from '../../src/jobs/queue.ts';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, stripeEvent, TestApp } from '../support/app.ts';

interface Schema {
  type?: string;
  nullable?: boolean;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  enum?: unknown[];
}
interface Operation {
  summary?: string;
  tags?: string[];
  requestBody?: { content: Record<string, { schema: unknown; example?: unknown }> };
  responses: Record<string, { content?: Record<string, { schema: Schema }> }>;
  parameters?: { in: string; name: string }[];
}
interface Document {
  tags: { name: string; description?: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: Record<string, unknown>;
}

let app: TestApp;
let doc: Document;
const ids: Record<string, string> = {};
beforeAll(async () => {
  app = await TestApp.open({ resolve: async () => [] }); // no call leaves this machine
  doc = (await app.fetch('/swagger/json')).body;
  ids.endpoints = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_documented' } });
  ids.backfills = (await app.api('POST', `/endpoints/${ids.endpoints}/backfill`, {})).body.id;
  await app.api('POST', `/backfills/${ids.backfills}/cancel`);
  ids.lists = (await app.api('POST', '/lists', { name: 'l' })).body.id;
  ids.keys = (await app.api('POST', '/keys', { name: 'k' })).body.id;
  ids.sessions = (await app.api('POST', '/session', { key: API_KEY })).body.id;
  ids.recipes = 'welcome';
  const subscription = (await app.api('POST', '/webhook-subscriptions', { url: 'https://example.com/' })).body;
  ids['webhook-subscriptions'] = subscription.id;
  ids['webhook-calls'] = (await app.api('POST', `/webhook-subscriptions/${subscription.id}/test`)).body.id;
  ids.deliveries = (
    await app.post(ids.endpoints, 'stripe', stripeEvent('customer.created', { email: 'doc@x.co' }))
  ).body.deliveryId;
  ids['email-messages'] = (await app.api('POST', '/email-messages', { subject: 's', html: 'h' })).body.id;
  ids.mails = (
    await app.api('POST', `/email-messages/${ids['email-messages']}/preview`, { emails: ['a@x.co'] })
  ).body.id;
  const transactional = (await app.api('POST', '/transactional-emails', { name: 't' })).body;
  ids['transactional-emails'] = transactional.id;
  const draft = `/email-messages/${transactional.draftEmailMessageId}`;
  await app.api('POST', draft, { subject: 's', html: '{{ data.confirmationUrl }}' });
  ids.workflows = (await app.api('POST', '/workflows', { name: 'w' })).body.id;
  const root = { trigger: { typeName: 'EventTrigger', eventName: 'go', reEligible: true, nextNodeIds: ['x'] } };
  const graph = { rootNodeId: 'trigger', nodes: { ...root, x: { typeName: 'ExitAction', nextNodeIds: [] } } };
  const listening = (await app.api('POST', '/workflows', { name: 'r' })).body.id;
  await app.api('PUT', `/workflows/${listening}/graph`, { expectedRevisionId: null, ...graph });
  await app.api('POST', `/workflows/${listening}/start`);
  await app.api('POST', '/events/send', { email: 'doc@x.co', eventName: 'go' });
  await app.drain();
  ids.runs = (await app.api('GET', `/workflows/${listening}/runs`)).body.data[0].id;
  ids.imports = (await app.upload('/contacts/import', 'email\r\nimported@x.co\r\nnone\r\n')).body.id;
  ids.contacts = String((await app.contacts())[0]?.id);
  await app.api('POST', '/events/send', { email: 'doc@x.co', eventName: 'doc' });
  ids['event-patterns'] = (await app.api('GET', '/event-patterns/by-name/doc')).body.id;
  await app.app.ctx.store.write(async tx => {
    await enqueue(tx, 'workflows.release', { workflowId: 'none' }, 0);
    const [job] = await tx.update(jobs).set({ status: 'dead' }).where(eq(jobs.kind, 'workflows.release')).returning();
    ids.jobs = job?.id ?? '';
  });
  await app.app.ctx.store.write(tx => suppress(tx, 'doc@x.co', 'manual', 0));
});
afterAll(() => app.stop());

/** What is wrong with a value by the part of JSON Schema that our document uses; one line each, with its path. */
function problems(schema: Schema, value: unknown, at = '$'): string[] {
  if (value === null && schema.nullable) return [];
  for (const choice of [schema.anyOf, schema.oneOf])
    if (choice && !choice.some(each => problems(each, value, at).length === 0)) return [`${at} fits no choice`];
  const found = (schema.allOf ?? []).flatMap(each => problems(each, value, at));
  if (schema.enum && !schema.enum.includes(value)) found.push(`${at} is not one of ${schema.enum}`);
  if (schema.type === 'array') {
    if (!Array.isArray(value)) return [...found, `${at} is no array`];
    return [...found, ...value.flatMap((each, i) => problems(schema.items ?? {}, each, `${at}[${i}]`))];
  }
  if (schema.type === 'object') {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return [...found, `${at} is no object`];
    const { properties = {}, required = [], additionalProperties: more = true } = schema;
    for (const key of required) if (!Object.hasOwn(value, key)) found.push(`${at}.${key} is missing`);
    for (const [key, inner] of Object.entries(value)) {
      const known = Object.hasOwn(properties, key) ? properties[key] : more;
      if (known === false) found.push(`${at}.${key} is not documented`);
      else if (typeof known === 'object') found.push(...problems(known, inner, `${at}.${key}`));
    }
    return found;
  }
  const type = schema.type === 'integer' ? 'number' : schema.type;
  if (type !== undefined && typeof value !== type) found.push(`${at} is ${typeof value}, not ${type}`);
  return found;
}

test('the check of answers sees what is wrong', () => {
  const schema: Schema = {
    type: 'object',
    required: ['a'],
    properties: { a: { type: 'array', items: { type: 'string', nullable: true } } },
    additionalProperties: false,
  };
  expect(problems(schema, { a: ['x', null] })).toEqual([]);
  expect(problems(schema, {})).toEqual(['$.a is missing']);
  expect(problems(schema, { a: [1], b: 1 })).toEqual(['$.a[0] is number, not string', '$.b is not documented']);
  expect(problems(schema, [])).toEqual(['$ is no object']);
});

test('the document holds exactly the routes there are', () => {
  const routes = [
    ...listApiRoutes(
      async () => new Response(),
      () => {},
      async () => new Response(),
    ),
    healthRoute,
  ];
  const real = routes.map(({ method, path }) => `${method} ${path.replace(/:([a-zA-Z]+)/g, '{$1}')}`);
  const shown = operations().map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  expect(shown.sort()).toEqual([...real, 'POST /webhooks/{endpointId}'].sort());
  for (const route of routes) {
    const operation = doc.paths[route.path.replace(/:([a-zA-Z]+)/g, '{$1}')]?.[route.method.toLowerCase()];
    expect(Object.keys(operation?.responses ?? {})).toEqual(
      expect.arrayContaining(
        [route.status, ...(route.errors ?? []), ...(route.body ? [400, 413, 415] : [])].map(String),
      ),
    );
  }
});

const operations = () =>
  Object.entries(doc.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

test('every tag says what it is about', () => {
  const used = new Set(operations().flatMap(({ operation }) => operation.tags ?? []));
  const described = doc.tags.filter(({ description }) => description).map(({ name }) => name);
  expect(described.toSorted()).toEqual([...used].toSorted());
});

test('every route has a summary, a tag, answers with a schema and its errors', () => {
  expect(operations().length).toBeGreaterThan(25);
  for (const { path, method, operation } of operations()) {
    const where = `${method} ${path}`;
    expect({ where, summary: typeof operation.summary, tags: operation.tags?.length }).toEqual({
      where,
      summary: 'string',
      tags: 1,
    });
    const statuses = Object.keys(operation.responses);
    const good = statuses.find(status => status.startsWith('2')) ?? '';
    const answers = operation.responses[good]?.content ?? {};
    const answer = answers['application/json'] ?? answers['text/csv'] ?? answers['text/event-stream'];
    expect({ where, schema: typeof answer?.schema }).toEqual({
      where,
      schema: 'object',
    });
    if (path.startsWith('/api/')) expect(statuses).toContain('401');
    for (const name of path.match(/(?<=\{)\w+/g) ?? [])
      expect(operation.parameters?.some(p => p.in === 'path' && p.name === name)).toBe(true);
    const bodies = operation.requestBody?.content;
    if (bodies)
      expect({ where, example: (bodies['application/json'] ?? bodies['text/csv'])?.example !== undefined }).toEqual({
        where,
        example: true,
      });
  }
  for (const [, ref = ''] of JSON.stringify(doc).matchAll(/"\$ref":"([^"]+)"/g)) {
    const at = ref.replace(/^#\//, '').split('/');
    // biome-ignore lint/suspicious/noExplicitAny: any place in the document may be pointed at
    expect({ ref, found: at.reduce<any>((node, key) => node?.[key], doc) !== undefined }).toEqual({ ref, found: true });
  }
});

test('every example runs unedited, and every answer is as its schema says', async () => {
  const order = ['put', 'get', 'post', 'patch', 'delete'];
  const turns = ['start', 'pause', 'resume', 'stop']; // of a workflow, in this order and after the rest
  const turn = (path: string) => turns.indexOf(path.split('/').at(-1) ?? '');
  const sorted = operations().sort(
    (a, b) =>
      order.indexOf(a.method) - order.indexOf(b.method) || turn(a.path) - turn(b.path) || b.path.length - a.path.length,
  );
  for (const { path, method, operation } of sorted) {
    if (path.startsWith('/webhooks') || path === '/swagger/json') continue;
    if (method === 'post' && path === '/api/v1/session') continue; // its example can not hold a key that is valid here
    let real = path;
    if (path.includes('{secretId}')) {
      const endpoint = (await app.api('GET', `/endpoints/${ids.endpoints}`)).body;
      real = real.replace('{secretId}', endpoint.secrets.at(-1).id);
    }
    if (/\/(find|suppression)$/.test(path)) real += '?email=doc@x.co';
    if (method === 'delete' && path === '/api/v1/contacts') real += '?email=doc@x.co&erase=true';
    real = real.replace('{eventName}', 'doc').replace('{propertyKey}', 'companySize');
    const resource = /\/api\/v1\/([\w-]+)/.exec(path)?.[1] ?? '';
    real = real.replace('{id}', ids[resource] ?? '').replace('{nodeId}', 'trigger');
    const body = operation.requestBody?.content['application/json']?.example as Record<string, unknown> | undefined;
    const csv = operation.requestBody?.content['text/csv']?.example as string | undefined;
    const answer = csv
      ? await app.upload(real.slice(7), csv)
      : path.startsWith('/api/v1')
        ? await app.api(method.toUpperCase(), real.slice(7), body)
        : await app.fetch(real);
    const where = `${method} ${path}`;
    const documented = operation.responses[String(answer.status)];
    expect({ where, status: answer.status, known: documented !== undefined, ok: answer.status < 300 }).toEqual({
      where,
      status: answer.status,
      known: true,
      ok: true,
    });
    if (answer.status === 204) {
      expect(answer.body).toBe('');
      continue;
    }
    if (documented?.content?.['text/csv']) {
      expect({ where, csv: String(answer.body).split(',')[0] }).toMatchObject({
        where,
        csv: /report/.test(path) ? 'row' : 'id',
      });
      continue;
    }
    const schema = documented?.content?.['application/json']?.schema ?? {};
    expect({ where, problems: problems(schema, answer.body) }).toEqual({ where, problems: [] });
  }
});

test('the webhook in the document is the real one', async () => {
  const id = await app.endpoint('clerk');
  const body = JSON.stringify(findProvider('clerk')?.sample('user.created', 'a@x.co', Date.now()));
  const answer = await app.post(id, 'clerk', body);
  for (const key of ['success', 'result', 'message', 'deliveryId']) expect(Object.keys(answer.body)).toContain(key);
});
