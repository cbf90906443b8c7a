import { findContact } from '../audience/contacts.ts';
import type { Context } from '../context.ts';
import { findLinkSealer, openLink, TEST_TOKEN } from '../mail/links.ts';
import { useBody } from './body.ts';
import { changeMind, type Decision, UNDO_MS } from './changeMind.ts';
import { findRecipient, type Recipient, showPage, showTooOften } from './linkPage.ts';
import { choosePreferences } from './preferences.ts';

const MAX_FORM = 16_384; // bytes: some hundred lists
/** Links in mails: what stops them at once, and the page of what to get. */
export const UNSUBSCRIBE = /^\/(?:unsubscribe|preferences)\/([A-Za-z0-9._-]{1,800})$/;
const NO_UNDO =
  'It takes back only what it did itself, within a day. Sign up again where you did before, or write to the sender.';

interface Button {
  action: string;
  label: string;
}

/** `more`: HTML below the button. */
const renderPage = (status: number, title: string, text: string, button: Button | null, more = '') => {
  const form = button
    ? `<form method="post"><button name="action" value="${button.action}">${button.label}</button></form>`
    : '';
  return showPage(status, title, `<p>${text}</p>${form}${more}`);
};

const LEAVE: Button = { action: 'unsubscribe', label: 'Unsubscribe' };
const BACK: Button = { action: 'resubscribe', label: 'Subscribe again' };
const renderGone = () => renderPage(200, 'You get no mails', 'Nobody is known here by this address any more.', null);

/** What the page says after a click. */
function showDecision(decision: Decision, subscribed: boolean, canUndo: boolean): Response {
  if (decision === 'tooOften') return showTooOften();
  if (decision === 'refused') return renderPage(403, 'This link can not subscribe you again', NO_UNDO, null);
  return subscribed
    ? renderPage(200, 'Welcome back', 'You are subscribed again.', LEAVE)
    : renderPage(200, 'You are unsubscribed', 'You get no more mails of this kind.', canUndo ? BACK : null);
}

/** The page of a link in a mail. GET shows it and changes nothing (mail scanners follow links); POST acts at once, as RFC 8058 asks. */
export async function unsubscribe(
  ctx: Context,
  request: Request,
  token: string,
  peer: string | null,
): Promise<Response> {
  const isGet = request.method !== 'POST';
  if (token === TEST_TOKEN && isGet) return renderPage(200, 'A test link', 'In a real mail it works.', null);
  const own = await ctx.store.read(findLinkSealer);
  const named = openLink(own ? [own, ctx.sealer] : [ctx.sealer], token);
  if (!named) return renderPage(404, 'This link does not work', 'It is damaged. Copy it again from the mail.', null);
  const to = await ctx.store.read(tx => findRecipient(tx, named));
  if (!to) return renderGone();
  const sender = { to: 'unsubscribe', peer };
  const form = isGet
    ? null
    : await useBody(
        request,
        MAX_FORM,
        sender,
        async body => new URLSearchParams(typeof body === 'string' ? '' : new TextDecoder().decode(body)),
      );
  if (new URL(request.url).pathname.startsWith('/preferences/')) return choosePreferences(ctx, to, form);
  return form === null ? askWhether(ctx, to, token) : stopMails(ctx, to, form);
}

async function askWhether(ctx: Context, to: Recipient, token: string): Promise<Response> {
  const contact = await ctx.store.read(tx => findContact(tx, { email: to.email }));
  const choose = `<p><a href="/preferences/${token}">Choose what you get</a></p>`;
  if (contact === undefined || contact.subscribed)
    return renderPage(200, 'Unsubscribe?', 'You will get no more mails of this kind.', LEAVE, choose);
  const canUndo = ctx.now() - (to.mail?.unsubscribedAt ?? Number.NEGATIVE_INFINITY) < UNDO_MS;
  return renderPage(200, 'You are unsubscribed', 'You get no mails of this kind.', canUndo ? BACK : null, choose);
}

async function stopMails(ctx: Context, to: Recipient, form: URLSearchParams): Promise<Response> {
  const subscribed = form.get('action') === BACK.action;
  const decision = await changeMind(ctx, to, { subscribed, reason: 'link' });
  return showDecision(decision, subscribed, to.mail !== undefined && decision === 'change');
}
