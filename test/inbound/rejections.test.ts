import { afterEach, beforeEach, expect, test } from 'bun:test';
import { findProvider } from '../../src/providers/index.ts';
import { SECRETS, stripeEvent, TestApp } from '../support/app.ts';

const NOBODYS = 'whsec_nobody_has_this_0123456789';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const rejected = async (endpoint: string) =>
  (await app.api('GET', `/deliveries?status=rejected&endpointId=${endpoint}&perPage=100`)).body.data as {
    message: string;
    duplicates: number;
  }[];
const signedBy = (text: string, secret: string) => findProvider('stripe')?.sign(text, secret, {}, Date.now()) ?? {};
const junk = (endpoint: string, body: string) => app.fetch(`/webhooks/${endpoint}`, { method: 'POST', body });
const stateOf = async (endpoint: string) => (await app.api('GET', `/endpoints/${endpoint}`)).body.state;

test('a flood on one endpoint hides no rejection of another', async () => {
  const [flooded, other] = [await app.endpoint('stripe'), await app.endpoint('stripe')];
  for (let n = 0; n < 100; n++) await junk(flooded, String(n));
  for (let n = 0; n < 3; n++)
    expect((await app.post(other, 'stripe', stripeEvent('customer.created'), { secret: NOBODYS })).status).toBe(401);
  expect(await rejected(other)).toMatchObject([
    { message: 'no signature matches a secret of this endpoint (3 times within 10 s)', duplicates: 2 },
  ]);
  expect(await stateOf(other)).toBe('failing');
});

test('100 forged posts a second on one endpoint, for as long as they like, hide no rejection of another', async () => {
  const [flooded, other] = [await app.endpoint('stripe'), await app.endpoint('stripe')];
  let over = false;
  const flood = (async () => {
    for (let n = 0; !over; n++) {
      void junk(flooded, String(n));
      await Bun.sleep(10);
    }
  })();
  for (let n = 0; n < 8; n++) {
    await Bun.sleep(300);
    expect((await app.post(other, 'stripe', stripeEvent('customer.created'), { secret: NOBODYS })).status).toBe(401);
  }
  over = true;
  await flood;
  const counted = (await rejected(other)).reduce((sum, row) => sum + 1 + row.duplicates, 0);
  expect(counted).toBe(8);
  expect(await stateOf(other)).toBe('failing');
  expect((await rejected(flooded)).length).toBeLessThanOrEqual(2); // one row counts them, two where ten seconds passed
}, 20_000);

test('a flood of junk is one counted row, and evicts no useful cause', async () => {
  const [flooded, other] = [await app.endpoint('stripe'), await app.endpoint('stripe', { secret: NOBODYS })];
  await app.post(flooded, 'stripe', stripeEvent('customer.created'), { secret: NOBODYS });
  const { rejections } = app.app.ctx;
  for (let n = 0; n < 150; n++) {
    rejections.close(flooded); // each one in a row of its own, as if they came slowly
    rejections.mayLog = () => true;
    await junk(flooded, String(n));
  }
  const rows = await rejected(flooded);
  expect(rows).toHaveLength(21);
  expect(rows.at(-1)?.message).toBe(`signed with the secret of another endpoint (${other})`);
  for (let n = 0; n < 50; n++) await junk(flooded, String(n));
  expect((await rejected(flooded))[0]).toMatchObject({
    message: 'no stripe-signature header (51 times within 10 s)',
    duplicates: 50,
  });
});

test('at most 100 rejections of an endpoint are kept, however many causes there are', async () => {
  const id = await app.endpoint('stripe');
  app.app.ctx.rejections.mayLog = () => true;
  await app.post(id, 'clerk', stripeEvent('customer.created'));
  for (let n = 0; n < 8; n++) {
    await app.endpoint('stripe', { secret: `whsec_of_another_${n}_0123456789` });
    for (let repeat = 0; repeat < 18; repeat++) {
      app.app.ctx.rejections.close(id);
      await app.post(id, 'stripe', stripeEvent('customer.created'), { secret: `whsec_of_another_${n}_0123456789` });
    }
  }
  const rows = await rejected(id);
  expect(rows).toHaveLength(100);
  expect(rows.at(-1)?.message).toContain('headers of Clerk');
});

test('one captured request, sent again and again, says nothing against the clock', async () => {
  const id = await app.endpoint('stripe');
  const old = JSON.stringify(stripeEvent('customer.created'));
  const at = Date.now() - 7_200_000;
  for (let n = 0; n < 5; n++) await app.post(id, 'stripe', old, { at });
  expect((await app.health()).body).toMatchObject({ status: 'ok', clockSkewSeconds: null });
  await app.post(id, 'stripe', stripeEvent('customer.created'), { at }); // another body of the same second
  expect((await app.health()).body.clockSkewSeconds).toBeNull();
  for (const later of [1000, 2000]) await app.post(id, 'stripe', stripeEvent('customer.created'), { at: at + later });
  expect((await app.health()).body).toMatchObject({ status: 'trouble', clockSkewSeconds: expect.any(Number) });
  app.time = Date.now() + 3_700_000;
  expect((await app.health()).body).toMatchObject({ status: 'ok', clockSkewSeconds: null });
});

test('a large body with a wrong signature is not tried with the secrets of other endpoints', async () => {
  const id = await app.endpoint('stripe');
  await app.endpoint('stripe', { secret: NOBODYS });
  const large = stripeEvent('customer.created', { metadata: { note: 'x'.repeat(70_000) } });
  await app.post(id, 'stripe', large, { secret: NOBODYS });
  expect((await app.latest()).message).toBe('no signature matches a secret of this endpoint');
});

test('an endpoint is live again with the next good delivery, also within the minute', async () => {
  const id = await app.endpoint('stripe');
  const start = Date.now();
  app.time = start;
  await app.post(id, 'stripe', stripeEvent('customer.created'));
  for (let n = 0; n < 3; n++) {
    app.time = start + 1000 + n;
    await app.post(id, 'stripe', stripeEvent('customer.created'), { secret: NOBODYS });
  }
  expect(await stateOf(id)).toBe('failing');
  app.time = start + 3000;
  await app.post(id, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  expect(await stateOf(id)).toBe('live');
  app.time = start + 4000;
  await app.post(id, 'stripe', stripeEvent('customer.created'), { secret: NOBODYS });
  expect(await stateOf(id)).toBe('live'); // one is no series
});

test('a body that is under way is judged by the endpoint as it is when it has arrived', async () => {
  const send = (id: string, secret: string | undefined) => {
    const text = JSON.stringify(stripeEvent('customer.created', { email: `${id}@example.com` }));
    const arrived = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode(text.slice(0, 10)));
        await arrived.promise;
        controller.enqueue(new TextEncoder().encode(text.slice(10)));
        controller.close();
      },
    });
    const headers = signedBy(text, secret ?? '');
    return { answer: app.fetch(`/webhooks/${id}`, { method: 'POST', body, headers }), arrive: arrived.resolve };
  };
  const removed = await app.endpoint('stripe');
  const gone = send(removed, SECRETS.stripe);
  await Bun.sleep(20);
  await app.api('DELETE', `/endpoints/${removed}`);
  gone.arrive();
  expect((await gone.answer).status).toBe(404);
  const rolled = await app.endpoint('stripe');
  const late = send(rolled, NOBODYS);
  await Bun.sleep(20);
  await app.api('POST', `/endpoints/${rolled}/secrets`, { secret: NOBODYS });
  late.arrive();
  expect(await late.answer).toMatchObject({ status: 200, body: { result: 'accepted' } });
});
