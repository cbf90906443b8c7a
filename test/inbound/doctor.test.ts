import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import { SECRETS, stripeEvent, TestApp } from '../support/app.ts';
import { signed } from '../support/signed.ts';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.open();
});
afterAll(() => app.stop());

const cause = async () => (await app.latest()).message as string;

describe('a body that was re-encoded on the way', () => {
  const sent = JSON.stringify(stripeEvent('customer.created'));
  const arrived: [string, string, string][] = [
    [
      'parsed and written again with spaces',
      JSON.stringify(JSON.parse(sent), null, 4),
      'JSON was parsed and written again',
    ],
    ['with a line end added', `${sent}\n`, 'white space was added at its end'],
  ];
  for (const [name, text, says] of arrived) {
    for (const provider of ['stripe', 'polar', 'clerk']) {
      test(`${name}: refused, and the log says so (${provider})`, async () => {
        const id = await app.endpoint(provider);
        const { headers } = await signed(provider, sent, { now: Date.now(), secret: SECRETS[provider] ?? '' });
        const answer = await app.fetch(`/webhooks/${id}`, { method: 'POST', body: text, headers });
        expect(answer.status).toBe(401);
        expect(await cause()).toBe(`the body was re-encoded on the way (${says})`);
      });
    }
  }
  test('a pretty body that arrives dense, and one that lost its line end', async () => {
    const id = await app.endpoint('stripe');
    const event = stripeEvent('customer.created');
    for (const [original, text] of [
      [JSON.stringify(event, null, 2), JSON.stringify(event)],
      [`${JSON.stringify(event)}\n`, JSON.stringify(event)],
    ] as const) {
      const { headers } = await signed('stripe', original, { now: Date.now(), secret: SECRETS.stripe ?? '' });
      expect((await app.fetch(`/webhooks/${id}`, { method: 'POST', body: text, headers })).status).toBe(401);
      expect(await cause()).toContain('the body was re-encoded on the way');
    }
  });
});

test("each provider's headers at another provider's endpoint are named", async () => {
  const names = { stripe: 'Stripe', clerk: 'Clerk', supabase: 'Supabase', polar: 'Polar' };
  for (const [at, expected] of Object.entries({
    stripe: 'clerk',
    clerk: 'stripe',
    polar: 'stripe',
    supabase: 'stripe',
  })) {
    const id = await app.endpoint(at);
    await app.post(id, expected, stripeEvent('customer.created'));
    expect(await cause()).toContain(
      `headers of ${names[expected as keyof typeof names]}: is this endpoint's provider right?`,
    );
  }
});

test('an expired secret is refused, and named', async () => {
  const id = await app.endpoint('stripe');
  await app.api('POST', `/endpoints/${id}/secrets`, { secret: 'whsec_the_new_one_0123456789', expireOthersInHours: 1 });
  app.time = Date.now() + 3_601_000;
  expect((await app.post(id, 'stripe', stripeEvent('customer.created'))).status).toBe(401);
  expect(await cause()).toMatch(/^signed with a secret of this endpoint that expired \(sec_\w+\)$/);
  app.time = null;
});

test('an unverified body is parsed only to name the cause of the few refusals that are logged, however many come', async () => {
  const id = await app.endpoint('stripe');
  const body = `[${'[1],'.repeat(12_000)}1]`;
  const { headers } = await signed('stripe', body, { now: Date.now(), secret: 'whsec_forged_forged_forged_0123' });
  const parse = spyOn(JSON, 'parse');
  const begin = performance.now();
  for (let i = 0; i < 200; i++) {
    const answer = await app.fetch(`/webhooks/${id}`, { method: 'POST', body, headers });
    expect(answer.status).toBe(401);
  }
  const seconds = (performance.now() - begin) / 1000;
  const times = parse.mock.calls.filter(([text]) => text === body).length;
  parse.mockRestore();
  expect(times).toBeGreaterThan(0);
  expect(times).toBeLessThanOrEqual(20 * (Math.ceil(seconds) + 1));
});
