import { type Blame, findBlame } from './blame.ts';

/**
 * What became of a mail. `later`: worth another try, by its own fault; `down`: the server can't be used, whatever the mail.
 * `trouble`: the operator should know.
 */
export type Outcome =
  | { kind: 'sent' }
  | { kind: 'bounced' | 'down'; error: string }
  | { kind: 'later' | 'failed'; error: string; trouble?: true };

interface Envelope {
  from: string;
  to: string;
}

/** As nodemailer throws it. */
export interface SmtpError extends Error {
  code?: string;
  /** The SMTP command that was answered; CONN before and between them. */
  command?: string;
  responseCode?: number;
  response?: string;
}

const SHOWN = 200; // characters of a server's words

/** A failure in a sentence, with the server's own words: short, printable, on one line. */
export function reply(error: SmtpError): string {
  const words = (error.response ?? error.message)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, SHOWN)
    .trim();
  if (!error.responseCode) return `The mail server can't be used: ${words}`;
  return `The mail server answered${error.command ? ` to ${error.command}` : ''}: ${words}`;
}

const SERVER = /^(API|EHLO|HELO|STARTTLS|AUTH)/;
const LOGIN = new Set([530, 534, 535, 538]); // wants another login, whatever the mail
const OF_US = new Set<Blame>(['sender', 'policy', 'rate']);

/** Whether a reply names our address and not the recipient's: then it judges us. */
function hasOnlySender(response: string, { from, to }: Envelope): boolean {
  const text = response.toLowerCase();
  return text.includes(from.toLowerCase()) && !text.includes(to.toLowerCase());
}

/**
 * What a failure after the login means for the mail; CONN: the connection was closed, at whatever command. RFC 5321: 4yz is worth another try. 5yz ends an address only on proof that its mailbox is wrong,
 * and a mail only where its content was looked at; everything else is ours to be mended, and no address may be lost to it.
 */
export function classifyReply(error: SmtpError, envelope?: Envelope): Outcome {
  const { responseCode: status = 0, command = '', response = '', code = '' } = error;
  const text = reply(error);
  const ours = !response && /^(EENVELOPE|EMESSAGE)$/.test(code); // an address or a size that nodemailer does not send
  if (!status) return { kind: ours ? 'failed' : 'later', error: text };
  if (SERVER.test(command) || LOGIN.has(status)) return { kind: 'down', error: text };
  const found = findBlame(response);
  const blame = found === 'mailbox' && envelope && hasOnlySender(response, envelope) ? 'sender' : found;
  if (status < 500) return { kind: 'later', error: text, ...(OF_US.has(blame) && { trouble: true }) };
  const atRecipient = command.startsWith('RCPT');
  const atMessage = command.startsWith('DATA'); // its beginning or its end
  if (blame === 'mailbox' && (atRecipient || atMessage)) return { kind: 'bounced', error: text };
  if (blame === 'mailboxFull' || blame === 'greylisting') return { kind: 'later', error: text };
  const isFinal = blame === 'content' ? !atRecipient : blame === 'unknown' && atMessage;
  return { kind: isFinal ? 'failed' : 'later', error: text, trouble: true };
}
