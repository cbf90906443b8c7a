import { createTransport, type Transporter } from 'nodemailer';
import type { SmtpServer } from '../config.ts';

export const CONNECTIONS = 5;
const CONNECT_MS = 10_000;
const SILENT_MS = 30_000;

/** A message ready to go out, to one recipient. */
export interface Outgoing {
  messageId: string;
  from: { name: string; address: string };
  replyTo: string | null;
  to: string;
  subject: string;
  html: string;
  text: string;
  /** RFC 8058; null: transactional. */
  unsubscribeUrl: string | null;
}

/** What became of it: `later` is worth another try; `down` says the server and not this mail is the trouble. */
export type Outcome = { kind: 'sent' } | { kind: 'bounced' | 'failed' | 'later' | 'down'; error: string };

/** A pool of connections. TLS is required except on loopback, certificates are checked. */
export function openTransport(smtp: SmtpServer): Transporter {
  return createTransport({
    pool: true,
    host: smtp.host.replace(/^\[|\]$/g, ''),
    port: smtp.port,
    secure: smtp.secure,
    requireTLS: !smtp.secure && !smtp.loopback,
    ignoreTLS: !smtp.secure && smtp.loopback,
    ...(smtp.user === null ? {} : { auth: { user: smtp.user, pass: smtp.password ?? '' } }),
    maxConnections: CONNECTIONS,
    maxMessages: 200,
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: SILENT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
}

interface SmtpError extends Error {
  code?: string;
  command?: string;
  responseCode?: number;
  response?: string;
}

/** What a login sends, in every form: a server that repeats it must not have it shown or stored. */
function loginOf({ options }: Transporter): string[] {
  const { auth } = options as { auth?: { user: string; pass: string } };
  if (!auth?.pass) return [];
  const forms = [auth.pass, `\0${auth.user}\0${auth.pass}`].map(text => Buffer.from(text).toString('base64'));
  return [auth.pass, ...forms.map(form => form.replace(/=+$/, ''))];
}

/** A server's words, short and on one line. */
const said = (error: SmtpError, login: string[]) =>
  login
    .reduce((words, secret) => words.replaceAll(secret, '…'), error.response ?? error.message)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, 200)
    .trim();

/** Never throws. */
export async function send(transport: Transporter, mail: Outgoing): Promise<Outcome> {
  const unsubscribe = mail.unsubscribeUrl && {
    'List-Unsubscribe': `<${mail.unsubscribeUrl}>`,
    'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
  };
  try {
    await transport.sendMail({
      messageId: `<${mail.messageId}>`,
      from: mail.from,
      to: { name: '', address: mail.to },
      ...(mail.replyTo === null ? {} : { replyTo: { name: '', address: mail.replyTo } }),
      subject: mail.subject,
      html: mail.html,
      text: mail.text,
      ...(unsubscribe && { headers: unsubscribe }),
    });
    return { kind: 'sent' };
  } catch (error) {
    return judged(error as SmtpError, loginOf(transport));
  }
}

/** RFC 5321: 4yz is worth another try, 5yz is not. A 5yz about the recipient means that the address is no good. */
function judged(error: SmtpError, login: string[]): Outcome {
  const { responseCode: status = 0, command = '', code = '' } = error;
  const where = command ? ` at ${command}` : '';
  const text = `The mail server answered${where}: ${said(error, login)}`;
  const aboutUs = /^(CONN|AUTH|EHLO|HELO|STARTTLS|API)/.test(command) || code === 'EAUTH';
  if (aboutUs || status === 0 || status === 421)
    return { kind: 'down', error: status ? text : `The mail server can't be used: ${said(error, login)}` };
  if (status < 500) return { kind: 'later', error: text };
  return { kind: /^RCPT/.test(command) ? 'bounced' : 'failed', error: text };
}
