import { createHash } from 'node:crypto';
import { eq } from 'drizzle-orm';
import { consentCall } from '../audience/apiCalls.ts';
import { type ConsentChange, ofAddress } from '../audience/consent.ts';
import { contactBy } from '../audience/contacts.ts';
import { normalEmail } from '../audience/emails.ts';
import { callPeople, outcomeFrom } from '../audience/personCall.ts';
import type { Context } from '../context.ts';
import { mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { newId } from '../id.ts';
import { findLinkSealer, type Named, openLink } from '../mail/links.ts';
import type { MailRow } from '../mail/mails.ts';
import { tellOfMail } from '../mail/tell.ts';
import { useBody } from './body.ts';

const MAX_FORM = 4096; // bytes
const HOUR_MS = 3_600_000;
const UNDO_MS = 24 * HOUR_MS;
const MOST_YESES = 3; // by links, for an address within an hour: a no is never refused, so changes are twice as many and one
export const UNSUBSCRIBE = /^\/unsubscribe\/([A-Za-z0-9._-]{1,800})$/;
const NO_UNDO =
  'It takes back only what it did itself, within a day. Sign up again where you did before, or write to the sender.';

const STYLE =
  'body{font:1.1em/1.5 system-ui,sans-serif;max-width:30em;margin:15vh auto;padding:0 1em;text-align:center}button{font:inherit;padding:.6em 1.4em}';
const CSP = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

interface Button {
  action: string;
  label: string;
}

const page = (status: number, title: string, text: string, button: Button | null) =>
  new Response(
    `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>
<body><h1>${title}</h1><p>${text}</p>${button ? `<form method="post"><button name="action" value="${button.action}">${button.label}</button></form>` : ''}</body></html>
`,
    { status, headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': CSP } },
  );

const LEAVE: Button = { action: 'unsubscribe', label: 'Unsubscribe' };
const BACK: Button = { action: 'resubscribe', label: 'Subscribe again' };
const gone = () => page(200, 'You get no mails', 'Nobody is known here by this address any more.', null);

/** The address that a mail went to, and the mail; null: an old link, and neither the mail nor its contact is known any more. */
async function recipientOf(tx: Tx, named: Named) {
  const [mail] = await tx.select().from(mails).where(eq(mails.id, named.mailId));
  const known = named.email ?? mail?.recipient;
  const email = known ?? (await contactBy(tx, { id: named.contactId }))?.email;
  return email === undefined ? null : { email: normalEmail(email), mail };
}

interface Recipient {
  email: string;
  mail: MailRow | undefined;
}
type Decision = 'change' | 'already' | 'refused' | 'tooOften';

/** Whether a link may say it: a no always, a yes only where it takes back the no of this very link. Times in ms. */
function decide(changes: ConsentChange[], subscribed: boolean, undoneAt: number | null, now: number): Decision {
  const last = changes.at(-1);
  if (subscribed === (last?.subscribed ?? true) && (subscribed || last?.reason !== 'bounce')) return 'already';
  if (!subscribed) return 'change';
  const isOwn = last?.reason === 'link' && last.at === undoneAt && now - last.at < UNDO_MS;
  if (!isOwn) return 'refused';
  const yeses = changes.filter(each => each.subscribed && each.reason === 'link' && now - each.at < HOUR_MS);
  return yeses.length < MOST_YESES ? 'change' : 'tooOften';
}

/** Says it of the address, at most a few times an hour. */
async function changeMind(ctx: Context, { email, mail }: Recipient, subscribed: boolean): Promise<Decision> {
  const key = newId('link', ctx.now());
  const call = consentCall(email, subscribed, 'link', { key });
  let decision: Decision = 'refused';
  const before = await ctx.store.read(tx => contactBy(tx, { email }));
  await callPeople(ctx.people, {
    ...call,
    apply(people, now) {
      const changes = people.consents.get(ofAddress(email)) ?? [];
      decision = decide(changes, subscribed, mail?.unsubscribedAt ?? null, now);
      if (decision === 'already' && subscribed && before?.subscribed === false) decision = 'refused'; // it is out as a person
      return decision === 'change' ? call.apply(people, now) : outcomeFrom(null, null, { key, deliveryId: null });
    },
    async after(tx, _done, now) {
      if (!mail || decision !== 'change') return;
      await tx
        .update(mails)
        .set({ unsubscribedAt: subscribed ? null : now })
        .where(eq(mails.id, mail.id));
      if ((before?.subscribed ?? true) === subscribed) return;
      await tellOfMail(ctx, tx, subscribed ? 'email.resubscribed' : 'email.unsubscribed', mail, key, now);
    },
  });
  return decision;
}

/** What the page says after a click. */
function showDecision(decision: Decision, subscribed: boolean, canUndo: boolean): Response {
  if (decision === 'tooOften') {
    const answer = page(429, 'Too often', 'This was changed too often within an hour. Try again later.', null);
    answer.headers.set('retry-after', String(HOUR_MS / 1000));
    return answer;
  }
  if (decision === 'refused') return page(403, 'This link can not subscribe you again', NO_UNDO, null);
  return subscribed
    ? page(200, 'Welcome back', 'You are subscribed again.', LEAVE)
    : page(200, 'You are unsubscribed', 'You get no more mails of this kind.', canUndo ? BACK : null);
}

/** GET shows a page and changes nothing (mail scanners follow links); POST acts at once, as RFC 8058 asks. */
export async function unsubscribe(
  ctx: Context,
  request: Request,
  token: string,
  peer: string | null,
): Promise<Response> {
  const own = await ctx.store.read(findLinkSealer);
  const named = openLink(own ? [own, ctx.sealer] : [ctx.sealer], token);
  if (!named) return page(404, 'This link does not work', 'It is damaged. Copy it again from the mail.', null);
  const to = await ctx.store.read(tx => recipientOf(tx, named));
  if (!to) return gone();
  if (request.method !== 'POST') {
    const contact = await ctx.store.read(tx => contactBy(tx, { email: to.email }));
    if (contact === undefined || contact.subscribed)
      return page(200, 'Unsubscribe?', 'You will get no more mails of this kind.', LEAVE);
    const canUndo = ctx.now() - (to.mail?.unsubscribedAt ?? Number.NEGATIVE_INFINITY) < UNDO_MS;
    return page(200, 'You are unsubscribed', 'You get no mails of this kind.', canUndo ? BACK : null);
  }
  const sender = { to: 'unsubscribe', peer };
  const form = await useBody(request, MAX_FORM, sender, async body =>
    typeof body === 'string' ? '' : new TextDecoder().decode(body),
  );
  const subscribed = new URLSearchParams(form).get('action') === BACK.action;
  const decision = await changeMind(ctx, to, subscribed);
  return showDecision(decision, subscribed, to.mail !== undefined && decision === 'change');
}
