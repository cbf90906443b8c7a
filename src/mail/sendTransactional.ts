import { createHash } from 'node:crypto';
import { normalEmail } from '../audience/contacts.ts';
import { writeContact } from '../audience/write.ts';
import type { Context } from '../context.ts';
import { AppError, invalid } from '../errors.ts';
import { newId } from '../id.ts';
import { freeKey, queueMail } from './mails.ts';
import { missingData, render } from './render.ts';
import { publishedOf } from './transactional.ts';

export interface Send {
  transactionalId: string;
  email: string;
  addToAudience?: boolean | undefined;
  dataVariables?: Record<string, unknown> | undefined;
}

const WINDOW_MS = 86_400_000;
const MAX_KEY = 100; // characters

/**
 * Queues one transactional mail; with an idempotency key at most once in 24 hours, recorded with the mail.
 * @throws AppError notFound, invalid (naming missing variables), conflict on a key that was used
 */
export async function sendTransactional(ctx: Context, send: Send, idempotencyKey: string | null): Promise<void> {
  const to = normalEmail(send.email);
  if (!/^[^\s@<>",;]+@[^\s@<>",;]+$/.test(to)) throw invalid('Invalid email address.');
  const now = ctx.now();
  if (idempotencyKey && idempotencyKey.length > MAX_KEY)
    throw invalid(`Idempotency-Key: at most ${MAX_KEY} characters.`);
  const hash = createHash('sha256')
    .update(idempotencyKey ?? '')
    .digest('hex');
  const key = idempotencyKey ? `transactional:${hash}` : newId('send', now);
  await ctx.store.write(async tx => {
    if (idempotencyKey && !(await freeKey(tx, key, now - WINDOW_MS)))
      throw new AppError('conflict', 'Idempotency key already used with a different request body.');
    const message = await publishedOf(tx, send.transactionalId);
    const data = send.dataVariables ?? {};
    const missing = missingData(message.content, data);
    if (missing.length)
      throw new AppError('invalid', `Missing required data variable(s): ${missing.join(', ').slice(0, 300)}`);
    render(message.content, { contact: { email: to }, event: {}, data, unsubscribeUrl: '' }); // refuses what can't be rendered
    if (send.addToAudience)
      await writeContact(tx, 'upsert', { email: to }, { key: newId('send', now), source: 'API' }, now, ctx.tell);
    const mail = { key, contactId: null, to, emailMessageId: message.id, data: { data }, transactional: true };
    await queueMail(tx, { ...mail, transactionalId: send.transactionalId }, now);
  });
}
