import { afterEach, expect, test } from 'bun:test';
import { examine } from '../../src/cli/doctor.ts';
import { closeReceivers, receiver, subscribe, verified } from '../outgoing/receiver.ts';
import { TestApp } from '../support/app.ts';
import { faultySmtp } from '../support/smtp.ts';
import { closeAll, contact, later, linkOf, message, queue, sink, smtp, state } from './support.ts';

afterEach(async () => {
  closeReceivers();
  await closeAll();
});

/** The app with a mail server and a workflow run of ada's, and what a subscription to all of Loops' names gets. */
async function listening(port: number) {
  const app = await TestApp.open({}, { ...smtp(port), allowPrivateTargets: true });
  later(() => app.stop());
  const ada = await contact(app);
  const { id: emailMessageId } = await message(app);
  const list = (await app.api('POST', '/lists', { name: 'News' })).body;
  const workflow = (await app.api('POST', '/workflows', { name: 'Thanks', mailingListId: list.id })).body;
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['m'] },
    m: { typeName: 'SendEmailAction', emailMessageId, nextNodeIds: ['x'] },
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  await app.api('PUT', `/workflows/${workflow.id}/graph`, { rootNodeId: 't', nodes });
  expect((await app.api('POST', `/workflows/${workflow.id}/start`)).status).toBe(200);
  await app.api('PUT', '/contacts/update', { email: ada.email, mailingLists: { [list.id]: true } });
  const to = await receiver();
  const { secret } = await subscribe(app, to.url);
  const told = (name: string) => to.got.map(got => verified(secret, got)).filter(each => each.eventName === name);
  const pay = () => app.api('POST', '/events/send', { email: ada.email, eventName: 'paid' });
  return { app, ada, list, workflow, emailMessageId, told, pay };
}

test('a workflow mail, and leaving and coming back by its link, are told in the words of Loops', async () => {
  const server = await sink();
  const { app, ada, list, workflow, emailMessageId, told, pay } = await listening(server.port);
  await pay();
  await app.drain();
  expect(server.mails).toHaveLength(1);
  const [mail] = (await app.api('GET', `/mails?contactId=${ada.id}`)).body.data;
  const email = { id: mail.id, emailMessageId, subject: 'Hello Ada' };
  const contactIdentity = { id: ada.id, email: ada.email, userId: null };
  const mailingLists = [{ id: list.id, name: 'News', description: null, isPublic: list.isPublic }];
  const loopId = workflow.id;
  expect(told('loop.email.sent')).toEqual([
    {
      ...{ eventName: 'loop.email.sent', eventTime: expect.any(Number), webhookSchemaVersion: '1.0.0' },
      ...{ contactIdentity, loopId, loopName: 'Thanks', mailingLists, email },
    },
  ]);
  const link = linkOf(server.mails[0]!.raw);
  for (const body of ['List-Unsubscribe=One-Click', 'List-Unsubscribe=One-Click', 'action=resubscribe'])
    await app.fetch(link, { method: 'POST', body });
  await app.drain();
  for (const name of ['email.unsubscribed', 'email.resubscribed'])
    expect(told(name)).toEqual([expect.objectContaining({ contactIdentity, sourceType: 'loop', loopId, email })]);
  expect(told('contact.unsubscribed')).toHaveLength(1);
});

test('a transactional mail is told once, to an address that is no contact too', async () => {
  const server = await sink();
  const { app, told } = await listening(server.port);
  const made = (await app.api('POST', '/transactional-emails', { name: 'Receipt' })).body;
  await app.api('POST', `/email-messages/${made.draftEmailMessageId}`, {
    ...{ expectedRevisionId: made.draftEmailMessageContentRevisionId, subject: 'Yours', html: '<p>Yours</p>' },
  });
  expect((await app.api('POST', `/transactional-emails/${made.id}/publish`)).status).toBe(200);
  const send = { transactionalId: made.id, email: 'bob@example.com', dataVariables: {} };
  expect((await app.api('POST', '/transactional', send)).status).toBe(200);
  await app.drain();
  const contactIdentity = { id: '', email: 'bob@example.com', userId: null };
  const sent = { transactionalId: made.id, transactionalName: 'Receipt', contactIdentity };
  expect(told('transactional.email.sent')).toEqual([expect.objectContaining(sent)]);
  expect(told('loop.email.sent')).toEqual([]);
});

test('a hard bounce is told with its unsubscription; a refusal of ours is neither', async () => {
  const server = await faultySmtp('RCPT', '550 5.1.1 no such user', 1);
  later(server.close);
  const { app, ada, workflow, told, pay } = await listening(server.port);
  await pay();
  await app.drain();
  const contactIdentity = { id: ada.id, email: ada.email, userId: null };
  const bounced = { contactIdentity, sourceType: 'loop', loopId: workflow.id };
  expect(told('email.hardBounced')).toEqual([expect.objectContaining(bounced)]);
  expect(told('contact.unsubscribed')).toHaveLength(1);
  expect(told('loop.email.sent')).toEqual([]);
});

test('a mail held without a mail server gets a Message-ID of the real domain when it goes out', async () => {
  const app = await TestApp.open();
  const ada = await contact(app);
  const id = await queue(app, ada, (await message(app)).id);
  await app.drain();
  expect(await state(app, id)).toMatchObject({ state: 'held', messageId: id });
  await app.stop(true);
  const server = await sink();
  const again = await TestApp.open({}, smtp(server.port), app.folder);
  later(() => again.stop());
  await again.drain();
  expect(server.mails[0]!.raw).toContain(`Message-ID: <${id}@acme.test>`);
});

test('doctor logs into the mail server, and names the cause but never the password', async () => {
  const password = 'hunter2-hunter2';
  const encoded = Buffer.from(`\0ada\0${password}`).toString('base64');
  const works = await faultySmtp('EHLO', 'hang', 0);
  const refuses = await faultySmtp('AUTH', `535 5.7.8 no: ${password} ${encoded}`);
  later(works.close);
  later(refuses.close);
  const found = async (port: number | null) => {
    const app = await TestApp.open({}, port === null ? {} : smtp(port, { user: 'ada', password }));
    later(() => app.stop());
    return (await examine(app.app.ctx.config)).find(({ check }) => check === 'mail');
  };
  expect(await found(null)).toMatchObject({ status: 'warn', message: expect.stringContaining('INLET_SMTP_URL') });
  expect((await found(works.port))?.status).toBe('ok');
  const refused = await found(refuses.port);
  expect(refused?.status).toBe('fail');
  expect(refused?.message).toContain('535');
  for (const secret of [password, encoded]) expect(refused?.message).not.toContain(secret);
  expect(await found(1)).toMatchObject({ status: 'fail', message: expect.stringContaining('INLET_SMTP_URL') });
}, 30_000);

test('an address that bounced or complained elsewhere is suppressed with its reason, once, and told', async () => {
  const server = await sink();
  const { app, ada, told, pay } = await listening(server.port);
  await pay();
  await app.drain();
  const report = (email: string, reason: string) => app.api('POST', '/contacts/suppression', { email, reason });
  for (let n = 0; n < 3; n++) expect((await report('Ada@Example.com', 'complaint')).status).toBe(200);
  await app.drain();
  expect((await app.api('GET', `/contacts/suppression?email=${ada.email}`)).body.isSuppressed).toBe(true);
  expect((await app.api('GET', `/contacts/find?email=${ada.email}`)).body[0].subscribed).toBe(false);
  expect(told('email.spamReported')).toHaveLength(1);
  expect(told('email.spamReported')[0]).toMatchObject({ contactIdentity: { id: ada.id }, sourceType: 'loop' });
  expect(told('contact.unsubscribed')).toHaveLength(1);

  expect((await report('nobody@example.com', 'bounce')).status).toBe(200);
  expect((await report('nobody@example.com', 'manual')).status).toBe(200);
  await app.api('POST', '/contacts/create', { email: 'nobody@example.com' });
  expect((await app.api('GET', '/contacts/find?email=nobody@example.com')).body[0].subscribed).toBe(false);
  const later = await queue(app, 'nobody@example.com', (await message(app)).id, { transactional: true });
  await app.drain();
  expect((await state(app, later)).state).toBe('suppressed');
  expect((await report('nobody', 'bounce')).status).toBe(400);
  expect((await report('a@example.com', 'boredom')).status).toBe(400);
});
