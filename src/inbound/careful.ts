import { eq } from 'drizzle-orm';
import { meta } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';

const AFTER_CRASH_MS = 600_000;
const KEY = 'serving';

/**
 * After a stop that was none of ours, deliveries are for a while not applied as they come but queued first, so that one that kills the
 * process is counted, goes alone and is buried (leases.ts). Until it has killed once it is not on disk, nor acknowledged.
 */
export class Careful {
  private until = Number.NEGATIVE_INFINITY; // on the monotonic clock, ms

  now(): boolean {
    return performance.now() < this.until;
  }

  /** Be careful from now on; tests ask for it too. */
  begin(): void {
    this.until = performance.now() + AFTER_CRASH_MS;
  }

  /** Part of starting to serve: finds out whether the last one ended well. */
  async started(tx: Tx): Promise<void> {
    const [left] = await tx.select().from(meta).where(eq(meta.key, KEY));
    if (left) this.begin();
    else await tx.insert(meta).values({ key: KEY, value: 'until a clean stop' });
  }

  async stopped(tx: Tx): Promise<void> {
    await tx.delete(meta).where(eq(meta.key, KEY));
  }
}
