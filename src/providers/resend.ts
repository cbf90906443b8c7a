import { randomUUID } from 'node:crypto';
import { Webhook } from 'svix';
import { z } from 'zod';
import { invalid } from '../errors.ts';
import {
  describeMailEvent,
  hashMailSubject,
  readAddress,
  readAddresses,
  readDigest,
  readMessageId,
  readWords,
} from './mailReports.ts';
import { parseMs, pickAt, pickId, pickText, readOwn } from './pick.ts';
import type { EventType, Ignored, MailReport, Provider, RawRequest, Secret, Seen } from './provider.ts';
import { findSvixProblem } from './secrets.ts';
import { decodeBase64, findSvixSigner, parseBody, signStandard } from './signatures.ts';

const settings = z.object({});
type Settings = z.infer<typeof settings>;

const types: EventType[] = [
  describeMailEvent('email.bounced', "The recipient's server refused the mail for good"),
  describeMailEvent('email.complained', 'The recipient marked the mail as spam'),
  describeMailEvent('email.delivery_delayed', 'The mail did not arrive yet; Resend goes on trying'),
  describeMailEvent(
    'email.suppressed',
    'Resend did not send the mail: an earlier one to this address bounced or was marked as spam',
  ),
];
const SUPPORTED = new Set(types.map(each => each.type));

const setup = [
  'Send your mail through Resend: INLET_SMTP_URL=smtps://resend:API_KEY@smtp.resend.com:465.',
  'In Resend open Webhooks → Add Webhook and paste {url} exactly.',
  'Select email.bounced, email.complained, email.delivery_delayed and email.suppressed; others are answered and ignored.',
  'Copy the Signing Secret (whsec_…) from the page of the webhook and bring it back to Inlet.',
];

/** Signed by Svix (resend.com/docs/dashboard/webhooks/verify-webhooks-requests). */
function verify(req: RawRequest, secrets: Secret[], _settings: Settings, now: number): Seen {
  const { id: messageId, sentAt, signer } = findSvixSigner(req, secrets, now);
  const parsed = parseBody(req.body);
  const { json } = parsed;
  const time = parseMs(readOwn(json, 'created_at')) ?? sentAt * 1000;
  return {
    secretId: signer.id,
    externalId: messageId,
    type: pickText(readOwn(json, 'type')) ?? '',
    at: time,
    ...parsed,
  };
}

/** Message-IDs among the headers of the mail, where the event lists them. */
function listHeaderIds(data: unknown): string[] {
  const headers = readOwn(data, 'headers');
  if (!Array.isArray(headers)) return [];
  const ours = headers.slice(0, 200).filter(each => /^message-id$/i.test(pickText(readOwn(each, 'name')) ?? ''));
  return ours.flatMap(each => readMessageId(readOwn(each, 'value')) ?? []).slice(0, 3);
}

/** An allow-list: who wrote what to whom is nobody's business here, and mails of other senders come this way too. */
function redact(body: unknown): unknown {
  const data = readOwn(body, 'data');
  const reason = (key: string, fields: string[]) =>
    Object.fromEntries(fields.map(field => [field, readWords(pickAt(data, `${key}.${field}`))]));
  return {
    type: pickText(readOwn(body, 'type')),
    created_at: pickText(readOwn(body, 'created_at')),
    data: {
      email_id: pickId(readOwn(data, 'email_id')),
      message_id: readMessageId(readOwn(data, 'message_id')),
      header_ids: listHeaderIds(data),
      from: readAddress(readOwn(data, 'from')),
      to: readAddresses(readOwn(data, 'to')),
      subject_digest: hashMailSubject(readOwn(data, 'subject')),
      bounce: reason('bounce', ['type', 'subType', 'message', 'diagnosticCode']),
      suppressed: reason('suppressed', ['type', 'message']),
    },
  };
}

/** Only what its sender, Amazon SES, calls Permanent says that nobody has the address; Transient and Undetermined do not. */
function judgeKind(type: string, data: unknown): MailReport['report'] {
  if (type === 'email.complained') return 'complaint';
  if (type === 'email.suppressed') return 'hardBounce';
  return type === 'email.bounced' && pickAt(data, 'bounce.type') === 'Permanent' ? 'hardBounce' : 'softBounce';
}

function read(body: unknown, _settings: Settings, { type }: { type: string }): MailReport | Ignored {
  if (!SUPPORTED.has(type))
    return { ignored: `Ignored: "${type}" tells of no bounce or complaint. Unselect it in Resend to save traffic.` };
  const data = readOwn(body, 'data');
  const recipients = readAddresses(readOwn(data, 'to'));
  const headerIds = readOwn(data, 'header_ids');
  const given = [readOwn(data, 'message_id'), ...(Array.isArray(headerIds) ? headerIds : [])];
  const mailIds = [...new Set(given.flatMap(each => readMessageId(each) ?? []))];
  if (!recipients.length && !mailIds.length)
    return { ignored: 'Ignored: the event names neither a mail nor an address.' };
  const message = readWords(pickAt(data, 'bounce.message')) ?? readWords(pickAt(data, 'suppressed.message'));
  const words = readWords(pickAt(data, 'bounce.diagnosticCode'));
  return {
    report: judgeKind(type, data),
    mailIds,
    recipients,
    from: readAddress(readOwn(data, 'from')),
    subject: readDigest(data, 'subject_digest'),
    words,
    detail: words ?? message ?? types.find(each => each.type === type)?.description ?? '',
  };
}

const DETAILS: Record<string, unknown> = {
  'email.bounced': {
    bounce: {
      type: 'Permanent',
      subType: 'General',
      message: "The recipient's email provider sent a hard bounce message.",
      diagnosticCode: ['smtp; 550 5.1.1 no such user'],
    },
  },
  'email.suppressed': {
    suppressed: { type: 'OnAccountSuppressionList', message: 'The address is on the suppression list of the account.' },
  },
};

/** About a mail that nobody sent: a test changes nothing. */
function sample(type: string, address: string, now: number): unknown {
  const time = new Date(now).toISOString();
  return {
    type,
    created_at: time,
    data: {
      created_at: time,
      email_id: randomUUID(),
      message_id: `<${randomUUID()}@example.com>`,
      from: 'Acme <hello@example.com>',
      to: [address],
      subject: 'A test',
      ...Object(DETAILS[type]),
    },
  };
}

export const resend = {
  id: 'resend',
  name: 'Resend',
  class: 'mail' as const,
  settings,
  types,
  setup,
  secretMadeBy: 'provider' as const,
  logHeaders: ['svix-id', 'svix-timestamp'],
  signatureHeaders: ['svix-signature'],
  apiHosts: [],
  movesWith: [],
  secretProblem: (secret: string) =>
    findSvixProblem(secret, "Wanted is the Signing Secret (whsec_…) on the webhook's page in Resend."),
  verify,
  redact,
  read,
  previous: () => null,
  sample,
  sign: (body: string, secret: string, _settings: Settings, now: number) => {
    if (!decodeBase64(secret.replace(/^whsec_/, '')))
      throw invalid("This endpoint's secret is not one Resend makes (whsec_…). Set it again.");
    return signStandard('svix', new Webhook(secret), `msg_${randomUUID().replaceAll('-', '')}`, body, now);
  },
} satisfies Provider<Settings>;
