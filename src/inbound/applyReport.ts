import { inArray } from 'drizzle-orm';
import { applyConsent } from '../audience/applyConsent.ts';
import { makeEmailTie } from '../audience/people.ts';
import type { WriteKind } from '../audience/peopleWriter.ts';
import { makeOutcome } from '../audience/personCall.ts';
import type { Context } from '../context.ts';
import { type Effect, mails } from '../db/schema.ts';
import { selectAmong } from '../db/sets.ts';
import { isPostgres } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import type { EffectKind } from '../effects.ts';
import type { MailRow } from '../mail/mails.ts';
import { findReported, judgeReport, noteReport, REPORTED_AT, type ReportKind } from '../mail/reports.ts';
import type { MailReport } from '../providers/provider.ts';
import { type Claimed, deliveryQueue } from './leases.ts';

const WAIT_MS = 2000; // the mail server's answer is under way

const EFFECTS: Record<ReportKind, EffectKind> = {
  hardBounce: 'mail.bounced',
  softBounce: 'mail.softBounced',
  complaint: 'mail.complained',
};
const UNKNOWN =
  'Ignored: Inlet sent no mail that this could be about: none with this Message-ID, and none from this sender with this subject to this address.';

interface Noting {
  ctx: Context;
  row: Claimed;
  /** As it was found; it is read again under its lock. */
  mail: MailRow;
  judged: { kind: ReportKind; reason: string };
}

interface Noted extends Noting {
  /** It was noted before: nothing happens. */
  isRepeat: boolean;
  contactId: string | null;
  effects: Effect[];
}

interface NotingContext {
  mails: Map<string, MailRow>;
  done: Noted[];
}

async function loadMails(tx: Tx, ids: string[]): Promise<Map<string, MailRow>> {
  if (isPostgres(tx)) await selectAmong(tx, 'select id from mails where id', ids, ' order by id for update');
  const rows = await tx.select().from(mails).where(inArray(mails.id, ids));
  return new Map(rows.map(row => [row.id, row]));
}

/** Notes what was reported of mails, opts their addresses out, and ends the leases of the deliveries that said so. */
const noting: WriteKind<Noting, NotingContext> = {
  lane: ({ mail }) => mail.recipient,
  load: async (tx, writes) => ({
    mails: await loadMails(tx, [...new Set(writes.map(({ mail }) => mail.id))]),
    done: [],
  }),
  keys: ({ mail }) => ({ ties: [makeEmailTie(mail.recipient)] }),
  apply(people, write, context, now) {
    const { kind, reason } = write.judged;
    const mail = context.mails.get(write.mail.id);
    const isRepeat = !mail || mail[REPORTED_AT[kind]] !== null;
    const isOptOut = !isRepeat && kind !== 'softBounce';
    const consent = kind === 'complaint' ? 'complaint' : 'bounce';
    const applied = isOptOut ? applyConsent(people, write.mail.recipient, false, consent, now) : null;
    const noted = isRepeat ? [] : [{ kind: EFFECTS[kind], mailId: mail.id, reason }];
    const effects: Effect[] = [...noted, ...(applied?.effects ?? [])];
    if (mail && !isRepeat) context.mails.set(mail.id, { ...mail, [REPORTED_AT[kind]]: now });
    context.done.push({
      ...write,
      mail: mail ?? write.mail,
      isRepeat,
      contactId: applied?.contactId ?? write.mail.contactId,
      effects,
    });
    const cause = { key: `${write.mail.id}:${kind}`, deliveryId: write.row.id };
    return { ...makeOutcome(null, applied, cause), effects };
  },
  async save(tx, { done }, now) {
    for (const { ctx, row, mail, judged, isRepeat, contactId, effects } of done) {
      if (!isRepeat) await noteReport(ctx, tx, mail, judged, now);
      const again = isRepeat ? ' This was noted before; nothing happens again.' : '';
      const message = `${judged.reason}. Mail ${mail.id} to ${mail.recipient}.${again}`;
      await deliveryQueue.complete(tx, row, {
        status: 'processed',
        message,
        effects,
        contactId,
        processedAt: now,
        dueAt: 0,
        error: null,
      });
    }
  },
};

/** Applies what a mail provider reported, `at` by its clock; ends the delivery's lease. What is about a mail of somebody else is ignored. */
export async function applyReport(
  ctx: Context,
  row: Claimed,
  report: MailReport,
  at: number,
  now: number,
): Promise<void> {
  const found = await ctx.store.read(tx => findReported(tx, report, at));
  if (found === 'underWay') {
    const message = 'Waits: the mail that this may be about is being sent at this moment.';
    await ctx.store.write(tx =>
      deliveryQueue.complete(tx, row, { dueAt: now + WAIT_MS, attempts: row.attempts - 1, message }),
    );
  } else if (found === null) {
    await ctx.store.write(tx =>
      deliveryQueue.complete(tx, row, { status: 'ignored', message: UNKNOWN, processedAt: now }),
    );
  } else await ctx.people.write(noting, { ctx, row, mail: found, judged: judgeReport(report) });
}
