import { afterAll, beforeAll, expect, test } from 'bun:test';
import { providerById } from '../../src/providers/index.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

interface Operation {
  summary?: string;
  tags?: string[];
  requestBody?: { content: Record<string, { schema: unknown; example?: unknown }> };
  responses: Record<string, { content?: Record<string, { schema: { required?: string[] } }> }>;
  parameters?: { in: string; name: string }[];
}
type Document = { paths: Record<string, Record<string, Operation>>; components: Record<string, unknown> };

let app: TestApp;
let doc: Document;
const ids: Record<string, string> = {};
beforeAll(async () => {
  app = await TestApp.open();
  doc = (await app.fetch('/swagger/json')).body;
  ids.endpoints = await app.endpoint('stripe');
  ids.lists = (await app.api('POST', '/lists', { name: 'l' })).body.id;
  ids.keys = (await app.api('POST', '/keys', { name: 'k' })).body.id;
  ids.deliveries = (
    await app.post(ids.endpoints, 'stripe', stripeEvent('customer.created', { email: 'doc@x.co' }))
  ).body.deliveryId;
  await app.drain();
  ids.contacts = String((await app.contacts())[0]?.id);
});
afterAll(() => app.stop());

const operations = () =>
  Object.entries(doc.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );

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
    expect({ where, schema: typeof operation.responses[good]?.content?.['application/json']?.schema }).toEqual({
      where,
      schema: 'object',
    });
    if (path.startsWith('/api/')) expect(statuses).toContain('401');
    for (const name of path.match(/(?<=\{)\w+/g) ?? [])
      expect(operation.parameters?.some(p => p.in === 'path' && p.name === name)).toBe(true);
    if (operation.requestBody)
      expect({ where, example: operation.requestBody.content['application/json']?.example !== undefined }).toEqual({
        where,
        example: true,
      });
  }
  for (const ref of JSON.stringify(doc).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g))
    expect(Object.keys(doc.components.schemas ?? {})).toContain(ref[1] ?? '');
});

test('every example runs unedited, and every answer has what its schema requires', async () => {
  const order = ['get', 'post', 'patch', 'delete'];
  const sorted = operations().sort(
    (a, b) => order.indexOf(a.method) - order.indexOf(b.method) || b.path.length - a.path.length,
  );
  for (const { path, method, operation } of sorted) {
    if (path.startsWith('/webhooks') || path === '/swagger/json') continue;
    let real = path;
    if (path.includes('{secretId}')) {
      const endpoint = (await app.api('GET', `/endpoints/${ids.endpoints}`)).body;
      real = real.replace('{secretId}', endpoint.secrets.at(-1).id);
    }
    if (path.endsWith('/find')) real += '?email=doc@x.co';
    const resource = /\/api\/v1\/(\w+)/.exec(path)?.[1] ?? '';
    real = real.replace('{id}', ids[resource] ?? '');
    const body = operation.requestBody?.content['application/json']?.example;
    const answer = path.startsWith('/api/v1')
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
    const required = documented?.content?.['application/json']?.schema.required ?? [];
    expect({ where, missing: required.filter(key => !Object.hasOwn(answer.body, key)) }).toEqual({
      where,
      missing: [],
    });
  }
});

test('the webhook in the document is the real one', async () => {
  const id = await app.endpoint('clerk');
  const body = JSON.stringify(providerById('clerk')?.sample('user.created', 'a@x.co', Date.now()));
  const answer = await app.post(id, 'clerk', body);
  for (const key of ['success', 'result', 'message', 'deliveryId']) expect(Object.keys(answer.body)).toContain(key);
});
