// databases: sqlite
import { afterEach, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { examinePublicUrl, judgeMail } from '../../src/cli/doctorMail.ts';
import { mails, meta } from '../../src/db/schema.ts';
import { RESTORED, setMailSettings } from '../../src/mail/settings.ts';
import { makeSealer } from '../../src/sealing.ts';
import { TestApp } from '../support/app.ts';
import { closeAll, later, linkOf, message, open, queue, sink, smtp, state, subscribed } from './support.ts';

afterEach(closeAll);
const HOUR_MS = 3_600_000;

async function mailed(app: TestApp, server: Awaited<ReturnType<typeof sink>>, email = 'ada@example.com') {
  const { id } = (await app.api('POST', '/contacts/create', { email })).body;
  const mailId = await queue(app, { id, email }, (await message(app)).id);
  await app.drain();
  return { id: id as string, email, mailId, link: linkOf(server.mails.at(-1)?.raw ?? '') };
}
const click = (app: TestApp, link: string, body = 'List-Unsubscribe=One-Click') =>
  app.fetch(link, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded' } });

test('who was deleted and came back is unsubscribed by the link of before, the mail being forgotten too', async () => {
  const server = await sink();
  const app = await open(server.port);
  const { email, mailId, link } = await mailed(app, server);
  await app.api('POST', '/contacts/delete', { email });
  await app.app.ctx.store.write(tx => tx.delete(mails).where(eq(mails.id, mailId ?? '')));
  await app.api('POST', '/contacts/create', { email });
  expect((await click(app, link)).status).toBe(200);
  expect(await subscribed(app, email)).toBe(false);
});

test('with nobody there the link is remembered: who comes back later is not mailed', async () => {
  const server = await sink();
  const app = await open(server.port);
  const { email, mailId, link } = await mailed(app, server);
  await app.api('POST', '/contacts/delete', { email });
  await app.app.ctx.store.write(tx => tx.delete(mails).where(eq(mails.id, mailId ?? '')));
  expect((await click(app, link)).status).toBe(200);
  await app.api('POST', '/contacts/create', { email });
  expect(await subscribed(app, email)).toBe(false);
});

test('a merged contact keeps its links', async () => {
  const server = await sink();
  const app = await open(server.port);
  const { email, link } = await mailed(app, server);
  await app.api('POST', '/contacts/create', { email: 'new@example.com', userId: 'u1' });
  await app.api('PUT', '/contacts/update', { email, userId: 'u1' });
  expect((await click(app, link)).status).toBe(200);
  for (const row of await app.contacts()) if (row.email === email) expect(row.subscribed).toBe(false);
  const next = await queue(app, email, (await message(app)).id);
  await app.drain();
  expect((await state(app, next)).state).toBe('suppressed');
});

test('links outlive the sealing key', async () => {
  const server = await sink();
  const app = await open(server.port);
  const { email, link } = await mailed(app, server);
  await app.stop(true);
  const secretKey = new Uint8Array(32).fill(9); // as after `inlet endpoints reset-secrets`
  const first = await TestApp.open({}, {}, app.folder);
  await first.app.ctx.store.write(tx =>
    tx
      .update(meta)
      .set({ value: makeSealer(secretKey).fingerprint })
      .where(eq(meta.key, 'secretKeyFingerprint')),
  );
  await first.stop(true);
  const again = await TestApp.open({}, { secretKey }, app.folder);
  later(() => again.stop());
  expect((await again.fetch(link)).status).toBe(200);
  expect((await click(again, link)).status).toBe(200);
  expect(await subscribed(again, email)).toBe(false);
});

test('"subscribe again" takes back only what this link did, within a day, and a few times an hour', async () => {
  const server = await sink();
  const app = await open(server.port);
  app.time = Date.now();
  const { email, link } = await mailed(app, server);
  await app.api('POST', '/contacts/update', { email }); // no word about mail
  const back = () => click(app, link, 'action=resubscribe');
  const answers: number[] = [];
  for (let n = 0; n < 20; n++) {
    app.time += 1000;
    answers.push((await click(app, link)).status);
    app.time += 1000;
    answers.push((await back()).status);
  }
  expect(answers.filter(status => status === 429).length).toBe(17);
  expect(await subscribed(app, email)).toBe(false); // a no is never refused
  app.time += HOUR_MS;
  expect((await back()).status).toBe(200);
  expect(await subscribed(app, email)).toBe(true);

  app.time += 1000;
  await click(app, link);
  app.time += 24 * HOUR_MS + 1;
  expect((await app.fetch(link)).body).not.toContain('Subscribe again');
  expect((await back()).status).toBe(403);
  expect(await subscribed(app, email)).toBe(false);
});

test('what the API or another link said is not undone', async () => {
  const server = await sink();
  const app = await open(server.port);
  app.time = Date.now();
  const { id, email, link } = await mailed(app, server);
  await queue(app, { id, email }, (await message(app)).id);
  await app.drain();
  const other = linkOf(server.mails[1]?.raw ?? '');
  await click(app, other);
  app.time += 1000;
  await click(app, link); // is out already
  expect((await click(app, link, 'action=resubscribe')).status).toBe(403);
  expect((await click(app, other, 'action=resubscribe')).status).toBe(200);
  app.time += 1000;
  await click(app, link);
  app.time += 1000;
  await app.api('PUT', '/contacts/update', { email, subscribed: false });
  expect((await click(app, link, 'action=resubscribe')).status).toBe(403);
  expect(await subscribed(app, email)).toBe(false);
});

test('mail with links that lead nowhere is held, unless the mail server is on this machine; transactional mail goes', async () => {
  const server = await sink();
  const remote = smtp(server.port, { loopback: false });
  const app = await TestApp.open({}, { ...remote, publicUrl: 'http://127.0.0.1:8484' });
  const { id } = (await app.api('POST', '/contacts/create', { email: 'ada@example.com' })).body;
  const { id: emailMessageId } = await message(app);
  const mailId = await queue(app, { id, email: 'ada@example.com' }, emailMessageId);
  await app.drain();
  expect(await state(app, mailId)).toMatchObject({ state: 'held', error: expect.stringContaining('INLET_PUBLIC_URL') });
  expect((await app.health()).body.mailTrouble).toContain('INLET_PUBLIC_URL');
  const found = await examinePublicUrl(app.app.ctx.config);
  expect(found).toMatchObject({ status: 'fail', message: expect.stringContaining('unsubscribe links') });
  const urgent = await queue(app, 'bob@example.com', emailMessageId, { transactional: true });
  await app.drain();
  expect((await state(app, urgent)).state).not.toBe('held');
  await app.stop(true);
  for (const [publicUrl, expected] of [
    ['http://hooks.example.com', 'held'],
    ['https://hooks.example.com', 'sent'],
  ] as const) {
    const loopback = publicUrl.startsWith('https:'); // so that the sink can take it without TLS
    const again = await TestApp.open({}, { ...smtp(server.port, { loopback }), publicUrl }, app.folder);
    await again.drain();
    expect((await state(again, mailId)).state).toBe(expected);
    await again.stop(publicUrl.startsWith('http:'));
  }
});

test('after a restore: the API and doctor say why mail is paused, until it goes on', async () => {
  const server = await sink();
  const first = await open(server.port);
  const { id } = await message(first);
  await first.app.ctx.store.write(tx => setMailSettings(tx, { paused: true, pauseReason: RESTORED }));
  const mailId = await queue(first, 'ada@example.com', id, { transactional: true });
  await first.drain();
  expect((await first.api('GET', '/mail')).body).toMatchObject({ paused: true, trouble: RESTORED });
  const { mailTrouble } = (await first.health()).body;
  expect(judgeMail(mailTrouble)).toEqual([{ check: 'mail', status: 'warn', message: RESTORED }]);
  expect((await first.api('PATCH', '/mail', { paused: false })).body).toMatchObject({ paused: false, trouble: null });
  await first.drain();
  expect((await first.health()).body.mailTrouble).toBeNull();
  expect((await state(first, mailId)).state).toBe('sent');
});
