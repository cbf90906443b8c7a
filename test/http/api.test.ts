import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { API_KEY, SECRETS, stripeEvent, TestApp } from '../support/app.ts';

interface Scenario {
  name: string;
  method: string;
  /** Words in braces stand for ids made before. */
  path: string;
  /** Text is sent as it stands. */
  body?: unknown;
  /** null: none at all. */
  key?: string | null;
  status: number;
  contains?: string[];
  absent?: string[];
}

const BIG = `{"name":"${'x'.repeat(1_048_600)}"}`;
const SECRET_SHAPED = 'whsec_inner space 0123456789abcdef';

const reads: Scenario[] = [
  { name: 'providers', method: 'GET', path: '/providers', status: 200, contains: ['"stripe"', '"setup"'] },
  { name: 'key', method: 'GET', path: '/api-key', status: 200, contains: ['"teamName":"Inlet"'] },
  { name: 'keys', method: 'GET', path: '/keys', status: 200, contains: ['{key}'], absent: ['"key"', '"hash"'] },
  { name: 'lists', method: 'GET', path: '/lists', status: 200, contains: ['{list}'] },
  { name: 'endpoints', method: 'GET', path: '/endpoints', status: 200, contains: ['{endpoint}', '"totalResults":1'] },
  { name: 'endpoint', method: 'GET', path: '/endpoints/{endpoint}', status: 200, absent: [SECRETS.stripe ?? ''] },
  { name: 'deliveries', method: 'GET', path: '/deliveries', status: 200, contains: ['{delivery}'] },
  { name: 'delivery', method: 'GET', path: '/deliveries/{delivery}', status: 200, contains: ['"payload":{'] },
  { name: 'contacts', method: 'GET', path: '/contacts', status: 200, contains: ['{contact}'] },
  { name: 'contact', method: 'GET', path: '/contacts/{contact}', status: 200, contains: ['"identities":[{'] },
  { name: 'activity', method: 'GET', path: '/contacts/{contact}/activity', status: 200, contains: ['{delivery}'] },
  { name: 'find', method: 'GET', path: '/contacts/find?email=ada@x.co', status: 200, contains: ['{contact}'] },
  { name: 'events', method: 'GET', path: '/events', status: 200, contains: ['"eventName":"signup"'] },
];

const bodies: Scenario[] = [
  ...['/endpoints', '/lists', '/keys'].flatMap((path): Scenario[] => [
    { name: 'missing field', method: 'POST', path, body: {}, status: 400, contains: ['"success":false'] },
    { name: 'no body', method: 'POST', path, status: 400 },
    { name: 'wrong type', method: 'POST', path, body: { name: 1, provider: 1 }, status: 400 },
    { name: 'body over 1 MiB', method: 'POST', path, body: BIG, status: 413 },
    { name: 'array', method: 'POST', path, body: '[]', status: 400, contains: ['JSON object'] },
    {
      name: 'deep array',
      method: 'POST',
      path,
      body: `{"name":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
      status: 400,
    },
    { name: 'not JSON', method: 'POST', path, body: '{"name":', status: 400, contains: ['body'] },
  ]),
  ...(
    [
      ['POST', '/endpoints', '"provider":"stripe"'],
      ['PATCH', '/endpoints/{endpoint}', '"name":"x"'],
      ['POST', '/endpoints/{endpoint}/secrets', '"secret":"whsec_0123456789abcdef0123456789"'],
      ['POST', '/endpoints/{endpoint}/test', '"type":"customer.created"'],
      ['POST', '/lists', '"name":"x"'],
      ['PATCH', '/lists/{list}', '"name":"x"'],
      ['POST', '/keys', '"name":"x"'],
      ['POST', '/deliveries/replay', '"status":"dead"'],
      ['POST', '/deliveries/{delivery}/replay', '"repeatEffects":false'],
    ] as const
  ).flatMap(([method, path, good]): Scenario[] => [
    { name: 'extra field', method, path, body: `{${good},"extra":1}`, status: 400, contains: ['extra'] },
    { name: '__proto__', method, path, body: `{${good},"__proto__":{"polluted":1}}`, status: 400 },
    { name: 'constructor', method, path, body: `{${good},"constructor":{"prototype":{}}}`, status: 400 },
  ]),
  ...(
    [
      ['settings', '{"__proto__":{"mode":"live"}}'],
      ['events', '{"__proto__":{"enabled":false}}'],
      ['events', '{"constructor":{"enabled":false}}'],
      ['events', '{"customer.created":{"__proto__":{"enabled":false}}}'],
      ['events', '{"customer.created":{"eventProperties":{"__proto__":"data.object.id"}}}'],
      ['events', '{"customer.created":{"contactProperties":{"__proto__":"data.object.id"}}}'],
    ] as const
  ).map(
    ([field, value]): Scenario => ({
      name: `prototype keys in ${field}: ${value}`,
      method: 'PATCH',
      path: '/endpoints/{endpoint}',
      body: `{"${field}":${value}}`,
      status: 400,
      contains: [/__proto__|constructor/.exec(value)?.[0] ?? ''],
    }),
  ),
  {
    name: 'unknown provider',
    method: 'POST',
    path: '/endpoints',
    body: { provider: 'github' },
    status: 400,
    contains: ['provider'],
  },
  {
    name: 'prototype as provider',
    method: 'POST',
    path: '/endpoints',
    body: { provider: 'constructor' },
    status: 400,
  },
  {
    name: 'short secret',
    method: 'POST',
    path: '/endpoints',
    body: { provider: 'stripe', secret: 'whsec_tooshort' },
    status: 400,
    contains: ['secret'],
    absent: ['whsec_tooshort'],
  },
  {
    name: 'white space inside a secret',
    method: 'POST',
    path: '/endpoints/{endpoint}/secrets',
    body: { secret: SECRET_SHAPED },
    status: 400,
    contains: ['secret'],
    absent: [SECRET_SHAPED, 'inner'],
  },
  {
    name: 'hours below zero',
    method: 'POST',
    path: '/endpoints/{endpoint}/secrets',
    body: { secret: 'whsec_0123456789abcdef0123456789', expireOthersInHours: -1 },
    status: 400,
    contains: ['expireOthersInHours'],
  },
  {
    name: 'test of an unknown type',
    method: 'POST',
    path: '/endpoints/{endpoint}/test',
    body: { type: 'user.created' },
    status: 400,
    contains: ['type'],
  },
  {
    name: 'bulk replay without filter',
    method: 'POST',
    path: '/deliveries/replay',
    body: { repeatEffects: true },
    status: 400,
    contains: ['filter'],
  },
  {
    name: 'bulk replay by a time that is none',
    method: 'POST',
    path: '/deliveries/replay',
    body: { since: 'soon' },
    status: 400,
    contains: ['since'],
  },
];

const queries: Scenario[] = [
  ...['/endpoints', '/deliveries', '/contacts', '/events', '/contacts/{contact}/activity'].flatMap(
    (path): Scenario[] => [
      ...['perPage=0', 'perPage=101', 'perPage=1.5', 'perPage=-1', 'perPage=x'].map(query => ({
        name: query,
        method: 'GET',
        path: `${path}?${query}`,
        status: 400,
        contains: ['perPage'],
      })),
      { name: 'most rows', method: 'GET', path: `${path}?perPage=100`, status: 200, contains: ['"perPage":100'] },
      { name: 'empty cursor', method: 'GET', path: `${path}?cursor=`, status: 200, contains: ['"perPage":20'] },
      { name: 'bad cursor', method: 'GET', path: `${path}?cursor=zzz`, status: 400, contains: ['cursor'] },
      { name: 'hostile cursor', method: 'GET', path: `${path}?cursor=%00%27--`, status: 400, contains: ['cursor'] },
      { name: 'unknown filter', method: 'GET', path: `${path}?nope=1`, status: 400, contains: ['nope'] },
      { name: 'prototype filter', method: 'GET', path: `${path}?__proto__=1`, status: 400 },
    ],
  ),
  { name: 'status that is none', method: 'GET', path: '/deliveries?status=none', status: 400, contains: ['status'] },
  { name: 'since that is none', method: 'GET', path: '/deliveries?since=soon', status: 400, contains: ['since'] },
  {
    name: 'subscribed maybe',
    method: 'GET',
    path: '/contacts?subscribed=maybe',
    status: 400,
    contains: ['subscribed'],
  },
  { name: 'find by nothing', method: 'GET', path: '/contacts/find', status: 400 },
  { name: 'find by both', method: 'GET', path: '/contacts/find?email=ada@x.co&userId=1', status: 400 },
];

const BOUND: [string, string, unknown?][] = [
  ['GET', '/endpoints/{id}'],
  ['PATCH', '/endpoints/{id}', { name: 'x' }],
  ['DELETE', '/endpoints/{id}'],
  ['POST', '/endpoints/{id}/secrets', { secret: 'whsec_0123456789abcdef0123456789' }],
  ['DELETE', '/endpoints/{endpoint}/secrets/{id}'],
  ['POST', '/endpoints/{id}/test', { type: 'customer.created' }],
  ['GET', '/deliveries/{id}'],
  ['POST', '/deliveries/{id}/replay', {}],
  ['GET', '/contacts/{id}'],
  ['GET', '/contacts/{id}/activity'],
  ['PATCH', '/lists/{id}', { name: 'x' }],
  ['DELETE', '/lists/{id}'],
  ['DELETE', '/keys/{id}'],
  ['DELETE', '/contacts/{id}'],
  ['DELETE', '/contacts/{id}?erase=true'],
  ['GET', '/imports/{id}'],
  ['GET', '/imports/{id}/report'],
  ['DELETE', '/imports/{id}'],
];
const unknownIds: Scenario[] = BOUND.flatMap(([method, path, body]) =>
  ['nobody', '__proto__', '%27%20or%201=1', `${'a'.repeat(65)}`].map(id => ({
    name: `id ${id.slice(0, 20)}`,
    method,
    path: path.replace('{id}', id),
    body,
    status: 404,
    contains: ['"success":false'],
  })),
);

/** Path of the application, methods it knows. */
const ALLOWED: Record<string, string[]> = {
  '/providers': ['GET'],
  '/endpoints': ['GET', 'POST'],
  '/endpoints/{endpoint}': ['DELETE', 'GET', 'PATCH'],
  '/endpoints/{endpoint}/secrets': ['POST'],
  '/endpoints/{endpoint}/secrets/{secret}': ['DELETE'],
  '/endpoints/{endpoint}/test': ['POST'],
  '/deliveries': ['GET'],
  '/deliveries/{delivery}': ['GET'],
  '/deliveries/{delivery}/replay': ['POST'],
  '/contacts': ['DELETE', 'GET'],
  '/contacts/{contact}': ['DELETE', 'GET'],
  '/contacts/export': ['GET'],
  '/contacts/import': ['POST'],
  '/imports': ['GET'],
  '/contacts/{contact}/activity': ['GET'],
  '/contacts/find': ['GET'],
  '/events': ['GET'],
  '/lists': ['GET', 'POST'],
  '/lists/{list}': ['DELETE', 'PATCH'],
  '/api-key': ['GET'],
  '/keys': ['GET', 'POST'],
  '/keys/{key}': ['DELETE'],
};
const keyless: Scenario[] = Object.entries(ALLOWED).flatMap(([path, methods]) =>
  methods.flatMap(method =>
    [null, 'wrong-key-0123456789abcdefghij'].map(key => ({
      name: key === null ? 'no key' : 'wrong key',
      method,
      path,
      key,
      status: 401,
      contains: ['"error":"Invalid API key"'],
      absent: ['wrong-key'],
    })),
  ),
);

describe('scenarios that change nothing', () => {
  let app: TestApp;
  const ids: Record<string, string> = {};
  const real = (text: string) => text.replace(/\{(\w+)\}/g, (all, name) => ids[name] ?? all);
  let peer = 0; // an address each: only so many wrong keys are answered per address

  beforeAll(async () => {
    app = await TestApp.open();
    ids.endpoint = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
    ids.secret = (await app.api('GET', `/endpoints/${ids.endpoint}`)).body.secrets[0].id;
    ids.list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
    ids.key = (await app.api('POST', '/keys', { name: 'one' })).body.id;
    const sent = await app.post(ids.endpoint, 'stripe', stripeEvent('customer.created', { email: 'ada@x.co' }));
    ids.delivery = sent.body.deliveryId;
    await app.drain();
    ids.contact = String((await app.contacts())[0]?.id);
  });
  afterAll(() => app.stop());

  test.each(
    [...reads, ...bodies, ...queries, ...unknownIds, ...keyless].map(
      each => [`${each.method} ${each.path}: ${each.name} → ${each.status}`, each] as const,
    ),
  )('%s', async (_, { method, path, body, key = API_KEY, status, contains = [], absent = [] }) => {
    const response = await app.app.fetch(
      new Request(`http://localhost/api/v1${real(path)}`, {
        method,
        headers: key === null ? {} : { authorization: `Bearer ${key}` },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
      `10.1.${peer >> 8}.${peer++ & 255}`,
    );
    const text = await response.text();
    expect({ status: response.status, text }).toEqual({ status, text });
    for (const word of contains) expect(text).toContain(real(word));
    for (const word of absent) expect(text).not.toContain(word);
    if (status >= 400) {
      const { message } = JSON.parse(text);
      expect(message.length).toBeGreaterThan(5);
      expect(message).not.toMatch(/SQL|node_modules|\n {4}at |\[object/);
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test('any other method is a 405 that names the right ones', async () => {
    for (const [path, methods] of Object.entries(ALLOWED)) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        if (methods.includes(method)) continue;
        const answer = await app.api(method, real(path), method === 'GET' ? undefined : {});
        const allow = answer.headers.get('allow')?.split(', ').sort();
        expect({ method, path, status: answer.status, allow }).toEqual({ method, path, status: 405, allow: methods });
      }
    }
  });

  test('and indeed nothing changed', async () => {
    const totals = [];
    for (const path of ['/endpoints', '/deliveries', '/contacts', '/events'])
      totals.push((await app.api('GET', path)).body.pagination.totalResults);
    expect(totals).toEqual([1, 1, 1, 1]);
    expect((await app.api('GET', '/lists')).body).toMatchObject([{ name: 'News' }]);
    expect((await app.api('GET', '/keys')).body).toHaveLength(1);
    expect((await app.api('GET', `/endpoints/${ids.endpoint}`)).body).toMatchObject({
      name: 'Stripe',
      settings: { mode: 'any' },
      secrets: [{ id: ids.secret }],
    });
  });
});

describe('changes', () => {
  let app: TestApp;
  beforeEach(async () => {
    app = await TestApp.open();
  });
  afterEach(() => app.stop());

  test('an endpoint is renamed, paused, resumed and removed; its deliveries stay in the log', async () => {
    const id = await app.endpoint('stripe');
    expect((await app.api('PATCH', `/endpoints/${id}`, { name: 'Shop', paused: true })).body).toMatchObject({
      name: 'Shop',
      state: 'paused',
    });
    await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'later@x.co' }));
    await app.drain();
    expect(await app.contacts()).toEqual([]);
    await app.api('PATCH', `/endpoints/${id}`, { paused: false });
    await app.drain();
    expect(await app.contacts()).toMatchObject([{ email: 'later@x.co' }]);
    expect((await app.api('DELETE', `/endpoints/${id}`)).body).toEqual({ success: true });
    expect((await app.api('GET', `/endpoints/${id}`)).status).toBe(404);
    expect((await app.post(id, 'stripe', stripeEvent('customer.created'))).status).toBe(404);
    expect((await app.api('GET', '/deliveries')).body.pagination.totalResults).toBe(1);
  });

  test('a second secret stands beside the first until that expires; one can be removed', async () => {
    app.time = Date.now();
    const id = await app.endpoint('stripe');
    const second = 'whsec_second0123456789abcdef0123456789';
    const added = await app.api('POST', `/endpoints/${id}/secrets`, { secret: second, expireOthersInHours: 2 });
    expect(added.status).toBe(201);
    expect(JSON.stringify(added.body)).not.toContain(second);
    const expiries = added.body.secrets.map((each: { expiresAt: string | null }) => each.expiresAt);
    expect(expiries.toSorted()).toEqual([new Date(app.time + 7_200_000).toISOString(), null].toSorted());
    const send = async (secret?: string) =>
      (await app.post(id, 'stripe', stripeEvent('customer.created'), secret ? { secret } : {})).status;
    expect([await send(), await send(second)]).toEqual([200, 200]);
    app.time += 7_200_001;
    expect([await send(), await send(second)]).toEqual([401, 200]);
    const left = added.body.secrets.find((each: { expiresAt: string | null }) => each.expiresAt === null);
    await app.api('DELETE', `/endpoints/${id}/secrets/${left.id}`);
    expect(await send(second)).toBe(401);
  });

  test('a test needs a secret', async () => {
    const { id } = (await app.api('POST', '/endpoints', { provider: 'stripe' })).body;
    const answer = await app.api('POST', `/endpoints/${id}/test`, { type: 'customer.created' });
    expect(answer).toMatchObject({ status: 409, body: { success: false } });
    expect(answer.body.message).toContain('secret');
  });

  test('a list is made, changed in part and removed', async () => {
    const made = await app.api('POST', '/lists', { name: ' News ', description: 'Monthly', isPublic: true });
    expect(made.status).toBe(201);
    const { id } = made.body;
    expect(made.body).toEqual({ id, name: 'News', description: 'Monthly', isPublic: true });
    expect((await app.api('PATCH', `/lists/${id}`, { description: null })).body).toEqual({
      id,
      name: 'News',
      description: null,
      isPublic: true,
    });
    const endpoint = await app.endpoint('stripe', { events: { 'customer.created': { mailingLists: [id] } } });
    expect((await app.api('DELETE', `/lists/${id}`)).status).toBe(409);
    await app.api('DELETE', `/endpoints/${endpoint}`);
    expect((await app.api('DELETE', `/lists/${id}`)).body).toEqual({ success: true });
    expect((await app.api('GET', '/lists')).body).toEqual([]);
  });

  test('filters of the log choose, together and alone', async () => {
    const stripe = await app.endpoint('stripe');
    const clerk = await app.endpoint('clerk');
    await app.post(stripe, 'stripe', stripeEvent('customer.created', { email: 'one@x.co' }));
    await app.post(stripe, 'stripe', stripeEvent('no.such.type'));
    await app.post(stripe, 'stripe', stripeEvent('customer.created'), { secret: 'whsec_nobody_0123456789abcdef' });
    await app.api('POST', `/endpoints/${clerk}/test`, { type: 'user.created', email: 'two@x.co' });
    await app.drain();
    const found = async (query: string) => (await app.api('GET', `/deliveries?${query}`)).body.pagination.totalResults;
    const contact = (await app.api('GET', '/contacts/find?email=one@x.co')).body[0].id;
    const hour = (hours: number) => encodeURIComponent(new Date(Date.now() + hours * 3_600_000).toISOString());
    const expected: [string, number][] = [
      ['', 4],
      [`endpointId=${stripe}`, 3],
      [`endpointId=${clerk}`, 1],
      ['endpointId=ep_none', 0],
      ['status=processed', 2],
      ['status=ignored', 1],
      ['status=rejected', 1],
      ['type=user.created', 1],
      ['email=TWO@x.co', 1],
      ['email=nobody@x.co', 0],
      [`contactId=${contact}`, 1],
      [`since=${hour(-1)}`, 4],
      [`since=${hour(1)}`, 0],
      [`until=${hour(-1)}`, 0],
      [`endpointId=${stripe}&status=processed&type=customer.created&since=${hour(-1)}`, 1],
    ];
    const got: [string, number][] = [];
    for (const [query] of expected) got.push([query, await found(query)]);
    expect(got).toEqual(expected);
    const next = (await app.api('GET', `/deliveries?endpointId=${stripe}&perPage=2`)).body.pagination.nextPage;
    const second = (await app.fetch(new URL(next).href.slice(new URL(next).origin.length), {
      headers: { authorization: `Bearer ${API_KEY}` },
    })) as { body: { data: { endpointId: string }[] } };
    expect(second.body.data.map(each => each.endpointId)).toEqual([stripe]);
  });

  test('a replay applies with the settings of today, and each event happens once unless it is to be repeated', async () => {
    const id = await app.endpoint('stripe');
    const { deliveryId } = (await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'r@x.co' }))).body;
    await app.drain();
    const events = async () => (await app.api('GET', '/events?email=r@x.co')).body.pagination.totalResults;
    expect(await events()).toBe(0);
    await app.api('PATCH', `/endpoints/${id}`, { events: { 'customer.created': { triggerEvent: 'signup' } } });
    const counts = [];
    for (const body of [{}, {}, { repeatEffects: true }]) {
      expect((await app.api('POST', `/deliveries/${deliveryId}/replay`, body)).body).toEqual({ replayed: 1 });
      await app.drain();
      counts.push(await events());
    }
    expect(counts).toEqual([1, 1, 2]);
    expect((await app.api('POST', '/deliveries/replay', { email: 'r@x.co' })).body).toEqual({ replayed: 1 });
    await app.drain();
    expect(await events()).toBe(2);
  });

  test('contacts are filtered by how the address begins, list, group, source and subscription', async () => {
    const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
    const set = { mailingLists: [list], userGroup: 'Customers' };
    const stripe = await app.endpoint('stripe', { events: { 'customer.created': set } });
    const clerk = await app.endpoint('clerk');
    await app.post(stripe, 'stripe', stripeEvent('customer.created', { email: 'anna@x.co' }));
    await app.api('POST', `/endpoints/${clerk}/test`, { type: 'user.created', email: 'anton@x.co' });
    await app.drain();
    const expected: [string, string[]][] = [
      ['q=an', ['anton@x.co', 'anna@x.co']],
      ['q=ANN', ['anna@x.co']],
      ['q=%25', []],
      ['q=a_n', []],
      [`listId=${list}`, ['anna@x.co']],
      ['listId=list_none', []],
      ['userGroup=Customers', ['anna@x.co']],
      ['source=Clerk%20webhook', ['anton@x.co']],
      ['subscribed=true', ['anton@x.co', 'anna@x.co']],
      ['subscribed=false', []],
      ['subscribed=true&userGroup=Customers', ['anna@x.co']],
    ];
    const got: [string, string[]][] = [];
    for (const [query] of expected) {
      const { data } = (await app.api('GET', `/contacts?${query}`)).body;
      got.push([query, data.map((each: { email: string }) => each.email)]);
    }
    expect(got).toEqual(expected);
  });
});
