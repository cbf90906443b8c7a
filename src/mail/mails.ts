import { and, eq, inArray, sql } from 'drizzle-orm';
import { normalizeEmail } from '../audience/emails.ts';
import { loadMergedIdsOf } from '../audience/merges.ts';
import { type MailData, type MailState, mails } from '../db/schema.ts';
import type { Search } from '../db/search.ts';
import { prepare, type Tx } from '../db/store.ts';
import { AppError, notFound } from '../errors.ts';
import { makeId } from '../id.ts';
import { formatTime } from '../time.ts';

interface NewMail {
  /** What causes it; at most one mail per key, ever. */
  key: string;
  contactId: string | null;
  /** Address. */
  to: string;
  emailMessageId: string;
  /** Values for `{{ event.* }}` and `{{ data.* }}`. */
  data: MailData;
  transactional: boolean;
  /** The run that it is of. */
  workflow?: { id: string; epoch: number; runId: string } | undefined;
  transactionalId?: string | null;
}
export type MailRow = typeof mails.$inferSelect;

/** Queues a mail in the caller's transaction. Gives its id, or null when there is one with this key. */
export async function queueMail(tx: Tx, mail: NewMail, now: number): Promise<string | null> {
  const known = await prepare(tx, 'mailOfKey', t =>
    t
      .select({ id: mails.id })
      .from(mails)
      .where(eq(mails.mailKey, sql.placeholder('key')))
      .prepare(),
  ).get({ key: mail.key });
  if (known) return null;
  const id = makeId('mail', now);
  const { workflow, ...rest } = { transactionalId: null, ...mail };
  const of = {
    workflowRunId: workflow?.runId ?? null,
    workflowId: workflow?.id ?? null,
    workflowEpoch: workflow?.epoch ?? null,
  };
  await prepare(tx, 'mail+', t =>
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
        workflowId: sql.placeholder('workflowId'),
        workflowEpoch: sql.placeholder('workflowEpoch'),
        transactionalId: sql.placeholder('transactionalId'),
        state: 'queued',
        forced: false,
        messageId: sql.placeholder('id'),
        dueAt: sql.placeholder('now'),
        attempts: 0,
        failures: 0,
        crashes: 0,
        createdAt: sql.placeholder('now'),
      })
      .prepare(),
  ).run({ ...rest, ...of, to: normalizeEmail(mail.to), id, now });
  return id;
}

const RETRIED: MailState[] = ['queued', 'held', 'failed', 'bounced', 'suppressed'];

/** Has a mail sent now, whatever the caps say. @throws AppError notFound; conflict while it is on its way, was sent, or has nothing to say any more */
export async function retryMail(tx: Tx, id: string, now: number): Promise<void> {
  const row = await getMail(tx, id);
  if (!RETRIED.includes(row.state))
    throw new AppError('conflict', `This mail is ${row.state}; only ${RETRIED.join(', ')} ones can be retried.`);
  if (row.pruned)
    throw new AppError(
      'conflict',
      'What this mail was filled in with is past its retention (INLET_RETENTION_DAYS) and gone.',
    );
  // What is reported of it from now on counts anew; that it was complained of stays.
  const fresh = { heldFor: null, error: null, failures: 0, crashes: 0, hardBouncedAt: null, softBouncedAt: null };
  await tx
    .update(mails)
    .set({ ...fresh, state: 'queued', forced: true, dueAt: now })
    .where(eq(mails.id, id));
}

/** Takes a mail back that did not go out yet. @throws AppError notFound; conflict when it is on its way, or its end is known */
export async function cancelMail(tx: Tx, id: string): Promise<void> {
  const [row] = await tx
    .update(mails)
    .set({ state: 'suppressed', heldFor: null, error: 'It was cancelled.' })
    .where(and(eq(mails.id, id), inArray(mails.state, ['queued', 'held'])))
    .returning({ id: mails.id });
  if (row) return;
  const { state } = await getMail(tx, id);
  throw new AppError('conflict', `This mail is ${state}; only queued and held ones can be cancelled.`);
}

/** @throws AppError notFound */
export async function getMail(tx: Tx, id: string): Promise<MailRow> {
  const [row] = await tx.select().from(mails).where(eq(mails.id, id));
  if (!row) throw notFound('Mail');
  return row;
}

interface MailFilter {
  state?: MailState | undefined;
  contactId?: string | undefined;
  email?: string | undefined;
}

/** The filter as a search. The id of a contact finds what was sent to all that are one with it. */
export async function searchMails(tx: Tx, { state, contactId, email }: MailFilter): Promise<Search> {
  // The first half lets a database use the partial index: a bound value proves nothing to it.
  const open = sql`(${mails.state} <> 'sent' and ${mails.state} = ${state})`;
  const ofState = state === undefined ? undefined : state === 'sent' ? eq(mails.state, state) : open;
  const where = and(
    ofState,
    contactId === undefined ? undefined : inArray(mails.contactId, await loadMergedIdsOf(tx, contactId)),
    email === undefined ? undefined : eq(mails.recipient, normalizeEmail(email)),
  );
  const indexed = contactId !== undefined || email !== undefined || (state !== undefined && state !== 'sent');
  return { where, narrow: indexed ? where : undefined };
}

/** How many mails wait in a state, counted up to `most`. */
export async function countMails(tx: Tx, state: 'queued' | 'held', most: number): Promise<number> {
  const some = tx
    .select({ id: mails.id })
    .from(mails)
    .where(sql`(${mails.state} <> 'sent' and ${mails.state} = ${state})`)
    .limit(most)
    .as('some');
  const [row] = await tx.select({ n: sql<number>`count(*)` }).from(some);
  return Number(row?.n ?? 0);
}

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
  nextAttemptAt: row.state === 'queued' ? formatTime(row.dueAt) : null,
  createdAt: formatTime(row.createdAt) ?? '',
  sentAt: formatTime(row.sentAt),
  hardBouncedAt: formatTime(row.hardBouncedAt),
  softBouncedAt: formatTime(row.softBouncedAt),
  complainedAt: formatTime(row.complainedAt),
});

/** Mails in the order of `ids`. */
export async function viewMails(tx: Tx, ids: string[]) {
  if (!ids.length) return [];
  const rows = await tx.select().from(mails).where(inArray(mails.id, ids));
  return ids.flatMap(id => rows.filter(row => row.id === id).map(viewMail));
}
