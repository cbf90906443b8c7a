import type { Context } from '../context.ts';
import { pruneRuns } from './runs.ts';

const DAY_MS = 86_400_000;
const LOG_DAYS = 400; // at least, as deliveries: the row tells what started it
const CHUNK = 500;
const MAX_CHUNKS = 20; // per run; the next minute goes on

/** Removes runs that ended 400 days ago or more, with their steps, in short writes. */
export async function retainRuns({ store, config, now }: Context): Promise<void> {
  const before = now() - Math.max(LOG_DAYS, config.retentionDays) * DAY_MS;
  for (let i = 0; i < MAX_CHUNKS; i++) if ((await store.write(tx => pruneRuns(tx, before, CHUNK))) < CHUNK) return;
}
