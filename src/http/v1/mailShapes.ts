import { z } from 'zod';
import { time } from './shapes.ts';

const MAX_HTML = 100_000; // characters, as Loops has it
const describeText = (most: number) => z.string().max(most);
/** A field of Loops that may only be empty here. */
const describeAbsent = (why: string) =>
  z
    .literal(['', null], why)
    .optional()
    .transform(() => undefined);
const fallbacks = z.record(z.string().max(100), z.string().max(500).nullable());

/** What a message may be given. */
export const messageFields = {
  subject: describeText(500).optional(),
  previewText: describeText(500).optional(),
  fromName: describeText(200).optional(),
  fromEmail: z
    .string()
    .regex(/^[A-Za-z0-9._+-]{0,64}$/, 'is the part before the @ only; the domain is that of INLET_MAIL_FROM')
    .optional(),
  replyToEmail: z
    .string()
    .regex(/^$|^[^\s@<>",;]+@[^\s@<>",;]+$/, 'must be one address')
    .max(254)
    .optional(),
  ccEmail: describeAbsent('is not supported; each mail has one recipient'),
  bccEmail: describeAbsent('is not supported; each mail has one recipient'),
  languageCode: describeAbsent('is not supported; write one message for each language'),
  emailFormat: z.enum(['styled', 'plain']).optional().describe('plain: goes out as text only'),
  html: describeText(MAX_HTML).optional(),
  text: describeText(MAX_HTML).optional(),
  lmx: z.string().optional().describe('Kept and shown again; what is sent is html and text'),
  contactPropertiesFallbacks: fallbacks.optional(),
  eventPropertiesFallbacks: fallbacks.optional(),
  dataVariablesFallbacks: fallbacks.optional(),
};

const shownFallbacks = z.record(z.string(), z.string()).optional();
export const message = z.object({
  id: z.string(),
  emailMessageId: z.string(),
  transactionalId: z.string().optional(),
  subject: z.string(),
  previewText: z.string(),
  fromName: z.string(),
  fromEmail: z.string(),
  replyToEmail: z.string(),
  emailFormat: z.enum(['styled', 'plain']),
  html: z.string(),
  text: z.string(),
  lmx: z.string(),
  warnings: z.array(z.object({ rule: z.string(), severity: z.literal('warning'), message: z.string() })).optional(),
  contactPropertiesFallbacks: shownFallbacks,
  eventPropertiesFallbacks: shownFallbacks,
  dataVariablesFallbacks: shownFallbacks,
  contentRevisionId: z.string(),
  createdAt: time,
  updatedAt: time,
});

export const shortMessage = z.object({
  id: z.string(),
  subject: z.string(),
  transactionalId: z.string().nullable(),
  createdAt: time,
  updatedAt: time,
});

export const rendered = z.object({ subject: z.string(), html: z.string(), text: z.string() });

export const transactional = z.object({
  id: z.string(),
  name: z.string(),
  draftEmailMessageId: z.string().nullable(),
  draftEmailMessageContentRevisionId: z.string().nullable(),
  publishedEmailMessageId: z.string().nullable(),
  transactionalGroupId: z.string().nullable(),
  dataVariables: z.array(z.string()),
  lastUpdated: time,
  createdAt: time,
  updatedAt: time,
});

export const MAIL_STATES = ['queued', 'held', 'sending', 'sent', 'failed', 'bounced', 'suppressed'] as const;
export const mail = z.object({
  id: z.string(),
  to: z.string(),
  subject: z.string().nullable(),
  state: z.enum(MAIL_STATES),
  messageId: z.string(),
  contactId: z.string().nullable(),
  emailMessageId: z.string(),
  workflowRunId: z.string().nullable(),
  transactionalId: z.string().nullable(),
  attempts: z.number(),
  error: z.string().nullable(),
  nextAttemptAt: time.nullable(),
  createdAt: time,
  sentAt: time.nullable(),
  hardBouncedAt: time.nullable().describe('When the mail server or a mail provider said that nobody has the address'),
  softBouncedAt: time.nullable().describe('When one first said that it did not arrive, for now or for another reason'),
  complainedAt: time.nullable().describe('When its recipient marked it as spam'),
});
export const wholeMail = mail.extend({ html: z.string().nullable(), text: z.string().nullable() });

const at = '2026-11-01T12:00:00.000Z';
const id = { message: 'em_0mwt0c8w00006a1b2c3d4e5f', transactional: 'tr_0mwt0c8w00007a1b2c3d4e5f' };
export const example = {
  message: {
    id: id.message,
    emailMessageId: id.message,
    subject: 'Welcome, {{ contact.firstName }}',
    previewText: '',
    fromName: 'Acme',
    fromEmail: 'hello',
    replyToEmail: '',
    emailFormat: 'styled',
    html: '<p>Good to have you.</p>',
    text: '',
    lmx: '',
    contentRevisionId: 'rev_0mwt0c8w00008a1b2c3d4e5f',
    createdAt: at,
    updatedAt: at,
  },
  shortMessage: {
    id: id.message,
    subject: 'Welcome, {{ contact.firstName }}',
    transactionalId: null,
    createdAt: at,
    updatedAt: at,
  },
  rendered: { subject: 'Welcome, Ada', html: '<p>Good to have you.</p>', text: 'Good to have you.' },
  transactional: {
    id: id.transactional,
    name: 'Sign-up confirmation',
    draftEmailMessageId: id.message,
    draftEmailMessageContentRevisionId: 'rev_0mwt0c8w00008a1b2c3d4e5f',
    publishedEmailMessageId: null,
    transactionalGroupId: null,
    dataVariables: [],
    lastUpdated: at,
    createdAt: at,
    updatedAt: at,
  },
  mail: {
    id: 'mail_0mwt0c8w00009a1b2c3d4e5f',
    to: 'ada@example.com',
    subject: 'Welcome, Ada',
    state: 'sent',
    messageId: 'mail_0mwt0c8w00009a1b2c3d4e5f@example.com',
    contactId: 'con_0mwt0c8w00002m1n2p3q4r5s',
    emailMessageId: id.message,
    workflowRunId: null,
    transactionalId: null,
    attempts: 1,
    error: null,
    nextAttemptAt: null,
    createdAt: at,
    sentAt: at,
    hardBouncedAt: null,
    softBouncedAt: null,
    complainedAt: null,
  },
};
