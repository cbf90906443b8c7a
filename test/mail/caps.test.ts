import { afterEach, describe, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { mails } from '../../src/db/schema.ts';
import { claimMails, countMailsOfDay, releaseByHour } from '../../src/mail/leases.ts';
import { TestApp } from '../support/app.ts';
import { faultySmtp, type Verb } from '../support/smtp.ts';
import { closeAll, contact, later, message, open, queue, sink, smtp, state, subscribed } from './support.ts';

afterEach(closeAll);
const HOUR_MS = 3_600_000;

describe('limits', () => {
  test('per contact and day: what is over it is held and says so, until somebody retries it', async () => {
    const server = await sink();
    const app = await open(server.port);
    await app.api('PATCH', '/mail', { maxPerContactPerDay: 1 });
    const ada = await contact(app);
    const { id } = await message(app);
    await queue(app, ada, id);
    await app.drain();
    const over = await queue(app, ada, id);
    await queue(app, await contact(app, 'bob@example.com', 'Bob'), id); // another person's limit
    await app.drain();
    expect(server.mails).toHaveLength(2);
    expect(await state(app, over)).toMatchObject({
      state: 'held',
      error: expect.stringContaining('maxPerContactPerDay'),
    });
    expect((await app.api('POST', `/mails/${over}/retry`)).status).toBe(200);
    await app.drain();
    expect(server.mails).toHaveLength(3);
    expect((await state(app, over)).state).toBe('sent');
  });

  test('per hour: what is over it waits and goes out when there is room; transactional mail is not counted', async () => {
    const server = await sink();
    const app = await TestApp.open({}, smtp(server.port));
    app.time = Date.now();
    await app.api('PATCH', '/mail', { maxPerHour: 2 });
    const { id } = await message(app);
    const people = [];
    for (const name of ['ada', 'bob', 'eve']) people.push(await contact(app, `${name}@example.com`, name));
    const ids = [];
    for (const each of people) ids.push(await queue(app, each, id));
    await queue(app, 'someone@example.com', id, { transactional: true });
    await app.drain();
    expect(server.mails).toHaveLength(3);
    const states = [];
    for (const each of ids) states.push((await state(app, each)).state);
    expect(states.sort()).toEqual(['held', 'sent', 'sent']);
    const at = app.time + HOUR_MS + 1000;
    await app.stop(true);
    const again = await TestApp.open({}, smtp(server.port), app.folder);
    later(() => again.stop());
    again.time = at;
    await again.drain();
    expect(server.mails).toHaveLength(4);
  });
});

describe('our own misconfiguration loses no address', () => {
  test.each([
    ['AUTH', '535 5.7.8 bad password'],
    ['MAIL', '550 5.7.1 you may not send as this'],
    ['RCPT', '554 5.7.1 relay access denied'],
    ['RCPT', '550 5.7.1 blocked using a list'],
  ] as [Verb, `${number} ${string}`][])('%s: %s', async (verb, reply) => {
    const server = await faultySmtp(verb, reply, 1);
    later(server.close);
    const app = await TestApp.open({}, smtp(server.port, { user: 'ada', password: 'secret' }));
    later(() => app.stop());
    const ada = await contact(app);
    const mailId = await queue(app, ada, (await message(app)).id);
    await app.drain();
    const failed = await state(app, mailId);
    expect(failed).toMatchObject({ state: 'queued', error: expect.stringContaining(reply) });
    expect(await subscribed(app, ada.email)).toBe(true);
    expect(server.taken).toHaveLength(0);
  });
});

describe('values of people are text and nothing else', () => {
  const EVIL =
    '<script>x</script>"><img src=x onerror=y> \r\nBcc: eve@evil.test\r\n\r\nbody\u2028\u2029\u0000 {{ contact.email }}';

  test('no header, recipient, element or template comes out of a name', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app, 'ada@example.com', 'Ada');
    const unknown = await message(app, { html: '{{ constructor }}' });
    expect(unknown).toMatchObject({ success: false, message: expect.stringContaining('constructor') });
    const { id } = await message(app, {
      subject: 'Hi {{ event.evil }}',
      fromName: 'Acme {{ event.evil }}',
      html: '<p>{{ event.evil }} [{{ contact.constructor }}{{ contact.__proto__ }}{{ event.__proto__.x }}]</p>',
    });
    expect(id).toBeString();
    await queue(app, ada, id, { data: { event: { evil: EVIL } } });
    await app.drain();
    expect(server.mails).toHaveLength(1);
    const { raw, to } = server.mails[0]!;
    expect(to).toEqual(['ada@example.com']);
    const [head = '', body = ''] = raw.split(/\r\n\r\n/, 2);
    expect(head).not.toMatch(/^bcc:/im);
    expect(head.match(/^subject:/gim)).toHaveLength(1);
    expect(body).not.toBe('body');
    const [mail] = (await app.api('GET', `/mails?contactId=${ada.id}`)).body.data;
    const { html, subject } = await state(app, mail.id);
    expect(html).not.toMatch(/<script|<img/);
    expect(html).toContain('[]');
    expect(html).toContain('{{ contact.email }}');
    expect(subject).not.toMatch(/[\r\n\u2028\u2029]/);
  });
});

describe('what limits count', () => {
  /** Mails in a state, straight into the table. */
  const insert = (app: TestApp, rows: Record<string, unknown>[]) =>
    app.app.ctx.store.write(async tx => {
      for (const [i, row] of rows.entries()) {
        const mail = {
          recipient: 'x@example.com',
          emailMessageId: 'em_x',
          data: {},
          transactional: false,
          forced: false,
        };
        const counts = { attempts: 1, failures: 0, crashes: 0, createdAt: app.now(), dueAt: app.now() + HOUR_MS };
        const id = `mail_0000${i}`;
        await tx.insert(mails).values({ ...mail, ...counts, id, mailKey: id, messageId: id, state: 'sent', ...row });
      }
    });

  test('an hour: mails under way as those that went out, transactional ones not; released are as many as there is room for', async () => {
    const app = await TestApp.open();
    later(() => app.stop());
    const now = app.now();
    const { store } = app.app.ctx;
    await insert(app, [
      { state: 'sending' },
      { sentAt: now - 1000 },
      { sentAt: now - 1000, transactional: true },
      { state: 'sending', transactional: true },
      { sentAt: now - HOUR_MS - 1 },
      { state: 'queued', dueAt: now },
      ...Array.from({ length: 5 }, () => ({ state: 'held', heldFor: 'hourCap' })),
    ]);
    // 2 count, and the one that is queued is before those that are held.
    expect(await store.write(tx => releaseByHour(tx, 5, now, 500))).toBe(2);
    const claim = await store.write(tx => claimMails(tx, now, 10, 'acme.test', 4));
    expect([claim.rows.length, claim.held]).toEqual([2, 1]);
  });

  test('a day: mails of the contact that went out or are under way before it; transactional ones not', async () => {
    const app = await TestApp.open();
    later(() => app.stop());
    const now = app.now();
    const of = { contactId: 'con_1' };
    await insert(app, [
      { ...of, sentAt: now - 1000 },
      { ...of, state: 'sending' },
      { ...of, sentAt: now - 1000, transactional: true },
      { ...of, sentAt: now - 24 * HOUR_MS - 1 },
      { contactId: 'con_2', sentAt: now - 1000 },
      { ...of, state: 'sending' },
      { ...of, state: 'sending' },
    ]);
    const { store } = app.app.ctx;
    const [row] = await store.read(tx => tx.select().from(mails).where(eq(mails.id, 'mail_00005')));
    expect(await store.read(tx => countMailsOfDay(tx, row!, now))).toBe(2);
  });
});
