import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { isSuppressed, suppress } from '../../src/audience/suppressions.ts';
import { events, idempotencyKeys } from '../../src/db/schema.ts';
import { retain } from '../../src/history/retention.ts';
import { type Answer, API_KEY, stripeEvent, TestApp } from '../support/app.ts';

const LONG = 'x'.repeat(501);
const TOO_LONG = 'Some body key or value is longer than allowable';

/** One call and what it must answer; `{list}` stands for a list that exists. */
interface Scenario {
  name: string;
  call: [method: string, path: string, body?: unknown];
  status: number;
  contains?: string[];
  absent?: string[];
}

const person = { email: 'ada@x.co', userId: 'u1' };
const refused: Scenario[] = [
  { name: 'no address', call: ['POST', '/contacts/create', {}], status: 400, contains: ['"Invalid email address."'] },
  { name: 'no body', call: ['POST', '/contacts/create'], status: 400, contains: ['"Invalid email address."'] },
  { name: 'null address', call: ['POST', '/contacts/create', { email: null }], status: 400 },
  {
    name: 'bad address',
    call: ['POST', '/contacts/create', { email: 'no' }],
    status: 400,
    contains: ['"Invalid email address."'],
  },
  { name: 'number as address', call: ['POST', '/contacts/create', { email: 5 }], status: 400, contains: ['email: '] },
  {
    name: 'known address',
    call: ['POST', '/contacts/create', { email: 'ADA@x.co ' }],
    status: 409,
    contains: ['already on list'],
  },
  { name: 'known user id', call: ['POST', '/contacts/create', { email: 'new@x.co', userId: 'u1' }], status: 409 },
  {
    name: 'text as subscribed',
    call: ['PUT', '/contacts/update', { ...person, subscribed: 'yes' }],
    status: 400,
    contains: ['subscribed: '],
  },
  {
    name: 'number as name',
    call: ['PUT', '/contacts/update', { ...person, firstName: 5 }],
    status: 400,
    contains: ['firstName: '],
  },
  {
    name: 'object as property',
    call: ['PUT', '/contacts/update', { ...person, plan: { a: 1 } }],
    status: 400,
    contains: ['plan: must be text'],
  },
  {
    name: 'array as property',
    call: ['PUT', '/contacts/update', { ...person, plan: ['a'] }],
    status: 400,
    contains: ['plan: must be text'],
  },
  {
    name: 'text for a number',
    call: ['PUT', '/contacts/update', { ...person, seats: 'many' }],
    status: 400,
    contains: ['seats: must be a number'],
    absent: ['many'],
  },
  {
    name: 'long value',
    call: ['PUT', '/contacts/update', { ...person, plan: LONG }],
    status: 400,
    contains: [TOO_LONG],
  },
  { name: 'long key', call: ['PUT', '/contacts/update', { ...person, [LONG]: 1 }], status: 400, contains: [TOO_LONG] },
  {
    name: 'long name',
    call: ['PUT', '/contacts/update', { ...person, firstName: LONG }],
    status: 400,
    contains: [TOO_LONG],
  },
  {
    name: 'odd key',
    call: ['PUT', '/contacts/update', { ...person, 'a b': 1 }],
    status: 400,
    contains: ['a b: not the name of a property'],
  },
  {
    name: 'many properties',
    call: [
      'PUT',
      '/contacts/update',
      { ...person, ...Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`p${i}`, i])) },
    ],
    status: 400,
    contains: ['at most 100'],
  },
  {
    name: 'list that is none',
    call: ['PUT', '/contacts/update', { ...person, mailingLists: { list_no: true } }],
    status: 400,
    contains: ['mailingLists.list_no'],
  },
  {
    name: 'lists as text',
    call: ['PUT', '/contacts/update', { ...person, mailingLists: 'all' }],
    status: 400,
    contains: ['mailingLists: '],
  },
  {
    name: 'lists as full array',
    call: ['PUT', '/contacts/update', { ...person, mailingLists: ['{list}'] }],
    status: 400,
    contains: ['mailingLists: '],
  },
  {
    name: 'list not a boolean',
    call: ['PUT', '/contacts/update', { ...person, mailingLists: { '{list}': 'yes' } }],
    status: 400,
    contains: ['mailingLists'],
  },
  {
    name: 'nobody',
    call: ['PUT', '/contacts/update', { firstName: 'A' }],
    status: 400,
    contains: ['"An email or userId is required."'],
  },
  {
    name: 'unknown user id',
    call: ['PUT', '/contacts/update', { userId: 'nope' }],
    status: 400,
    contains: ['"Contact not found."'],
  },
  {
    name: 'two people',
    call: ['PUT', '/contacts/update', { email: 'bob@x.co', userId: 'u1' }],
    status: 400,
    contains: ['"Multiple contacts found for the given criteria"'],
  },
  {
    name: 'delete nobody',
    call: ['POST', '/contacts/delete', {}],
    status: 400,
    contains: ['"An email or userId is required."'],
  },
  { name: 'delete by both', call: ['POST', '/contacts/delete', person], status: 400, contains: ['exactly one'] },
  {
    name: 'delete unknown',
    call: ['POST', '/contacts/delete', { email: 'no@x.co' }],
    status: 404,
    contains: ['"Contact not found."'],
  },
  {
    name: 'delete bad address',
    call: ['POST', '/contacts/delete', { email: 'no' }],
    status: 400,
    contains: ['"Invalid email address."'],
  },
  { name: 'delete number', call: ['POST', '/contacts/delete', { email: 1 }], status: 400, contains: ['email: '] },
  {
    name: 'find nobody',
    call: ['GET', '/contacts/find'],
    status: 400,
    contains: ['"An email or userId is required."'],
  },
  { name: 'find both', call: ['GET', '/contacts/find?email=ada@x.co&userId=u1'], status: 400 },
  {
    name: 'find bad address',
    call: ['GET', '/contacts/find?email=ada'],
    status: 400,
    contains: ['"Invalid email address."'],
  },
  {
    name: 'find more',
    call: ['GET', '/contacts/find?email=ada@x.co&x=1'],
    status: 400,
    contains: ['x: no such field'],
  },
  {
    name: 'suppression of nobody',
    call: ['GET', '/contacts/suppression'],
    status: 400,
    contains: ['"An email or userId is required."'],
  },
  { name: 'suppression of both', call: ['GET', '/contacts/suppression?email=ada@x.co&userId=u1'], status: 400 },
  {
    name: 'suppression of unknown',
    call: ['GET', '/contacts/suppression?email=no@x.co'],
    status: 404,
    contains: ['"This contact was not found."'],
  },
  {
    name: 'suppression of bad address',
    call: ['GET', '/contacts/suppression?email=no'],
    status: 400,
    contains: ['"Invalid email address."'],
  },
  {
    name: 'lift none',
    call: ['DELETE', '/contacts/suppression?email=ada@x.co'],
    status: 400,
    contains: ['"This contact is not suppressed."'],
  },
  {
    name: 'lift of unknown',
    call: ['DELETE', '/contacts/suppression?userId=no'],
    status: 404,
    contains: ['"This contact was not found."'],
  },
  { name: 'properties of what', call: ['GET', '/contacts/properties?list=some'], status: 400, contains: ['list: '] },
  {
    name: 'property twice',
    call: ['POST', '/contacts/properties', { name: 'seats', type: 'number' }],
    status: 400,
    contains: ['"Property already exists."'],
  },
  {
    name: 'default property',
    call: ['POST', '/contacts/properties', { name: 'firstName', type: 'string' }],
    status: 400,
    contains: ['"Property already exists."'],
  },
  {
    name: 'reserved property',
    call: ['POST', '/contacts/properties', { name: 'teamId', type: 'string' }],
    status: 400,
    contains: ['name: '],
  },
  {
    name: 'property of no type',
    call: ['POST', '/contacts/properties', { name: 'a' }],
    status: 400,
    contains: ['type: '],
  },
  {
    name: 'property of odd type',
    call: ['POST', '/contacts/properties', { name: 'a', type: 'list' }],
    status: 400,
    contains: ['type: '],
  },
  {
    name: 'property with more',
    call: ['POST', '/contacts/properties', { name: 'a', type: 'date', x: 1 }],
    status: 400,
    contains: ['x: no such field'],
  },
  {
    name: 'event without name',
    call: ['POST', '/events/send', person],
    status: 400,
    contains: ['eventName: is required'],
  },
  {
    name: 'event with empty name',
    call: ['POST', '/events/send', { ...person, eventName: ' ' }],
    status: 400,
    contains: ['eventName'],
  },
  {
    name: 'event with a colon',
    call: ['POST', '/events/send', { ...person, eventName: 'a:b' }],
    status: 400,
    contains: ['eventName'],
  },
  {
    name: 'event with a long name',
    call: ['POST', '/events/send', { ...person, eventName: LONG }],
    status: 400,
    contains: [TOO_LONG],
  },
  {
    name: 'event of nobody',
    call: ['POST', '/events/send', { eventName: 'a' }],
    status: 400,
    contains: ['"An email or userId is required."'],
  },
  {
    name: 'event of unknown user',
    call: ['POST', '/events/send', { eventName: 'a', userId: 'no' }],
    status: 400,
    contains: ['"Contact not found."'],
  },
  {
    name: 'event of two people',
    call: ['POST', '/events/send', { eventName: 'a', userId: 'u1', email: 'bob@x.co' }],
    status: 400,
    contains: ['Multiple contacts found'],
  },
  {
    name: 'nested event property',
    call: ['POST', '/events/send', { ...person, eventName: 'a', eventProperties: { a: {} } }],
    status: 400,
    contains: ['eventProperties'],
  },
  {
    name: 'event properties as text',
    call: ['POST', '/events/send', { ...person, eventName: 'a', eventProperties: 'x' }],
    status: 400,
    contains: ['eventProperties'],
  },
  {
    name: 'event property twice',
    call: ['POST', '/events/send', { ...person, eventName: 'a', eventProperties: { a: 1, 'a ': 2 } }],
    status: 400,
    contains: ['unique'],
  },
  {
    name: 'long event property',
    call: ['POST', '/events/send', { ...person, eventName: 'a', eventProperties: { a: LONG } }],
    status: 400,
    contains: [TOO_LONG],
  },
  { name: 'pattern of unknown name', call: ['GET', '/event-patterns/by-name/none'], status: 404 },
  { name: 'pattern of unknown id', call: ['GET', '/event-patterns/evp_none'], status: 404 },
  {
    name: 'patterns from a bad cursor',
    call: ['GET', '/event-patterns?cursor=%21'],
    status: 400,
    contains: ['cursor'],
  },
];

const WRITES = [
  ['POST', '/contacts/create'],
  ['PUT', '/contacts/update'],
  ['POST', '/contacts/delete'],
  ['POST', '/contacts/properties'],
  ['POST', '/events/send'],
] as const;
const READS = [
  ['GET', '/contacts/suppression'],
  ['DELETE', '/contacts/suppression'],
  ['GET', '/contacts/properties'],
  ['GET', '/event-patterns'],
  ['GET', '/event-patterns/evp_1'],
  ['GET', '/event-patterns/by-name/a'],
  ['GET', '/dedicated-sending-ips'],
] as const;

/** Everything a call could have changed. */
async function state(app: TestApp) {
  const paths = ['/contacts?perPage=100', '/events', '/contacts/properties', '/event-patterns'];
  return JSON.stringify(await Promise.all(paths.map(async path => (await app.api('GET', path)).body)));
}

describe('what is refused changes nothing', () => {
  let app: TestApp;
  let list = '';
  const filled = <T>(value: T): T =>
    value === undefined ? value : (JSON.parse(JSON.stringify(value).replaceAll('{list}', list)) as T);
  const check = (answer: Answer, { status, contains = [], absent = [] }: Omit<Scenario, 'call' | 'name'>) => {
    const text = JSON.stringify(answer.body);
    expect({ status: answer.status, text }).toMatchObject({ status });
    expect(answer.headers.get('content-type')).toBe('application/json');
    if (status >= 400) expect(answer.body).toMatchObject({ success: false, message: expect.any(String) });
    for (const part of contains) expect(text).toContain(part);
    for (const part of absent) expect(text).not.toContain(part);
  };
  beforeAll(async () => {
    app = await TestApp.open();
    list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
    await app.api('POST', '/contacts/create', { ...person, seats: 5 });
    await app.api('POST', '/contacts/create', { email: 'bob@x.co' });
  });
  afterAll(() => app.stop());

  for (const { name, call, ...wanted } of refused) {
    test(`${call[0]} ${call[1].slice(0, 60)}: ${name}`, async () => {
      const before = await state(app);
      check(await app.api(call[0], call[1], filled(call[2])), wanted);
      expect(await state(app)).toBe(before);
    });
  }
  for (const [method, path] of WRITES) {
    test(`${method} ${path}: prototype keys, no JSON, an array, too large, compressed`, async () => {
      const before = await state(app);
      const send = (body: string, headers = {}) =>
        app.fetch(`/api/v1${path}`, {
          method,
          body,
          headers: { authorization: 'Bearer test-key-0123456789abcdefghij', ...headers },
        });
      const base = '"email":"proto@x.co","eventName":"a","name":"a","type":"string"';
      check(await send(`{${base},"__proto__":{"admin":true}}`), { status: 400, contains: ['__proto__'] });
      check(await send(`{${base},"eventProperties":{"__proto__":1}}`), { status: 400 });
      check(await send(`{${base}`), { status: 400, contains: ['body: '] });
      check(await send('[]'), { status: 400, contains: ['must be a JSON object'] });
      check(await send(`{"email":"${'x'.repeat(1_048_600)}"}`), { status: 413 });
      check(await send('{}', { 'content-encoding': 'gzip' }), { status: 415 });
      expect(await state(app)).toBe(before);
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
    });
  }
  for (const [method, path] of [...WRITES, ...READS]) {
    test(`${method} ${path}: no key, a wrong key, a wrong method`, async () => {
      const wrong = { contains: ['"message":"Invalid API key"', '"error":"Invalid API key"'], status: 401 };
      const of = (key?: string) =>
        app.app.fetch(
          new Request(`http://localhost/api/v1${path}`, {
            method,
            ...(key && { headers: { authorization: `Bearer ${key}` } }),
          }),
          path + method + key,
        );
      for (const key of [undefined, 'wrong-key-0123456789abcdefghij']) {
        const answer = await of(key);
        check({ status: answer.status, headers: answer.headers, body: await answer.json() }, wrong);
      }
      const patch = await app.api('PATCH', path, {});
      check(patch, { status: 405, contains: ['Method not allowed'] });
      expect(patch.headers.get('allow')).toContain(method);
    });
  }
  test('a GET of a path that only writes is a 405, not a contact of that name', async () => {
    for (const path of ['create', 'update', 'delete'])
      check(await app.api('GET', `/contacts/${path}`), { status: 405 });
  });
});

describe('what is accepted', () => {
  let app: TestApp;
  let list = '';
  const find = async (query: string) => (await app.api('GET', `/contacts/find?${query}`)).body;
  beforeEach(async () => {
    app = await TestApp.open();
    list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  });
  afterEach(() => app.stop());

  test('create, find: custom properties at top level, exactly Loops’ keys, numbers as numbers', async () => {
    const made = await app.api('POST', '/contacts/create', {
      email: ' Ada@X.co',
      userId: 'u 1/x',
      firstName: 'Ada',
      userGroup: 'VIP',
      mailingLists: { [list]: true },
      seats: 5,
      admin: false,
      planName: 'pro',
    });
    expect(made).toMatchObject({ status: 200, body: { success: true, id: expect.any(String) } });
    const contact = {
      id: made.body.id,
      email: 'ada@x.co',
      firstName: 'Ada',
      lastName: null,
      source: 'API',
      subscribed: true,
      userGroup: 'VIP',
      userId: 'u 1/x',
      mailingLists: { [list]: true },
      optInStatus: null,
      seats: 5,
      admin: false,
      planName: 'pro',
    };
    expect(await find('email=ada%40x.co')).toEqual([contact]);
    expect(await find('userId=u+1%2Fx')).toEqual([contact]);
    expect(await find('userId=u%201/x')).toEqual([contact]);
    expect(await find('email=nobody@x.co')).toEqual([]);
    const properties = (await app.api('GET', '/contacts/properties?list=custom')).body;
    expect(properties).toEqual(
      expect.arrayContaining([
        { key: 'admin', label: 'Admin', type: 'boolean' },
        { key: 'planName', label: 'Plan Name', type: 'string' },
        { key: 'seats', label: 'Seats', type: 'number' },
      ]),
    );
  });
  test('what PHP and Ruby send: nulls, empty texts, {} and [] are absent', async () => {
    const bare = { email: 'a@x.co', userId: null, firstName: null, mailingLists: [] };
    expect((await app.api('POST', '/contacts/create', bare)).status).toBe(200);
    expect((await app.api('PUT', '/contacts/update', { email: 'a@x.co', userId: '', mailingLists: {} })).status).toBe(
      200,
    );
    const event = { email: 'a@x.co', userId: null, eventName: 'e', eventProperties: [], mailingLists: [] };
    expect((await app.api('POST', '/events/send', event)).body).toEqual({ success: true });
    expect(await find('email=a@x.co')).toMatchObject([{ userId: null, mailingLists: {}, userGroup: '' }]);
  });
  test('what find answered may be sent back', async () => {
    await app.api('POST', '/contacts/create', { email: 'a@x.co', seats: 5, mailingLists: { [list]: true } });
    const [contact] = await find('email=a@x.co');
    expect((await app.api('PUT', '/contacts/update', { ...contact, firstName: 'A' })).body.id).toBe(contact.id);
    expect(await find('email=a@x.co')).toEqual([{ ...contact, firstName: 'A' }]);
  });
  test('update creates, changes an address by user id, clears by null, unsubscribes and subscribes again', async () => {
    const { id } = (await app.api('PUT', '/contacts/update', { email: 'a@x.co', userId: 'u1', plan: 'pro' })).body;
    const update = (body: unknown) => app.api('PUT', '/contacts/update', body);
    expect((await update({ email: 'b@x.co', userId: 'u1', plan: null })).body).toEqual({ success: true, id });
    expect((await find('userId=u1'))[0]).not.toHaveProperty('plan');
    expect((await find('userId=u1'))[0]).toMatchObject({ id, email: 'b@x.co', subscribed: true });
    await update({ userId: 'u1', subscribed: false });
    await update({ userId: 'u1', lastName: 'L', subscribed: null });
    expect(await find('userId=u1')).toMatchObject([{ subscribed: false, lastName: 'L' }]);
    await update({ userId: 'u1', subscribed: true });
    expect(await find('userId=u1')).toMatchObject([{ subscribed: true }]);
  });
  test('dates come in as ms, digits, a day or a time, and are shown in ISO 8601', async () => {
    await app.api('POST', '/contacts/properties', { name: 'trialEnd', type: 'date' });
    const shown = async (trialEnd: unknown) => {
      await app.api('PUT', '/contacts/update', { email: 'a@x.co', trialEnd });
      return (await find('email=a@x.co'))[0].trialEnd;
    };
    expect(await shown(1_735_689_600_000)).toBe('2025-01-01T00:00:00.000Z');
    expect(await shown('1735689600000')).toBe('2025-01-01T00:00:00.000Z');
    expect(await shown('2025-01-02')).toBe('2025-01-02T00:00:00.000Z');
    expect(await shown('2025-01-02 03:04')).toBe('2025-01-02T03:04:00.000Z');
    expect(await shown('2025-01-02T03:04:05.6+01:00')).toBe('2025-01-02T02:04:05.600Z');
    const refusal = await app.api('PUT', '/contacts/update', { email: 'a@x.co', trialEnd: 'soon' });
    expect(refusal).toMatchObject({ status: 400, body: { message: 'trialEnd: must be a date, as the property is.' } });
  });
  test('delete: gone, with its events kept; a later webhook about the same customer does not bring it back', async () => {
    const endpoint = await app.endpoint('stripe');
    const customer = { id: 'cus_gone', email: 'a@x.co' };
    await app.post(endpoint, 'stripe', stripeEvent('customer.created', customer));
    await app.drain();
    expect(await find('email=a@x.co')).toHaveLength(1);
    expect((await app.api('POST', '/contacts/delete', { email: 'a@x.co' })).body).toEqual({
      success: true,
      message: 'Contact deleted.',
    });
    await app.post(endpoint, 'stripe', stripeEvent('customer.updated', { ...customer, name: 'New Name' }));
    await app.drain();
    expect(await app.contacts()).toEqual([]);
    expect((await app.latest()).status).toBe('processed');
    expect((await app.api('POST', '/contacts/create', { email: 'a@x.co' })).status).toBe(200);
    expect(await find('email=a@x.co')).toMatchObject([{ firstName: null, source: 'API' }]);
  });
  test('events: contact, lists and properties in the same call; patterns know the name and its properties', async () => {
    const sent = await app.api('POST', '/events/send', {
      email: 'a@x.co',
      eventName: 'sign up/é',
      eventProperties: { plan: 'pro', seats: 2, paid: true, until: '2026-11-01T12:00:00Z', none: null },
      mailingLists: { [list]: true },
      firstName: 'Ada',
      company: 'X',
    });
    expect(sent.body).toEqual({ success: true });
    expect(await find('email=a@x.co')).toMatchObject([
      { firstName: 'Ada', company: 'X', mailingLists: { [list]: true }, source: 'API' },
    ]);
    expect((await app.api('GET', '/events')).body.data).toMatchObject([
      { eventName: 'sign up/é', deliveryId: null, eventProperties: { plan: 'pro', seats: 2, paid: true } },
    ]);
    const named = await app.api('GET', '/event-patterns/by-name/sign%20up%2F%C3%A9');
    expect(named.body).toEqual({
      id: expect.stringMatching(/^evp_[0-9a-f]{24}$/),
      eventName: 'sign up/é',
      incomingWebhookPlatform: null,
      eventProperties: [
        { name: 'paid', type: 'boolean' },
        { name: 'plan', type: 'string' },
        { name: 'seats', type: 'number' },
        { name: 'until', type: 'date' },
      ],
    });
    expect((await app.api('GET', `/event-patterns/${named.body.id}`)).body).toEqual(named.body);
  });
  test('event patterns: newest first, in pages, with the provider whose endpoint triggers them', async () => {
    await app.endpoint('stripe', {
      events: { 'customer.created': { triggerEvent: 'paid', eventProperties: { plan: 'data.object.id' } } },
    });
    for (const eventName of ['one', 'two', 'two'])
      await app.api('POST', '/events/send', { email: 'a@x.co', eventName });
    const first = (await app.api('GET', '/event-patterns?perPage=2&cursor=')).body;
    expect(first).toMatchObject({
      pagination: { totalResults: 3, returnedResults: 2, perPage: 2, totalPages: 2 },
      data: [
        { eventName: 'paid', incomingWebhookPlatform: 'stripe' },
        { eventName: 'two', incomingWebhookPlatform: null },
      ],
    });
    const rest = (await app.api('GET', `/event-patterns?perPage=2&cursor=${first.pagination.nextCursor}`)).body;
    expect(rest).toMatchObject({ pagination: { nextCursor: null, nextPage: null }, data: [{ eventName: 'one' }] });
    expect((await app.api('GET', '/event-patterns/by-name/paid')).body.eventProperties).toEqual([
      { name: 'plan', type: 'string' },
    ]);
  });
  test('a page of event patterns goes on after the pattern of its cursor, also when that one is gone', async () => {
    for (const eventName of ['one', 'two', 'three', 'four'])
      await app.api('POST', '/events/send', { email: `${eventName}@x.co`, eventName });
    const names = (page: { data: { eventName: string }[] }) => page.data.map(each => each.eventName);
    const first = (await app.api('GET', '/event-patterns?perPage=2')).body;
    expect(names(first)).toEqual(['four', 'three']);
    await app.app.ctx.store.write(async tx => void (await tx.delete(events).where(eq(events.eventName, 'three'))));
    const rest = (await app.api('GET', `/event-patterns?perPage=2&cursor=${first.pagination.nextCursor}`)).body;
    expect(names(rest)).toEqual(['two', 'one']);
    expect(rest.pagination).toMatchObject({ totalResults: 3, nextCursor: null });
  });
  test('each API key has idempotency keys of its own', async () => {
    const other = (await app.api('POST', '/keys', { name: 'another integration' })).body.key;
    const send = (key: string) =>
      app.fetch('/api/v1/events/send', {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'idempotency-key': 'order-1', 'x-inlet-key-id': 'key_forged' },
        body: JSON.stringify({ email: 'ada@example.com', eventName: 'paid' }),
      });
    const statuses = [];
    for (const key of [API_KEY, other, API_KEY, other]) statuses.push((await send(key)).status);
    expect(statuses).toEqual([200, 200, 409, 409]);
  });

  test('an idempotency key works once in 24 hours, a failed call does not use it up', async () => {
    app.time = Date.now();
    const send = (body: unknown, key: string) =>
      app.fetch('/api/v1/events/send', {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { authorization: 'Bearer test-key-0123456789abcdefghij', 'idempotency-key': key },
      });
    const event = { email: 'a@x.co', eventName: 'paid' };
    const count = async () => (await app.api('GET', '/events')).body.data.length;
    expect((await send({ eventName: 'paid', userId: 'no' }, 'k1')).status).toBe(400);
    expect((await send(event, 'k1')).body).toEqual({ success: true });
    for (const body of [event, { ...event, seats: 1 }])
      expect(await send(body, 'k1')).toMatchObject({
        status: 409,
        body: { success: false, message: 'Idempotency key already used with a different request body.' },
      });
    expect(await count()).toBe(1);
    expect((await find('email=a@x.co'))[0]).not.toHaveProperty('seats');
    expect((await send(event, 'x'.repeat(101))).status).toBe(400);
    expect((await send(event, 'x'.repeat(100))).status).toBe(200);
    const together = await Promise.all(Array.from({ length: 8 }, () => send(event, 'k2')));
    expect(together.map(each => each.status).sort()).toEqual([200, 409, 409, 409, 409, 409, 409, 409]);
    expect(await count()).toBe(3);
    app.time += 24 * 3_600_000 + 1;
    expect((await send(event, 'k1')).status).toBe(200);
    const keys = () => app.app.ctx.store.read(async tx => (await tx.select().from(idempotencyKeys)).length);
    expect(await keys()).toBe(3);
    await retain(app.app.ctx);
    expect(await keys()).toBe(1);
  });
  test('suppression: shown, lifted once, within the quota', async () => {
    const { id } = (await app.api('POST', '/contacts/create', { email: 'a@x.co', userId: 'u1' })).body;
    const shown = () => app.api('GET', '/contacts/suppression?userId=u1');
    const quota = (remaining: number) => ({ removalQuota: { limit: 100, remaining } });
    expect((await shown()).body).toEqual({
      contact: { id, email: 'a@x.co', userId: 'u1' },
      isSuppressed: false,
      ...quota(100),
    });
    const { store } = app.app.ctx;
    await store.write(tx => suppress(tx, 'A@x.co', 'bounced', 1));
    expect((await shown()).body).toMatchObject({ isSuppressed: true });
    const lift = () => app.api('DELETE', '/contacts/suppression?email=a%40x.co');
    expect((await lift()).body).toEqual({
      success: true,
      message: 'Email removed from suppression list.',
      ...quota(99),
    });
    expect(await store.read(tx => isSuppressed(tx, 'a@x.co'))).toBe(false);
    expect((await lift()).status).toBe(400);
    for (let i = 0; i < 99; i++) {
      await store.write(tx => suppress(tx, 'a@x.co', 'complaint', 1));
      await lift();
    }
    await store.write(tx => suppress(tx, 'a@x.co', 'complaint', 1));
    expect(await lift()).toMatchObject({ status: 400, body: { message: 'Removal quota exceeded.' } });
    expect((await shown()).body).toMatchObject({ isSuppressed: true, ...quota(0) });
    app.time = Date.now() + 31 * 86_400_000;
    expect((await shown()).body).toMatchObject(quota(100));
  });
  test('properties: defaults in Loops’ order, then custom ones', async () => {
    expect((await app.api('POST', '/contacts/properties', { name: 'companySize', type: 'number' })).body).toEqual({
      success: true,
    });
    const all = (await app.api('GET', '/contacts/properties')).body as { key: string; type: string; label: string }[];
    const keys = [
      'firstName',
      'lastName',
      'email',
      'notes',
      'source',
      'userGroup',
      'userId',
      'subscribed',
      'createdAt',
      'companySize',
    ];
    expect(all.map(each => each.key)).toEqual(keys);
    expect(all.slice(-3)).toEqual([
      { key: 'subscribed', label: 'Subscribed', type: 'boolean' },
      { key: 'createdAt', label: 'Created At', type: 'date' },
      { key: 'companySize', label: 'Company Size', type: 'number' },
    ]);
    expect((await app.api('GET', '/contacts/properties?list=all')).body).toEqual(all);
  });
  test('a body-less POST and DELETE with a JSON content type, and no dedicated addresses', async () => {
    const headers = { authorization: 'Bearer test-key-0123456789abcdefghij', 'content-type': 'application/json' };
    const ips = await app.fetch('/api/v1/dedicated-sending-ips', { headers });
    expect([ips.status, ips.body]).toEqual([200, []]);
    expect((await app.fetch('/api/v1/contacts/delete', { method: 'POST', headers })).body.message).toBe(
      'An email or userId is required.',
    );
    expect((await app.fetch('/api/v1/contacts/suppression?userId=x', { method: 'DELETE', headers })).status).toBe(404);
  });
  test('the rate limit is told on every answer, errors included, and what is over it is a 429', async () => {
    await app.stop();
    app = await TestApp.open({}, { rateLimit: 20 });
    const calls: [string, string, unknown?, string?][] = [
      ['GET', '/api-key'],
      ['POST', '/contacts/create', {}],
      ['GET', '/contacts/suppression?email=no@x.co'],
      ['PATCH', '/contacts/create', {}],
      ['GET', '/nowhere'],
      ['GET', '/api-key', undefined, 'wrong-key-0123456789abcdefghij'],
    ];
    const statuses: number[] = [];
    for (const [method, path, body, key] of calls) {
      const { status, headers } = await app.api(method, path, body, key);
      statuses.push(status);
      expect([path, headers.get('x-ratelimit-limit')]).toEqual([path, '20']);
      expect(Number(headers.get('x-ratelimit-remaining') ?? 'none')).toBeWithin(0, 21);
    }
    expect(statuses).toEqual([200, 400, 404, 405, 404, 401]);
    const many = await Promise.all(Array.from({ length: 40 }, () => app.api('GET', '/api-key')));
    const over = many.filter(each => each.status === 429);
    expect(over.length).toBeGreaterThan(10);
    expect(over[0]).toMatchObject({ body: { success: false, message: expect.stringContaining('Rate limit of 20') } });
    expect(over[0]?.headers.get('x-ratelimit-remaining')).toBe('0');
  });
  test('a hundred writes at once to one contact and to many: each answered, one contact each', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        app.api('PUT', '/contacts/update', { email: i % 2 ? `c${i}@x.co` : 'one@x.co', n: i }),
      ),
    );
    expect(answers.filter(each => each.status !== 200)).toEqual([]);
    expect(new Set(answers.map(each => each.body.id)).size).toBe(51);
    expect(await app.contacts()).toHaveLength(51);
  });
});
