import { afterEach, describe, expect, test } from 'bun:test';
import { faultySmtp, VERBS, type Verb } from '../support/smtp.ts';
import { closeAll, contact, later, message, open, queue, state } from './support.ts';

afterEach(closeAll);

describe('a mail server that goes wrong', () => {
  const cases = VERBS.filter(verb => verb !== 'AUTH').flatMap(verb =>
    (['4xx', '5xx', 'drop', 'garbage'] as const).map(fault => ({ verb, fault })),
  );
  test.each(cases)('$fault at $verb', async ({ verb, fault }) => {
    const server = await faultySmtp(verb, fault);
    later(() => server.close());
    const app = await open(server.port);
    const ada = await contact(app);
    const { id } = await message(app);
    const mailId = await queue(app, ada, id);
    await app.drain();
    const mail = await state(app, mailId);
    const aboutUs: Verb[] = ['connect', 'EHLO', 'MAIL', 'RCPT']; // no word against this mail or its address
    expect(mail.state).toBe(fault === '5xx' && !aboutUs.includes(verb) ? 'failed' : 'queued');
    expect(mail.error).toMatch(/mail server/);
    expect(server.taken).toHaveLength(0);
    const { subscribed } = (await app.api('GET', `/contacts/find?email=${ada.email}`)).body[0];
    expect(subscribed).toBe(true);
  });

  test('is tried again later, with the same Message-ID, and given up after two days', async () => {
    const server = await faultySmtp('RCPT', '4xx', 2);
    later(() => server.close());
    const app = await open(server.port);
    app.time = Date.now();
    const ada = await contact(app);
    const { id } = await message(app);
    const mailId = await queue(app, ada, id);
    await app.drain();
    expect(await state(app, mailId)).toMatchObject({ state: 'queued', attempts: 1 });
    app.time = Date.parse((await state(app, mailId)).nextAttemptAt) + 1;
    await app.drain();
    expect(await state(app, mailId)).toMatchObject({ state: 'queued', attempts: 2 });
    app.time = Date.parse((await state(app, mailId)).nextAttemptAt) + 1;
    await app.drain();
    expect(await state(app, mailId)).toMatchObject({ state: 'sent', attempts: 3 });
    expect(server.taken[0]).toContain(`<${mailId}@acme.test>`);

    const never = await faultySmtp('RCPT', '4xx');
    later(() => never.close());
    const other = await open(never.port);
    other.time = Date.now();
    const bob = await contact(other, 'bob@example.com', 'Bob B');
    const lost = await queue(other, bob, (await message(other)).id);
    const begun = other.time;
    for (let mail = await state(other, lost); mail.state === 'queued'; mail = await state(other, lost)) {
      other.time = Math.max(other.time, Date.parse(mail.nextAttemptAt)) + 1;
      await other.drain();
    }
    expect((other.time - begun) / 3_600_000).toBeGreaterThan(48);
    expect(await state(other, lost)).toMatchObject({ state: 'failed', attempts: 14 });
    expect((await state(other, lost)).error).toContain('Given up after two days');
    await other.api('POST', `/mails/${lost}/retry`);
    expect((await state(other, lost)).state).toBe('queued');
  }, 20_000);

  test('an address that bounced gets nothing more until it is freed', async () => {
    const server = await faultySmtp('RCPT', '550 5.1.1 no such user', 1);
    later(() => server.close());
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
