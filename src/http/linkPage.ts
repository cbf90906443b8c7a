import { createHash } from 'node:crypto';
import { eq } from 'drizzle-orm';
import { findContact } from '../audience/contacts.ts';
import { normalizeEmail } from '../audience/emails.ts';
import { mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import type { Named } from '../mail/links.ts';
import type { MailRow } from '../mail/mails.ts';

const STYLE =
  'body{font:1.1em/1.5 system-ui,sans-serif;max-width:30em;margin:15vh auto;padding:0 1em;text-align:center}button{font:inherit;padding:.6em 1.4em}ul{list-style:none;padding:0;text-align:left}li{margin:.6em 0}';
const CSP = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A page that runs no script. `body`: HTML, made of constants and `escapeHtml`. */
export const showPage = (status: number, title: string, body: string): Response =>
  new Response(
    `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>${title}</title><style>${STYLE}</style></head>
<body><h1>${title}</h1>${body}</body></html>
`,
    { status, headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': CSP } },
  );

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, each => ENTITIES[each] ?? '');

export function showTooOften(): Response {
  const answer = showPage(429, 'Too often', '<p>This was changed too often within an hour. Try again later.</p>');
  answer.headers.set('retry-after', '3600');
  return answer;
}

/** Whom a link is about. */
export interface Recipient {
  email: string;
  mail: MailRow | undefined;
}

/** The address that a mail went to, and the mail; null: an old link, and neither the mail nor its contact is known any more. */
export async function findRecipient(tx: Tx, named: Named): Promise<Recipient | null> {
  const [mail] = await tx.select().from(mails).where(eq(mails.id, named.mailId));
  const known = named.email ?? mail?.recipient;
  const email = known ?? (await findContact(tx, { id: named.contactId }))?.email;
  return email === undefined ? null : { email: normalizeEmail(email), mail };
}
