import { afterEach, describe, expect, test } from 'bun:test';
import { TestApp } from '../support/app.ts';
import { closeAll, contact, later, linkOf, message, open, queue, sink, smtp, state, subscribed } from './support.ts';

afterEach(closeAll);

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
    later(() => again.stop());
    await again.drain();
    expect(server.mails).toHaveLength(1);
    expect((await state(again, mailId)).state).toBe('sent');
  });

  test('the switch stops all of it and keeps it', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    expect((await app.api('PATCH', '/mail', { paused: true })).body).toMatchObject({ paused: true, smtp: true });
    await queue(app, ada, id);
    await app.drain();
    expect(server.mails).toHaveLength(0);
    expect((await app.api('GET', '/mail')).body).toMatchObject({
      paused: true,
      queued: 1,
      held: 0,
      maxPerHour: 10_000,
    });
    await app.api('PATCH', '/mail', { paused: false });
    await app.drain();
    expect(server.mails).toHaveLength(1);
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
    const link = linkOf(server.mails[0]!.raw);
    expect(link).not.toBe('');
    const shown = await app.fetch(link);
    expect(shown.status).toBe(200);
    expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await subscribed(app, ada.email)).toBe(true); // a GET changes nothing
    const post = (body: string) =>
      app.fetch(link, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    expect((await post('List-Unsubscribe=One-Click')).status).toBe(200);
    expect((await post('List-Unsubscribe=One-Click')).status).toBe(200);
    expect(await subscribed(app, ada.email)).toBe(false);
    const next = await queue(app, ada, id);
    await app.drain();
    expect(await state(app, next)).toMatchObject({ state: 'suppressed', error: 'The contact is unsubscribed.' });
    expect(server.mails).toHaveLength(1);
    expect((await post('action=resubscribe')).status).toBe(200);
    expect(await subscribed(app, ada.email)).toBe(true);
    const forged = `${link.slice(0, -3)}${link.endsWith('AAA') ? 'BBB' : 'AAA'}`;
    expect((await app.fetch(forged, { method: 'POST' })).status).toBe(404);
    expect(await subscribed(app, ada.email)).toBe(true);
    expect((await app.fetch(link, { method: 'DELETE' })).status).toBe(405);
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
    expect((await send(url, { 'idempotency-key': 'k1' })).body).toMatchObject({ success: true });
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
