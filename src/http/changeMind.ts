import { eq } from 'drizzle-orm';
import { buildConsentCall } from '../audience/apiCalls.ts';
import { type ConsentChange, makeAddressSubject } from '../audience/consent.ts';
import { findContact } from '../audience/contacts.ts';
import { callPeople, makeOutcome } from '../audience/personCall.ts';
import type { Context } from '../context.ts';
import { mails } from '../db/schema.ts';
import { makeId } from '../id.ts';
import { tellOfMail } from '../mail/tell.ts';
import type { Recipient } from './linkPage.ts';

export const HOUR_MS = 3_600_000;
export const UNDO_MS = 24 * HOUR_MS;
const MOST_YESES = 3; // by links, for an address within an hour: a no is never refused, so changes are twice as many and one

/** What became of it; `refused`: nothing to take back. */
export type Decision = 'change' | 'already' | 'refused' | 'tooOften';

interface Word {
  subscribed: boolean;
  /** By one click, or by the form of the preference page. */
  reason: 'link' | 'page';
}

/** Whether it may be said: a no always, a yes by one click only where it takes back the no of this very link. Times in ms. */
function decide(
  changes: ConsentChange[],
  { subscribed, reason }: Word,
  undoneAt: number | null,
  now: number,
): Decision {
  const last = changes.at(-1);
  if (subscribed === (last?.subscribed ?? true) && (subscribed || last?.reason !== 'bounce')) return 'already';
  if (!subscribed) return 'change';
  const isOwn = last?.reason === 'link' && last.at === undoneAt && now - last.at < UNDO_MS;
  if (reason === 'link' && !isOwn) return 'refused';
  const yeses = changes.filter(each => each.subscribed && /link|page/.test(each.reason) && now - each.at < HOUR_MS);
  return yeses.length < MOST_YESES ? 'change' : 'tooOften';
}

/** Says it of the address, at most a few times an hour. */
export async function changeMind(ctx: Context, { email, mail }: Recipient, word: Word): Promise<Decision> {
  const { subscribed, reason } = word;
  const key = makeId('link', ctx.now());
  const call = buildConsentCall(email, subscribed, reason, { key });
  let decision: Decision = 'refused';
  const before = await ctx.store.read(tx => findContact(tx, { email }));
  await callPeople(ctx.people, {
    ...call,
    apply(people, now) {
      const changes = people.consents.get(makeAddressSubject(email)) ?? [];
      decision = decide(changes, word, mail?.unsubscribedAt ?? null, now);
      if (decision === 'already' && reason === 'link' && subscribed && before?.subscribed === false)
        decision = 'refused'; // it is out as a person
      return decision === 'change' ? call.apply(people, now) : makeOutcome(null, null, { key, deliveryId: null });
    },
    async after(tx, _done, now) {
      if (!mail || decision !== 'change') return;
      await tx
        .update(mails)
        .set({ unsubscribedAt: subscribed || reason === 'page' ? null : now })
        .where(eq(mails.id, mail.id));
      if ((before?.subscribed ?? true) === subscribed) return;
      await tellOfMail(ctx, tx, subscribed ? 'email.resubscribed' : 'email.unsubscribed', mail, key, now);
    },
  });
  return decision;
}
