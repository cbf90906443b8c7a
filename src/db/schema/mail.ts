import { sql } from 'drizzle-orm';
import { index, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

/** What a mail says, before its variables are filled in. */
export interface MailContent {
  subject: string;
  previewText: string;
  fromName: string;
  /** The part before the @; the domain is that of INLET_MAIL_FROM. */
  fromEmail: string;
  replyToEmail: string;
  /** `plain`: goes out as text only. */
  emailFormat: 'styled' | 'plain';
  html: string;
  /** Empty: made from the HTML. */
  text: string;
  /** Kept for Loops' clients and shown again, not sent. */
  lmx: string;
  /** Values for variables that have none, by name. */
  contactPropertiesFallbacks: Record<string, string>;
  eventPropertiesFallbacks: Record<string, string>;
  dataVariablesFallbacks: Record<string, string>;
}

export const emailMessages = sqliteTable('email_messages', {
  id: text('id').primaryKey(),
  content: json<MailContent>('content').notNull(),
  variables: json<string[]>('variables'), // null: not found out yet
  revisionId: text('revision_id').notNull(),
  transactionalId: text('transactional_id'),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

export const transactionals = sqliteTable('transactionals', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  draftId: text('draft_id'), // email messages
  publishedId: text('published_id'),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

export type MailState = 'queued' | 'held' | 'sending' | 'sent' | 'failed' | 'bounced' | 'suppressed';

/** What fills a mail's variables; `contact` only of a test mail, which has none. */
export interface MailData {
  event?: Record<string, unknown>;
  data?: Record<string, unknown>;
  contact?: Record<string, unknown>;
}

/** One message to one recipient; a queue of its own. */
export const mails = sqliteTable(
  'mails',
  {
    id: text('id').primaryKey(),
    mailKey: text('mail_key').notNull().unique(), // what caused it: once
    contactId: text('contact_id'),
    recipient: text('recipient').notNull(),
    emailMessageId: text('email_message_id').notNull(),
    data: json<MailData>('data').notNull(),
    transactional: integer('transactional', { mode: 'boolean' }).notNull(),
    workflowRunId: text('workflow_run_id'),
    transactionalId: text('transactional_id'),
    state: text('state').$type<MailState>().notNull(),
    heldFor: text('held_for').$type<'smtp' | 'contactCap' | 'hourCap' | 'workflow' | 'publicUrl'>(),
    forced: integer('forced', { mode: 'boolean' }).notNull(), // somebody wants it sent whatever the caps say
    messageId: text('message_id').notNull(), // RFC 5322, the same at every attempt
    subject: text('subject'), // rendered, with the two below
    html: text('html'),
    plain: text('plain'),
    dueAt: time('due_at').notNull(), // while sending: when the lease runs out
    attempts: integer('attempts').notNull(), // counted before each start, never back: fences the outcome
    failures: integer('failures').notNull(), // attempts that failed by the mail's own fault
    crashes: integer('crashes').notNull(), // attempts in a row that ended with the process
    error: text('error'),
    createdAt: time('created_at').notNull(),
    sentAt: time('sent_at'),
    workflowId: text('workflow_id'),
    workflowEpoch: integer('workflow_epoch'), // the workflow's, when it was queued
    pruned: integer('pruned', { mode: 'boolean' }).notNull().default(false), // what it was filled in with is forgotten
    unsubscribedAt: time('unsubscribed_at'), // when the link in it unsubscribed its address
    hardBouncedAt: time('hard_bounced_at'), // reported of it, by the mail server or later by the mail provider; as the two below
    softBouncedAt: time('soft_bounced_at'),
    complainedAt: time('complained_at'),
  },
  t => [
    index('mails_urgent').on(t.dueAt, t.id).where(sql`state = 'queued' and transactional = 1`),
    index('mails_queued').on(t.dueAt, t.id).where(sql`state = 'queued'`),
    index('mails_sending').on(t.dueAt).where(sql`state = 'sending'`),
    index('mails_held').on(t.heldFor, t.id).where(sql`state = 'held'`),
    index('mails_state').on(t.state, t.id).where(sql`state <> 'sent'`),
    index('mails_sent').on(t.sentAt).where(sql`sent_at is not null and transactional = 0`),
    index('mails_contact').on(t.contactId, t.id).where(sql`contact_id is not null`),
    index('mails_recipient').on(t.recipient, t.id),
    index('mails_kept')
      .on(t.id)
      .where(sql`(html is not null or data <> '{}') and state not in ('queued', 'held', 'sending')`),
  ],
);
