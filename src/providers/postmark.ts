import { randomInt, randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  describeMailEvent,
  hashMailSubject,
  readAddress,
  readDigest,
  readMessageId,
  readWords,
} from './mailReports.ts';
import { parseMs, pickEmail, pickText, readOwn } from './pick.ts';
import type { EventType, Ignored, MailReport, Provider, RawRequest, Secret, Seen } from './provider.ts';
import { findGivenSecret, headerName, readSecretHeader, SECRET_HEADER } from './secretHeader.ts';
import { findSecretProblem } from './secrets.ts';
import { parseBody } from './signatures.ts';

const MARK = 'inlet-mail'; // a metadata key has at most 20 characters, its value 80
const WHOLE_MAIL = 16_777_216; // bytes: a mail of 10 MB, which "Include bounce content" adds, as JSON

const settings = z.object({
  headerName,
  maxBodyBytes: z.int().min(1024).max(26_214_400).default(WHOLE_MAIL).describe('Largest body accepted, in bytes'),
});
type Settings = z.infer<typeof settings>;

const types: EventType[] = [
  describeMailEvent('Bounce', 'A mail did not arrive, for good or for now'),
  describeMailEvent('SpamComplaint', 'The recipient marked a mail as spam'),
];

const setup = [
  'Send your mail through Postmark: INLET_SMTP_URL=smtp://TOKEN:TOKEN@smtp.postmarkapp.com:587, with the Server API token twice.',
  'In Postmark open Servers → your server → the message stream → Webhooks → Add webhook.',
  'Paste {url}, tick "Bounce" and "Spam complaint" and leave "Include bounce content" off: Inlet keeps no mail text.',
  'Postmark signs nothing. Under Custom headers add {secretHeader}; or under Basic auth any user name, with that value as the password.',
];

/** Any user name with a secret of ours as the password, as in https://inlet:secret@host/. */
function readPassword(req: RawRequest): string | null {
  const given = Object.hasOwn(req.headers, 'authorization') ? (req.headers.authorization ?? '') : '';
  const [, encoded] = /^basic +([A-Za-z0-9+/=_-]{1,1000})$/i.exec(given) ?? [];
  if (encoded === undefined) return null;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 0 ? null : decoded.slice(colon + 1);
}

/** Postmark signs nothing (postmarkapp.com/developer/webhooks/webhooks-overview): it offers a header of ours, or Basic auth. */
function verify(req: RawRequest, secrets: Secret[], set: Settings, now: number): Seen {
  const password = Object.hasOwn(req.headers, set.headerName) ? null : readPassword(req);
  const signer =
    password === null
      ? findGivenSecret(secrets, readSecretHeader(req, set.headerName), set.headerName)
      : findGivenSecret(secrets, password, 'authorization');
  const parsed = parseBody(req.body);
  const { json } = parsed;
  const type = pickText(readOwn(json, 'RecordType')) ?? '';
  const number = readOwn(json, 'ID');
  const externalId = Number.isSafeInteger(number) ? `${type}:${number}` : null;
  return { secretId: signer.id, externalId, type, at: parseMs(readOwn(json, 'BouncedAt')) ?? now, ...parsed };
}

/** What the mailer wrote on the mail. On its way the header may have changed its case, and so the key. */
function readMark(body: unknown): string | null {
  const metadata = readOwn(body, 'Metadata');
  if (typeof metadata !== 'object' || metadata === null) return null;
  const key = Object.keys(metadata).find(each => each.toLowerCase() === MARK);
  return key === undefined ? null : readMessageId(readOwn(metadata, key));
}

/** An allow-list: `Content` is the whole mail, and mails of other senders come this way too. */
function redact(body: unknown): unknown {
  const own = (key: string) => pickText(readOwn(body, key));
  const code = readOwn(body, 'TypeCode');
  return {
    RecordType: own('RecordType'),
    Type: own('Type'),
    TypeCode: typeof code === 'number' ? code : null,
    MessageID: readMessageId(readOwn(body, 'MessageID')),
    MessageStream: own('MessageStream'),
    Metadata: { [MARK]: readMark(body) },
    Description: own('Description'),
    Details: readWords(readOwn(body, 'Details')),
    Email: pickEmail(readOwn(body, 'Email')),
    From: readAddress(readOwn(body, 'From')),
    BouncedAt: own('BouncedAt'),
    SubjectDigest: hashMailSubject(readOwn(body, 'Subject')),
  };
}

/** Postmark's types (postmarkapp.com/developer/api/bounce-api#bounce-types). The others are no bounces: answers, changes of address … */
const HARD = new Set(['HardBounce', 'BadEmailAddress']);
const SOFT = new Set([
  'Transient',
  'DnsError',
  'SpamNotification',
  'Unknown',
  'SoftBounce',
  'VirusNotification',
  'ChallengeVerification',
  'Blocked',
  'SMTPApiError',
  'DMARCPolicy',
  'Undeliverable',
]);

function judgeKind(record: string, kind: string): MailReport['report'] | null {
  if (record === 'SpamComplaint' || kind === 'SpamComplaint') return 'complaint';
  if (HARD.has(kind)) return 'hardBounce';
  return SOFT.has(kind) ? 'softBounce' : null;
}

function read(body: unknown, _settings: Settings, { type }: { type: string }): MailReport | Ignored {
  if (!types.some(each => each.type === type))
    return { ignored: `Ignored: "${type}" tells of no bounce or complaint. Untick it in Postmark to save traffic.` };
  const kind = pickText(readOwn(body, 'Type')) ?? '';
  const report = judgeKind(type, kind);
  if (report === null)
    return { ignored: `Ignored: a "${kind.slice(0, 60)}" of Postmark says nothing against the address.` };
  const recipient = pickEmail(readOwn(body, 'Email'));
  // By what the mailer wrote on the mail, or by our Message-ID where it was kept: Postmark's own is no address.
  const kept = readMessageId(readOwn(body, 'MessageID'));
  const mailIds = [readMark(body), kept?.includes('@') ? kept : null].filter(id => id !== null);
  if (recipient === null && !mailIds.length)
    return { ignored: 'Ignored: the event names neither a mail nor an address.' };
  const words = readWords(readOwn(body, 'Details'));
  return {
    report,
    mailIds,
    recipients: recipient === null ? [] : [recipient],
    from: readAddress(readOwn(body, 'From')),
    subject: readDigest(body, 'SubjectDigest'),
    words,
    detail: words ?? pickText(readOwn(body, 'Description')) ?? kind,
  };
}

/** About a mail that nobody sent: a test changes nothing. */
function sample(type: string, address: string, now: number): unknown {
  const isComplaint = type === 'SpamComplaint';
  return {
    RecordType: type,
    MessageStream: 'outbound',
    ID: randomInt(1, 2 ** 40),
    Type: isComplaint ? 'SpamComplaint' : 'HardBounce',
    TypeCode: isComplaint ? 100_001 : 1,
    Name: isComplaint ? 'Spam complaint' : 'Hard bounce',
    MessageID: randomUUID(),
    Metadata: {},
    ServerID: 1234,
    Description: isComplaint
      ? ''
      : 'The server was unable to deliver your message (ex: unknown user, mailbox not found).',
    Details: isComplaint ? 'Test spam complaint details' : 'smtp;550 5.1.1 no such user',
    Email: address,
    From: 'hello@example.com',
    BouncedAt: new Date(now).toISOString(),
    DumpAvailable: true,
    Inactive: true,
    CanActivate: !isComplaint,
    Subject: 'A test',
  };
}

export const postmark = {
  id: 'postmark',
  name: 'Postmark',
  class: 'mail' as const,
  settings,
  types,
  setup,
  secretMadeBy: 'inlet' as const,
  logHeaders: [],
  signatureHeaders: [SECRET_HEADER],
  apiHosts: [],
  movesWith: [],
  secretProblem: (secret: string) =>
    findSecretProblem(
      secret,
      'Wanted is a random text of 24 or more characters of your own, as in the header or the password of the webhook.',
    ),
  verify,
  redact,
  read,
  previous: () => null,
  // Its own id takes the place of ours unless told to keep it, and its events hold neither: they hold metadata.
  markMail: (mailId: string) => ({ 'X-PM-KeepID': 'true', [`X-PM-Metadata-${MARK}`]: mailId }),
  sample,
  sign: (_body: string, secret: string, set: Settings) => ({ [set.headerName]: secret }),
} satisfies Provider<Settings>;
