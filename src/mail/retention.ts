import { and, inArray, lt, notInArray, sql } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { mails } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeIdAt } from '../id.ts';
import { DAY_MS } from '../time.ts';
import { mailQueue, releaseOfWorkflows } from './leases.ts';
import { LONGEST_WAIT_MS } from './schedule.ts';

const LOG_DAYS = 400; // at least: the row is what keeps a key used
const CHUNK = 500;
const MAX_CHUNKS = 20; // per run; the next minute goes on
const OPEN = ['queued', 'held', 'sending'] as const;

/** Forgets what mails said when it is past its time, and the rows after 400 days; never of what is still to go out. In short writes. */
export async function retainMails(ctx: Context): Promise<void> {
  const now = ctx.now();
  const { retentionDays } = ctx.config;
  await ctx.store.write(tx => mailQueue.capDueAt(tx, now + LONGEST_WAIT_MS));
  await inChunks(() => ctx.store.write(tx => releaseOfWorkflows(tx, now, CHUNK))); // a resume may have missed one
  await inChunks(() => ctx.store.write(tx => clearMails(tx, makeIdAt('mail', now - retentionDays * DAY_MS))));
  const rowsBefore = makeIdAt('mail', now - Math.max(LOG_DAYS, retentionDays) * DAY_MS);
  await inChunks(() => ctx.store.write(tx => remove(tx, rowsBefore)));
}

async function inChunks(step: () => Promise<number>): Promise<void> {
  for (let i = 0; i < MAX_CHUNKS; i++) if ((await step()) < CHUNK) return;
}

async function clearMails(tx: Tx, before: string): Promise<number> {
  // As in the index mails_kept, which leaves out what is still to go out.
  const whole = sql`(${mails.html} is not null or ${mails.data} <> '{}') and ${mails.state} not in ('queued', 'held', 'sending')`;
  const ids = await findOld(tx, before, whole);
  if (ids.length)
    await tx
      .update(mails)
      .set({
        html: null,
        plain: null,
        data: {},
        pruned: sql`case when ${mails.data} <> '{}' then 1 else ${mails.pruned} end`,
      })
      .where(inArray(mails.id, ids));
  return ids.length;
}

async function remove(tx: Tx, before: string): Promise<number> {
  const ids = await findOld(tx, before, undefined);
  if (ids.length) await tx.delete(mails).where(inArray(mails.id, ids));
  return ids.length;
}

async function findOld(tx: Tx, before: string, which: ReturnType<typeof sql> | undefined): Promise<string[]> {
  const old = await tx
    .select({ id: mails.id })
    .from(mails)
    .where(and(which, lt(mails.id, before), notInArray(mails.state, [...OPEN])))
    .orderBy(mails.id)
    .limit(CHUNK);
  return old.map(row => row.id);
}
