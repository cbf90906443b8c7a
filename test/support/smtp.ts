import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** Key and certificate of localhost, signed by itself. */
export const PEM = readFileSync(join(import.meta.dir, '../mail/localhost.pem'), 'utf8');
export const PEM_FILE = join(import.meta.dir, '../mail/localhost.pem');

export interface Received {
  from: string;
  to: string[];
  raw: string;
  /** Who logged in; undefined: nobody. */
  user: string | undefined;
  secure: boolean;
}

/** A real SMTP server on loopback that keeps what it takes. `behave` may refuse or fail at any verb. */
export async function smtpSink(options: Partial<SMTPServerOptions> = {}): Promise<{
  port: number;
  mails: Received[];
  close(): Promise<void>;
}> {
  const mails: Received[] = [];
  const server = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    closeTimeout: 100,
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', chunk => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(each => each.address),
          raw: Buffer.concat(chunks).toString('utf8'),
          user: session.user,
          secure: session.secure,
        });
        done();
      });
    },
    ...options,
  });
  server.on('error', () => {});
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', resolve);
  await promise;
  const address = server.server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    mails,
    close: () => new Promise(done => server.close(() => done())),
  };
}

/** The verbs of a session in the order they come; `end` is the dot after the data. */
export const VERBS = ['connect', 'EHLO', 'AUTH', 'MAIL', 'RCPT', 'DATA', 'end'] as const;
export type Verb = (typeof VERBS)[number];
/** A text is the reply itself. */
export type Fault = '4xx' | '5xx' | 'drop' | 'garbage' | 'hang' | `${number} ${string}`;

const YES: Record<Verb, string> = {
  connect: '220 ready',
  EHLO: '250-hello\r\n250 AUTH PLAIN',
  AUTH: '235 come in',
  MAIL: '250 fine',
  RCPT: '250 fine',
  DATA: '354 go on',
  end: '250 taken',
};
const NO: Record<string, string> = {
  '4xx': '451 try again later',
  '5xx': '550 no',
  garbage: 'hello, I am no mail server',
};

/** A bare SMTP server that goes wrong at one verb, `times` times, and then behaves. */
export async function faultySmtp(at: Verb, fault: Fault, times = Number.POSITIVE_INFINITY) {
  let left = times;
  const taken: string[] = [];
  const open = new Set<Socket>();
  const reply = (socket: Socket, verb: Verb) => {
    if (verb !== at || left <= 0) return void socket.write(`${YES[verb]}\r\n`);
    left--;
    if (fault === 'hang') return;
    if (fault === 'drop') return void socket.destroy();
    socket.write(`${NO[fault] ?? fault}\r\n`);
  };
  const server: Server = createServer(socket => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    let data: string | null = null;
    let buffer = '';
    reply(socket, 'connect');
    socket.on('data', chunk => {
      buffer += chunk.toString('latin1');
      for (let end = buffer.indexOf('\r\n'); end >= 0; end = buffer.indexOf('\r\n')) {
        const line = buffer.slice(0, end);
        buffer = buffer.slice(end + 2);
        if (data !== null) {
          if (line !== '.') data += `${line}\n`;
          else {
            if (at !== 'end' || left <= 0) taken.push(data);
            data = null;
            reply(socket, 'end');
          }
          continue;
        }
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'EHLO' || verb === 'HELO') reply(socket, 'EHLO');
        else if (verb === 'AUTH' || verb === 'MAIL' || verb === 'RCPT') reply(socket, verb);
        else if (verb === 'DATA') {
          if (at !== 'DATA' || left <= 0) data = '';
          reply(socket, 'DATA');
        } else if (verb === 'QUIT') socket.end('221 bye\r\n');
        else socket.write('250 fine\r\n');
      }
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    /** Messages that were taken. */
    taken,
    close: () => {
      for (const socket of open) socket.destroy();
      return new Promise<void>(resolve => server.close(() => resolve()));
    },
  };
}
