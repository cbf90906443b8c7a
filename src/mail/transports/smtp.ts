import MailComposer from 'nodemailer/lib/mail-composer';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { SmtpServer } from '../../variables.ts';
import { classifyReply, type Outcome, reply, type SmtpError } from '../smtpReply.ts';
import { DEFAULT_CONNECTIONS, type Letter, type Transport, type TransportKind } from './transport.ts';

/** How long a server may take, in ms: to set a session up, to say something, and for one message in all. */
interface Patience {
  connect: number;
  silent: number;
  message: number;
}
const PATIENCE: Patience = { connect: 10_000, silent: 30_000, message: 45_000 };
const PER_CONNECTION = 100; // messages; servers limit it
const IDLE_MS = 15_000;

interface Message {
  envelope: { from: string; to: string[]; size: number };
  raw: Buffer;
}

const ONE_ADDRESS = /^[^\s\p{Cc}<>()[\]\\,;:"@]+@[^\s\p{Cc}<>()[\]\\,;:"@]+$/u;

/** @throws when the letter can't be put into a message to exactly one address */
async function composed(letter: Letter): Promise<Message> {
  if (!ONE_ADDRESS.test(letter.to)) throw new Error('not one address');
  const unsubscribe = letter.unsubscribeUrl && {
    'List-Unsubscribe': `<${letter.unsubscribeUrl}>`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  };
  const node = new MailComposer({
    messageId: `<${letter.messageId}>`,
    from: letter.from,
    to: { name: '', address: letter.to },
    ...(letter.replyTo === null ? {} : { replyTo: { name: '', address: letter.replyTo } }),
    subject: letter.subject,
    text: letter.text,
    ...(letter.html === null ? {} : { html: letter.html }),
    headers: { ...letter.marks, ...unsubscribe },
    disableFileAccess: true,
    disableUrlAccess: true,
  }).compile();
  const { from, to } = node.getEnvelope();
  if (!from || to.length !== 1) throw new Error('not from one address to one');
  const raw = await node.build();
  return { envelope: { from, to, size: raw.length }, raw };
}

interface Session {
  connection: SMTPConnection;
  sent: number;
  idle: Timer | undefined;
  /** Ends it and what is under way on it. */
  cut(why: string): void;
}

/** Connections to the mail server, a few at most and kept for a while. TLS is required except on loopback, certificates are checked. */
class Smtp implements Transport {
  private readonly idle: Session[] = [];
  private readonly busy = new Set<Session>();
  private readonly waiting: { urgent: boolean; resolve(isOpen: boolean): void }[] = [];
  private taken = 0; // of the connections there may be
  private closed = false;

  constructor(
    private readonly server: SmtpServer,
    private readonly patience: Patience,
  ) {}

  async send(letter: Letter): Promise<Outcome> {
    const outcome = await this.runWhenFree(false, () => this.sendNow(letter));
    return outcome ?? { kind: 'down', error: STOPPED };
  }

  async runWhenFree<T>(urgent: boolean, work: () => Promise<T>): Promise<T | null> {
    if (!(await this.takeTurn(urgent))) return null;
    try {
      return await work();
    } finally {
      this.passTurn();
    }
  }

  async sendNow(letter: Letter): Promise<Outcome> {
    let message: Message;
    try {
      message = await composed(letter);
    } catch {
      return { kind: 'failed', error: 'No message to exactly one address could be made of this. Check its addresses.' };
    }
    try {
      return await this.transmit(this.idle.pop() ?? (await this.open()), message);
    } catch (error) {
      return { kind: 'down', error: reply(this.clean(error as SmtpError)) };
    }
  }

  async verify(): Promise<string | null> {
    try {
      (await this.open()).connection.quit();
      return null;
    } catch (error) {
      return reply(this.clean(error as SmtpError));
    }
  }

  /** Without what a login sends, in any form: a server may repeat it. */
  private clean(error: SmtpError): SmtpError {
    const { user, password } = this.server;
    if (!password) return error;
    const forms = [`\0${user}\0${password}`, password].map(text => Buffer.from(text).toString('base64'));
    const secrets = [...forms.map(form => form.replace(/=+$/, '')), password];
    const without = (text: string) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
    error.message = without(error.message);
    if (error.response) error.response = without(error.response);
    return error;
  }

  drain(): void {
    this.closed = true;
    for (const { resolve } of this.waiting.splice(0)) resolve(false);
  }

  close(): void {
    this.drain();
    for (const session of [...this.idle, ...this.busy]) session.cut(STOPPED.slice(0, -1));
  }

  /** Waits until a connection may be used or opened; false: none will be. */
  private async takeTurn(urgent: boolean): Promise<boolean> {
    if (this.closed) return false;
    if (this.taken >= (this.server.connections ?? DEFAULT_CONNECTIONS))
      return new Promise<boolean>(resolve => this.waiting.push({ urgent, resolve }));
    this.taken++;
    return true;
  }

  private passTurn(): void {
    const first = this.waiting.findIndex(each => each.urgent);
    const [next] = this.waiting.splice(Math.max(0, first), 1);
    if (next) next.resolve(true);
    else this.taken--;
  }

  private open(): Promise<Session> {
    const { host, port, secure, loopback, user, password, ca } = this.server;
    const { connect, silent } = this.patience;
    const connection = new SMTPConnection({
      host: host.replace(/^\[|\]$/g, ''),
      port,
      secure,
      requireTLS: !secure && !loopback,
      ignoreTLS: !secure && loopback,
      connectionTimeout: connect,
      greetingTimeout: connect,
      socketTimeout: silent,
      socketCloseTimeout: 1000,
      dnsTimeout: connect,
      ...(ca && { tls: { ca } }),
    });
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => fail(new Error('no session in time')), connect + silent);
      const fail = (error: unknown) => {
        clearTimeout(late);
        reject(error); // before closing, which is an end too
        connection.close();
        this.forget(session);
      };
      const session: Session = { connection, sent: 0, idle: undefined, cut: why => fail(new Error(why)) };
      const ready = () => {
        clearTimeout(late);
        resolve(session);
      };
      this.busy.add(session);
      connection.on('error', fail); // stays: an error nobody hears ends the process
      connection.on('end', () => fail(new Error('it closed the connection')));
      connection.connect(error => {
        if (error) return fail(error);
        if (user === null) return ready();
        const auth = { user, credentials: { user, pass: password ?? '' } };
        connection.login(auth, refused => (refused ? fail(refused) : ready()));
      });
    });
  }

  private transmit(session: Session, { envelope, raw }: Message): Promise<Outcome> {
    const { connection } = session;
    clearTimeout(session.idle);
    this.busy.add(session);
    return new Promise(resolve => {
      const done = (outcome: Outcome, usable: boolean) => {
        clearTimeout(late);
        this.busy.delete(session);
        session.cut = () => connection.close();
        if (usable) this.keep(session);
        else connection.close();
        resolve(outcome);
      };
      session.cut = why => done({ kind: 'down', error: `${why}.` }, false);
      const slow = () => done({ kind: 'later', error: NO_END }, false);
      const late = setTimeout(slow, this.patience.message);
      connection.send(envelope, raw, error => {
        if (!error) return done({ kind: 'sent' }, true);
        const outcome = classifyReply(this.clean(error as SmtpError), {
          from: envelope.from,
          to: envelope.to[0] ?? '',
        });
        const status = (error as SmtpError).responseCode;
        if (!status || status === 421) return done(outcome, false); // it is closing
        connection.reset(failed => done(outcome, !failed));
      });
    });
  }

  private keep(session: Session): void {
    if (++session.sent >= PER_CONNECTION) {
      session.connection.quit();
      return;
    }
    session.idle = setTimeout(() => {
      this.forget(session);
      session.connection.quit();
    }, IDLE_MS);
    session.idle.unref();
    this.idle.push(session);
  }

  private forget(session: Session): void {
    this.busy.delete(session);
    const at = this.idle.indexOf(session);
    if (at >= 0) this.idle.splice(at, 1);
  }
}

const STOPPED = 'Inlet was stopped meanwhile.';
const NO_END = 'The mail server did not take the message in time.';

/** SMTP (RFC 5321): STARTTLS with `smtp:`, TLS from the first byte with `smtps:`. */
export const smtp = {
  schemes: ['smtp', 'smtps'],
  open: (server: SmtpServer, patience = PATIENCE): Transport => new Smtp(server, patience),
} satisfies TransportKind;
