import { desc, eq } from 'drizzle-orm';
import { buildConsentCall } from '../audience/apiCalls.ts';
import { makeAddressSubject } from '../audience/consent.ts';
import { parseEmail } from '../audience/emails.ts';
import { callPeople, makeOutcome } from '../audience/personCall.ts';
import { type SuppressionReason, suppress } from '../audience/suppressions.ts';
import type { Context } from '../context.ts';
import { mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeId } from '../id.ts';
import { tellOfMail } from './tell.ts';

/** Why an address gets nothing more, as somebody outside reports it. */
type FeedbackReason = 'bounce' | 'complaint' | 'manual';

const STORED: Record<FeedbackReason, SuppressionReason> = {
  bounce: 'bounced',
  complaint: 'complaint',
  manual: 'manual',
};
const TOLD = { bounce: 'email.hardBounced', complaint: 'email.spamReported', manual: null } as const;

/** The newest mail that went to an address. */
async function findLastSent(tx: Tx, email: string) {
  const recent = await tx.select().from(mails).where(eq(mails.recipient, email)).orderBy(desc(mails.id)).limit(20);
  return recent.find(row => row.sentAt !== null);
}

/**
 * Suppresses an address: no mail goes there from now on, and the opt-out is kept with its reason. Counts once: what is said again
 * changes nothing and is told to nobody. @throws AppError invalid for a bad address
 */
export async function suppressAddress(ctx: Context, given: string, reason: FeedbackReason): Promise<void> {
  const email = parseEmail(given);
  const key = makeId('fb', ctx.now());
  const call = buildConsentCall(email, false, reason, { key });
  let isNew = false;
  await callPeople(ctx.people, {
    ...call,
    apply(people, now) {
      const last = people.consents.get(makeAddressSubject(email))?.at(-1);
      isNew = !(last?.subscribed === false && last.reason === reason);
      return isNew ? call.apply(people, now) : makeOutcome(null, null, { key, deliveryId: null });
    },
    async after(tx, _done, now) {
      await suppress(tx, email, STORED[reason], now);
      await ctx.noteChange?.(tx);
      const told = TOLD[reason];
      const mail = isNew && told !== null ? await findLastSent(tx, email) : undefined;
      if (mail && told !== null) await tellOfMail(ctx, tx, told, mail, key, now);
    },
  });
}
