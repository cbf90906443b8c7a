import { Database } from 'bun:sqlite';
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { suppress } from '../../src/audience/suppressions.ts';
import { TABLES } from '../../src/db/transfer/transfer.ts';
import { queueMail } from '../../src/mail/mails.ts';
import { onPostgres, stripeEvent, TestApp } from '../support/app.ts';

const ADDRESS = 'Rosalind@Example.org';
const FORMER = 'rosie.former@example.org';

let app: TestApp;
let endpoint: string;
beforeEach(async () => {
  app = await TestApp.open({ resolve: async () => [], fetch: async () => new Response() });
  endpoint = await app.endpoint('stripe', { events: { 'customer.created': { triggerEvent: 'signup' } } });
});
afterEach(() => app.stop());

/** Tables that hold a text anywhere, in any case. */
async function holding(text: string): Promise<string[]> {
  const found: string[] = [];
  for (const { name, columns } of TABLES) {
    const rows = await app.app.ctx.store.read(tx =>
      tx.all<unknown[]>(sql.raw(`select ${columns.map(each => `"${each}"`).join(', ')} from "${name}"`)),
    );
    if (JSON.stringify(rows).toLowerCase().includes(text.toLowerCase())) found.push(name);
  }
  return found;
}

const idOf = async (email: string) =>
  (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body[0]?.id as string | undefined;

/** A person with everything that can hold an address. */
async function lived() {
  const created = stripeEvent('customer.created', { id: 'cus_r', email: FORMER, name: 'Rosalind F' });
  expect(
    (await app.api('POST', '/webhook-subscriptions', { url: 'https://example.com/', eventNames: ['contact.created'] }))
      .status,
  ).toBe(201);
  const workflow = (await app.api('POST', '/workflows', { name: 'w' })).body.id;
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'signup', reEligible: true, nextNodeIds: ['w'] },
    w: { typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: ['x'] },
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  await app.api('PUT', `/workflows/${workflow}/graph`, { expectedRevisionId: null, rootNodeId: 't', nodes });
  await app.api('POST', `/workflows/${workflow}/start`);
  await app.post(endpoint, 'stripe', created);
  const updated = stripeEvent('customer.updated', { id: 'cus_r', email: ADDRESS }, { created: created.created + 1 });
  await app.post(endpoint, 'stripe', updated);
  await app.post(endpoint, 'stripe', stripeEvent('invoice.made.up', { id: 'in_1', email: ADDRESS })); // ignored: of no type we take
  await app.drain();
  await app.api('PUT', '/contacts/update', { email: ADDRESS, userId: 'user_r', planName: 'pro' });
  await app.api('POST', '/events/send', { email: ADDRESS, eventName: 'paid', eventProperties: { by: ADDRESS } });
  await app.upload(
    '/contacts/import',
    `email,seats,userId\n${ADDRESS},5,other_user_of_nobody_else_${'x'.repeat(600)}\n`,
  );
  await app.api('POST', '/deliveries/replay', { email: ADDRESS });
  const id = (await idOf(ADDRESS)) ?? '';
  const { store } = app.app.ctx;
  await store.write(async tx => {
    await suppress(tx, ADDRESS, 'bounced', Date.now());
    const mail = { key: 'k', contactId: id, to: ADDRESS, emailMessageId: 'em_1', data: {}, transactional: true };
    await queueMail(tx, mail as Parameters<typeof queueMail>[1], Date.now() + 3_600_000);
  });
  await app.drain();
  return { id, created, updated };
}

test('no byte of an erased person’s addresses stays in any table, nor in the files', async () => {
  const { id } = await lived();
  expect(await holding(ADDRESS)).toEqual(
    expect.arrayContaining([
      'contacts',
      'identities',
      'ties',
      'payloads',
      'events',
      'mails',
      'suppressions',
      'import_failures',
    ]),
  );
  expect(await holding(FORMER)).toEqual(expect.arrayContaining(['payloads', 'webhook_calls', 'events']));
  expect((await app.api('DELETE', `/contacts/${id}?erase=true`)).body).toEqual({
    success: true,
    message: 'Contact erased.',
  });
  expect((await app.api('GET', `/contacts/${id}`)).status).toBe(404);
  await app.drain();
  for (const text of [ADDRESS, FORMER, 'cus_r', 'user_r', 'Rosalind'])
    expect({ text, tables: await holding(text) }).toEqual({ text, tables: [] });
  for (const table of ['runs', 'steps', 'erasures']) {
    const rows = await app.app.ctx.store.read(tx => tx.all(sql.raw(`select * from ${table}`)));
    expect({ table, rows: rows.length }).toEqual({ table, rows: 0 });
  }
  expect((await app.api('GET', '/deliveries')).body.data.map((each: { message: string }) => each.message)).toContain(
    'The person of this delivery was erased.',
  );
  if (onPostgres) return; // dead rows go with the server’s own vacuum
  await app.app.stop();
  const folder = join(app.folder, 'data');
  const db = new Database(join(folder, 'inlet.db'));
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
  for (const file of readdirSync(folder))
    expect({
      file,
      found: readFileSync(join(folder, file)).toString('latin1').toLowerCase().includes('rosalind@'),
    }).toEqual({ file, found: false });
  app = await TestApp.open({}, {}, app.folder);
});

test('neither a redelivery nor another old webhook, nor a newer one of that customer, brings an erased person back', async () => {
  const { id, created } = await lived();
  await app.api('DELETE', `/contacts/${id}?erase=true`);
  await app.drain();
  const old = { created: created.created - 60 };
  expect((await app.post(endpoint, 'stripe', created)).body.result).toBe('duplicate');
  const others = [
    stripeEvent('customer.created', { id: 'cus_r', email: FORMER }, old),
    stripeEvent('customer.updated', { id: 'cus_r', email: ADDRESS }, { created: created.created + 3600 }),
    stripeEvent('customer.created', { id: 'cus_elder', email: ADDRESS }, old), // an older customer with the same address
  ];
  for (const body of others) {
    const answer = await app.post(endpoint, 'stripe', body);
    expect(answer.body.message).toContain('was erased');
  }
  await app.api('POST', '/deliveries/replay', { endpointId: endpoint });
  await app.drain();
  expect(await app.contacts()).toEqual([]);
  expect(await holding(ADDRESS)).toEqual([]);
  expect(await holding(FORMER)).toEqual([]);
});

test('one that was stored but not applied yet when its person was erased is not applied after', async () => {
  const { id, created } = await lived();
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: true });
  await app.post(
    endpoint,
    'stripe',
    stripeEvent('customer.updated', { id: 'cus_r', email: ADDRESS }, { created: created.created + 9 }),
  );
  await app.api('DELETE', `/contacts/${id}?erase=true`);
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: false });
  await app.drain();
  expect(await app.contacts()).toEqual([]);
  expect(await holding(ADDRESS)).toEqual([]);
});

test('who signs up anew is somebody new, with nothing of before', async () => {
  const { id, created } = await lived();
  await app.api('DELETE', `/contacts/${id}?erase=true`);
  await app.drain();
  await app.post(
    endpoint,
    'stripe',
    stripeEvent('customer.created', { id: 'cus_new', email: ADDRESS, name: 'R' }, { created: created.created + 7200 }),
  );
  await app.drain();
  const contact = (await app.contacts())[0];
  expect(contact).toMatchObject({
    email: ADDRESS.toLowerCase(),
    firstName: 'R',
    userId: null,
    source: 'Stripe webhook',
  });
  expect(contact?.id).not.toBe(id);
  expect(contact).not.toHaveProperty('planName');
  await app.api('DELETE', `/contacts/${contact?.id}?erase=true`);
  await app.drain();
  expect((await app.api('POST', '/contacts/create', { email: ADDRESS })).status).toBe(200);
});

test('an address that another person has, too, stays theirs', async () => {
  const clerk = await app.endpoint('clerk');
  const user = (id: string, at: number) => ({
    type: 'user.created',
    object: 'event',
    timestamp: at,
    data: {
      id,
      created_at: at,
      updated_at: at,
      primary_email_address_id: 'e',
      email_addresses: [{ id: 'e', email_address: ADDRESS, verification: { status: 'verified' } }],
    },
  });
  await app.post(clerk, 'clerk', user('user_1', Date.now() - 2000), { id: 'msg_1' });
  await app.post(clerk, 'clerk', user('user_2', Date.now() - 1000), { id: 'msg_2' });
  await app.drain();
  const [shown] = await app.contacts();
  expect(shown).toMatchObject({ userId: 'user_2' });
  await app.api('DELETE', `/contacts/${shown?.id}?erase=true`);
  await app.drain();
  // Who proved it before shows it again, and what came of them stays; of the other nothing does.
  expect(await app.contacts()).toMatchObject([{ userId: 'user_1', email: ADDRESS.toLowerCase() }]);
  const payloads = (await app.api('GET', '/deliveries')).body.data.map((each: { payload: unknown }) => each.payload);
  expect(payloads).toMatchObject([null, { data: { id: 'user_1' } }]);
  expect(await holding('user_2')).toEqual([]);
});
