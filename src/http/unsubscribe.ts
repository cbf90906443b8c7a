import { createHash } from 'node:crypto';
import { eq } from 'drizzle-orm';
import { consentCall } from '../audience/apiCalls.ts';
import { contactBy } from '../audience/contacts.ts';
import { normalEmail } from '../audience/emails.ts';
import { callPeople } from '../audience/personCall.ts';
import type { Context } from '../context.ts';
import { mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { newId } from '../id.ts';
import { openLink } from '../mail/links.ts';
import { tellOfMail } from '../mail/tell.ts';
import { useBody } from './body.ts';

const MAX_FORM = 4096; // bytes
export const UNSUBSCRIBE = /^\/unsubscribe\/([A-Za-z0-9._-]{1,400})$/;

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

/** The address that a mail went to, and the mail; null: neither the mail nor its contact is known any more. */
async function recipientOf(tx: Tx, named: { contactId: string; mailId: string }) {
  const [mail] = await tx.select().from(mails).where(eq(mails.id, named.mailId));
  const contact = mail ? undefined : await contactBy(tx, { id: named.contactId });
  const email = mail?.recipient ?? contact?.email;
  return email === undefined ? null : { email: normalEmail(email), mail };
}

/** GET shows a page and changes nothing (mail scanners follow links); POST acts at once, as RFC 8058 asks. */
export async function unsubscribe(
  ctx: Context,
  request: Request,
  token: string,
  peer: string | null,
): Promise<Response> {
  const named = openLink(ctx.sealer, token);
  if (!named) return page(404, 'This link does not work', 'It is damaged. Copy it again from the mail.', null);
  const to = await ctx.store.read(tx => recipientOf(tx, named));
  if (!to) return gone();
  const before = await ctx.store.read(tx => contactBy(tx, { email: to.email }));
  if (request.method !== 'POST') {
    return before === undefined || before.subscribed
      ? page(200, 'Unsubscribe?', 'You will get no more mails of this kind.', LEAVE)
      : page(200, 'You are unsubscribed', 'You get no mails of this kind.', BACK);
  }
  const sender = { to: 'unsubscribe', peer };
  const form = await useBody(request, MAX_FORM, sender, async body =>
    typeof body === 'string' ? '' : new TextDecoder().decode(body),
  );
  const subscribed = new URLSearchParams(form).get('action') === BACK.action;
  const key = newId('link', ctx.now());
  await callPeople(ctx.people, {
    ...consentCall(to.email, subscribed, 'link', { key }),
    async after(tx, _done, now) {
      if (!to.mail || (before?.subscribed ?? true) === subscribed) return;
      await tellOfMail(ctx, tx, subscribed ? 'email.resubscribed' : 'email.unsubscribed', to.mail, key, now);
    },
  });
  return subscribed
    ? page(200, 'Welcome back', 'You are subscribed again.', LEAVE)
    : page(200, 'You are unsubscribed', 'You get no more mails of this kind.', BACK);
}
