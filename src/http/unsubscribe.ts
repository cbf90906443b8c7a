import { eq } from 'drizzle-orm';
import { setSubscribed } from '../audience/write.ts';
import type { Context } from '../context.ts';
import { contacts } from '../db/schema.ts';
import { openLink } from '../mail/links.ts';
import { readBody } from './body.ts';

const MAX_FORM = 4096; // bytes
export const UNSUBSCRIBE = /^\/unsubscribe\/([A-Za-z0-9._-]{20,400})$/;

const page = (status: number, title: string, text: string, button: { action: string; label: string } | null) =>
  new Response(
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>${title}</title>
<style>body{font:1.1em/1.5 system-ui,sans-serif;max-width:30em;margin:15vh auto;padding:0 1em;text-align:center}button{font:inherit;padding:.6em 1.4em}</style>
<h1>${title}</h1><p>${text}</p>${button ? `<form method="post"><input type="hidden" name="action" value="${button.action}"><button>${button.label}</button></form>` : ''}</html>`,
    {
      status,
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy':
          "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
      },
    },
  );

const LEAVE = { action: 'unsubscribe', label: 'Unsubscribe' };
const BACK = { action: 'resubscribe', label: 'Subscribe again' };

/** GET shows a page and changes nothing (mail scanners follow links); POST acts at once, as RFC 8058 asks. */
export async function unsubscribe(ctx: Context, request: Request, token: string): Promise<Response> {
  const named = openLink(ctx.sealer, token);
  const contact =
    named &&
    (await ctx.store.read(async tx => (await tx.select().from(contacts).where(eq(contacts.id, named.contactId)))[0]));
  if (!named || !contact)
    return page(404, 'This link does not work', 'It is damaged, or you are not on our list any more.', null);
  if (request.method !== 'POST')
    return contact.subscribed
      ? page(200, 'Unsubscribe?', 'You will get no more mails of this kind.', LEAVE)
      : page(200, 'You are unsubscribed', 'You get no mails of this kind.', BACK);
  const body = await readBody(request, MAX_FORM);
  const form = body instanceof Uint8Array ? new TextDecoder().decode(body) : '';
  const subscribed = new URLSearchParams(form).get('action') === BACK.action;
  const now = ctx.now();
  const origin = { key: `${named.mailId}:${subscribed ? 'back' : 'leave'}:${now}` };
  await ctx.store.write(tx => setSubscribed(tx, contact.id, subscribed, origin, now, ctx.tell));
  return subscribed
    ? page(200, 'Welcome back', 'You are subscribed again.', LEAVE)
    : page(200, 'You are unsubscribed', 'You get no more mails of this kind.', BACK);
}
