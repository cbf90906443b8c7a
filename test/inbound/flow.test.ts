import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import Stripe from 'stripe';
import { deliveries } from '../../src/db/schema.ts';
import { API_KEY, SECRETS, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
afterEach(() => app.stop());

const eventNames = async () =>
  (await app.api('GET', '/events')).body.data.map((e: { eventName: string }) => e.eventName);

describe.each([
  ['applied as it comes', false],
  ['queued first', true],
])('a webhook %s', (_, careful) => {
  beforeEach(async () => {
    app = await TestApp.open();
    if (careful) app.app.ctx.careful.begin();
  });

  test('an endpoint, a webhook signed by the stripe package, and the contact can be read', async () => {
    const id = await app.endpoint('stripe', {
      events: { 'customer.created': { userGroup: 'Customers', triggerEvent: 'signup' } },
    });
    const payload = JSON.stringify(stripeEvent('customer.created', { email: ' Ada@Example.com ' }));
    const header = await new Stripe('sk_test_none').webhooks.generateTestHeaderStringAsync({
      payload,
      secret: SECRETS.stripe ?? '',
    });
    const answer = await app.fetch(`/webhooks/${id}`, {
      method: 'POST',
      body: payload,
      headers: { 'stripe-signature': header },
    });
    expect(answer).toMatchObject({ status: 200, body: { success: true, result: 'accepted' } });
    await app.drain();
    const found = await app.api('GET', '/contacts/find?email=ada@example.com');
    expect(found.body).toMatchObject([
      {
        email: 'ada@example.com',
        firstName: 'Ada',
        lastName: 'Lovelace',
        source: 'Stripe webhook',
        userGroup: 'Customers',
        subscribed: true,
      },
    ]);
    expect(await app.latest()).toMatchObject({
      status: 'processed',
      attempts: 1,
      message: 'Created contact ada@example.com',
      error: null,
    });
    expect(await eventNames()).toEqual(['signup']);
  });

  describe('duplicates', () => {
    test('the same event again does nothing and names the first delivery', async () => {
      const id = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
      const event = stripeEvent('customer.created');
      const first = await app.post(id, 'stripe', event);
      const again = await app.post(id, 'stripe', event);
      expect(again.body).toMatchObject({ result: 'duplicate', deliveryId: first.body.deliveryId });
      await app.drain();
      expect((await app.post(id, 'stripe', event)).body.result).toBe('duplicate');
      await app.drain();
      expect(await eventNames()).toEqual(['signup']);
      expect(await app.latest()).toMatchObject({ duplicates: 2 });
    });
    test('a hundred at once are one', async () => {
      const id = await app.endpoint('stripe');
      const event = stripeEvent('customer.created');
      const answers = await Promise.all(Array.from({ length: 100 }, () => app.post(id, 'stripe', event)));
      expect(answers.filter(a => a.body.result === 'accepted')).toHaveLength(1);
      expect(answers.filter(a => a.body.result === 'duplicate')).toHaveLength(99);
    });
    test('a Supabase row that goes A → B → A → B is four facts, and the same state twice is one', async () => {
      const id = await app.endpoint('supabase', { events: { UPDATE: { triggerEvent: 'changed' } } });
      const row = (name: string) => ({
        id: '6f1c2a7e-0000-4000-8000-000000000001',
        email: 'ada@x.co',
        updated_at: '2026-11-01T10:00:00.000000+00:00',
        raw_user_meta_data: { first_name: name },
      });
      const update = (from: string, to: string) => ({
        type: 'UPDATE',
        schema: 'auth',
        table: 'users',
        record: row(to),
        old_record: row(from),
      });
      const results = [];
      for (const [from, to] of [
        ['A', 'B'],
        ['B', 'A'],
        ['A', 'B'],
        ['A', 'B'],
        ['B', 'A'],
      ] as const)
        results.push((await app.post(id, 'supabase', update(from, to))).body.result);
      expect(results).toEqual(['accepted', 'accepted', 'accepted', 'duplicate', 'accepted']);
    });
    test('a resend of an ignored delivery, once its type is switched on, is a replay', async () => {
      const id = await app.endpoint('stripe', { events: { 'customer.created': { enabled: false } } });
      const event = stripeEvent('customer.created', { email: 'a@x.co' });
      const first = await app.post(id, 'stripe', event);
      expect(first.body).toMatchObject({ result: 'ignored' });
      expect((await app.post(id, 'stripe', event)).body.result).toBe('ignored');
      await app.api('PATCH', `/endpoints/${id}`, { events: { 'customer.created': { enabled: null } } });
      expect((await app.post(id, 'stripe', event)).body).toMatchObject({
        result: 'accepted',
        deliveryId: first.body.deliveryId,
      });
      await app.drain();
      expect(await app.contacts()).toMatchObject([{ email: 'a@x.co' }]);
    });
  });

  test('a resend of a delivery that was given up is a replay', async () => {
    const id = await app.endpoint('stripe', {});
    await app.api('PATCH', `/endpoints/${id}`, { paused: true });
    const event = stripeEvent('customer.created', { email: 'a@x.co' });
    const first = await app.post(id, 'stripe', event);
    await app.app.ctx.store.write(async tx => void (await tx.update(deliveries).set({ status: 'dead' })));
    await app.api('PATCH', `/endpoints/${id}`, { paused: false });
    await app.drain();
    expect(await app.contacts()).toEqual([]);
    expect((await app.post(id, 'stripe', event)).body).toMatchObject({
      result: 'accepted',
      deliveryId: first.body.deliveryId,
    });
    await app.drain();
    expect(await app.contacts()).toMatchObject([{ email: 'a@x.co' }]);
    expect(await app.latest()).toMatchObject({ status: 'processed', duplicates: 1 });
  });

  describe('who is not known yet', () => {
    const subscription = (customer: string) =>
      stripeEvent('customer.subscription.created', { id: 'sub_1', object: 'subscription', customer, email: undefined });
    test('waits, and is applied by itself when a later webhook names the person', async () => {
      const id = await app.endpoint('stripe', {
        events: { 'customer.subscription.created': { triggerEvent: 'subscribed' } },
      });
      const answer = await app.post(id, 'stripe', subscription('cus_w'));
      expect(answer.body.message).toContain('as soon as that person is known');
      await app.drain();
      expect(await app.latest()).toMatchObject({ status: 'waiting', contactId: null });
      await app.post(id, 'stripe', stripeEvent('customer.created', { id: 'cus_w', email: 'w@x.co' }));
      await app.drain();
      expect(await eventNames()).toEqual(['subscribed']);
      expect((await app.api('GET', `/deliveries/${answer.body.deliveryId}`)).body).toMatchObject({
        status: 'processed',
      });
    });
    test('waits no longer once the person is deleted', async () => {
      const events = { 'customer.subscription.created': { enabled: true } };
      const id = await app.endpoint('stripe', { events });
      const answer = await app.post(id, 'stripe', subscription('cus_9'));
      await app.drain();
      expect(await app.latest()).toMatchObject({ status: 'waiting' });
      await app.post(id, 'stripe', stripeEvent('customer.deleted', { id: 'cus_9', email: 'nine@x.co' }));
      await app.drain();
      const { body } = await app.api('GET', `/deliveries/${answer.body.deliveryId}`);
      expect(body).toMatchObject({ status: 'processed', contactId: null });
    });
    test('a dispute waits for the payment whose checkout names the person', async () => {
      const id = await app.endpoint('stripe', { events: { 'charge.dispute.created': { triggerEvent: 'disputed' } } });
      await app.post(
        id,
        'stripe',
        stripeEvent('charge.dispute.created', {
          id: 'dp_1',
          object: 'dispute',
          charge: 'ch_1',
          payment_intent: 'pi_1',
          evidence: {},
        }),
      );
      await app.drain();
      expect(await app.latest()).toMatchObject({ status: 'waiting' });
      await app.post(
        id,
        'stripe',
        stripeEvent('checkout.session.completed', {
          id: 'cs_1',
          object: 'checkout.session',
          customer: null,
          payment_intent: 'pi_1',
          customer_details: { email: 'guest@x.co', name: 'G' },
        }),
      );
      await app.drain();
      expect(await eventNames()).toEqual(['disputed']);
    });
    test('is looked up at once where the endpoint has a restricted key', async () => {
      await app.stop();
      const asked: string[] = [];
      const fetch = async (url: string, init?: RequestInit) => {
        asked.push(`${url} ${new Headers(init?.headers).get('authorization')}`);
        return Response.json({ id: 'cus_l', object: 'customer', email: 'looked@x.co', name: 'Up' });
      };
      app = await TestApp.open({ fetch });
      const id = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_marked' } });
      await app.post(id, 'stripe', subscription('cus_l'));
      await app.drain();
      expect(asked).toEqual(['https://api.stripe.com/v1/customers/cus_l Bearer rk_test_marked']);
      expect(await app.contacts()).toMatchObject([{ email: 'looked@x.co' }]);
      expect((await app.api('GET', `/endpoints/${id}`)).body.settings).toMatchObject({ apiKeySet: true });
    });
    test('is looked up again after a failure, and waits in the end', async () => {
      await app.stop();
      let calls = 0;
      app = await TestApp.open({
        fetch: async () => new Response(`{"error":{"message":"no"}}`, { status: 500 + 0 * ++calls }),
      });
      const id = await app.endpoint('stripe', { settings: { apiKey: 'rk_test_marked' } });
      await app.post(id, 'stripe', subscription('cus_l'));
      app.time = Date.now();
      for (let i = 0; i < 6; i++) {
        await app.drain();
        app.time += 700_000;
      }
      expect(calls).toBe(5);
      expect(await app.latest()).toMatchObject({ status: 'waiting' });
    });
  });

  test('pausing loses nothing: what came meanwhile is applied with the settings of the moment of resuming', async () => {
    const id = await app.endpoint('stripe');
    await app.api('PATCH', `/endpoints/${id}`, { paused: true });
    const answer = await app.post(id, 'stripe', stripeEvent('customer.created', { email: 'p@x.co' }));
    expect(answer.body).toMatchObject({ result: 'accepted' });
    await app.drain();
    expect(await app.contacts()).toEqual([]);
    await app.api('PATCH', `/endpoints/${id}`, {
      paused: false,
      events: { 'customer.created': { userGroup: 'Late' } },
    });
    await app.drain();
    expect(await app.contacts()).toMatchObject([{ email: 'p@x.co', userGroup: 'Late' }]);
  });

  describe('replay', () => {
    test('repeats no effect, unless asked to', async () => {
      const id = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
      const { deliveryId } = (await app.post(id, 'stripe', stripeEvent('customer.created'))).body;
      await app.drain();
      await app.api('POST', `/deliveries/${deliveryId}/replay`, {});
      await app.drain();
      expect(await eventNames()).toEqual(['signup']);
      await app.api('POST', `/deliveries/${deliveryId}/replay`, { repeatEffects: true });
      await app.drain();
      expect(await eventNames()).toEqual(['signup', 'signup']);
    });
    test('of many runs as a job and skips what was pruned', async () => {
      const id = await app.endpoint('stripe');
      for (let i = 0; i < 250; i++) await app.post(id, 'stripe', stripeEvent('customer.created'));
      await app.drain();
      await app.api('PATCH', `/endpoints/${id}`, {
        events: { 'customer.created': { contactProperties: { mark: 'type' } } },
      });
      expect((await app.api('POST', '/deliveries/replay', { endpointId: id })).body).toEqual({ replayed: 250 });
      await app.drain();
      const marked = (await app.contacts()).filter(contact => contact.mark === 'customer.created');
      expect(marked).toHaveLength(100);
      expect((await app.api('GET', '/deliveries?status=processed')).body.pagination.totalResults).toBe(250);
    });
  });

  describe('an update that changed nothing we map is silent', () => {
    const set = (type: string) => ({
      events: { [type]: { triggerEvent: 'updated', contactProperties: { plan: 'data.object.metadata.plan' } } },
    });
    test('Stripe, by previous_attributes', async () => {
      const id = await app.endpoint('stripe', set('customer.updated'));
      const send = (previous_attributes: unknown) =>
        app.post(
          id,
          'stripe',
          stripeEvent(
            'customer.updated',
            { id: 'cus_s', email: 's@x.co', metadata: { plan: 'pro' } },
            {
              data: {
                object: { id: 'cus_s', email: 's@x.co', name: 'S', metadata: { plan: 'pro' } },
                previous_attributes,
              },
            },
          ),
        );
      await send({ balance: 5 });
      await app.drain();
      expect(await eventNames()).toEqual([]);
      await send({ metadata: { plan: 'free' } });
      await send({ email: 'old@x.co' });
      await app.drain();
      expect(await eventNames()).toEqual(['updated', 'updated']);
    });
    test('Clerk, by what is stored', async () => {
      const id = await app.endpoint('clerk', { events: { 'user.updated': { triggerEvent: 'updated' } } });
      const user = (first_name: string, updated_at: number) => ({
        id: 'user_1',
        first_name,
        last_name: 'L',
        primary_email_address_id: 'i',
        email_addresses: [{ id: 'i', email_address: 'c@x.co', verification: { status: 'verified' } }],
        updated_at,
      });
      const send = (type: string, name: string, at: number) =>
        app.post(id, 'clerk', { type, object: 'event', timestamp: at, data: user(name, at) });
      const now = Date.now();
      await send('user.created', 'Ada', now - 3000);
      await app.drain();
      await send('user.updated', 'Ada', now - 2000);
      await app.drain();
      expect(await eventNames()).toEqual([]);
      await send('user.updated', 'Augusta', now - 1000);
      await app.drain();
      expect(await eventNames()).toEqual(['updated']);
    });
    test('Supabase, by old_record; a soft delete fires the settings of DELETE once', async () => {
      const id = await app.endpoint('supabase', {
        events: { UPDATE: { triggerEvent: 'updated' }, DELETE: { triggerEvent: 'gone' } },
      });
      const row = (more: Record<string, unknown>) => ({
        id: '6f1c2a7e-0000-4000-8000-000000000002',
        email: 's@x.co',
        raw_user_meta_data: { first_name: 'S' },
        deleted_at: null,
        updated_at: new Date().toISOString(),
        ...more,
      });
      const send = (before: Record<string, unknown>, after: Record<string, unknown>) =>
        app.post(id, 'supabase', {
          type: 'UPDATE',
          schema: 'auth',
          table: 'users',
          old_record: row(before),
          record: row(after),
        });
      await app.post(id, 'supabase', {
        type: 'INSERT',
        schema: 'auth',
        table: 'users',
        record: row({}),
        old_record: null,
      });
      await send({}, { last_sign_in_at: new Date().toISOString() });
      await app.drain();
      expect(await eventNames()).toEqual([]);
      const gone = { email: 'YmFzZTY0', deleted_at: new Date().toISOString() };
      await send({}, gone);
      await send(gone, { ...gone, raw_user_meta_data: {} });
      await app.drain();
      expect(await eventNames()).toEqual(['gone']);
      expect(await app.contacts()).toMatchObject([{ email: 's@x.co', subscribed: false }]);
    });
  });

  describe('ignored, with a sentence that says what to do', () => {
    const cases: [string, Record<string, unknown>, Record<string, unknown>, string][] = [
      ['the wrong mode', { settings: { mode: 'live' } }, stripeEvent('customer.created'), 'settings.mode'],
      ['a connected account', {}, stripeEvent('customer.created', {}, { account: 'acct_1' }), 'settings.connect'],
      [
        'a thin payload',
        {},
        { id: 'evt_thin', object: 'v2.core.event', type: 'v1.customer.created', created: '2026-11-01T00:00:00Z' },
        'Snapshot',
      ],
      ['a type Inlet does not apply', {}, stripeEvent('charge.succeeded'), 'charge.succeeded'],
      [
        'a type that is switched off',
        { events: { 'customer.created': { enabled: false } } },
        stripeEvent('customer.created'),
        'switched off',
      ],
    ];
    for (const [name, settings, event, says] of cases) {
      test(name, async () => {
        const id = await app.endpoint('stripe', settings);
        const answer = await app.post(id, 'stripe', event);
        expect(answer).toMatchObject({ status: 200, body: { result: 'ignored' } });
        expect(answer.body.message).toContain(says);
      });
    }
  });

  describe('the signature doctor', () => {
    const cause = async () => {
      const delivery = await app.latest();
      expect(delivery).toMatchObject({ status: 'rejected', payload: null, response: { status: 401 } });
      return delivery.message as string;
    };
    test('names every cause, and the sender always gets the same sentence', async () => {
      const id = await app.endpoint('stripe');
      const other = await app.endpoint('stripe', { secret: 'whsec_other_endpoint_0123456789abcdef' });
      const bare = await app.api('POST', '/endpoints', { provider: 'stripe' });
      const event = stripeEvent('customer.created');
      const answers = [await app.post(id, 'stripe', event, { secret: 'whsec_other_endpoint_0123456789abcdef' })];
      expect(await cause()).toContain(`secret of another endpoint (${other})`);
      answers.push(await app.post(id, 'clerk', event));
      expect(await cause()).toMatch(/no stripe-signature header, but headers of Clerk/);
      answers.push(await app.fetch(`/webhooks/${id}`, { method: 'POST', body: '{}' }));
      expect(await cause()).toBe('no stripe-signature header');
      answers.push(await app.post(id, 'stripe', event, { at: Date.now() - 612_000 }));
      expect(await cause()).toMatch(/timestamp 61[23] s behind our clock/);
      answers.push(await app.post(id, 'stripe', event, { at: Date.now() + 400_000 }));
      expect(await cause()).toMatch(/timestamp (399|400) s ahead of our clock/);
      answers.push(await app.post(bare.body.id, 'stripe', event));
      expect(await cause()).toContain('no signing secret yet');
      answers.push(await app.post(id, 'stripe', event, { secret: 'whsec_nobody_has_this_0123456789' }));
      expect(await cause()).toBe('no signature matches a secret of this endpoint');
      expect(answers.map(a => a.status)).toEqual(answers.map(() => 401));
      expect(new Set(answers.map(a => a.body.message)).size).toBe(1);
      expect((await app.api('GET', `/endpoints/${id}`)).body).toMatchObject({
        state: 'failing',
        lastRejected: { cause: 'no signature matches a secret of this endpoint' },
      });
    });
    test('after three right signatures with a wrong time health names the offset of our clock', async () => {
      const id = await app.endpoint('stripe');
      for (let i = 0; i < 3; i++)
        await app.post(id, 'stripe', stripeEvent('customer.created'), { at: Date.now() + 900_000 + i * 1000 });
      const { clockSkewSeconds, status } = (await app.health()).body;
      expect(status).toBe('trouble');
      expect(Math.abs(clockSkewSeconds + 900)).toBeLessThan(3);
      await app.post(id, 'stripe', stripeEvent('customer.created'));
      expect((await app.health()).body).toMatchObject({ clockSkewSeconds: null, status: 'ok' });
    });
    test('rejected deliveries are bounded in number', async () => {
      const id = await app.endpoint('stripe');
      for (let i = 0; i < 300; i++) await app.fetch(`/webhooks/${id}`, { method: 'POST', body: String(i) });
      const page = await app.api('GET', `/deliveries?status=rejected&endpointId=${id}`);
      expect(page.body.pagination.totalResults).toBeLessThanOrEqual(100);
      expect(page.body.pagination.totalResults).toBeGreaterThan(0);
    });
  });

  test('while a secret is rolled both work, the one that matched is noted, and an expired one ends', async () => {
    const id = await app.endpoint('stripe');
    const fresh = 'whsec_fresh_secret_0123456789abcdef';
    await app.api('POST', `/endpoints/${id}/secrets`, { secret: fresh, expireOthersInHours: 24 });
    expect((await app.post(id, 'stripe', stripeEvent('customer.created'))).status).toBe(200);
    expect((await app.post(id, 'stripe', stripeEvent('customer.created'), { secret: fresh })).status).toBe(200);
    app.time = Date.now() + 25 * 3_600_000;
    expect((await app.post(id, 'stripe', stripeEvent('customer.created'))).status).toBe(401);
    expect((await app.post(id, 'stripe', stripeEvent('customer.created'), { secret: fresh })).status).toBe(200);
    const { secrets } = (await app.api('GET', `/endpoints/${id}`)).body;
    expect(secrets).toHaveLength(2);
    for (const secret of secrets) expect(secret.lastUsedAt).not.toBeNull();
    expect(API_KEY.length).toBeGreaterThan(24);
  });
});
