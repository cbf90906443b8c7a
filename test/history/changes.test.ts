import { afterEach, beforeEach, expect, test } from 'bun:test';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
}, 60_000);
afterEach(() => app?.stop());

const summaries = async (id: string) =>
  (await app.api('GET', `/contacts/${id}/activity`)).body.data.map((each: { summary: string }) => each.summary);

test('activity shows what the API and an import did; a webhook’s own effects tell of the rest', async () => {
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const made = { email: 'ada@x.co', mailingLists: { [list]: true } };
  const { id } = (await app.api('POST', '/contacts/create', made)).body;
  expect(await summaries(id)).toEqual(['Joined a mailing list (API)', 'Created (API)']);
  await app.api('PUT', '/contacts/update', { email: 'ada@x.co', subscribed: false });
  await app.api('PUT', '/contacts/update', { email: 'ada@x.co', subscribed: true, mailingLists: { [list]: false } });
  await app.upload(`/contacts/import?mailingLists=${list}`, 'email\nada@x.co\nbo@x.co\n');
  await app.drain();
  const all = await summaries(id);
  expect(all[0]).toBe('Joined a mailing list (CSV import)');
  expect(all.slice(1, 3).sort()).toEqual(['Left a mailing list (API)', 'Subscribed again (API)']);
  expect(all).toContain('Unsubscribed (API)');
  expect(all).toContain('Subscribed again (API)');
  const { data } = (await app.api('GET', `/contacts/${id}/activity?perPage=1`)).body;
  expect(data).toMatchObject([{ kind: 'change', deliveryId: null, detail: { listId: list } }]);
  expect((await app.api('GET', `/contacts/${id}/activity`)).body.pagination.totalResults).toBe(all.length);
  const stripe = await app.endpoint('stripe');
  await app.post(stripe, 'stripe', stripeEvent('customer.created', { id: 'cus_c', email: 'c@x.co' }));
  const [{ id: other }] = (await app.api('GET', '/contacts/find?email=c@x.co')).body;
  expect(await summaries(other)).toEqual(['Created contact c@x.co']);
});
