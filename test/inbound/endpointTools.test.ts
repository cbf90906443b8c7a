import { afterEach, beforeEach, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { payloads } from '../../src/db/schema.ts';
import { flushCounters } from '../../src/history/stats.ts';
import { clerk } from '../../src/providers/clerk.ts';
import { allProviders } from '../../src/providers/index.ts';
import { stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const ask = async (path: string, body?: unknown) => {
  const answer = await app.api(body === undefined ? 'GET' : 'POST', path, body);
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
};
/** Everything that is stored, so that "nothing is written" can be seen. */
const everything = async () => {
  const paths = ['/deliveries', '/contacts', '/events', '/mails', '/jobs'];
  return JSON.stringify(await Promise.all(paths.map(path => ask(`${path}?perPage=100`))));
};

test('paths of the last stored payload of a type, as a mapping takes them; else of the sample', async () => {
  const endpoint = await app.endpoint('stripe');
  const before = await ask(`/endpoints/${endpoint}/samples?type=customer.created`);
  expect(before).toMatchObject({ source: 'sample', deliveryId: null });
  expect(before.paths.length).toBeGreaterThan(3);
  await app.post(endpoint, 'stripe', stripeEvent('customer.created', { metadata: { plan: 'old' } }));
  const metadata = { plan: 'pro', seats: 3, 'odd.key': 'x', note: 'n'.repeat(400) };
  const last = (await app.post(endpoint, 'stripe', stripeEvent('customer.created', { metadata }))).body.deliveryId;
  for (const isWritten of [false, true]) {
    if (isWritten) await flushCounters(app.app.ctx);
    const told = await ask(`/endpoints/${endpoint}/samples?type=customer.created`);
    expect(told).toMatchObject({ source: 'delivery', deliveryId: last, type: 'customer.created' });
    const find = (path: string) => told.paths.find((each: { path: string }) => each.path === path);
    expect(find('data.object.metadata.plan')).toEqual({
      path: 'data.object.metadata.plan',
      type: 'string',
      example: 'pro',
      withheld: false,
    });
    expect(find('data.object.metadata.note').example.length).toBe(120);
    expect(told.paths.some((each: { path: string }) => each.path.includes('odd'))).toBe(false);
  }
  // What is offered can be mapped.
  const patch = { events: { 'customer.created': { contactProperties: { plan: 'data.object.metadata.plan' } } } };
  expect((await app.api('PATCH', `/endpoints/${endpoint}`, patch)).status).toBe(200);
  expect((await app.api('GET', `/endpoints/${endpoint}/samples?type=nonsense`)).status).toBe(400);
  expect((await ask(`/endpoints/${endpoint}/samples`)).paths.length).toBeGreaterThan(3);
  expect((await app.api('GET', '/endpoints/ep_none/samples?type=customer.created')).status).toBe(404);
  const { key } = (await app.api('POST', '/keys', { name: 'r', scope: 'read' })).body;
  const read = await app.api('GET', `/endpoints/${endpoint}/samples?type=customer.created`, undefined, key);
  expect(read.body.paths).toEqual([]);
});

test('every type of every provider has paths, none of them of a secret', async () => {
  for (const { id, types } of allProviders) {
    const endpoint = await app.endpoint(id);
    for (const { type } of types) {
      const { paths } = await ask(`/endpoints/${endpoint}/samples?type=${encodeURIComponent(type)}`);
      expect({ type, some: paths.length > 1 }).toEqual({ type, some: true });
    }
  }
}, 30_000);

test('what the last deliveries would do with other settings, and nothing is written', async () => {
  const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
  const endpoint = await app.endpoint('stripe', { events: { 'customer.updated': { enabled: false } } });
  const first = stripeEvent('customer.created', { id: 'cus_a', email: 'ada@x.co', metadata: { plan: 'pro' } });
  const created = (await app.post(endpoint, 'stripe', first)).body.deliveryId;
  const changed = stripeEvent(
    'customer.updated',
    { id: 'cus_a', email: 'ada@new.co', name: 'Ada King' },
    { created: first.created + 60 },
  );
  const updated = (await app.post(endpoint, 'stripe', changed)).body.deliveryId;
  await app.post(endpoint, 'stripe', stripeEvent('product.created'));
  await app.drain();
  const contactId = (await app.contacts())[0]?.id;
  const settings = (await app.api('GET', `/endpoints/${endpoint}`)).body;
  const stored = await everything();
  const events = {
    'customer.created': {
      ...{ userGroup: 'Customers', mailingLists: [list], triggerEvent: 'signup' },
      contactProperties: { plan: 'data.object.metadata.plan' },
    },
    'customer.updated': { enabled: true },
  };
  const told = await ask(`/endpoints/${endpoint}/preview`, { events });
  expect(told.summary).toEqual({ deliveries: 2, changing: 2, ignored: 0, waiting: 0, events: 1 });
  expect(told.deliveries.map((each: { deliveryId: string }) => each.deliveryId)).toEqual([updated, created]);
  expect(told.deliveries[0]).toMatchObject({
    ...{ wasStatus: 'ignored', status: 'processed', contactId },
    before: { email: 'ada@x.co', lastName: 'Lovelace' },
    after: { email: 'ada@new.co', lastName: 'King' },
  });
  expect(told.deliveries[1]).toMatchObject({
    ...{ wasStatus: 'processed', status: 'processed', contactId },
    before: { userGroup: '', 'properties.plan': null, [`lists.${list}`]: null },
    after: { userGroup: 'Customers', 'properties.plan': 'pro', [`lists.${list}`]: true },
  });
  expect(told.deliveries[1].before).not.toHaveProperty('email');
  expect(await everything()).toBe(stored);
  expect((await app.api('GET', `/endpoints/${endpoint}`)).body).toEqual(settings);
  // The same, saved and replayed, does what was foretold.
  await app.api('PATCH', `/endpoints/${endpoint}`, { events });
  for (const id of [created, updated]) await app.api('POST', `/deliveries/${id}/replay`, {});
  await app.drain();
  expect(await ask(`/contacts/${contactId}`)).toMatchObject({
    ...{ email: 'ada@new.co', userGroup: 'Customers', plan: 'pro', lastName: 'King', mailingLists: { [list]: true } },
  });
  const again = await ask(`/endpoints/${endpoint}/preview`, {});
  expect(again.summary).toMatchObject({ deliveries: 2, changing: 0, events: 0 });
  const one = await ask(`/endpoints/${endpoint}/preview`, {
    limit: 1,
    events: { 'customer.updated': { enabled: false } },
  });
  expect(one).toMatchObject({
    summary: { deliveries: 1, ignored: 1 },
    deliveries: [{ status: 'ignored', before: null, after: null }],
  });
});

test('other settings of the provider, deletions, and what is refused', async () => {
  const endpoint = await app.endpoint('clerk');
  const sign = async (email: string, isProven: boolean, id: string) => {
    const body = clerk.sample('user.created', email, Date.now() - 3_600_000) as {
      data: Record<string, unknown> & { email_addresses: { verification: unknown }[] };
    };
    Object.assign(body.data, { id });
    for (const each of body.data.email_addresses) each.verification = { status: isProven ? 'verified' : 'unverified' };
    await app.post(endpoint, 'clerk', body);
  };
  await sign('proven@x.co', true, 'user_1');
  await sign('typed@x.co', false, 'user_2');
  await app.post(endpoint, 'clerk', { type: 'user.deleted', data: { id: 'user_1', deleted: true }, object: 'event' });
  await app.drain();
  const stored = await everything();
  const strict = await ask(`/endpoints/${endpoint}/preview`, { settings: { verifiedOnly: true } });
  expect(strict.summary).toMatchObject({ deliveries: 3, changing: 1 });
  // Without the address that was typed nobody would be there.
  const typed = strict.deliveries.find((each: { before: object | null }) => each.before !== null);
  expect(typed).toMatchObject({ type: 'user.created', before: { email: 'typed@x.co' }, after: null });
  const removing = await ask(`/endpoints/${endpoint}/preview`, { events: { 'user.deleted': { onDelete: 'delete' } } });
  expect(removing.deliveries[0]).toMatchObject({ type: 'user.deleted', before: { email: 'proven@x.co' }, after: null });
  expect(await everything()).toBe(stored);
  for (const body of [
    { settings: { nonsense: 1 } },
    { events: { nonsense: {} } },
    { limit: 201 },
    { events: { 'user.created': { mailingLists: ['list_none'] } } },
  ])
    expect((await app.api('POST', `/endpoints/${endpoint}/preview`, body)).status).toBe(400);
  expect((await app.api('POST', '/endpoints/ep_none/preview', {})).status).toBe(404);
});

test('types that come in and are not applied, with counts and what to do', async () => {
  const endpoint = await app.endpoint('stripe', { events: { 'customer.updated': { enabled: false } } });
  for (let n = 0; n < 3; n++) await app.post(endpoint, 'stripe', stripeEvent('product.created'));
  const last = (await app.post(endpoint, 'stripe', stripeEvent('customer.updated'))).body.deliveryId;
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await flushCounters(app.app.ctx);
  const more = (await app.post(endpoint, 'stripe', stripeEvent('product.created'))).body.deliveryId;
  await flushCounters(app.app.ctx);
  const told = await ask(`/endpoints/${endpoint}/ignored`);
  expect(told).toMatchObject([
    {
      type: 'product.created',
      count: 4,
      lastDeliveryId: more,
      canBeApplied: false,
      isOff: false,
      advice: expect.stringContaining('Untick'),
    },
    {
      type: 'customer.updated',
      count: 1,
      lastDeliveryId: last,
      canBeApplied: true,
      isOff: true,
      advice: expect.stringContaining('Enable'),
    },
  ]);
  expect((await app.api('GET', '/endpoints/ep_none/ignored')).status).toBe(404);
  await app.api('DELETE', `/endpoints/${endpoint}`);
  expect((await app.api('GET', `/endpoints/${endpoint}/ignored`)).status).toBe(404);
});

test('a damaged row hides nothing of the others: preview, samples and explanations go on', async () => {
  const bodies = ['{broken', 'null', '[]', '"text"', '{"data":{"object":null}}'];
  for (const provider of ['stripe', 'clerk', 'supabase', 'polar']) {
    const endpoint = await app.endpoint(provider);
    const type = allProviders.find(each => each.id === provider)?.types[0]?.type ?? '';
    for (const body of bodies) {
      await app.api('POST', `/endpoints/${endpoint}/test`, { type, email: `${provider}${bodies.indexOf(body)}@x.co` });
      const { id } = await app.latest();
      await app.app.ctx.store.write(tx => tx.update(payloads).set({ body }).where(eq(payloads.deliveryId, id)));
      expect((await ask(`/deliveries/${id}/explain`)).id).toBe(id);
      await ask(`/endpoints/${endpoint}/samples?type=${encodeURIComponent(type)}`);
    }
    const told = await ask(`/endpoints/${endpoint}/preview`, {});
    expect(told.summary.deliveries).toBeGreaterThan(0);
  }
}, 20_000);
