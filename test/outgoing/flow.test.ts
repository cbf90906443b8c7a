import { afterAll, afterEach, beforeEach, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { webhookCalls, webhookSubscriptions } from '../../src/db/schema.ts';
import { LOOPS_EVENTS } from '../../src/outgoing/names.ts';
import { retainCalls } from '../../src/outgoing/retention.ts';
import { forgetSubscriptionSecrets } from '../../src/outgoing/subscriptions.ts';
import { onPostgres, stripeEvent, TestApp } from '../support/app.ts';
import { call, calls, closeReceivers, receiver, subscribe, subscription, verified } from './receiver.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open({}, { allowPrivateTargets: true });
});
afterEach(() => app.stop());
afterAll(closeReceivers);

const HOUR = 3_600_000;

test('a webhook becomes contact.created, list and event.received, signed as the official package checks', async () => {
  const { url, got } = await receiver();
  const list = (await app.api('POST', '/lists', { name: 'News', description: 'd' })).body;
  const loops = await subscribe(app, url);
  const own = await subscribe(app, url, ['event.received']);
  expect(loops.secret).toMatch(/^whsec_[A-Za-z0-9+/]+=*$/);
  const events = { 'customer.created': { mailingLists: [list.id], triggerEvent: 'signup', userGroup: 'Customers' } };
  const endpoint = await app.endpoint('stripe', { events });
  const { deliveryId } = (await app.post(endpoint, 'stripe', stripeEvent('customer.created', { email: 'ada@x.co' })))
    .body;
  await app.drain();
  const [contact] = await app.contacts();
  const contactIdentity = { id: contact?.id, email: 'ada@x.co', userId: null };
  const sent = got.map(each => {
    const secret = each.body.includes('event.received') ? own.secret : loops.secret;
    return verified(secret, each);
  });
  const { createdAt: _, updatedAt: __, ...shown } = contact ?? {};
  const common = { eventTime: expect.any(Number), webhookSchemaVersion: '1.0.0', contactIdentity };
  const byName = new Map(sent.map(payload => [payload.eventName, payload]));
  expect(byName.get('contact.created')).toEqual({ eventName: 'contact.created', ...common, contact: shown } as never);
  expect(byName.get('contact.mailingList.subscribed')).toEqual({
    eventName: 'contact.mailingList.subscribed',
    ...common,
    mailingList: { id: list.id, name: 'News', description: 'd', isPublic: false },
  } as never);
  const [event] = (await app.api('GET', '/events')).body.data;
  expect(byName.get('event.received')).toEqual({
    eventName: 'event.received',
    ...common,
    event: { id: event.id, name: 'signup', properties: {}, deliveryId },
  } as never);
  expect(sent.length).toBe(3);
  expect((shown as { mailingLists: unknown }).mailingLists).toEqual({ [list.id]: true });
  const { effects } = (await app.api('GET', `/deliveries/${deliveryId}`)).body;
  expect(effects.filter((each: { kind: string }) => each.kind === 'webhook.queued').length).toBe(3);
  expect(got[0]?.headers['content-type']).toBe('application/json');
  const [made] = await calls(app, own.id);
  expect(await call(app, made.id)).toMatchObject({
    state: 'delivered',
    attemptCount: 1,
    lastStatus: 200,
    payload: byName.get('event.received'),
    attempts: [{ status: 200, answer: 'ok', error: null }],
  });
});

test('a duplicate and a replay are told once; a removal by two messages', async () => {
  const { url, got } = await receiver();
  await subscribe(app, url);
  const endpoint = await app.endpoint('stripe', { events: { 'customer.deleted': { onDelete: 'delete' } } });
  const created = stripeEvent('customer.created', { id: 'cus_d', email: 'd@x.co' });
  for (let i = 0; i < 3; i++) await app.post(endpoint, 'stripe', created);
  await app.drain();
  const { id } = await app.latest();
  await app.api('POST', `/deliveries/${id}/replay`, {});
  await app.drain();
  expect(got.map(each => JSON.parse(each.body).eventName)).toEqual(['contact.created']);
  await app.post(endpoint, 'stripe', stripeEvent('customer.deleted', { id: 'cus_d', email: 'd@x.co' }));
  await app.drain();
  expect(
    got
      .slice(1)
      .map(each => JSON.parse(each.body).eventName)
      .sort(),
  ).toEqual(['contact.deleted', 'contact.unsubscribed']);
});

test('a test event names nobody; rotation signs with both secrets for a day', async () => {
  const { url, got } = await receiver();
  const { id, secret } = await subscribe(app, url, ['email.opened']);
  await app.api('POST', `/webhook-subscriptions/${id}/test`);
  await app.drain();
  expect(verified(secret, got[0]!)).toEqual({
    eventName: 'testing.testEvent',
    eventTime: expect.any(Number),
    webhookSchemaVersion: '1.0.0',
    message: 'test',
  } as never);
  const rotated = (await app.api('POST', `/webhook-subscriptions/${id}/rotate-secret`, {})).body;
  expect(rotated.secret).not.toBe(secret);
  await app.api('POST', `/webhook-subscriptions/${id}/test`);
  await app.drain();
  expect(got[1]?.headers['webhook-signature']?.split(' ').length).toBe(2);
  verified(secret, got[1]!);
  verified(rotated.secret, got[1]!);
  app.time = Date.now() + 25 * HOUR;
  await app.api('POST', `/webhook-subscriptions/${id}/test`);
  await app.drain();
  expect(got[2]?.headers['webhook-signature']?.split(' ').length).toBe(1);
  expect((await subscription(app, id)).oldSecretUntil).toBeNull();
  const stored = await app.app.ctx.store.read(tx => tx.select().from(webhookSubscriptions));
  expect(JSON.stringify(stored)).not.toContain(secret.slice(6));
  expect(JSON.stringify(await subscription(app, id))).not.toContain(rotated.secret);
});

test('retries reach 72 hours with the same webhook-id and a fresh timestamp, then end; replay begins anew', async () => {
  const hook = await receiver();
  hook.answer = (_, response) => void response.writeHead(500).end('later\u0000<b>\u202e');
  const { id } = await subscribe(app, hook.url, ['email.opened']);
  const start = Date.now();
  app.time = start;
  const { id: callId } = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
  await app.drain();
  for (let i = 0; i < 40; i++) {
    const { nextAttemptAt } = await call(app, callId);
    if (nextAttemptAt === null) break;
    app.time = Date.parse(nextAttemptAt) - 1;
    await app.drain();
    app.time += 1;
    await app.drain();
  }
  const made = await call(app, callId);
  expect(made).toMatchObject({ state: 'failed', attemptCount: 13, lastStatus: 500 });
  expect(made.attempts[0].answer).toBe('later\\u0000<b>\\u202e');
  expect(app.now() - start).toBeGreaterThan(72 * HOUR);
  expect(new Set(hook.got.map(each => each.headers['webhook-id']))).toEqual(new Set([callId]));
  expect(new Set(hook.got.map(each => each.headers['webhook-timestamp'])).size).toBe(13);
  const waits = made.attempts.map((each: { at: string }) => Date.parse(each.at) - start);
  expect(waits[1]).toBeWithin(5000, 5501);
  hook.answer = (_, response) => void response.writeHead(204).end();
  expect((await app.api('POST', `/webhook-calls/${callId}/replay`)).body.state).toBe('queued');
  await app.drain();
  expect(await call(app, callId)).toMatchObject({ state: 'delivered', attemptCount: 14, lastStatus: 204 });
});

test('Retry-After is kept, as seconds and as a date, up to a day', async () => {
  const hook = await receiver();
  app.time = Math.floor(Date.now() / 1000) * 1000;
  const { id } = await subscribe(app, hook.url, ['email.opened']);
  const asked = ['120', new Date(app.time + 2 * HOUR).toUTCString(), '999999999', 'soon', '0'];
  const waits = [120_000, 2 * HOUR, 24 * HOUR, 5000, 5000];
  for (const [i, retryAfter] of asked.entries()) {
    hook.answer = (_, response) => void response.writeHead(429, { 'retry-after': retryAfter }).end();
    const { id: callId } = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
    await app.drain();
    const wait = Date.parse((await call(app, callId)).nextAttemptAt) - app.time;
    expect({ retryAfter, wait }).toEqual({ retryAfter, wait: expect.any(Number) });
    expect(wait).toBeWithin(waits[i]!, waits[i]! * 1.1 + 2);
  }
});

test('410 disables, with a reason; nothing is queued any more; resuming sends again', async () => {
  const hook = await receiver();
  hook.answer = (_, response) => void response.writeHead(410).end();
  const { id } = await subscribe(app, hook.url);
  const endpoint = await app.endpoint('stripe');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  expect(await subscription(app, id)).toMatchObject({ state: 'disabled', paused: true, reason: expect.any(String) });
  expect((await subscription(app, id)).reason).toContain('410');
  expect((await app.api('POST', `/webhook-subscriptions/${id}/test`)).status).toBe(409);
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  expect(hook.got.length).toBe(1);
  expect((await calls(app, id)).length).toBe(1);
  hook.answer = (_, response) => void response.end();
  expect((await app.api('PATCH', `/webhook-subscriptions/${id}`, { paused: false })).body.state).toBe('active');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  expect(hook.got.length).toBe(2);
});

test('five days of nothing but failures pause it, with a reason; resuming goes on with what is queued', async () => {
  const hook = await receiver();
  hook.answer = (_, response) => void response.writeHead(503).end();
  const { id } = await subscribe(app, hook.url);
  const endpoint = await app.endpoint('stripe');
  const start = Date.now();
  const DAY = 24 * HOUR;
  for (const at of [0, 4.9 * DAY, 5.1 * DAY]) {
    app.time = start + at;
    expect((await subscription(app, id)).state).toBe('active');
    await app.post(endpoint, 'stripe', stripeEvent('customer.created'), { at: app.time });
    await app.drain();
  }
  expect(await subscription(app, id)).toMatchObject({ state: 'paused', failingSince: expect.any(String) });
  expect((await subscription(app, id)).reason).toContain('5 days; the last one: The receiver answered 503.');
  const before = hook.got.length;
  app.time = start + 6 * DAY;
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'), { at: app.time });
  await app.drain();
  expect(hook.got.length).toBe(before);
  hook.answer = (_, response) => void response.end();
  await app.api('PATCH', `/webhook-subscriptions/${id}`, { paused: false });
  await app.drain();
  expect(await subscription(app, id)).toMatchObject({ state: 'active', reason: null, failingSince: null, queued: 0 });
  expect((await calls(app, id)).map((each: { state: string }) => each.state)).toEqual(Array(4).fill('delivered'));
});

test('one success between failures begins the five days anew', async () => {
  const hook = await receiver();
  let status = 500;
  hook.answer = (_, response) => void response.writeHead(status).end();
  const { id } = await subscribe(app, hook.url);
  const start = Date.now();
  for (const [days, answered] of [
    [0, 500],
    [4, 200],
    [5.5, 500],
  ] as const) {
    app.time = start + days * 24 * HOUR;
    status = answered;
    await app.api('POST', `/webhook-subscriptions/${id}/test`);
    await app.drain();
  }
  expect((await subscription(app, id)).state).toBe('active');
});

test('after the sealing key was lost nothing is sent until there is a new secret', async () => {
  const hook = await receiver();
  const { id } = await subscribe(app, hook.url, ['email.opened']);
  const queued = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
  await app.app.ctx.store.write(forgetSubscriptionSecrets);
  await app.drain();
  expect(await subscription(app, id)).toMatchObject({
    state: 'paused',
    reason: expect.stringContaining('rotate-secret'),
  });
  expect((await app.api('PATCH', `/webhook-subscriptions/${id}`, { paused: false })).status).toBe(409);
  const { secret } = (await app.api('POST', `/webhook-subscriptions/${id}/rotate-secret`, {})).body;
  await app.api('PATCH', `/webhook-subscriptions/${id}`, { paused: false });
  await app.drain();
  expect(hook.got.map(each => [each.headers['webhook-id'], verified(secret, each).eventName])).toEqual([
    [queued.id, 'testing.testEvent'],
  ]);
});

test('a clock that was months ahead is forgotten', async () => {
  const hook = await receiver();
  hook.answer = (_, response) => void response.writeHead(500).end();
  const { id } = await subscribe(app, hook.url, ['email.opened']);
  const made = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
  const { ctx } = app.app;
  await ctx.store.write(tx => tx.update(webhookCalls).set({ dueAt: Date.now() + 90 * 24 * HOUR }));
  await retainCalls(ctx);
  expect(Date.parse((await call(app, made.id)).nextAttemptAt) - Date.now()).toBeLessThan(27 * HOUR);
});

// On PostgreSQL several instances share the queue: none of them may move it by its own clock.
test.if(!onPostgres)('a clock set back by a day does not hold up what waits', async () => {
  const hook = await receiver();
  hook.answer = (_, response) => void response.writeHead(500).end();
  const { id } = await subscribe(app, hook.url, ['email.opened']);
  const start = Date.now();
  app.time = start + 24 * HOUR;
  const made = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
  await app.drain();
  app.time = start;
  await app.drain();
  app.time = start + 6000;
  await app.drain();
  expect((await call(app, made.id)).attemptCount).toBe(2);
});

test('finished calls go after the retention time, unsent ones after 7 days at least', async () => {
  const hook = await receiver();
  const { id } = await subscribe(app, hook.url);
  await app.api('POST', `/webhook-subscriptions/${id}/test`);
  await app.drain();
  const { ctx } = app.app;
  await app.api('PATCH', `/webhook-subscriptions/${id}`, { paused: true });
  const endpoint = await app.endpoint('stripe');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  expect((await calls(app, id)).map((each: { state: string }) => each.state)).toEqual(['queued', 'delivered']);
  const config = { ...ctx.config, retentionDays: 1 };
  const [newest] = await calls(app, id);
  const made = Number.parseInt(newest.id.slice(4, 13), 36); // ids never step back, and other tests moved the clock
  app.time = made + 2 * 24 * HOUR;
  await retainCalls({ ...ctx, config });
  expect((await calls(app, id)).map((each: { state: string }) => each.state)).toEqual(['queued']);
  app.time = made + 8 * 24 * HOUR;
  await retainCalls({ ...ctx, config });
  expect(await calls(app, id)).toEqual([]);
});

test('nobody subscribed: no statement for a happening but one look each half second', async () => {
  const { subscribed, store } = app.app.ctx;
  const contact = { id: 'con_1', email: 'a@x.co', userId: null };
  const tell = (key: string) =>
    store.write(tx =>
      subscribed.hear(tx, [{ kind: 'contact.created', contact }], { key, deliveryId: null }, app.now()),
    );
  await tell('first');
  const before = performance.now();
  let asked = 0;
  const deaf = new Proxy({}, { get: () => void asked++ });
  for (let i = 0; i < 1000 && performance.now() - before < 400; i++)
    await subscribed.hear(deaf as never, [{ kind: 'contact.created', contact }], { key: `k${i}`, deliveryId: null }, 0);
  expect(asked).toBe(0);
});

test('emit queues once per key, for those who want it', async () => {
  const hook = await receiver();
  const { secret } = await subscribe(app, hook.url, ['email.hardBounced']);
  const { subscribed, store } = app.app.ctx;
  const contact = { id: 'con_1', email: 'a@x.co', userId: 'u1' };
  const members = { sourceType: 'transactional', transactionalId: 'tx_1', email: { id: 'mail_1' } };
  for (let i = 0; i < 2; i++)
    for (const name of ['email.hardBounced', 'email.delivered'] as const)
      await store.write(tx => subscribed.emit(tx, name, contact, members, 'mail_1', app.now()));
  await app.drain();
  expect(hook.got.map(each => verified(secret, each))).toEqual([
    {
      eventName: 'email.hardBounced',
      eventTime: expect.any(Number),
      webhookSchemaVersion: '1.0.0',
      contactIdentity: contact,
      ...members,
    } as never,
  ]);
});

test('the API: defaults, pages, changes, refusals, removal', async () => {
  const { url } = await receiver();
  const made = await app.api('POST', '/webhook-subscriptions', { url });
  expect(made.body).toMatchObject({ name: new URL(url).host, url, eventNames: [...LOOPS_EVENTS], state: 'active' });
  expect(made.body.eventNames).not.toContain('event.received');
  const refusals: [Record<string, unknown>, string][] = [
    [{}, 'url: is required'],
    [{ url, eventNames: [] }, 'eventNames'],
    [{ url, eventNames: ['contact.exploded'] }, 'eventNames.0: must be one of contact.created'],
    [{ url, secret: 'x' }, 'secret: no such field'],
    [{ url: 'https://u:p@example.com/' }, 'url: must not hold a user or password'],
    [{ url: `https://example.com/${'x'.repeat(2048)}` }, 'url: must not be longer than 2048'],
  ];
  for (const [body, message] of refusals) {
    const refused = await app.api('POST', '/webhook-subscriptions', body);
    expect({ body, status: refused.status }).toEqual({ body, status: 400 });
    expect(refused.body.message).toContain(message);
  }
  const second = await subscribe(app, url, ['contact.created']);
  const first = await app.api('GET', '/webhook-subscriptions?perPage=1');
  expect(first.body.data.map((each: { id: string }) => each.id)).toEqual([second.id]);
  const next = await app.api('GET', `/webhook-subscriptions?perPage=1&cursor=${first.body.pagination.nextCursor}`);
  expect(next.body.data[0].id).toBe(made.body.id);
  expect(next.body.pagination.nextCursor).toBeNull();
  const patched = await app.api('PATCH', `/webhook-subscriptions/${second.id}`, {
    name: 'n',
    eventNames: ['event.received', 'event.received'],
    paused: true,
  });
  expect(patched.body).toMatchObject({ name: 'n', eventNames: ['event.received'], state: 'paused', paused: true });
  for (let i = 0; i < 3; i++) await app.api('POST', `/webhook-subscriptions/${made.body.id}/test`);
  const page = await app.api('GET', `/webhook-subscriptions/${made.body.id}/calls?perPage=2&state=queued`);
  expect(page.body.pagination).toMatchObject({ totalResults: 3, returnedResults: 2 });
  expect(page.body.pagination.nextPage).toContain('state=queued');
  expect((await subscription(app, made.body.id)).queued).toBe(3);
  expect((await app.api('DELETE', `/webhook-subscriptions/${made.body.id}`)).body).toEqual({ success: true });
  const left = await app.app.ctx.store.read(tx =>
    tx.select().from(webhookCalls).where(eq(webhookCalls.subscriptionId, made.body.id)),
  );
  expect(left).toEqual([]);
  for (const [method, path] of [
    ['GET', `/webhook-subscriptions/${made.body.id}`],
    ['GET', `/webhook-subscriptions/${made.body.id}/calls`],
    ['PATCH', `/webhook-subscriptions/${made.body.id}`],
    ['DELETE', '/webhook-subscriptions/sub_none'],
    ['POST', '/webhook-subscriptions/sub_none/rotate-secret'],
    ['POST', '/webhook-subscriptions/sub_none/test'],
    ['GET', '/webhook-calls/msg_none'],
    ['POST', '/webhook-calls/msg_none/replay'],
  ] as const)
    expect((await app.api(method, path, method === 'PATCH' ? {} : undefined)).status).toBe(404);
});
