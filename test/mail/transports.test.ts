// databases: sqlite
import { afterEach, describe, expect, test } from 'bun:test';
import { createServer } from 'node:net';
import type { SMTPServerOptions } from 'smtp-server';
import { readConfig } from '../../src/config.ts';
import type { Outcome } from '../../src/mail/smtpReply.ts';
import { openTransport } from '../../src/mail/transports/index.ts';
import { smtp as smtpKind } from '../../src/mail/transports/smtp.ts';
import type { Letter, Transport } from '../../src/mail/transports/transport.ts';
import { MAIL_SCHEMES, type SmtpServer } from '../../src/variables.ts';
import { type Fault, faultySmtp, PEM, VERBS, type Verb } from '../support/smtp.ts';
import { closeAll, later, sink } from './support.ts';

type OnAuth = NonNullable<SMTPServerOptions['onAuth']>;
afterEach(closeAll);

const PATIENCE = { connect: 400, silent: 300, message: 2000 };
const letter: Letter = {
  messageId: 'm1@acme.test',
  from: { name: 'Acme', address: 'hello@acme.test' },
  replyTo: null,
  to: 'ada@example.com',
  subject: 'Hello',
  html: '<p>Hello</p>',
  text: 'Hello',
  unsubscribeUrl: null,
};

function client(port: number, more: Partial<SmtpServer> = {}): Transport {
  const local = { host: '127.0.0.1', port, secure: false, loopback: true, user: 'ada', password: 'secret' };
  const smtp = smtpKind.open({ ...local, ...more }, PATIENCE);
  later(async () => smtp.close());
  return smtp;
}

/** What each fault at each verb means: whose fault it is and whether it may pass. */
function expected(verb: Verb, fault: Fault): Outcome['kind'] {
  if (verb === 'connect' || verb === 'EHLO' || verb === 'AUTH') return 'down';
  if (fault !== '5xx' || verb === 'MAIL' || verb === 'RCPT') return 'later'; // "550 no" is no proof against an address
  return 'failed';
}

describe('every verb goes wrong in every way', () => {
  const faults = ['4xx', '5xx', 'drop', 'garbage', 'hang'] as const;
  test.each(VERBS.flatMap(verb => faults.map(fault => ({ verb, fault }))))(
    '$fault at $verb',
    async ({ verb, fault }) => {
      const server = await faultySmtp(verb, fault, 1);
      later(server.close);
      const smtp = client(server.port);
      const outcome = await smtp.send(letter);
      // After an EHLO that is refused HELO may do; the server behaves by then.
      const helo = verb === 'EHLO' && ['4xx', '5xx', 'garbage'].includes(fault);
      expect(outcome.kind).toBe(helo ? 'sent' : expected(verb, fault));
      if (outcome.kind !== 'sent') expect(outcome.error).toMatch(/^The mail server/);
      if (verb === 'AUTH' && fault === '5xx')
        expect(outcome).toMatchObject({ error: expect.stringContaining('550 no') });
      expect((await smtp.send(letter)).kind).toBe('sent'); // the pool gets over it
    },
  );
});

describe('a refused recipient', () => {
  test.each([
    ['550 5.1.1 no such user', 'bounced'],
    ['550 user unknown', 'bounced'],
    ['553 5.1.3 bad address', 'bounced'],
    ['550 5.2.1 mailbox disabled', 'bounced'],
    ['554 5.7.1 relay access denied', 'later'],
    ['550 relaying denied', 'later'],
    ['550 5.7.1 blocked using a list', 'later'],
    ['552 5.2.2 mailbox full', 'later'],
    ['530 5.7.0 authentication required', 'down'],
    ['421 4.3.2 closing', 'later'],
    ['450 4.2.1 greylisted', 'later'],
  ] as const)('%s: %s', async (reply, kind) => {
    const server = await faultySmtp('RCPT', reply);
    later(server.close);
    expect((await client(server.port).send(letter)).kind).toBe(kind);
  });
});

describe('TLS', () => {
  const tls = { key: PEM, cert: PEM };
  const remote = { host: 'localhost', loopback: false, ca: PEM };
  const accept = {
    ...tls,
    disabledCommands: [],
    onAuth: ((auth, _, done) =>
      auth.password === 'secret' ? done(null, { user: auth.username }) : done(new Error('wrong password'))) as OnAuth,
  };

  test('from the first byte, and by STARTTLS; the login goes through it', async () => {
    const implicit = await sink({ ...accept, secure: true });
    expect(await client(implicit.port, { ...remote, secure: true }).send(letter)).toEqual({ kind: 'sent' });
    const starttls = await sink(accept);
    expect(await client(starttls.port, remote).send(letter)).toEqual({ kind: 'sent' });
    for (const { mails } of [implicit, starttls]) expect(mails[0]).toMatchObject({ user: 'ada', secure: true });
  });

  test('a certificate nobody vouches for, one of another name, a wrong password: nothing is sent', async () => {
    const implicit = await sink({ ...accept, secure: true });
    const starttls = await sink(accept);
    for (const more of [
      { ...remote, ca: undefined, secure: true },
      { ...remote, host: '127.0.0.2', secure: true },
      { ...remote, password: 'wrong', secure: true },
    ])
      expect((await client(implicit.port, more).send(letter)).kind).toBe('down');
    expect((await client(starttls.port, { ...remote, ca: undefined }).send(letter)).kind).toBe('down');
    expect([...implicit.mails, ...starttls.mails]).toEqual([]);
  });

  test('a server that does not offer STARTTLS, or breaks it, gets neither password nor mail in the clear', async () => {
    const none = await sink({ ...accept, disabledCommands: ['STARTTLS'] });
    expect((await client(none.port, remote).send(letter)).kind).toBe('down');
    const heard: string[] = [];
    const broken = createServer(socket => {
      socket.on('error', () => {});
      socket.write('220 ready\r\n');
      socket.on('data', chunk => {
        heard.push(chunk.toString('latin1'));
        if (/^EHLO/i.test(heard.at(-1) ?? '')) socket.write('250-hello\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n');
        else socket.write('220 go on, but not with TLS\r\n');
      });
    });
    await new Promise<void>(resolve => broken.listen(0, '127.0.0.1', resolve));
    later(() => new Promise(done => broken.close(done)));
    const { port } = broken.address() as { port: number };
    expect((await client(port, remote).send(letter)).kind).toBe('down');
    expect(heard.join('')).not.toMatch(/AUTH PLAIN|MAIL FROM/);
    expect(none.mails).toEqual([]);
  });
});

describe('the pool', () => {
  test('opens no more connections than it may, uses them again, and nothing is sent twice', async () => {
    let now = 0;
    let most = 0;
    let opened = 0;
    const server = await sink({
      onConnect: (_, done) => {
        opened++;
        most = Math.max(most, ++now);
        done();
      },
      onClose: () => void now--,
    });
    const smtp = client(server.port, { user: null, connections: 3 });
    const outcomes = await Promise.all(
      Array.from({ length: 350 }, (_, i) => smtp.send({ ...letter, messageId: `m${i}@acme.test` })),
    );
    expect(outcomes.every(({ kind }) => kind === 'sent')).toBe(true);
    expect(new Set(server.mails.map(({ raw }) => /^Message-ID: (.*)$/m.exec(raw)?.[1])).size).toBe(350);
    expect(server.mails).toHaveLength(350);
    expect(most).toBeLessThanOrEqual(4); // one may be saying goodbye
    expect(opened).toBeLessThanOrEqual(6); // 100 messages each
  });

  test('an idle connection that the server closed is not used', async () => {
    const server = await sink({ socketTimeout: 400 });
    const smtp = client(server.port, { user: null });
    expect((await smtp.send(letter)).kind).toBe('sent');
    await Bun.sleep(700);
    expect((await smtp.send(letter)).kind).toBe('sent');
  });

  test('closing it ends what hangs', async () => {
    const server = await faultySmtp('DATA', 'hang');
    later(server.close);
    const smtp = smtpKind.open(
      { host: '127.0.0.1', port: server.port, secure: false, loopback: true, user: null, password: null },
      { connect: 60_000, silent: 60_000, message: 60_000 },
    );
    const sending = smtp.send(letter);
    await Bun.sleep(50);
    smtp.close();
    expect((await sending).kind).toBe('down');
  });

  test('two addresses in one, or none, are refused before a connection is made', async () => {
    const server = await sink();
    const smtp = client(server.port, { user: null });
    for (const to of ['a@x.co, b@x.co', 'a@x.co\r\nRCPT TO:<b@x.co>', ''])
      await smtp.send({ ...letter, to }).then(({ kind }) => expect(kind).toBe('failed'));
    expect(server.mails).toEqual([]);
  });
});

describe('the transport of a URL', () => {
  const serverOf = (url: string) =>
    readConfig({ INLET_SMTP_URL: url, INLET_MAIL_FROM: 'hello@acme.test' }).config.smtp as SmtpServer;

  test.each(Object.entries(MAIL_SCHEMES))('%s: has one, and port %d where it names none', async (scheme, port) => {
    const named = serverOf(`${scheme}://mail.acme.test`);
    expect(named).toMatchObject({ scheme, port });
    const transport = openTransport({ ...named, host: '127.0.0.1', port: 1 });
    expect(await transport.verify()).toContain("can't be used");
    expect((await transport.send(letter)).kind).toBe('down');
    transport.close();
  });

  test('the one of smtp: sends, and leaves a server that is checked', async () => {
    const server = await sink();
    const transport = openTransport(serverOf(`smtp://127.0.0.1:${server.port}`));
    expect(await transport.verify()).toBeNull();
    expect(await transport.send(letter)).toEqual({ kind: 'sent' });
    expect(server.mails).toHaveLength(1);
    transport.close();
    expect((await transport.send(letter)).kind).toBe('down');
  });

  test('another scheme is refused where it is set', () => {
    expect(() => serverOf('file:///tmp/mails')).toThrow('INLET_SMTP_URL must look like smtps://');
  });
});
