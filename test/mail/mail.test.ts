import { afterEach, describe, expect, test } from 'bun:test';
import { queueMail } from '../../src/mail/mails.ts';
import { TestApp } from '../support/app.ts';
import { faultySmtp, smtpSink, VERBS, type Verb } from '../support/smtp.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const smtp = (port: number) => ({
  smtp: { host: '127.0.0.1', port, secure: false, loopback: true, user: null, password: null },
  mailFrom: { name: 'Acme', address: 'hello@acme.test' },
});

async function open(port: number | null): Promise<TestApp> {
  const app = await TestApp.open({}, port === null ? {} : smtp(port));
  closing.push(() => app.stop());
  return app;
}

async function sink() {
  const server = await smtpSink();
  closing.push(() => server.close());
  return server;
}

const message = async (app: TestApp, more: Record<string, unknown> = {}) =>
  (
    await app.api('POST', '/email-messages', {
      subject: 'Hello {{ contact.firstName }}',
      html: '<html><body><p>Dear {{ contact.firstName }}, {{ event.amount }}</p><a href="{{ unsubscribeUrl }}">leave</a></body></html>',
      ...more,
    })
  ).body;

/** A contact by webhook. */
async function contact(app: TestApp, email = 'ada@example.com', name = 'Ada Lovelace') {
  const endpoint = await app.endpoint('stripe');
  const id = `cus_${Bun.hash(email)}`;
  const object = { id, object: 'customer', email, name, metadata: {} };
  const created = Math.floor(app.now() / 1000) - 5;
  await app.post(endpoint, 'stripe', {
    ...{ id: `evt_${id}`, object: 'event', type: 'customer.created', created, livemode: false },
    data: { object },
  });
  const [found] = (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body;
  return found as { id: string; email: string };
}

let n = 0;
const queue = (app: TestApp, to: { id: string; email: string } | string, emailMessageId: string, more = {}) =>
  app.app.ctx.store.write(tx =>
    queueMail(
      tx,
      {
        key: `test:${n++}`,
        contactId: typeof to === 'string' ? null : to.id,
        to: typeof to === 'string' ? to : to.email,
        emailMessageId,
        data: { event: { amount: 29 } },
        transactional: false,
        ...more,
      },
      app.now(),
    ),
  );
const state = async (app: TestApp, id: string | null) => (await app.api('GET', `/mails/${id}`)).body;

describe('a mail goes out', () => {
  test('with the right subject, names, headers and both parts, once per key', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app, { fromName: 'Acme team', fromEmail: 'news', replyToEmail: 'help@acme.test' });
    const mailId = await queue(app, ada, id, { key: 'only' });
    expect(await queue(app, ada, id, { key: 'only' })).toBeNull();
    await app.drain();
    expect(server.mails).toHaveLength(1);
    const { raw, to, from } = server.mails[0]!;
    expect(to).toEqual(['ada@example.com']);
    expect(from).toBe('news@acme.test');
    expect(raw).toContain('Subject: Hello Ada');
    expect(raw).toContain('From: Acme team <news@acme.test>');
    expect(raw).toContain('Reply-To: help@acme.test');
    expect(raw).toContain(`Message-ID: <${mailId}@acme.test>`);
    expect(raw).toContain('List-Unsubscribe-Post: List-Unsubscribe=One-Click');
    expect(raw).toContain('Content-Type: text/plain');
    expect(raw).toContain('Content-Type: text/html');
    expect(await state(app, mailId)).toMatchObject({ state: 'sent', subject: 'Hello Ada', attempts: 1 });
    const [entry] = (await app.api('GET', `/mails?contactId=${ada.id}`)).body.data;
    expect(entry.id).toBe(mailId);
  });

  test('without a mail server it is rendered and held, and goes out once there is one', async () => {
    const app = await TestApp.open();
    const ada = await contact(app);
    const { id } = await message(app);
    const mailId = await queue(app, ada, id);
    await app.drain();
    const held = await state(app, mailId);
    expect(held).toMatchObject({ state: 'held', subject: 'Hello Ada' });
    expect(held.error).toContain('INLET_SMTP_URL');
    expect(held.html).toContain('Dear Ada, 29');
    await app.stop(true);
    const server = await sink();
    const again = await TestApp.open({}, smtp(server.port), app.folder);
    closing.push(() => again.stop());
    await again.drain();
    expect(server.mails).toHaveLength(1);
    expect((await state(again, mailId)).state).toBe('sent');
  });

  test('the switch stops all of it and keeps it', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    expect((await app.api('PATCH', '/mail', { paused: true })).body).toEqual({ paused: true, smtp: true });
    await queue(app, ada, id);
    await app.drain();
    expect(server.mails).toHaveLength(0);
    await app.api('PATCH', '/mail', { paused: false });
    await app.drain();
    expect(server.mails).toHaveLength(1);
  });

  test('not more than twenty a day to one contact; transactional ones do not count', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    for (let i = 0; i < 30; i++) await queue(app, ada, id);
    await queue(app, ada, id, { transactional: true });
    await app.drain();
    const held = (await app.api('GET', '/mails?state=held&perPage=100')).body.data;
    expect(server.mails.length + held.length).toBe(31);
    expect(held.length).toBeGreaterThanOrEqual(10);
    expect(held[0].error).toContain('within a day');
  });
});

describe('unsubscribing', () => {
  test('by one click, without login; a page for people; a forged link does nothing', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    await queue(app, ada, id);
    await app.drain();
    const raw = server.mails[0]!.raw.replace(/\r\n\s+/g, '');
    const link = /List-Unsubscribe:\s*<http:\/\/[^/]+(\/unsubscribe\/[^>]+)>/.exec(raw)?.[1] ?? '';
    expect(link).not.toBe('');
    const shown = await app.fetch(link);
    expect(shown.status).toBe(200);
    expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'");
    const subscribed = async () =>
      (await app.api('GET', `/contacts/find?email=${ada.email}`)).body[0].subscribed as boolean;
    expect(await subscribed()).toBe(true); // a GET changes nothing
    const post = (body: string) =>
      app.fetch(link, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    expect((await post('List-Unsubscribe=One-Click')).status).toBe(200);
    expect((await post('List-Unsubscribe=One-Click')).status).toBe(200);
    expect(await subscribed()).toBe(false);
    const next = await queue(app, ada, id);
    await app.drain();
    expect(await state(app, next)).toMatchObject({ state: 'suppressed', error: 'The contact is unsubscribed.' });
    expect(server.mails).toHaveLength(1);
    expect((await post('action=resubscribe')).status).toBe(200);
    expect(await subscribed()).toBe(true);
    const forged = `${link.slice(0, -3)}${link.endsWith('AAA') ? 'BBB' : 'AAA'}`;
    expect((await app.fetch(forged, { method: 'POST' })).status).toBe(404);
    expect(await subscribed()).toBe(true);
    expect((await app.fetch(link, { method: 'DELETE' })).status).toBe(405);
  });
});

describe('a mail server that goes wrong', () => {
  const cases = VERBS.flatMap(verb => (['4xx', '5xx', 'drop', 'garbage'] as const).map(fault => ({ verb, fault })));
  test.each(cases)('$fault at $verb', async ({ verb, fault }) => {
    const server = await faultySmtp(verb, fault);
    closing.push(() => server.close());
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    const mailId = await queue(app, ada, id);
    await app.drain();
    const mail = await state(app, mailId);
    const aboutServer: Verb[] = ['connect', 'EHLO'];
    const refused = fault === '5xx' && !aboutServer.includes(verb);
    expect(mail.state).toBe(refused ? (verb === 'RCPT' ? 'bounced' : 'failed') : 'queued');
    expect(mail.error).toMatch(/mail server/);
    expect(server.taken).toHaveLength(0);
    const { subscribed } = (await app.api('GET', `/contacts/find?email=${ada.email}`)).body[0];
    expect(subscribed).toBe(!(fault === '5xx' && verb === 'RCPT'));
  });

  test('is tried again later, with the same Message-ID, and given up after two days', async () => {
    const server = await faultySmtp('RCPT', '4xx', 2);
    closing.push(() => server.close());
    const app = await open(server.port);
    app.time = Date.now();
    const ada = await contact(app);
    const { id } = await message(app);
    const mailId = await queue(app, ada, id);
    await app.drain();
    expect(await state(app, mailId)).toMatchObject({ state: 'queued', attempts: 1 });
    app.time += 31_000;
    await app.drain();
    expect(await state(app, mailId)).toMatchObject({ state: 'queued', attempts: 2 });
    app.time += 61_000;
    await app.drain();
    expect(await state(app, mailId)).toMatchObject({ state: 'sent', attempts: 3 });
    expect(server.taken[0]).toContain(`<${mailId}@acme.test>`);

    const down = await faultySmtp('connect', 'drop');
    closing.push(() => down.close());
    const other = await open(down.port);
    other.time = Date.now();
    const bob = await contact(other, 'bob@example.com', 'Bob B');
    const lost = await queue(other, bob, (await message(other)).id);
    await other.drain();
    other.time += 49 * 3_600_000;
    await other.drain();
    expect(await state(other, lost)).toMatchObject({ state: 'failed' });
    expect((await state(other, lost)).error).toContain('Given up after two days');
    await other.api('POST', `/mails/${lost}/retry`);
    expect((await state(other, lost)).state).toBe('queued');
  }, 20_000);

  test('an address that bounced gets nothing more until it is freed', async () => {
    const server = await faultySmtp('RCPT', '5xx', 1);
    closing.push(() => server.close());
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    const first = await queue(app, ada, id);
    await app.drain();
    const second = await queue(app, ada, id, { transactional: true });
    await app.drain();
    expect([(await state(app, first)).state, (await state(app, second)).state]).toEqual(['bounced', 'suppressed']);
    expect(server.taken).toHaveLength(0);
  });
});

describe('hostile content', () => {
  test('names and properties can not break out of their place', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app, 'eve@example.com', 'Eve\r\nBcc: all@example.com <script>alert(1)</script>');
    const { id } = await message(app, {
      subject: 'Hi {{ contact.firstName }} {{ contact.lastName }}',
      fromName: '{{ contact.lastName }}',
      html: '<p title="{{ contact.lastName }}">{{ contact.lastName }}</p>',
    });
    await queue(app, ada, id);
    await app.drain();
    const { raw, to } = server.mails[0]!;
    expect(to).toEqual(['eve@example.com']);
    expect(raw.split('\r\n\r\n')[0]).not.toMatch(/^Bcc:/im);
    const [, html = ''] = raw.split('Content-Type: text/html');
    expect(html).not.toContain('<script>');
    expect(html.replace(/=\r\n/g, '')).toContain('&lt;script&gt;');
  });

  test.each(['{% include "/etc/passwd" %}', '{% render "secret" %}', '{% layout "x" %}'])(
    'no file is read: %s',
    async html => {
      const app = await open(null);
      const made = await app.api('POST', '/email-messages', { subject: 's', html });
      if (made.status === 201) {
        const shown = await app.api('POST', `/email-messages/${made.body.id}/render`, {});
        expect(shown.status).toBe(400);
        expect(shown.body.message).not.toContain('root:');
      } else expect(made.status).toBe(400);
    },
  );

  test.each(['{{ contact.constructor.name }}', '{{ contact.__proto__.toString }}', '{{ event.toString }}'])(
    'own properties only: %s',
    async html => {
      const app = await open(null);
      const { body } = await app.api('POST', '/email-messages', { subject: 's', html: `[${html}]` });
      const shown = await app.api('POST', `/email-messages/${body.id}/render`, {});
      expect(shown.body.html).toBe('[]');
    },
  );

  test('an endless template is cut, an unknown variable named', async () => {
    const app = await open(null);
    const loop = '{% for i in (1..100000000) %}x{% endfor %}';
    const { body } = await app.api('POST', '/email-messages', { subject: 's', html: loop });
    const begun = performance.now();
    expect((await app.api('POST', `/email-messages/${body.id}/render`, {})).status).toBe(400);
    expect(performance.now() - begun).toBeLessThan(3000);
    const unknown = await app.api('POST', '/email-messages', { subject: '{{ user.name }}', html: 'x' });
    expect(unknown.status).toBe(400);
    expect(unknown.body.message).toContain('subject: {{ user }}');
  });
});

describe('transactional', () => {
  test('draft, publish, send; missing variables named; the published version stays as it is', async () => {
    const server = await sink();
    const app = await open(server.port);
    const made = await app.api('POST', '/transactional-emails', { name: 'Confirm' });
    expect(made.status).toBe(201);
    const { id, draftEmailMessageId: draft } = made.body;
    const send = (dataVariables: unknown, headers: Record<string, string> = {}) =>
      app.fetch('/api/v1/transactional', {
        method: 'POST',
        headers: { authorization: 'Bearer test-key-0123456789abcdefghij', ...headers },
        body: JSON.stringify({ transactionalId: id, email: 'New@Example.com', dataVariables }),
      });
    expect((await send({})).body.message).toContain('not published');
    await app.api('POST', `/email-messages/${draft}`, {
      subject: 'Confirm',
      html: '<a href="{{ data.confirmationUrl }}">{{ data.label }}</a>',
      dataVariablesFallbacks: { label: 'Confirm now' },
    });
    expect((await app.api('POST', `/transactional-emails/${id}/publish`)).body).toMatchObject({
      publishedEmailMessageId: draft,
      draftEmailMessageId: null,
      dataVariables: ['confirmationUrl', 'label'],
    });
    expect((await app.api('POST', `/email-messages/${draft}`, { subject: 'x' })).status).toBe(409);
    const missing = await send({ label: 'Go' });
    expect([missing.status, missing.body.message]).toEqual([400, 'Missing required data variable(s): confirmationUrl']);
    const url = { confirmationUrl: 'https://acme.test/?a=1&b=2' };
    expect((await send(url, { 'idempotency-key': 'k1' })).body).toEqual({ success: true });
    const again = await send(url, { 'idempotency-key': 'k1' });
    expect([again.status, again.body.message]).toEqual([
      409,
      'Idempotency key already used with a different request body.',
    ]);
    expect((await send(url, { 'idempotency-key': 'k'.repeat(101) })).status).toBe(400);
    await app.drain();
    expect(server.mails).toHaveLength(1);
    expect(server.mails[0]!.raw).toContain('Confirm now');
    expect(server.mails[0]!.raw).not.toContain('List-Unsubscribe');
    expect(await app.contacts()).toHaveLength(0);
    const listed = (await app.api('GET', '/transactional')).body.data;
    expect(listed.map((each: { id: string }) => each.id)).toEqual([id]);
    expect(
      (await app.api('POST', '/transactional', { transactionalId: 'tr_none', email: 'a@b.co' })).body.message,
    ).toBe('Transactional email not found.');
  });

  test('addToAudience makes a contact; a key used a day ago may be used again', async () => {
    const app = await open(null);
    app.time = Date.now();
    const { id, draftEmailMessageId: draft } = (await app.api('POST', '/transactional-emails', { name: 'A' })).body;
    await app.api('POST', `/email-messages/${draft}`, { subject: 'A', html: 'a' });
    await app.api('POST', `/transactional-emails/${id}/publish`);
    const send = () =>
      app.fetch('/api/v1/transactional', {
        method: 'POST',
        headers: { authorization: 'Bearer test-key-0123456789abcdefghij', 'idempotency-key': 'k' },
        body: JSON.stringify({ transactionalId: id, email: 'new@example.com', addToAudience: true }),
      });
    expect((await send()).status).toBe(200);
    expect((await app.contacts())[0]).toMatchObject({ email: 'new@example.com' });
    expect((await send()).status).toBe(409);
    app.time += 86_400_001;
    expect((await send()).status).toBe(200);
  });
});
