import { and, count, eq, gte, inArray, lt, lte, sql } from 'drizzle-orm';
import type { Search } from '../db/scan.ts';
import { type MailData, type MailState, mails } from '../db/schema.ts';
import { leasing } from '../db/sql.ts';
import { prepare, type Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { newId } from '../id.ts';

export interface NewMail {
  /** What causes it; at most one mail per key, ever. */
  key: string;
  contactId: string | null;
  /** Address. */
  to: string;
  emailMessageId: string;
  /** Values for `{{ event.* }}` and `{{ data.* }}`. */
  data: MailData;
  transactional: boolean;
  workflowRunId?: string | null;
  transactionalId?: string | null;
}
export type MailRow = typeof mails.$inferSelect;

const LEASE_MS = 300_000; // a slow SMTP server included
const DAY_MS = 86_400_000;
/** Mails that are no answer to something the person did, to one contact within a day. */
export const MAX_A_DAY = 20;

/** Queues a mail in the caller's transaction. Gives its id, or null when there is one with this key. */
export async function queueMail(tx: Tx, mail: NewMail, now: number): Promise<string | null> {
  const id = newId('mail', now);
  const made = await prepare(tx, 'mail+', t =>
    t
      .insert(mails)
      .values({
        id: sql.placeholder('id'),
        mailKey: sql.placeholder('key'),
        contactId: sql.placeholder('contactId'),
        recipient: sql.placeholder('to'),
        emailMessageId: sql.placeholder('emailMessageId'),
        data: sql.placeholder('data'),
        transactional: sql.placeholder('transactional'),
        workflowRunId: sql.placeholder('workflowRunId'),
        transactionalId: sql.placeholder('transactionalId'),
        state: 'queued',
        messageId: sql.placeholder('id'),
        dueAt: sql.placeholder('now'),
        attempts: 0,
        createdAt: sql.placeholder('now'),
      })
      .onConflictDoNothing()
      .returning({ id: mails.id })
      .prepare(),
  ).all({ workflowRunId: null, transactionalId: null, ...mail, id, now });
  return made.length ? id : null;
}

/** Whether a key may be used (again): not while a mail since `since` has it; an older one gives it up. */
export async function freeKey(tx: Tx, key: string, since: number): Promise<boolean> {
  const [row] = await tx.select({ id: mails.id, createdAt: mails.createdAt }).from(mails).where(eq(mails.mailKey, key));
  if (!row) return true;
  if (row.createdAt > since) return false;
  await tx
    .update(mails)
    .set({ mailKey: `${key}:${row.id}` })
    .where(eq(mails.id, row.id));
  return true;
}

/** True when a mail is due. An idle server does no more than this. */
export async function anyMailDue(tx: Tx, now: number): Promise<boolean> {
  const due = await prepare(tx, 'mailDue', t =>
    t
      .select({ id: mails.id })
      .from(mails)
      .where(and(sql`${mails.state} = 'queued'`, lte(mails.dueAt, sql.placeholder('now'))))
      .limit(1)
      .prepare(),
  ).all({ now });
  return due.length > 0;
}

/** Leases due mails, the longest due first; attempt and Message-ID (of `domain`) are committed before anything goes out. */
export async function claimMails(tx: Tx, now: number, limit: number, domain: string): Promise<MailRow[]> {
  const due = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(sql`${mails.state} = 'queued'`, lte(mails.dueAt, now)))
    .orderBy(mails.dueAt, mails.id)
    .limit(leasing(tx, limit));
  const ids = due.map(row => row.id);
  if (!ids.length) return [];
  return tx
    .update(mails)
    .set({
      state: 'sending',
      attempts: sql`${mails.attempts} + 1`,
      dueAt: now + LEASE_MS,
      messageId: sql`case when ${mails.messageId} like '%@%' then ${mails.messageId} else ${mails.messageId} || ${`@${domain}`} end`,
    })
    .where(inArray(mails.id, ids))
    .returning();
}

/** Ends a lease. False when it ran out and somebody else has the mail now. */
export async function settleMail(
  tx: Tx,
  { id, attempts }: MailRow,
  set: Partial<typeof mails.$inferInsert>,
): Promise<boolean> {
  const rows = await tx
    .update(mails)
    .set(set)
    .where(and(eq(mails.id, id), sql`${mails.state} = 'sending'`, eq(mails.attempts, attempts)))
    .returning({ id: mails.id });
  return rows.length > 0;
}

/** What was being sent when a process died is due again; `before` null: all of it. */
export async function recoverMails(tx: Tx, before: number | null): Promise<void> {
  await tx
    .update(mails)
    .set({ state: 'queued', dueAt: 0 })
    .where(and(sql`${mails.state} = 'sending'`, before === null ? undefined : lt(mails.dueAt, before)));
}

const CHUNK = 500;

/** Queues mails that were held for a reason that is gone. True when there may be more. */
export async function releaseMails(tx: Tx, reason: string, now: number): Promise<boolean> {
  const some = tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(sql`${mails.state} <> 'sent'`, eq(mails.state, 'held'), eq(mails.error, reason)))
    .limit(CHUNK);
  const released = await tx
    .update(mails)
    .set({ state: 'queued', dueAt: now, error: null })
    .where(inArray(mails.id, some))
    .returning({ id: mails.id });
  return released.length === CHUNK;
}

/** Marketing mails that went to a contact, or are about to, within the last day. */
export async function mailsOfDay(tx: Tx, contactId: string, now: number): Promise<number> {
  const [row] = await tx
    .select({ n: count() })
    .from(mails)
    .where(
      and(
        eq(mails.contactId, contactId),
        eq(mails.transactional, false),
        gte(mails.createdAt, now - DAY_MS),
        inArray(mails.state, ['sending', 'sent']),
      ),
    );
  return Number(row?.n ?? 0);
}

/** @throws AppError notFound; conflict while it is on its way or was delivered */
export async function retryMail(tx: Tx, id: string, now: number): Promise<void> {
  const row = await getMail(tx, id);
  if (!['held', 'failed', 'bounced', 'suppressed'].includes(row.state))
    throw new AppError(
      'conflict',
      `This mail is ${row.state}; only held, failed, bounced and suppressed ones can be retried.`,
    );
  await tx.update(mails).set({ state: 'queued', dueAt: now, error: null }).where(eq(mails.id, id));
}

/** @throws AppError notFound */
export async function getMail(tx: Tx, id: string): Promise<MailRow> {
  const [row] = await tx.select().from(mails).where(eq(mails.id, id));
  if (!row) throw notFound('Mail');
  return row;
}

export interface MailFilter {
  state?: MailState | undefined;
  contactId?: string | undefined;
  email?: string | undefined;
}

export function mailSearch({ state, contactId, email }: MailFilter): Search {
  const where = and(
    state === undefined ? undefined : eq(mails.state, state),
    contactId === undefined ? undefined : eq(mails.contactId, contactId),
    email === undefined ? undefined : eq(mails.recipient, email.trim().toLowerCase()),
  );
  const indexed = contactId !== undefined || email !== undefined || (state !== undefined && state !== 'sent');
  return { where, narrow: indexed ? where : undefined };
}

const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());

export const viewMail = (row: MailRow) => ({
  id: row.id,
  to: row.recipient,
  subject: row.subject,
  state: row.state,
  messageId: row.messageId,
  contactId: row.contactId,
  emailMessageId: row.emailMessageId,
  workflowRunId: row.workflowRunId,
  transactionalId: row.transactionalId,
  attempts: row.attempts,
  error: row.error,
  createdAt: iso(row.createdAt) ?? '',
  sentAt: iso(row.sentAt),
});

/** Mails in the order of `ids`. */
export async function viewMails(tx: Tx, ids: string[]) {
  if (!ids.length) return [];
  const rows = await tx.select().from(mails).where(inArray(mails.id, ids));
  return ids.flatMap(id => rows.filter(row => row.id === id).map(viewMail));
}
