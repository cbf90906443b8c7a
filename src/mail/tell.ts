import { eq, inArray, or } from 'drizzle-orm';
import { viewList } from '../audience/lists.ts';
import { loadMergedIdsOf } from '../audience/merges.ts';
import type { Context } from '../context.ts';
import { contacts, lists, runs, transactionals, workflows } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import type { MailRow } from './mails.ts';

type Told =
  | 'sent'
  | 'email.hardBounced'
  | 'email.softBounced'
  | 'email.spamReported'
  | 'email.unsubscribed'
  | 'email.resubscribed';
type Source = { type: 'loop' | 'transactional'; members: Record<string, unknown>; lists: Record<string, unknown> };

/** What a mail is a part of, in Loops' words; null: of nothing Loops has a word for (a test, a mail of a workflow that is gone). */
async function findSource(tx: Tx, row: MailRow): Promise<Source | null> {
  if (row.transactionalId !== null) {
    const [found] = await tx.select().from(transactionals).where(eq(transactionals.id, row.transactionalId));
    const members = { transactionalId: row.transactionalId, transactionalName: found?.name ?? '' };
    return { type: 'transactional', members, lists: {} };
  }
  if (row.workflowRunId === null) return null;
  const [found] = await tx
    .select({ id: workflows.id, name: workflows.name, list: lists })
    .from(runs)
    .innerJoin(workflows, eq(workflows.id, runs.workflowId))
    .leftJoin(lists, eq(lists.id, workflows.mailingListId))
    .where(eq(runs.id, row.workflowRunId));
  if (!found) return null;
  const mailingLists = found.list ? [viewList(found.list)] : [];
  return { type: 'loop', members: { loopId: found.id, loopName: found.name }, lists: { mailingLists } };
}

/**
 * Tells outgoing webhooks what became of a mail; in the transaction of what it tells. `key` is unique to that. To an address that is no
 * contact's, the identity has an empty id.
 */
export async function tellOfMail(ctx: Context, tx: Tx, told: Told, row: MailRow, key: string, now: number) {
  const sent = row.transactionalId === null ? 'loop.email.sent' : 'transactional.email.sent';
  const name = told === 'sent' ? sent : told;
  if (!(await ctx.subscribed.wants(tx, name))) return;
  const source = await findSource(tx, row);
  if (!source) return;
  const known = row.contactId === null ? [] : await loadMergedIdsOf(tx, row.contactId);
  const by = or(inArray(contacts.id, known), eq(contacts.email, row.recipient));
  const found = await tx
    .select({ id: contacts.id, email: contacts.email, userId: contacts.userId })
    .from(contacts)
    .where(by);
  const contact = found.find(each => known.includes(each.id)) ?? found[0];
  const who = contact ?? { id: row.contactId ?? '', email: row.recipient, userId: null };
  const email = { id: row.id, emailMessageId: row.emailMessageId, subject: row.subject ?? '' };
  const { loopName: _, transactionalName: __, ...ids } = source.members;
  const about = told === 'sent' ? { ...source.members, ...source.lists } : { sourceType: source.type, ...ids };
  await ctx.subscribed.emit(tx, name, who, { ...about, email }, key, now);
}
