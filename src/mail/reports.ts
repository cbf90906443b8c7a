import { and, count, desc, eq, inArray, isNotNull } from 'drizzle-orm';
import { loadMergedIdsOf } from '../audience/merges.ts';
import { suppress } from '../audience/suppressions.ts';
import type { Context } from '../context.ts';
import { mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { hashMailSubject } from '../providers/mailReports.ts';
import type { MailReport } from '../providers/provider.ts';
import { findBlame } from './blame.ts';
import type { MailRow } from './mails.ts';
import { tellOfMail } from './tell.ts';

const OURS = /^(mail_[a-z0-9]{10,40})(?:@|$)/;
const RECENT = 20; // mails to an address that are looked through
const EARLIEST_MS = 5 * 60_000; // clocks differ
const LATEST_MS = 30 * 86_400_000; // complaints come late, and subjects are kept no longer
const SHOWN = 200; // characters of a provider's words

export type ReportKind = MailReport['report'];

/** Where a mail remembers what was reported of it. */
export const REPORTED_AT = {
  hardBounce: 'hardBouncedAt',
  softBounce: 'softBouncedAt',
  complaint: 'complainedAt',
} as const satisfies Record<ReportKind, keyof MailRow>;

const TOLD = {
  hardBounce: 'email.hardBounced',
  softBounce: 'email.softBounced',
  complaint: 'email.spamReported',
} as const;
const CALLED: Record<ReportKind, string> = {
  hardBounce: 'a hard bounce',
  softBounce: 'a soft bounce',
  complaint: 'a spam complaint',
};

/**
 * What a report comes to. As with a mail server's own refusals, an address ends only on proof: where the server's words blame the sender,
 * its rate, a policy, the content or a full mailbox, a hard bounce counts as a soft one.
 */
export function judgeReport({ report, words, detail }: MailReport): { kind: ReportKind; reason: string } {
  const blame = report === 'hardBounce' && words !== null ? findBlame(words) : 'unknown';
  const kind = blame === 'unknown' || blame === 'mailbox' ? report : 'softBounce';
  const shown = detail
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, SHOWN)
    .trim();
  return { kind, reason: `The mail provider reports ${CALLED[kind]}${shown && `: ${shown}`}` };
}

const readDomain = (address: string) => address.slice(address.lastIndexOf('@') + 1).toLowerCase();

/** Which mail an event is about. `underWay`: it is being sent, and may be the one. Null: Inlet sent none that it could be. */
export async function findReported(tx: Tx, report: MailReport, at: number): Promise<MailRow | 'underWay' | null> {
  const named = report.mailIds.flatMap(given => {
    const id = OURS.exec(given)?.[1];
    return id === undefined ? [] : [{ id, given: given.toLowerCase() }];
  });
  // One that names a mail as Inlet does and is not ours is of another installation that shares the account.
  return named.length ? findNamed(tx, report, named) : findAlike(tx, report, at);
}

async function findNamed(tx: Tx, { recipients }: MailReport, named: { id: string; given: string }[]) {
  const ids = named.map(each => each.id);
  const rows = await tx.select().from(mails).where(inArray(mails.id, ids));
  const row = rows.find(
    ({ id, messageId, recipient, attempts }) =>
      attempts > 0 &&
      named.some(({ given }) => given === id || given === messageId.toLowerCase()) &&
      (!recipients.length || recipients.includes(recipient)),
  );
  return row?.state === 'sending' ? 'underWay' : (row ?? null);
}

/** By recipient, sender's domain, subject and time: the provider gave the mail a Message-ID of its own. */
async function findAlike(tx: Tx, { recipients: [to, ...others], from, subject }: MailReport, at: number) {
  if (to === undefined || others.length || from === null || subject === null) return null;
  const recent = await tx.select().from(mails).where(eq(mails.recipient, to)).orderBy(desc(mails.id)).limit(RECENT);
  const ours = recent.filter(row => row.attempts > 0 && readDomain(row.messageId) === readDomain(from));
  if (ours.some(row => row.state === 'sending')) return 'underWay';
  const isAlike = ({ sentAt, subject: shown }: MailRow) =>
    sentAt !== null && sentAt - EARLIEST_MS <= at && at <= sentAt + LATEST_MS && hashMailSubject(shown) === subject;
  return ours.find(isAlike) ?? null;
}

/** How many mails to a contact did not arrive for now or for another reason than its address. */
export async function countSoftBounces(tx: Tx, contactId: string): Promise<number> {
  const ids = await loadMergedIdsOf(tx, contactId);
  const where = and(inArray(mails.contactId, ids), isNotNull(mails.softBouncedAt));
  const [row] = await tx.select({ n: count() }).from(mails).where(where);
  return Number(row?.n ?? 0);
}

/** Notes a report of a mail: on the mail, for its address, and for outgoing webhooks. Call it once for each mail and kind. */
export async function noteReport(
  ctx: Context,
  tx: Tx,
  mail: MailRow,
  { kind, reason }: { kind: ReportKind; reason: string },
  now: number,
): Promise<void> {
  const ends = kind === 'hardBounce' && mail.state !== 'sending' && mail.state !== 'suppressed';
  await tx
    .update(mails)
    .set({ [REPORTED_AT[kind]]: now, ...(ends && { state: 'bounced' as const, heldFor: null, error: reason }) })
    .where(eq(mails.id, mail.id));
  if (kind !== 'softBounce') await suppress(tx, mail.recipient, kind === 'complaint' ? 'complaint' : 'bounced', now);
  await tellOfMail(ctx, tx, TOLD[kind], mail, `${mail.id}:${mail.attempts}`, now);
}
