import { afterEach, describe, expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { closeReceivers, receiver, subscribe, verified } from '../outgoing/receiver.ts';
import { SECRETS, TestApp } from '../support/app.ts';
import { closeAll, contact, later, message, queue, sink, smtp, state, subscribed } from './support.ts';

afterEach(async () => {
  closeReceivers();
  await closeAll();
});

type Json = Record<string, unknown>;
const DATA: Record<string, Json> = {
  'email.bounced': {
    bounce: { type: 'Permanent', subType: 'General', diagnosticCode: ['smtp; 550 5.1.1 no such user'] },
  },
};
/** An event of Resend about a mail; `mailId` null: its Message-ID is one of Resend's own. */
const resendEvent = (type: string, messageId: string | null, more: Json = {}) => ({
  type,
  created_at: new Date().toISOString(),
  data: {
    email_id: crypto.randomUUID(),
    message_id: `<${messageId ?? `${crypto.randomUUID()}@email.amazonses.com`}>`,
    from: 'Acme <hello@acme.test>',
    to: ['ada@example.com'],
    subject: 'Hello Ada',
    ...DATA[type],
    ...more,
  },
});
let number = 1000;
const postmarkEvent = (type: string, mailId: string | null, more: Json = {}) => ({
  ...{ RecordType: 'Bounce', ID: number++, Type: type, TypeCode: 1, MessageID: crypto.randomUUID() },
  ...{ Metadata: mailId === null ? {} : { 'inlet-mail': mailId }, Description: 'It did not arrive.' },
  ...{ Details: '', Email: 'ada@example.com', From: 'hello@acme.test', BouncedAt: new Date().toISOString() },
  ...{ Subject: 'Hello Ada', ...more },
});

/** The app with a mail server, an endpoint of each mail provider, and ada, to whom one mail went. */
async function mailed(more: Json = {}) {
  const server = await sink();
  const app = await TestApp.open({}, { ...smtp(server.port), allowPrivateTargets: true });
  later(() => app.stop());
  const resend = await app.endpoint('resend');
  const postmark = await app.endpoint('postmark');
  const ada = await contact(app);
  const text = (await message(app)).id;
  const send = async (to: typeof ada | string = ada, rest: Json = more) => {
    const id = await queue(app, to, text, rest);
    await app.drain();
    return (await state(app, id)) as { id: string; messageId: string; state: string };
  };
  const report = async (endpoint: string, provider: string, event: unknown) => {
    const answer = await app.post(endpoint, provider, event);
    await app.drain();
    const shown = answer.body.deliveryId && (await app.api('GET', `/deliveries/${answer.body.deliveryId}`)).body;
    return { ...answer, delivery: shown };
  };
  const isSuppressed = async (email = ada.email) =>
    (await app.api('GET', `/contacts/suppression?email=${email}`)).body.isSuppressed;
  return {
    ...{ app, ada, server, resend, postmark, text, send, isSuppressed },
    byResend: (event: unknown) => report(resend, 'resend', event),
    byPostmark: (event: unknown) => report(postmark, 'postmark', event),
  };
}

describe('a bounce that comes back through Resend', () => {
  test('ends the address, as a bounce at once does, and is told of once whatever is sent again', async () => {
    const { app, ada, send, byResend, isSuppressed } = await mailed();
    const mail = await send();
    expect(mail.state).toBe('sent');
    const { body, delivery } = await byResend(resendEvent('email.bounced', mail.messageId));
    expect(body).toMatchObject({ result: 'accepted' });
    expect(delivery).toMatchObject({ status: 'processed', contactId: ada.id, occurredAt: expect.any(String) });
    expect(delivery.effects.map((each: { kind: string }) => each.kind)).toEqual([
      'mail.bounced',
      'contact.unsubscribed',
    ]);
    const bounced = await state(app, mail.id);
    expect(bounced).toMatchObject({ state: 'bounced', error: expect.stringContaining('5.1.1'), softBouncedAt: null });
    expect(await isSuppressed()).toBe(true);
    expect(await subscribed(app, ada.email)).toBe(false);
    await app.api('PUT', '/contacts/update', { email: ada.email, subscribed: true });
    await app.api('DELETE', `/contacts/suppression?email=${ada.email}`);
    const again = await byResend(resendEvent('email.bounced', mail.messageId));
    expect(again.delivery).toMatchObject({ status: 'processed', effects: [] });
    expect(again.delivery.message).toContain('noted before');
    expect([await isSuppressed(), await subscribed(app, ada.email)]).toEqual([false, true]);
    expect((await state(app, mail.id)).hardBouncedAt).toBe(bounced.hardBouncedAt);
  });

  test('counts again for a mail that was sent anew after its address was freed', async () => {
    const { app, ada, send, byResend, isSuppressed } = await mailed({ transactional: true });
    const mail = await send();
    await byResend(resendEvent('email.bounced', mail.messageId));
    await app.api('DELETE', `/contacts/suppression?email=${ada.email}`);
    expect((await app.api('POST', `/mails/${mail.id}/retry`)).status).toBe(200);
    await app.drain();
    expect(await state(app, mail.id)).toMatchObject({ state: 'sent', hardBouncedAt: null });
    await byResend(resendEvent('email.bounced', mail.messageId));
    expect(await isSuppressed()).toBe(true);
  });

  test('of the address alone: another contact of the same mail server is left alone', async () => {
    const { app, send, byResend } = await mailed();
    const bob = await contact(app, 'bob@example.com', 'Bob');
    const mail = await send();
    await byResend(resendEvent('email.bounced', mail.messageId));
    expect(await subscribed(app, bob.email)).toBe(true);
  });

  test.each([
    [
      'its server blames a policy',
      { bounce: { type: 'Permanent', diagnosticCode: ['smtp; 550 5.7.26 unauthenticated'] } },
    ],
    ['the sender has no SPF', { bounce: { type: 'Permanent', diagnosticCode: ['550 5.7.1 SPF check failed'] } }],
    ['the mailbox is full', { bounce: { type: 'Permanent', diagnosticCode: ['552 5.2.2 mailbox full'] } }],
    ['it is called transient', { bounce: { type: 'Transient', subType: 'General' } }],
    ['nobody can tell', { bounce: { type: 'Undetermined' } }],
  ])('is a soft one where %s: counted, and the address lives on', async (_, data) => {
    const { app, ada, send, byResend, isSuppressed } = await mailed();
    const mail = await send();
    const { delivery } = await byResend(resendEvent('email.bounced', mail.messageId, data));
    expect(delivery.effects).toMatchObject([{ kind: 'mail.softBounced', mailId: mail.id }]);
    await byResend(resendEvent('email.delivery_delayed', mail.messageId));
    expect(await state(app, mail.id)).toMatchObject({
      state: 'sent',
      hardBouncedAt: null,
      softBouncedAt: expect.any(String),
    });
    const second = await send();
    await byResend(resendEvent('email.delivery_delayed', second.messageId));
    expect((await app.api('GET', `/contacts/${ada.id}`)).body.softBounces).toBe(2);
    expect([await isSuppressed(), await subscribed(app, ada.email)]).toEqual([false, true]);
  });

  test('a complaint is an opt-out with its reason, which outlives the contact', async () => {
    const { app, ada, send, byResend, isSuppressed } = await mailed();
    const mail = await send();
    const { delivery } = await byResend(resendEvent('email.complained', mail.messageId));
    expect(delivery.effects).toMatchObject([{ kind: 'mail.complained' }, { kind: 'contact.unsubscribed' }]);
    expect(await state(app, mail.id)).toMatchObject({ state: 'sent', complainedAt: expect.any(String) });
    expect(await isSuppressed()).toBe(true);
    await app.api('POST', '/contacts/delete', { email: ada.email });
    await app.api('POST', '/contacts/create', { email: ada.email });
    expect([await isSuppressed(), await subscribed(app, ada.email)]).toEqual([true, false]);
  });

  test('a forged one, and one of another secret, are refused, and nothing happens', async () => {
    const { app, ada, resend, send } = await mailed();
    const mail = await send();
    const event = resendEvent('email.bounced', mail.messageId);
    const clerk = { secret: SECRETS.clerk ?? '' };
    expect((await app.post(resend, 'resend', event, clerk)).status).toBe(401);
    const unsigned = await app.fetch(`/webhooks/${resend}`, { method: 'POST', body: JSON.stringify(event) });
    expect(unsigned.status).toBe(401);
    await app.drain();
    expect((await state(app, mail.id)).state).toBe('sent');
    expect(await subscribed(app, ada.email)).toBe(true);
  });

  test('deliveries, opens and clicks are ignored, and nothing of them is kept', async () => {
    const { app, send, byResend } = await mailed();
    const mail = await send();
    for (const type of ['email.sent', 'email.delivered', 'email.opened', 'email.clicked', 'email.failed']) {
      const { body, delivery } = await byResend(resendEvent(type, mail.messageId));
      expect(body).toMatchObject({ result: 'ignored', message: expect.stringContaining('Unselect it in Resend') });
      expect(delivery).toMatchObject({ status: 'ignored', payload: null });
    }
    expect((await state(app, mail.id)).state).toBe('sent');
  });
});

describe('which mail it is about', () => {
  test('one with a Message-ID of the provider is found by sender, subject, address and time', async () => {
    const { app, send, byResend } = await mailed();
    const mail = await send();
    const changed: [string, Json][] = [
      ['another sender', { from: 'Other <hello@other.test>' }],
      ['another subject', { subject: 'Your code is 123456' }],
      ['another address', { to: ['bob@example.com'] }],
      ['two addresses', { to: ['ada@example.com', 'bob@example.com'] }],
      ['no sender', { from: null }],
      ['no subject', { subject: null }],
    ];
    for (const [, more] of changed) {
      const { delivery } = await byResend(resendEvent('email.bounced', null, more));
      expect(delivery).toMatchObject({ status: 'ignored', message: expect.stringContaining('Inlet sent no mail') });
    }
    const before = { ...resendEvent('email.bounced', null), created_at: new Date(Date.now() - 600_000).toISOString() };
    expect((await byResend(before)).delivery.status).toBe('ignored');
    expect((await state(app, mail.id)).state).toBe('sent');
    const { delivery } = await byResend(resendEvent('email.bounced', null));
    expect(delivery).toMatchObject({ status: 'processed', effects: [{ kind: 'mail.bounced', mailId: mail.id }, {}] });
  });

  test('a mail of another Inlet that shares the account is none of ours, though it looks the same', async () => {
    const { app, send, byResend, byPostmark } = await mailed();
    const mail = await send();
    const foreign = 'mail_0mwt0c8w00009a1b2c3d4e5f';
    const other = `${mail.id}@staging.acme.test`;
    for (const id of [`${foreign}@acme.test`, other])
      expect((await byResend(resendEvent('email.bounced', id))).delivery.status).toBe('ignored');
    expect((await byPostmark(postmarkEvent('HardBounce', foreign))).delivery.status).toBe('ignored');
    expect((await state(app, mail.id)).state).toBe('sent');
  });

  test('a mail that never went out did not bounce, nor one to somebody else', async () => {
    const { app, ada, text, send, byResend } = await mailed();
    const mail = await send();
    const bcc = await byResend(resendEvent('email.bounced', mail.messageId, { to: ['boss@acme.test'] }));
    expect(bcc.delivery.status).toBe('ignored');
    await app.api('PATCH', '/mail', { paused: true });
    const id = await queue(app, ada, text);
    const waiting = (await state(app, id)).messageId;
    expect((await byResend(resendEvent('email.complained', waiting))).delivery.status).toBe('ignored');
    expect(await subscribed(app, ada.email)).toBe(true);
  });

  test('one that comes before the mail server has answered waits for that, and is applied then', async () => {
    const held = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<string>();
    const server = createServer(socket => {
      let [data, buffer] = ['', ''];
      socket.on('error', () => {});
      socket.write('220 ready\r\n');
      socket.on('data', chunk => {
        buffer += chunk.toString('latin1');
        if (/^From: /m.test(buffer) && buffer.endsWith('\r\n.\r\n')) {
          data = buffer;
          buffer = '';
          begun.resolve(data);
          void held.promise.then(() => socket.write('250 taken\r\n'));
        } else if (/^(EHLO|MAIL|RCPT|RSET)/.test(buffer)) socket.write('250 fine\r\n');
        else if (buffer.startsWith('DATA')) socket.write('354 go on\r\n');
        else return;
        buffer = '';
      });
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    later(async () => void server.close());
    const address = server.address();
    const app = await TestApp.open({}, smtp(typeof address === 'object' && address ? address.port : 0));
    later(() => app.stop());
    const resend = await app.endpoint('resend');
    const ada = await contact(app);
    const id = await queue(app, ada, (await message(app)).id);
    const draining = app.drain();
    await begun.promise;
    const { messageId, state: under } = await state(app, id);
    expect(under).toBe('sending');
    const events = [resendEvent('email.complained', messageId), resendEvent('email.delivery_delayed', null)];
    const ids: string[] = [];
    for (const event of events) ids.push((await app.post(resend, 'resend', event)).body.deliveryId);
    const shown = (n: number) => app.api('GET', `/deliveries/${ids[n]}`).then(({ body }) => body);
    for (let n = 0; n < 100 && !(await shown(1)).message.startsWith('Waits'); n++) await Bun.sleep(50);
    for (const n of [0, 1])
      expect(await shown(n)).toMatchObject({ status: 'queued', message: expect.stringContaining('Waits') });
    held.resolve();
    await draining;
    for (let n = 0; n < 100 && (await shown(1)).status === 'queued'; n++) {
      await app.drain();
      await Bun.sleep(100);
    }
    for (const n of [0, 1]) expect((await shown(n)).status).toBe('processed');
    expect(await state(app, id)).toMatchObject({ complainedAt: expect.any(String), softBouncedAt: expect.any(String) });
    expect(await subscribed(app, ada.email)).toBe(false);
  }, 40_000);
});

describe('a bounce that comes back through Postmark', () => {
  /** Metadata as Postmark takes it from the headers of a mail. */
  const metadataOf = (raw: string) =>
    Object.fromEntries(
      [...raw.matchAll(/^X-PM-Metadata-([^:\s]+): (\S+)\r?$/gim)].map(([, key = '', value]) => [key, value]),
    );

  test('is found by the metadata that the mail was sent with', async () => {
    const { app, ada, server, send, byPostmark, isSuppressed } = await mailed();
    const mail = await send();
    const raw = server.mails.at(-1)?.raw ?? '';
    expect(raw).toMatch(/^X-PM-KeepID: true\r?$/im);
    const Metadata = metadataOf(raw);
    expect(Object.values(Metadata)).toEqual([mail.id]);
    const event = { Metadata, From: 'whoever@else.test', Subject: 'Another' };
    const { delivery } = await byPostmark(postmarkEvent('HardBounce', null, event));
    expect(delivery).toMatchObject({ status: 'processed', contactId: ada.id });
    expect((await state(app, mail.id)).state).toBe('bounced');
    expect(await isSuppressed()).toBe(true);
  });

  test('is found by our Message-ID, where that was kept', async () => {
    const { app, send, byPostmark, isSuppressed } = await mailed();
    const mail = await send();
    const more = { MessageID: `<${mail.messageId}>`, From: 'whoever@else.test', Subject: 'Another' };
    const { delivery } = await byPostmark(postmarkEvent('HardBounce', null, more));
    expect(delivery).toMatchObject({ status: 'processed' });
    expect((await state(app, mail.id)).state).toBe('bounced');
    expect(await isSuppressed()).toBe(true);
  });

  test('mails carry its headers only while there is an endpoint of it', async () => {
    const { app, server, postmark, send } = await mailed();
    await app.api('DELETE', `/endpoints/${postmark}`);
    await send();
    expect(server.mails.at(-1)?.raw).not.toMatch(/^X-PM/im);
  });

  test('soft ones, complaints and what is neither', async () => {
    const { app, ada, send, byPostmark, isSuppressed } = await mailed();
    const mail = await send();
    for (const type of ['SoftBounce', 'Transient', 'DnsError', 'Blocked'])
      expect((await byPostmark(postmarkEvent(type, mail.id))).delivery.status).toBe('processed');
    for (const type of ['AutoResponder', 'AddressChange', 'Unsubscribe', 'NoSuchType'])
      expect((await byPostmark(postmarkEvent(type, mail.id))).delivery.status).toBe('ignored');
    const policy = { Details: 'smtp;554 5.7.1 rejected by policy, see spamhaus' };
    await byPostmark(postmarkEvent('HardBounce', mail.id, policy));
    expect([await isSuppressed(), (await app.api('GET', `/contacts/${ada.id}`)).body.softBounces]).toEqual([false, 1]);
    const complaint = { RecordType: 'SpamComplaint', TypeCode: 512 };
    const { delivery } = await byPostmark(postmarkEvent('SpamComplaint', mail.id, complaint));
    expect(delivery.effects).toMatchObject([{ kind: 'mail.complained' }, { kind: 'contact.unsubscribed' }]);
    expect(await isSuppressed()).toBe(true);
  });

  test('shows its secret once, and takes it as a header or as the password of Basic auth', async () => {
    const { app, send } = await mailed();
    const mail = await send();
    const made = (await app.api('POST', '/endpoints', { provider: 'postmark', name: 'Made' })).body;
    expect(made).toMatchObject({ state: 'waitingForFirst', secretHeader: { name: 'x-inlet-secret' } });
    const { value } = made.secretHeader;
    expect((await app.api('GET', `/endpoints/${made.id}`)).body.secretHeader).toBeUndefined();
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const post = (headers: Record<string, string>) =>
      app.fetch(`/webhooks/${made.id}`, {
        method: 'POST',
        body: JSON.stringify(postmarkEvent('SoftBounce', mail.id)),
        headers,
      });
    const refused: Record<string, string>[] = [
      {},
      basic(`inlet:${value}x`),
      basic(value),
      basic(`${value}:`),
      { authorization: `Bearer ${value}` },
      { 'x-inlet-secret': `${value}, ${value}` },
      { 'x-inlet-secret': 'wrong', ...basic(`inlet:${value}`) },
      { authorization: 'Basic %%%' },
    ];
    for (const headers of refused) expect((await post(headers)).status).toBe(401);
    for (const headers of [{ 'x-inlet-secret': value }, basic(`inlet:${value}`), basic(`:${value}`)])
      expect((await post(headers)).status).toBe(200);
    const shown = JSON.stringify((await app.api('GET', '/deliveries?perPage=100')).body) + app.lines.join('\n');
    for (const secret of [value, Buffer.from(`inlet:${value}`).toString('base64')]) expect(shown).not.toContain(secret);
  });

  test('a whole mail in it is accepted and not kept, and neither are subjects', async () => {
    const { app, send, byPostmark } = await mailed();
    const mail = await send();
    const Content = `CANARY ${'the whole mail\r\n'.repeat(400_000)}`;
    const { body, delivery } = await byPostmark(
      postmarkEvent('HardBounce', mail.id, { Content, Subject: 'CANARY code' }),
    );
    expect(body.result).toBe('accepted');
    expect(delivery.status).toBe('processed');
    expect(JSON.stringify(delivery.payload)).not.toContain('CANARY');
    expect(JSON.stringify(delivery.payload).length).toBeLessThan(2000);
    expect(app.lines.join('\n')).not.toContain('CANARY');
  }, 30_000);
});

describe('as deliveries like any other', () => {
  test('the same event again is a duplicate; one that was ignored is a replay', async () => {
    const { app, send, resend, byPostmark } = await mailed();
    const mail = await send();
    const event = postmarkEvent('SoftBounce', mail.id);
    const first = await byPostmark(event);
    expect((await byPostmark(event)).body).toMatchObject({ result: 'duplicate', deliveryId: first.body.deliveryId });
    const replay = await app.api('POST', `/deliveries/${first.body.deliveryId}/replay`);
    expect(replay.status).toBe(200);
    await app.drain();
    expect((await app.api('GET', `/deliveries/${first.body.deliveryId}`)).body).toMatchObject({ status: 'processed' });
    await app.api('PATCH', `/endpoints/${resend}`, { events: { 'email.bounced': { enabled: false } } });
    const off = await app.post(resend, 'resend', resendEvent('email.bounced', mail.messageId));
    expect(off.body).toMatchObject({ result: 'ignored', message: expect.stringContaining('switched off') });
    await app.api('PATCH', `/endpoints/${resend}`, { events: { 'email.bounced': null } });
    await app.api('POST', `/deliveries/${off.body.deliveryId}/replay`);
    await app.drain();
    expect((await state(app, mail.id)).state).toBe('bounced');
  });

  test('a paused endpoint keeps them, and applies them when it is resumed', async () => {
    const { app, ada, send, resend } = await mailed();
    const mail = await send();
    await app.api('PATCH', `/endpoints/${resend}`, { paused: true });
    const { body } = await app.post(resend, 'resend', resendEvent('email.complained', mail.messageId));
    expect(body).toMatchObject({ result: 'accepted', message: expect.stringContaining('paused') });
    await app.drain();
    expect(await subscribed(app, ada.email)).toBe(true);
    await app.api('PATCH', `/endpoints/${resend}`, { paused: false });
    await app.drain();
    expect(await subscribed(app, ada.email)).toBe(false);
  });

  test('twenty at once about one mail: it is noted once', async () => {
    const { app, send, resend, isSuppressed } = await mailed();
    const mail = await send();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => app.post(resend, 'resend', resendEvent('email.bounced', mail.messageId))),
    );
    expect(answers.every(({ body }) => body.result === 'accepted')).toBe(true);
    await app.drain();
    const { data } = (await app.api('GET', `/deliveries?endpointId=${resend}&perPage=100`)).body;
    expect(data.map((each: Json) => each.status)).toEqual(Array(20).fill('processed'));
    expect(data.filter((each: { effects: unknown[] }) => each.effects.length > 0)).toHaveLength(1);
    expect(await isSuppressed()).toBe(true);
  });

  test('a test event changes nothing, and says that it arrived', async () => {
    const { app, ada, send, resend, postmark } = await mailed();
    const mail = await send();
    for (const [id, type] of [
      [resend, 'email.bounced'],
      [postmark, 'SpamComplaint'],
    ]) {
      const { body } = await app.api('POST', `/endpoints/${id}/test`, { type, email: ada.email });
      expect(body).toMatchObject({ status: 200, body: { result: 'accepted' } });
    }
    await app.drain();
    expect((await state(app, mail.id)).state).toBe('sent');
    expect(await subscribed(app, ada.email)).toBe(true);
    for (const id of [resend, postmark]) expect((await app.api('GET', `/endpoints/${id}`)).body.state).toBe('live');
  });

  test('only whether they are applied can be set of them, and people are not named by them', async () => {
    const { app, resend } = await mailed();
    const shown = (await app.api('GET', `/endpoints/${resend}`)).body;
    expect(shown.events['email.complained']).toEqual({ enabled: true });
    for (const key of ['triggerEvent', 'userGroup', 'mailingLists', 'syncNames', 'onDelete']) {
      const events = { 'email.bounced': { [key]: null } };
      expect((await app.api('PATCH', `/endpoints/${resend}`, { events })).status).toBe(400);
    }
    const all = (await app.api('GET', '/providers')).body as { id: string; about: string }[];
    expect(all.filter(each => each.about === 'mail').map(each => each.id)).toEqual(['resend', 'postmark']);
    const file = await app.upload('/contacts/import', 'email,providerIds\nbob@example.com,resend:abc\n');
    expect(JSON.stringify(file.body)).not.toContain('"created":1');
  });
});

test('outgoing webhooks are told in the words of Loops, once', async () => {
  const { app, ada, text, byResend } = await mailed();
  const workflow = (await app.api('POST', '/workflows', { name: 'Thanks' })).body;
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['m'] },
    m: { typeName: 'SendEmailAction', emailMessageId: text, nextNodeIds: ['x'] },
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  await app.api('PUT', `/workflows/${workflow.id}/graph`, { rootNodeId: 't', nodes });
  await app.api('POST', `/workflows/${workflow.id}/start`);
  const to = await receiver();
  const { secret } = await subscribe(app, to.url);
  const mails: { id: string; messageId: string }[] = [];
  for (const n of [0, 1, 2]) {
    await app.api('POST', '/events/send', { email: ada.email, eventName: 'paid' });
    await app.drain();
    mails.push((await app.api('GET', `/mails?contactId=${ada.id}`)).body.data[0]);
    expect(new Set(mails.map(each => each.id)).size).toBe(n + 1);
  }
  for (const [n, type] of ['email.delivery_delayed', 'email.bounced', 'email.complained'].entries())
    for (let times = 0; times < 3; times++) await byResend(resendEvent(type, mails[n]?.messageId ?? ''));
  await app.drain();
  const told = to.got.map(got => verified(secret, got));
  for (const [n, name] of ['email.softBounced', 'email.hardBounced', 'email.spamReported'].entries())
    expect(told.filter(each => each.eventName === name)).toEqual([
      {
        ...{ eventName: name, eventTime: expect.any(Number), webhookSchemaVersion: '1.0.0', sourceType: 'loop' },
        contactIdentity: { id: ada.id, email: ada.email, userId: null },
        loopId: workflow.id,
        email: { id: mails[n]?.id, emailMessageId: text, subject: 'Hello Ada' },
      },
    ]);
  expect(told.filter(each => each.eventName === 'contact.unsubscribed')).toHaveLength(1);
});
