import type { Context } from '../context.ts';
import { DAY_MS } from '../time.ts';
import { callQueue, pruneCalls } from './calls.ts';
import { LONGEST_WAIT_MS } from './schedule.ts';

const UNSENT_DAYS = 7; // at least: retries take more than three
const CHUNK = 500;
const MAX_CHUNKS = 20; // per run; the next minute goes on

/** Removes calls that are past their time, in short writes; those still queued (paused, failing) after 7 days or more. */
export async function retainCalls(ctx: Context): Promise<void> {
  const now = ctx.now();
  const { retentionDays } = ctx.config;
  const before = now - retentionDays * DAY_MS;
  const unsentBefore = now - Math.max(UNSENT_DAYS, retentionDays) * DAY_MS;
  await ctx.store.write(tx => callQueue.capDueAt(tx, now + LONGEST_WAIT_MS));
  for (let i = 0; i < MAX_CHUNKS; i++) {
    const gone = await ctx.store.write(tx => pruneCalls(tx, before, unsentBefore, CHUNK));
    if (gone < CHUNK) return;
  }
}
