import { buildWriteCall, collectWriteKeys } from '../audience/apiCalls.ts';
import { parseEmail } from '../audience/emails.ts';
import { findByEmail } from '../audience/findContact.ts';
import { callPeople, makeOutcome } from '../audience/personCall.ts';
import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { makeId } from '../id.ts';
import { makeLinks } from './links.ts';
import { queueMail } from './mails.ts';
import { renderMessage } from './renderMessage.ts';
import { getPublished } from './transactional.ts';
import { readDataVariables } from './variables.ts';

interface Send {
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
  const to = parseEmail(send.email);
  const now = ctx.now();
  const key = makeId('send', now);
  const message = await ctx.store.read(tx => getPublished(tx, transactionalId)); // never changes
  const { id: emailMessageId, content } = message;
  const missing = (await readDataVariables(ctx, message)).filter(
    name => !Object.hasOwn(data, name) && !Object.hasOwn(content.dataVariablesFallbacks, name),
  );
  if (missing.length)
    throw new AppError('invalid', `Missing required data variable(s): ${missing.join(', ').slice(0, NAMED)}`);
  const values = { contact: { email: to }, event: {}, data, ...makeLinks('', null) };
  await renderMessage(ctx.templates, message, values); // refuses what can't be rendered
  const write = buildWriteCall('upsert', { email: to }, { key, source: 'API' });
  let id: string | null = null;
  await callPeople(ctx.people, {
    keys: collectWriteKeys({ email: to }),
    idempotency: idempotencyKey === null ? undefined : { scope: 'transactional', key: idempotencyKey },
    apply(people, now) {
      const known = findByEmail(people, to);
      if (known?.shown || !send.addToAudience) {
        const contactId = known?.shown ? known.contact.id : null;
        return makeOutcome({ contactId }, null, { key, deliveryId: null });
      }
      const outcome = write.apply(people, now);
      return { ...outcome, result: { contactId: outcome.result.contactId } };
    },
    async after(tx, { contactId }, at) {
      const mail = { key, contactId, to, emailMessageId, data: { data }, transactional: true, transactionalId };
      id = await queueMail(tx, mail, at);
    },
  });
  ctx.wake();
  return id ?? '';
}
