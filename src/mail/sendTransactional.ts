import { eq } from 'drizzle-orm';
import { emailOf } from '../audience/contacts.ts';
import { writeContact } from '../audience/write.ts';
import type { Context } from '../context.ts';
import { contacts } from '../db/schema.ts';
import { AppError } from '../errors.ts';
import { newId } from '../id.ts';
import { useIdempotencyKey } from '../idempotency.ts';
import { queueMail } from './mails.ts';
import { missingData, render } from './render.ts';
import { publishedOf } from './transactional.ts';

export interface Send {
  transactionalId: string;
  email: string;
  addToAudience?: boolean | null | undefined;
  dataVariables: Record<string, unknown>;
}

const NAMED = 300; // characters

/**
 * Queues one transactional mail; with an idempotency key at most once in 24 hours, recorded with the mail. Gives the mail's id.
 * @throws AppError notFound, invalid (naming missing variables), conflict on a key that was used
 */
export async function sendTransactional(ctx: Context, send: Send, idempotencyKey: string | null): Promise<string> {
  const { transactionalId, dataVariables: data } = send;
  const to = emailOf(send.email);
  const now = ctx.now();
  const key = newId('send', now);
  const { id: emailMessageId, content } = await ctx.store.read(tx => publishedOf(tx, transactionalId)); // never changes
  const missing = missingData(content, data);
  if (missing.length)
    throw new AppError('invalid', `Missing required data variable(s): ${missing.join(', ').slice(0, NAMED)}`);
  render(content, { contact: { email: to }, event: {}, data, unsubscribeUrl: '' }); // refuses what can't be rendered
  const id = await ctx.store.write(async tx => {
    if (idempotencyKey !== null) await useIdempotencyKey(tx, 'transactional', idempotencyKey, now);
    const [known] = await tx.select({ id: contacts.id }).from(contacts).where(eq(contacts.email, to));
    let contactId = known?.id ?? null;
    if (contactId === null && send.addToAudience)
      contactId = (await writeContact(tx, 'upsert', { email: to }, { key, source: 'API' }, now, ctx.tell)).contactId;
    const mail = { key, contactId, to, emailMessageId, data: { data }, transactional: true, transactionalId };
    return queueMail(tx, mail, now);
  });
  ctx.wake();
  return id ?? '';
}
