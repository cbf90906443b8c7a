import { and, count, eq, getTableColumns, gt, gte, inArray, lt, lte, ne, notExists, sql } from 'drizzle-orm';
import { mails, workflows } from '../db/schema.ts';
import { limitForLease, takeTurn } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { queue } from '../queue/queue.ts';
import { DAY_MS, HOUR_MS } from '../time.ts';
import type { MailRow } from './mails.ts';

export const LEASE_MS = 120_000; // renewed every ten seconds while a mail is under way
const SUSPECT = 3; // crashes in a row, from which a mail goes alone
const SUSPECT_MS = 3000; // to twice that it waits, and double with each crash more
const MOST_DOUBLED = 6;
const CLAIMED_BY_OTHERS = 1000; // mails, at this very moment: more than all instances together may
const HELD_BY_HOUR = 'The limit of mails per hour is reached (maxPerHour). It goes out when there is room.';

const SENDING = sql`${mails.state} = 'sending'`;
const URGENT = 'transactional = 1';

export const mailQueue = queue(mails, {
  due: [`state = 'queued'`],
  held: `state = 'sending'`,
  open: [`state = 'queued'`, `state = 'sending'`],
  lease: `state = 'sending'`,
  free: `state = 'queued'`,
  settled: 'crashes = 0',
  leaseMs: LEASE_MS,
  fence: 'attempts',
  // What was being sent at several crashes in a row waits some seconds, so that a mail that kills the process leaves the others their turn.
  crashes: {
    waitMs: n => (n < SUSPECT ? 0 : SUSPECT_MS * (1 + Math.random()) * 2 ** Math.min(n - SUSPECT, MOST_DOUBLED)),
    dead: Number.POSITIVE_INFINITY, // the mailer says so of it
  },
  looks: ['id', 'transactional', 'forced', 'crashes'],
  holds: Object.keys(getTableColumns(mails)) as (keyof MailRow)[],
});

/** True when a mail is due, or an urgent one. An idle server does no more than this. */
export const hasMailDue = (tx: Tx, now: number, urgentOnly = false): Promise<boolean> =>
  mailQueue.anyDue(tx, now, { text: urgentOnly ? URGENT : '' });

/** How many more mails that are not transactional may go out now, if `most` do within an hour. */
async function countHourRoom(tx: Tx, most: number, now: number): Promise<number> {
  const marketing = sql`${mails.transactional} = 0`;
  const [sent] = await tx
    .select({ n: count() })
    .from(mails)
    .where(and(sql`${mails.sentAt} is not null`, marketing, gt(mails.sentAt, now - HOUR_MS)));
  const [leaving] = await tx.select({ n: count() }).from(mails).where(and(SENDING, marketing));
  return most - Number(sent?.n ?? 0) - Number(leaving?.n ?? 0);
}

interface Claim {
  rows: MailRow[];
  /** How many were held instead. */
  held: number;
}

/** How many mails may go: of all, and of the urgent (transactional) ones. */
interface Room {
  all: number;
  urgent: number;
}

/** What may go out now: one mail that crashed the process again and again, or else the others, the urgent before the rest, each the longest due first. */
async function chooseDue(tx: Tx, now: number, room: Room) {
  const oldest = async (which = '') => {
    const urgent = room.urgent > 0 ? await mailQueue.findDue(tx, now, room.urgent, { text: URGENT + which }) : [];
    const left = room.all - urgent.length;
    if (left <= 0) return urgent;
    return [...urgent, ...(await mailQueue.findDue(tx, now, left, { text: `transactional = 0${which}` }))];
  };
  const due = await oldest();
  const suspect = due.find(row => row.crashes >= SUSPECT);
  if (!suspect) return due;
  const [underWay] = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(SENDING, gte(mails.crashes, SUSPECT)))
    .limit(1);
  if (underWay) return oldest(` and crashes < ${SUSPECT}`);
  await takeTurn(tx, 'suspect mail');
  return [suspect];
}

/**
 * Leases due mails, up to `room`; attempt and Message-ID (of `domain`; null: none goes out) are committed before anything goes out. What is over
 * the limit of an hour is held. One suspect of crashes goes at a time, in a claim of its own.
 */
export async function claimMails(
  tx: Tx,
  now: number,
  room: Room | number,
  domain: string | null,
  maxPerHour: number | null,
): Promise<Claim> {
  const due = await chooseDue(tx, now, typeof room === 'number' ? { all: room, urgent: room } : room);
  const limited = maxPerHour !== null && due.some(row => !row.transactional && !row.forced);
  let left = limited ? await countHourRoom(tx, maxPerHour, now) : Number.POSITIVE_INFINITY;
  if (left < due.length + CLAIMED_BY_OTHERS) await takeTurn(tx, 'mails of an hour');
  const go: string[] = [];
  const over: string[] = [];
  for (const row of due) (row.transactional || row.forced || left-- > 0 ? go : over).push(row.id);
  if (over.length)
    await tx
      .update(mails)
      .set({ state: 'held', heldFor: 'hourCap', error: HELD_BY_HOUR })
      .where(inArray(mails.id, over));
  if (!go.length) return { rows: [], held: over.length };
  const text = `message_id = case when message_id like '%@%' then message_id else message_id || ? end`;
  const rows = await mailQueue.lease(tx, go, now, domain === null ? undefined : { text, params: [`@${domain}`] });
  return { rows, held: over.length };
}

/** True when somebody's lease ran out. */
export async function hasLapsed(tx: Tx, now: number): Promise<boolean> {
  const rows = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(SENDING, lt(mails.dueAt, now)))
    .limit(1);
  return rows.length > 0;
}

/** Queues up to `limit` mails that were held for a reason that is gone, oldest first. Gives how many. */
export async function releaseMails(
  tx: Tx,
  heldFor: 'smtp' | 'hourCap' | 'publicUrl',
  now: number,
  limit: number,
): Promise<number> {
  const held = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(sql`${mails.state} = 'held'`, eq(mails.heldFor, heldFor)))
    .orderBy(mails.id)
    .limit(limitForLease(tx, limit));
  await queueHeld(tx, held, now);
  return held.length;
}

/** Queues up to `limit` mails that were held because their workflow was paused and is not any more. Gives how many. */
export async function releaseOfWorkflows(tx: Tx, now: number, limit: number): Promise<number> {
  const paused = tx
    .select({ id: workflows.id })
    .from(workflows)
    .where(and(eq(workflows.id, mails.workflowId), eq(workflows.state, 'paused')));
  const held = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(sql`${mails.state} = 'held'`, eq(mails.heldFor, 'workflow'), notExists(paused)))
    .orderBy(mails.id)
    .limit(limitForLease(tx, limit));
  await queueHeld(tx, held, now);
  return held.length;
}

async function queueHeld(tx: Tx, held: { id: string }[], now: number): Promise<void> {
  const ids = held.map(row => row.id);
  if (!ids.length) return;
  await tx.update(mails).set({ state: 'queued', heldFor: null, dueAt: now, error: null }).where(inArray(mails.id, ids));
}

/** True when a mail is held by the limit of an hour. */
export async function hasHeldByHour(tx: Tx): Promise<boolean> {
  const rows = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(sql`${mails.state} = 'held'`, eq(mails.heldFor, 'hourCap')))
    .limit(1);
  return rows.length > 0;
}

/** `releaseMails` of those over the limit of an hour, as far as there is room again. */
export async function releaseByHour(tx: Tx, maxPerHour: number | null, now: number, limit: number): Promise<number> {
  const [waiting] = await tx
    .select({ n: count() })
    .from(mails)
    .where(and(sql`${mails.state} = 'queued'`, sql`${mails.transactional} = 0`, lte(mails.dueAt, now)));
  const room = maxPerHour === null ? limit : (await countHourRoom(tx, maxPerHour, now)) - Number(waiting?.n ?? 0);
  return room > 0 ? releaseMails(tx, 'hourCap', now, Math.min(room, limit)) : 0;
}

/** Mails other than transactional ones that went to a contact within a day, or are about to, before this one. */
export async function countMailsOfDay(tx: Tx, row: MailRow, now: number): Promise<number> {
  const [found] = await tx
    .select({ n: count() })
    .from(mails)
    .where(
      and(
        eq(mails.contactId, row.contactId ?? ''),
        ne(mails.id, row.id),
        sql`${mails.transactional} = 0`,
        sql`(${and(eq(mails.state, 'sent'), gte(mails.sentAt, now - DAY_MS))} or ${and(SENDING, lt(mails.id, row.id))})`,
      ),
    );
  return Number(found?.n ?? 0);
}
