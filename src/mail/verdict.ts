/**
 * What became of a mail. `later`: worth another try, by its own fault; `down`: the server can't be used, whatever the mail.
 * `trouble`: the operator should know.
 */
export type Outcome =
  | { kind: 'sent' }
  | { kind: 'bounced' | 'failed' | 'down'; error: string }
  | { kind: 'later'; error: string; trouble?: true };

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

const SERVER = /^(CONN|API|EHLO|HELO|STARTTLS|AUTH)/;
const LOGIN = new Set([421, 530, 534, 535, 538]); // closing, or wants another login
const NOT_THE_ADDRESS = /relay|authenticat|not (allowed|permitted)|block|spam|blacklist|reputation|polic|too many/i;

/** RFC 3463: 5.1.x and 5.2.0, 5.2.1 are about the mailbox; the rest (policy, full, relaying denied) says nothing against the address. */
function aboutAddress(response: string): boolean {
  const enhanced = /^\d{3}[ -](5\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1];
  if (enhanced === undefined || enhanced === '5.0.0' || enhanced === '5.5.0') return !NOT_THE_ADDRESS.test(response);
  return /^5\.(1\.\d+|2\.[01])$/.test(enhanced);
}

/**
 * RFC 5321: 4yz is worth another try, 5yz is not, unless it is about us and not about this mail: that is a setting to be mended, and
 * no address may be lost to it.
 */
export function verdict(error: SmtpError): Outcome {
  const { responseCode: status = 0, command = '', response = '', code = '' } = error;
  const text = reply(error);
  const ours = !response && /^(EENVELOPE|EMESSAGE)$/.test(code); // an address or a size that nodemailer does not send
  if (!status) return { kind: ours ? 'failed' : 'later', error: text };
  if (SERVER.test(command) || LOGIN.has(status)) return { kind: 'down', error: text };
  if (status < 500) return { kind: 'later', error: text };
  if (command.startsWith('MAIL')) return { kind: 'later', error: text, trouble: true };
  if (!command.startsWith('RCPT')) return { kind: 'failed', error: text };
  return aboutAddress(response) ? { kind: 'bounced', error: text } : { kind: 'later', error: text, trouble: true };
}
