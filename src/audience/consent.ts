import { readMs, readTime } from './registers.ts';
import type { Rule } from './rules.ts';
import { isProven, type View } from './views.ts';

/** One change of mind about mail: of an address, or of a person. Newest last; the last sixteen are kept. */
export interface ConsentChange {
  /** ms since 1970. */
  at: number;
  subscribed: boolean;
  reason: ConsentReason;
}
export type ConsentReason = 'link' | 'api' | 'import' | 'complaint' | 'bounce' | 'page' | 'manual';

/** Changes by subject: `email:ada@example.com` or `person:stripe:cus_…`. */
export type Consents = ReadonlyMap<string, ConsentChange[]>;

const MAX_CHANGES = 16;
export const makeAddressSubject = (email: string) => `email:${email}`;
export const makePersonSubject = (identityId: string) => `person:${identityId}`;

/** Adds a change in its place in time, keeping the newest sixteen. Of one moment, the no counts. */
export function addChange(changes: ConsentChange[], change: ConsentChange): ConsentChange[] {
  const all = [...changes, change].sort((a, b) => a.at - b.at || Number(b.subscribed) - Number(a.subscribed));
  return all.slice(-MAX_CHANGES);
}

const findLastBy = (changes: ConsentChange[], at: number) => changes.findLast(each => each.at <= at);

/** What an address said last by a moment (ms); null: nothing. */
function findAddressConsent(consents: Consents, email: string, at: number): ConsentChange | null {
  return findLastBy(consents.get(makeAddressSubject(email)) ?? [], at) ?? null;
}

/**
 * What a person said last by a moment: for itself, or as whoever showed an address then. Whoever shows an address that opted out
 * before is marked from then on. A hard bounce is of the address alone.
 */
export function findPersonConsent(consents: Consents, view: View, at: number): ConsentChange | null {
  let last = findLastBy(consents.get(makePersonSubject(view.id)) ?? [], at) ?? null;
  const take = (change: ConsentChange) => {
    if (!last || change.at > last.at || (change.at === last.at && !change.subscribed)) last = change;
  };
  for (const run of view.runs) {
    const changes = consents.get(makeAddressSubject(run.email));
    if (!changes) continue;
    const said = changes.filter(each => each.reason !== 'bounce');
    const from = readMs(run.from);
    const to = run.to === null ? Number.POSITIVE_INFINITY : readMs(run.to);
    const before = findLastBy(said, from);
    if (before && !before.subscribed && from <= at) take({ ...before, at: from });
    for (const each of said) if (each.at > from && each.at < to && each.at <= at) take(each);
  }
  return last;
}

/**
 * Whether a contact may be mailed at a moment (ms), by what its address and its persons said. A proven user or API contact that is out
 * silences it. The others only all together, so that nobody silences another by typing an address: the dead only where nobody lives,
 * and none of them a guest who was known at the address before.
 */
export const maySend = (consents: Consents, views: View[], email: string | null, at: number): boolean =>
  mayMail(judgeConsent(consents, views, email, at));

type ConsentRule = Extract<Rule, 'nobodyOut' | 'someIn' | 'guestBefore' | 'addressOut' | 'ownerOut' | 'allOut'>;

export const mayMail = (rule: ConsentRule): boolean =>
  rule === 'nobodyOut' || rule === 'someIn' || rule === 'guestBefore';

/** The rule that says whether a contact may be mailed. */
export function judgeConsent(consents: Consents, views: View[], email: string | null, at: number): ConsentRule {
  if (!consents.size) return 'nobodyOut';
  if (email !== null && findAddressConsent(consents, email, at)?.subscribed === false) return 'addressOut';
  const isOut = (view: View) => findPersonConsent(consents, view, at)?.subscribed === false;
  const counting = views.filter(view => !view.withheld);
  const owners = counting.filter(view => view.kind === 'apiContact' || (view.kind === 'user' && isProven(view)));
  if (owners.length) return owners.some(isOut) ? 'ownerOut' : 'nobodyOut';
  const others = counting.filter(view => view.kind === 'user' || view.kind === 'payer');
  const living = others.filter(view => view.live);
  const voters = living.length ? living : others;
  if (!voters.length || !voters.every(isOut)) return voters.some(isOut) ? 'someIn' : 'nobodyOut';
  const arrivals = voters.flatMap(view => view.own?.from ?? []).sort();
  const isGuest = counting.some(
    ({ kind, facts: [first] }) =>
      kind === 'address' && first && (!arrivals[0] || readTime(first.k) < readTime(arrivals[0])),
  );
  return isGuest ? 'guestBefore' : 'allOut';
}

/** Whether the last word of an address or of one of its persons by a moment is an explicit yes, newer than `since`; ms. */
export function hasConsentedSince(
  consents: Consents,
  views: View[],
  email: string | null,
  since: number,
  at: number,
): boolean {
  if (!consents.size) return false;
  const isYes = (last: ConsentChange | null) => last?.subscribed === true && last.at > since;
  if (email !== null && isYes(findAddressConsent(consents, email, at))) return true;
  return views.some(
    view =>
      !view.withheld &&
      (view.kind === 'user' || view.kind === 'payer' || view.kind === 'apiContact') &&
      isYes(findPersonConsent(consents, view, at)),
  );
}
