import { StoreUnavailable } from './store.ts';

const FIRST_MS = 50;
const LONGEST_MS = 500; // soon after the database is back, before others look for leases that ran out

/**
 * Writes what happened outside and can't be asked again (a mail was taken, a receiver answered), however long the database is away.
 * @throws StoreUnavailable once `isEnding`, and what `write` throws otherwise
 */
export async function writeOutcome<T>(write: () => Promise<T>, isEnding: () => boolean): Promise<T> {
  for (let wait = FIRST_MS; ; wait = Math.min(LONGEST_MS, wait * 2)) {
    try {
      return await write();
    } catch (error) {
      if (!(error instanceof StoreUnavailable) || isEnding()) throw error;
      await Bun.sleep(wait * (0.5 + Math.random() / 2));
    }
  }
}
