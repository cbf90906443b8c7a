import { expect, test } from 'bun:test';
import { Webhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { emptyFolder, start } from '../support/binary.ts';
import { smtpSink } from '../support/smtp.ts';

const SECRET = 'whsec_end_to_end_0123456789abcdef';

test('the built binary: a signed invoice.paid becomes a mail and a signed call; one click ends the mails', async () => {
  const smtp = await smtpSink();
  const calls: { headers: Record<string, string>; body: string }[] = [];
  const receiver = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: async request => {
      calls.push({ headers: Object.fromEntries(request.headers), body: await request.text() });
      return new Response('ok');
    },
  });
  const server = await start({
    cwd: emptyFolder(),
    env: {
      INLET_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
      INLET_MAIL_FROM: 'Acme <hello@acme.test>',
      INLET_ALLOW_PRIVATE_TARGETS: 'true',
    },
  });
  const api = async (method: string, path: string, body?: unknown) => {
    const answer = await fetch(`${server.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${server.key}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    expect(answer.status).toBeLessThan(300);
    // biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field
    return answer.json() as Promise<any>;
  };
  const endpoint = await api('POST', '/endpoints', {
    provider: 'stripe',
    secret: SECRET,
    events: { 'invoice.paid': { triggerEvent: 'paid', eventProperties: { amount: 'data.object.amount_paid' } } },
  });
  const message = await api('POST', '/email-messages', {
    subject: 'Thank you, {{ contact.firstName }}',
    html: '<p>We received {{ event.amount }} cents.</p>',
  });
  const workflow = await api('POST', '/workflows', { name: 'Thanks for paying' });
  await api('PUT', `/workflows/${workflow.id}/graph`, {
    rootNodeId: 't',
    nodes: {
      t: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['m'] },
      m: { typeName: 'SendEmailAction', emailMessageId: message.id, nextNodeIds: ['x'] },
      x: { typeName: 'ExitAction', nextNodeIds: [] },
    },
  });
  await api('POST', `/workflows/${workflow.id}/start`);
  const { secret } = await api('POST', '/webhook-subscriptions', {
    url: receiver.url.href,
    eventNames: ['event.received'],
  });

  const pay = async (id: string) => {
    const object = { id: `in_${id}`, object: 'invoice', customer: 'cus_1', customer_email: 'ada@example.com' };
    const invoice = { ...object, customer_name: 'Ada Lovelace', amount_paid: 2900 };
    const created = Math.floor(Date.now() / 1000);
    const payload = JSON.stringify({
      ...{ id: `evt_${id}`, object: 'event', type: 'invoice.paid', created, livemode: false },
      data: { object: invoice },
    });
    const signature = await Stripe.webhooks.generateTestHeaderStringAsync({ payload, secret: SECRET });
    const answer = await fetch(`${server.url}/webhooks/${endpoint.id}`, {
      method: 'POST',
      body: payload,
      headers: { 'stripe-signature': signature },
    });
    expect(answer.status).toBe(200);
    return (await answer.json()) as { deliveryId: string };
  };
  const until = async (met: () => boolean) => {
    for (let i = 0; i < 200 && !met(); i++) await Bun.sleep(50);
    expect(met()).toBe(true);
  };

  const { deliveryId } = await pay('1');
  await until(() => smtp.mails.length === 1 && calls.length === 1);
  const { raw, to } = smtp.mails[0]!;
  expect(to).toEqual(['ada@example.com']);
  expect(raw).toContain('Subject: Thank you, Ada');
  expect(raw).toContain('We received 2900 cents.');
  const { effects } = await api('GET', `/deliveries/${deliveryId}`);
  const kinds = effects.map((each: { kind: string }) => each.kind);
  for (const kind of ['contact.created', 'event.triggered', 'workflow.started', 'webhook.queued'])
    expect(kinds).toContain(kind);

  const { headers, body } = calls[0]!;
  const told = new Webhook(secret).verify(body, headers) as { eventName: string; event: { name: string } };
  expect([told.eventName, told.event.name]).toEqual(['event.received', 'paid']);

  const link = /List-Unsubscribe:\s*<([^>]+)>/.exec(raw.replace(/\r\n\s+/g, ' '))?.[1]?.replaceAll(' ', '') ?? '';
  const left = await fetch(link, { method: 'POST', body: 'List-Unsubscribe=One-Click' });
  expect(left.status).toBe(200);
  await pay('2');
  await until(() => calls.length === 2);
  await Bun.sleep(2500);
  expect(smtp.mails).toHaveLength(1);
  expect((await api('GET', '/contacts/find?email=ada@example.com'))[0].subscribed).toBe(false);
  expect(await server.stop()).toBe(0);
  await receiver.stop(true);
  await smtp.close();
}, 60_000);
