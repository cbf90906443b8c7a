import { afterAll, beforeAll, expect, test } from 'bun:test';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.open({ resolve: async () => [], fetch: async () => new Response() });
});
afterAll(() => app.stop());

test('a delivery shows webhook → contact → event → run → mail and call; the activity has all of them, page by page', async () => {
  const message = (await app.api('POST', '/email-messages', { subject: 'Welcome', html: '<p>Hello</p>' })).body.id;
  const workflow = (await app.api('POST', '/workflows', { name: 'w' })).body.id;
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'signup', reEligible: true, nextNodeIds: ['m'] },
    m: { typeName: 'SendEmailAction', emailMessageId: message, nextNodeIds: ['x'] },
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  await app.api('PUT', `/workflows/${workflow}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes });
  expect((await app.api('POST', `/workflows/${workflow}/start`)).status).toBe(200);
  await app.api('POST', '/webhook-subscriptions', { url: 'https://example.com/', eventNames: ['contact.created'] });
  const endpoint = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
  const { deliveryId } = (await app.post(endpoint, 'stripe', stripeEvent('customer.created', { email: 'ada@x.co' })))
    .body;
  await app.drain();
  const { chain, contactId } = (await app.api('GET', `/deliveries/${deliveryId}`)).body;
  expect(chain.events).toMatchObject([{ eventName: 'signup' }]);
  expect(chain.runs).toMatchObject([{ workflowId: workflow, eventId: chain.events[0].id }]);
  expect(chain.mails).toMatchObject([{ runId: chain.runs[0].id }]);
  expect(chain.calls).toMatchObject([{ eventName: 'contact.created' }]);

  const seen: { id: string; kind: string }[] = [];
  let cursor = '';
  do {
    const page = (await app.api('GET', `/contacts/${contactId}/activity?perPage=1&cursor=${cursor}`)).body;
    expect(page.pagination.totalResults).toBe(4);
    seen.push(...page.data);
    cursor = page.pagination.nextCursor ?? '';
  } while (cursor);
  expect(seen.map(each => each.kind).sort()).toEqual(['delivery', 'event', 'mail', 'run']);
  expect(seen.find(each => each.kind === 'mail')?.id).toBe(chain.mails[0].id);
});
