import { afterEach, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/cli/run.ts';
import { eventSettings } from '../../src/inbound/eventSettings.ts';
import { EMPTY_CONTENT } from '../../src/mail/messages.ts';
import { findProvider } from '../../src/providers/index.ts';
import { Templates } from '../../src/templates/templates.ts';
import { listRecipes } from '../../src/workflows/recipes/index.ts';
import { closeAll, open, sink } from '../mail/support.ts';
import { stripeEvent, type TestApp } from '../support/app.ts';
import { onSqlite } from '../support/onSqlite.ts';

const DAY = 86_400_000;
afterEach(closeAll);

async function begin() {
  const server = await sink();
  const app = await open(server.port);
  app.time = Date.now();
  return { app, server };
}

/** Adds a recipe with the triggers it needs at a Stripe endpoint, and starts it. */
async function start(app: TestApp, id: string) {
  const endpointId = await app.endpoint('stripe');
  const made = await app.api('POST', `/recipes/${id}`, { endpointId });
  expect([made.status, made.body.message, made.body.state]).toEqual([201, undefined, 'draft']);
  const started = await app.api('POST', `/workflows/${made.body.workflowId}/start`);
  expect([started.status, started.body.message]).toEqual([200, undefined]);
  return { endpointId, workflowId: made.body.workflowId as string };
}

async function post(app: TestApp, endpointId: string, type: string, object: Record<string, unknown>) {
  const created = Math.floor(app.now() / 1000);
  const answer = await app.post(endpointId, 'stripe', stripeEvent(type, object, { created }));
  expect([answer.status, answer.body.result]).toEqual([200, 'accepted']);
  await app.drain();
}

const invoice = (customer: string, more = {}) => ({
  ...{ id: `in_${customer}`, object: 'invoice', customer, customer_email: `${customer}@x.co`, customer_name: 'Ada L' },
  ...{ number: 'A-1', currency: 'usd', amount_due: 2900, hosted_invoice_url: 'https://invoice.stripe.com/i/1' },
  ...more,
});

const passDays = async (app: TestApp, days: number) => {
  app.time = app.now() + days * DAY + 1000;
  await app.drain();
};

test('dunning: three mails while the payment goes on failing, none after it was paid, a new round for a new invoice', async () => {
  const { app, server } = await begin();
  const { endpointId, workflowId } = await start(app, 'dunning');
  const fail = (who: string, more = {}) => post(app, endpointId, 'invoice.payment_failed', invoice(who, more));
  const subjects = (who: string) =>
    server.mails.filter(mail => mail.to.includes(`${who}@x.co`)).map(({ raw }) => /^Subject: (.*)\r$/m.exec(raw)?.[1]);
  const three = [
    'Your payment did not go through',
    'Your payment is still open',
    'Last reminder: your payment is open',
  ];
  await fail('ada');
  await fail('bob');
  await fail('ada', { attempt_count: 2 });
  expect([subjects('ada'), subjects('bob')]).toEqual([three.slice(0, 1), three.slice(0, 1)]);
  const [first] = server.mails;
  expect(first?.raw).toContain('https://invoice.stripe.com/i/1');
  expect(first?.raw).toContain('Hello Ada');
  await passDays(app, 3);
  await fail('ada', { attempt_count: 3 });
  expect(subjects('ada')).toEqual(three.slice(0, 2));
  await post(app, endpointId, 'invoice.paid', invoice('bob', { amount_paid: 2900 }));
  await passDays(app, 4);
  await fail('ada', { attempt_count: 4 });
  await passDays(app, 4);
  expect([subjects('ada'), subjects('bob')]).toEqual([three, three.slice(0, 2)]);
  await post(app, endpointId, 'invoice.paid', invoice('ada', { amount_paid: 2900 }));
  await passDays(app, 30);
  await fail('ada', { id: 'in_next' });
  expect(subjects('ada')).toEqual([...three, three[0]]);
  const runs = (await app.api('GET', `/workflows/${workflowId}/runs`)).body.data;
  expect(runs.map((each: { status: string; reason: string | null }) => each.reason ?? each.status)).toEqual([
    ...['active', 'the event invoice_paid ended it', 'the event invoice_paid ended it'],
  ]);
});

test('one at a time: events of one moment start one run', async () => {
  const { app } = await begin();
  const { endpointId, workflowId } = await start(app, 'dunning');
  const created = Math.floor(app.now() / 1000);
  const events = Array.from({ length: 30 }, (_, i) =>
    stripeEvent('invoice.payment_failed', invoice(`c${i % 3}`, { attempt_count: i }), { created }),
  );
  await Promise.all(events.map(event => app.post(endpointId, 'stripe', event)));
  await app.drain();
  expect((await app.api('GET', `/workflows/${workflowId}/runs`)).body.data).toHaveLength(3);
});

test('trial ending: three days before, for trials only, not after the subscription ended', async () => {
  const { app, server } = await begin();
  const { endpointId } = await start(app, 'trial-ending');
  const subscribe = async (who: string, more: Record<string, unknown>) => {
    await post(app, endpointId, 'customer.created', { id: who, email: `${who}@x.co` });
    await post(app, endpointId, 'customer.subscription.created', {
      id: `sub_${who}`,
      object: 'subscription',
      customer: who,
      ...more,
    });
  };
  const trial_end = Math.floor(app.now() / 1000) + 14 * 86_400;
  await subscribe('ada', { status: 'trialing', trial_end });
  await subscribe('bob', { status: 'active', trial_end: null });
  await subscribe('eve', { status: 'trialing', trial_end });
  await passDays(app, 10);
  await post(app, endpointId, 'customer.subscription.deleted', {
    id: 'sub_eve',
    object: 'subscription',
    customer: 'eve',
    status: 'canceled',
  });
  expect(server.mails).toEqual([]);
  await passDays(app, 1);
  expect(server.mails.map(mail => mail.to)).toEqual([['ada@x.co']]);
  const day = new Date(trial_end * 1000).toLocaleDateString('en-GB', {
    day: 'numeric',
    month: 'long',
    year: 'numeric',
    timeZone: 'UTC',
  });
  expect(server.mails[0]?.raw.replace(/=\r\n/g, '')).toContain(`your trial ends on ${day}`);
});

test.each([
  [{ amount_paid: 2950, currency: 'usd' }, 'we received 29.5 USD for invoice A-1'],
  [{ amount_paid: 2950, currency: 'jpy' }, 'we received 2950 JPY for invoice A-1'],
  [{ amount_paid: 0, currency: 'usd' }, null],
])('receipt: %p', async (more, said) => {
  const { app, server } = await begin();
  const { endpointId } = await start(app, 'receipt');
  await post(app, endpointId, 'invoice.paid', invoice('ada', more));
  if (said === null) expect(server.mails).toEqual([]);
  else expect(server.mails[0]?.raw.replace(/=\r\n/g, '')).toContain(said);
});

test('welcome: needs no provider; a greeting and a question three days later', async () => {
  const { app, server } = await begin();
  const made = await app.api('POST', '/recipes/welcome');
  expect([made.status, made.body.name, made.body.endpointId]).toEqual([201, 'Welcome', null]);
  await app.api('POST', `/workflows/${made.body.workflowId}/start`);
  await app.api('POST', '/contacts/create', { email: 'ada@x.co', firstName: 'Ada' });
  await app.drain();
  await passDays(app, 3);
  const subjects = server.mails.map(({ raw }) => /^Subject: (.*)\r$/m.exec(raw)?.[1]);
  expect(subjects).toEqual(['Welcome, Ada', 'How is it going?']);
});

test('what stands in the way is said, and nothing is made then', async () => {
  const { app } = await begin();
  const counted = async () => [
    (await app.api('GET', '/workflows')).body.data.length,
    (await app.app.ctx.store.read(tx => tx.query.emailMessages.findMany())).length,
  ];
  const clerk = await app.endpoint('clerk');
  const stripe = await app.endpoint('stripe', {
    events: { 'invoice.paid': { eventProperties: { currency: 'data.object.id' } } },
  });
  const refused = async (id: string, body: unknown) => {
    const { status, body: answer } = await app.api('POST', `/recipes/${id}`, body);
    return [status, answer.message];
  };
  expect(await refused('dunnin', {})).toEqual([404, expect.stringContaining('Did you mean dunning?')]);
  expect(await refused('dunning', { endpointId: 'ep_none' })).toEqual([
    404,
    expect.stringContaining('Endpoint not found.'),
  ]);
  expect(await refused('dunning', { endpointId: clerk })).toEqual([
    400,
    expect.stringContaining('needs an endpoint for stripe'),
  ]);
  expect(await refused('welcome', { endpointId: stripe })).toEqual([400, expect.stringContaining('leave it out')]);
  expect(await refused('receipt', { endpointId: stripe })).toEqual([
    409,
    expect.stringContaining('events.invoice.paid.eventProperties.currency'),
  ]);
  expect(await counted()).toEqual([0, 0]);
  const answers = await Promise.all([1, 2, 3].map(() => app.api('POST', '/recipes/dunning', {})));
  expect(answers.map(each => each.status).sort()).toEqual([201, 409, 409]);
  const again = answers.find(each => each.status === 409)?.body.message;
  expect(again).toContain('is called "Dunning" already, nothing was made. Use that one, or give another name.');
  expect(await counted()).toEqual([1, 3]);
  expect((await refused('dunning', { name: 'Dunning 2' }))[0]).toBe(201);
  expect(answers.find(each => each.status === 201)?.body.next[0]).toContain('invoice.payment_failed → payment_failed');
});

test('a trigger that is set already keeps its name and its other properties', async () => {
  const { app } = await begin();
  const endpointId = await app.endpoint('stripe', {
    events: { 'invoice.paid': { enabled: false, triggerEvent: 'paid', eventProperties: { plan: 'data.object.id' } } },
  });
  const { workflowId } = (await app.api('POST', '/recipes/dunning', { endpointId })).body;
  const { events } = (await app.api('GET', `/endpoints/${endpointId}`)).body;
  expect(events['invoice.paid']).toMatchObject({
    enabled: true,
    triggerEvent: 'paid',
    eventProperties: { plan: 'data.object.id' },
  });
  expect(events['invoice.payment_failed']).toMatchObject({ triggerEvent: 'payment_failed' });
  expect((await app.api('GET', `/workflows/${workflowId}`)).body.exitOn).toEqual([{ eventName: 'paid' }]);
});

test('each is a file and a line, holds templates that can be filled in, and names what there is', async () => {
  const files = readdirSync(join(import.meta.dir, '../../src/workflows/recipes')).filter(file =>
    file.endsWith('.json'),
  );
  expect(files).toHaveLength(listRecipes().length);
  const templates = new Templates();
  try {
    for (const { provider, events, messages } of listRecipes()) {
      for (const content of Object.values(messages))
        expect(await templates.findVariables({ ...EMPTY_CONTENT, ...content }, true)).toContain('unsubscribeUrl');
      for (const [type, settings] of Object.entries(events)) {
        expect(findProvider(provider ?? '')?.types.map(each => each.type)).toContain(type);
        expect(eventSettings.partial().parse(settings)).toEqual(settings);
      }
    }
  } finally {
    await templates.stop();
  }
});

onSqlite('the command line lists and adds them beside a running server', async () => {
  const { app } = await begin();
  const cli = async (...words: string[]) => {
    const out: string[] = [];
    const env = { INLET_DATA_DIR: join(app.folder, 'data') };
    const code = await run(words, { env, out: line => out.push(line), err: line => out.push(line) });
    return { code, out: out.join('\n') };
  };
  expect((await cli('recipes', 'list')).out).toMatch(/dunning +Dunning +stripe invoice.payment_failed invoice.paid/);
  expect(JSON.parse((await cli('recipes', 'list', '--json')).out)).toEqual((await app.api('GET', '/recipes')).body);
  const endpointId = await app.endpoint('stripe');
  const added = await cli('recipes', 'add', 'dunning', '--endpoint', endpointId, '--name', 'Unpaid');
  expect([added.code, added.out]).toEqual([0, expect.stringContaining('"Unpaid", a draft, with 3 email messages')]);
  const again = await cli('recipes', 'add', 'dunning', '--name', 'Unpaid');
  expect([again.code, again.out]).toEqual([1, expect.stringContaining('give another name')]);
  expect((await cli('recipes', 'add', 'nothing')).out).toContain('there are welcome, trial-ending, dunning, receipt');
  const [workflow] = (await app.api('GET', '/workflows')).body.data;
  expect((await app.api('POST', `/workflows/${workflow.id}/start`)).status).toBe(200);
});
