import { afterEach, beforeEach, expect, test } from 'bun:test';
import { eq, sql } from 'drizzle-orm';
import { deliveries, memberships, payloads } from '../../src/db/schema.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

/** Every row of a page route, by its own cursors. */
async function walk(path: string, perPage: number): Promise<{ id: string; at?: string }[]> {
  const rows = [];
  let cursor = '';
  for (let pages = 0; pages < 50; pages++) {
    const { pagination, data } = (await app.api('GET', `${path}?perPage=${perPage}&cursor=${cursor}`)).body;
    rows.push(...data);
    if (pagination.nextCursor === null) return rows;
    cursor = pagination.nextCursor;
  }
  throw new Error(`${path} has no last page`);
}

test('endpoints page newest first, also when the one a cursor names was removed meanwhile', async () => {
  const made: string[] = [];
  for (let i = 0; i < 5; i++) {
    app.time = 1_790_000_000_000 + i;
    made.unshift(await app.endpoint('stripe'));
  }
  const first = (await app.api('GET', '/endpoints?perPage=2')).body;
  expect(first.data.map((row: { id: string }) => row.id)).toEqual(made.slice(0, 2));
  await app.api('DELETE', `/endpoints/${made[1]}`);
  const next = (await app.api('GET', `/endpoints?perPage=2&cursor=${first.pagination.nextCursor}`)).body;
  expect(next.data.map((row: { id: string }) => row.id)).toEqual(made.slice(2, 4));
  expect((await walk('/endpoints', 1)).map(row => row.id)).toEqual(made.filter(id => id !== made[1]));
});

test('activity merges deliveries and events newest first, and its pages miss and repeat nothing', async () => {
  const id = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
  for (let i = 0; i < 7; i++) {
    await app.post(id, 'stripe', stripeEvent('customer.created', { id: 'cus_a', email: 'a@x.co' }));
    await app.drain();
  }
  const [contact] = await app.contacts();
  const path = `/contacts/${contact?.id}/activity`;
  const whole = (await app.api('GET', `${path}?perPage=100`)).body;
  expect(whole.pagination.totalResults).toBe(14);
  expect(whole.data.map((entry: { kind: string }) => entry.kind).sort()).toEqual([
    ...Array(7).fill('delivery'),
    ...Array(7).fill('event'),
  ]);
  const times = whole.data.map((entry: { at: string }) => entry.at);
  expect(times).toEqual([...times].sort().reverse());
  expect(await walk(path, 3)).toEqual(whole.data);
});

test('the filters of the log', async () => {
  const a = await app.endpoint('stripe', { events: { 'customer.updated': { enabled: false } } });
  const b = await app.endpoint('stripe');
  const start = Math.floor(Date.now() / 1000) * 1000;
  app.time = start;
  await app.post(a, 'stripe', stripeEvent('customer.created', { id: 'cus_f', email: 'old@x.co' }));
  app.time = start + 10_000;
  await app.post(b, 'stripe', stripeEvent('customer.updated', { id: 'cus_f', email: 'new@x.co' }));
  app.time = start + 20_000;
  await app.post(a, 'stripe', stripeEvent('customer.updated', { id: 'cus_g', email: 'g@x.co' }));
  await app.post(a, 'stripe', stripeEvent('customer.created'), { secret: 'whsec_nobody_has_this_0123456789' });
  await app.drain();
  const [contact] = (await app.api('GET', '/contacts/find?email=new@x.co')).body;
  const iso = (ms: number) => new Date(ms).toISOString();
  const cases: [string, number][] = [
    ['', 4],
    [`endpointId=${a}`, 3],
    [`endpointId=${b}`, 1],
    ['endpointId=ep_none', 0],
    ['status=processed', 2],
    ['status=ignored', 1],
    ['status=rejected', 1],
    ['status=dead', 0],
    ['type=customer.updated', 2],
    [`type=customer.updated&endpointId=${a}`, 1],
    ['email=new@x.co', 2],
    ['email=OLD@x.co', 2],
    ['email=nobody@x.co', 0],
    [`contactId=${contact.id}`, 2],
    [`contactId=${contact.id}&type=customer.created`, 1],
    [`since=${iso(start + 10_000)}`, 3],
    [`until=${iso(start + 10_000)}`, 2],
    [`since=${iso(start + 1)}&until=${iso(start + 19_999)}`, 1],
    ['type=&email=&since=&status=', 4],
  ];
  for (const [query, total] of cases) {
    const { pagination, data } = (await app.api('GET', `/deliveries?${query}`)).body;
    expect({ query, total: pagination.totalResults, shown: data.length }).toEqual({ query, total, shown: total });
  }
});

test('the filters of contacts; q is a prefix and no pattern', async () => {
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const id = await app.endpoint('stripe', {
    events: { 'customer.created': { userGroup: 'G', mailingLists: [list] }, 'customer.deleted': {} },
  });
  const clerk = await app.endpoint('clerk');
  for (const email of ['ada@x.co', 'ada_b@x.co', 'bob@x.co', 'ünal@x.co'])
    await app.post(id, 'stripe', stripeEvent('customer.created', { email, id: `cus_${email.slice(0, 5)}` }));
  await app.api('POST', `/endpoints/${clerk}/test`, { type: 'user.created', email: 'zoe@x.co' });
  await app.drain();
  await app.post(id, 'stripe', stripeEvent('customer.deleted', { id: 'cus_bob@x', email: 'bob@x.co' }));
  await app.drain();
  const cases: [string, string[]][] = [
    ['q=ADA', ['ada@x.co', 'ada_b@x.co']],
    ['q=ada_', ['ada_b@x.co']],
    ['q=%25', []],
    ['q=da', []],
    ['q=%C3%BC', ['ünal@x.co']],
    [`listId=${list}&q=a`, ['ada@x.co', 'ada_b@x.co']],
    ['listId=list_none', []],
    ['userGroup=G&subscribed=false', ['bob@x.co']],
    ['source=Clerk%20webhook', ['zoe@x.co']],
  ];
  for (const [query, emails] of cases) {
    const { data } = (await app.api('GET', `/contacts?${query}`)).body;
    expect({ query, emails: data.map((row: { email: string }) => row.email).sort() }).toEqual({ query, emails });
  }
});

test('a replay needs what it would read: a pruned payload or a removed endpoint is a 409, in bulk skipped and counted', async () => {
  const kept = await app.endpoint('stripe');
  const removed = await app.endpoint('stripe');
  const logged: string[] = [];
  for (const endpoint of [kept, kept, removed])
    logged.push((await app.post(endpoint, 'stripe', stripeEvent('customer.created'))).body.deliveryId);
  await app.post(kept, 'stripe', stripeEvent('customer.created'), { secret: 'whsec_nobody_has_this_0123456789' });
  const rejected = (await app.latest()).id;
  await app.drain();
  await app.app.ctx.store.write(async tx => {
    await tx.delete(payloads).where(eq(payloads.deliveryId, logged[1] ?? ''));
  });
  await app.api('DELETE', `/endpoints/${removed}`);
  const before = (await app.api('GET', `/deliveries/${logged[2]}`)).body;
  for (const [id, says] of [
    [logged[1], 'pruned'],
    [logged[2], 'removed'],
    [rejected, 'never verified'],
  ]) {
    const answer = await app.api('POST', `/deliveries/${id}/replay`, {});
    expect(answer.status).toBe(409);
    expect(answer.body.message).toContain(says);
  }
  const since = new Date(0).toISOString();
  expect((await app.api('POST', '/deliveries/replay', { since })).body).toEqual({ replayed: 1, skipped: 2 });
  await app.drain();
  expect((await app.api('GET', `/deliveries/${logged[2]}`)).body).toEqual(before);
  expect((await app.api('GET', `/deliveries/${logged[0]}`)).body).toMatchObject({ status: 'processed' });
});

test('a bulk replay that repeats effects asks for a confirmation where it would repeat a lot', async () => {
  const id = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
  for (let n = 0; n < 3; n++) await app.post(id, 'stripe', stripeEvent('customer.created'));
  const replay = (body: object) => app.api('POST', '/deliveries/replay', body);
  const events = async () => {
    await app.drain();
    return (await app.api('GET', '/events?name=signup')).body.pagination.totalResults;
  };
  const since = new Date(0).toISOString();
  for (const filter of [{ since }, { until: new Date(Date.now() + 60_000).toISOString() }])
    expect(await replay({ ...filter, repeatEffects: true })).toMatchObject({
      status: 400,
      body: { message: expect.stringMatching(/^confirm: .* 3 deliveries .*"confirm": true/) },
    });
  expect(await events()).toBe(3);
  expect((await replay({ since })).body).toEqual({ replayed: 3 }); // fires nothing again
  expect(await events()).toBe(3);
  expect((await replay({ endpointId: id, repeatEffects: true })).body).toEqual({ replayed: 3 });
  expect(await events()).toBe(6);
  expect((await replay({ since, repeatEffects: true, confirm: true })).body).toEqual({ replayed: 3 });
  expect(await events()).toBe(9);
  await app.app.ctx.store.write(async tx => {
    const [row] = await tx.select().from(deliveries).limit(1);
    if (!row) throw new Error('no delivery');
    for (let n = 0; n < 1000; n++) {
      await tx.insert(deliveries).values({ ...row, id: `dlv_0${n}`, externalId: `evt_many_${n}` });
      await tx.insert(payloads).values({ deliveryId: `dlv_0${n}`, body: '{}', headers: {} });
    }
  });
  expect((await replay({ endpointId: id, repeatEffects: true })).body.message).toContain('1003 deliveries');
});

test('a list that an endpoint adopts while it is being removed keeps who is still on it', async () => {
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const { store } = app.app.ctx;
  await store.write(async tx => {
    for (let n = 0; n < 1500; n++) await tx.insert(memberships).values({ contactId: `con_${n}`, listId: list });
  });
  const write = store.write;
  let steps = 0;
  store.write = (async (fn: Parameters<typeof write>[0]) => {
    const result = await write.call(store, fn);
    if (++steps === 1) await app.endpoint('stripe', { events: { 'customer.created': { mailingLists: [list] } } });
    return result;
  }) as typeof write;
  const answer = await app.api('DELETE', `/lists/${list}`);
  store.write = write;
  expect(answer).toMatchObject({ status: 409, body: { message: expect.stringContaining('Take it out there first') } });
  expect(await store.read(tx => tx.select().from(memberships))).toHaveLength(500);
});

test('what GET shows of an endpoint can be sent back', async () => {
  const id = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_marked_0123' } });
  const { settings, events, name } = (await app.api('GET', `/endpoints/${id}`)).body;
  const answer = await app.api('PATCH', `/endpoints/${id}`, { settings, events, name });
  expect(answer).toMatchObject({ status: 200, body: { settings: { apiKeySet: true } } });
});

test('text that no database keeps as it is gets a 400', async () => {
  for (const name of ['a\0b', 'a\ud800b'])
    expect((await app.api('POST', '/lists', { name })).body).toMatchObject({ success: false });
  expect((await app.api('GET', '/lists')).body).toEqual([]);
  expect((await app.api('GET', '/deliveries?type=a%00b')).body.message).toContain('type');
});

test('HEAD is answered as GET without a body, and nothing but our own pages is under /swagger', async () => {
  const head = await app.fetch('/health', { method: 'HEAD' });
  expect([head.status, head.body, head.headers.get('content-type')]).toEqual([200, '', 'application/json']);
  expect((await app.api('HEAD', '/deliveries')).status).toBe(200);
  const own = (await app.fetch('/swagger')).body;
  expect((await app.fetch('/swagger/')).body).toBe(own);
  for (const path of ['/swagger/zzz', '/swagger/json/', '/swagger//'])
    expect(await app.fetch(path)).toMatchObject({ status: 404, body: { success: false } });
});

test('a page of large deliveries stays small: what is left out is marked, and comes with the delivery itself', async () => {
  const id = await app.endpoint('stripe');
  const large = { metadata: { note: 'x'.repeat(600_000) } };
  const headers = { 'content-type': 'application/json' };
  for (let i = 0; i < 3; i++) await app.post(id, 'stripe', stripeEvent('customer.created', large), { headers });
  await app.post(id, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  const { data } = (await app.api('GET', '/deliveries')).body;
  expect(data.map((row: { payloadOmitted?: true }) => row.payloadOmitted ?? false)).toEqual([false, false, true, true]);
  expect(data[2].payload).toBeNull();
  expect(data[2].headers).toMatchObject({ 'content-type': 'application/json' });
  const whole = (await app.api('GET', `/deliveries/${data[2].id}`)).body;
  expect(whole.payload.data.object.metadata.note).toHaveLength(600_000);
  expect(whole).not.toHaveProperty('payloadOmitted');
});

test('a list with more people than one step removes is gone whole', async () => {
  const list = (await app.api('POST', '/lists', { name: 'big' })).body.id;
  const other = (await app.api('POST', '/lists', { name: 'other' })).body.id;
  for (const [id, people] of [
    [list, 2500],
    [other, 3],
  ])
    await app.app.ctx.store.write(tx =>
      tx.run(sql`
        with recursive n(i) as (select 1 union all select i + 1 from n where i < ${people})
        insert into memberships (contact_id, list_id) select 'con_' || i, ${id} from n`),
    );
  expect((await app.api('DELETE', `/lists/${list}`)).status).toBe(200);
  const left = await app.app.ctx.store.read(tx => tx.select().from(memberships));
  expect(left.map(row => row.listId)).toEqual([other, other, other]);
});

test('times in filters are ISO 8601, UTC where no zone is given', async () => {
  const id = await app.endpoint('stripe');
  app.time = Date.parse('2026-11-01T12:00:00Z');
  await app.post(id, 'stripe', stripeEvent('customer.created'));
  const cases: [string, number | string][] = [
    ['2026-11-01', 1],
    ['2026-11-01T12:00', 1],
    ['2026-11-01T12:00:00.001Z', 0],
    ['2026-11-01T13:00:00%2B01:00', 1],
    ['2026-11-01T13:00:00+01:00', 1], // the + is a space by then
    ['2026-11-01T11:59:59-01:00', 0],
    ['1', 'since'],
    ['tomorrow', 'since'],
    ['2026-13-01', 'since'],
  ];
  for (const [since, wanted] of cases) {
    const { status, body } = await app.api('GET', `/deliveries?since=${since}`);
    if (typeof wanted === 'number') expect({ since, n: body.data.length }).toEqual({ since, n: wanted });
    else expect({ since, status, names: body.message.startsWith(wanted) }).toEqual({ since, status: 400, names: true });
  }
});
