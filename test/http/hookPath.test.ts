// databases: sqlite
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
let url: string;
beforeAll(async () => {
  app = await TestApp.open({}, { port: 0 });
  ({ url } = await app.app.start());
});
afterAll(() => app.stop());

test("a webhook's URL with a slash behind it is a 404 that says to remove the slash, and stores nothing", async () => {
  const id = await app.endpoint('stripe');
  const body = JSON.stringify(stripeEvent('customer.created'));
  for (const method of ['POST', 'GET']) {
    const answer = await fetch(`${url}/webhooks/${id}/`, { method, ...(method === 'POST' && { body }) });
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ success: false, message: expect.stringContaining('Remove it') });
  }
  expect((await app.api('GET', '/deliveries')).body.data).toEqual([]);
  const other = await fetch(`${url}/webhooks/${id}/more`, { method: 'POST', body });
  expect(await other.json()).toMatchObject({ message: 'No such path. /swagger lists them all.' });
});
