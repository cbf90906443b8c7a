import { eq, like } from 'drizzle-orm';
import { meta } from '../db/schema.ts';
import { pickKey } from '../db/sql.ts';
import type { Store, Tx } from '../db/store.ts';
import { makeRandomText } from '../id.ts';

const AFTER_CRASH_MS = 600_000;
const BEAT_MS = 5000;
const SILENT_MS = 20_000; // an instance not heard of for so long is taken for dead
const MARK = 'serving:';
const CRASHED = 'crashedAt';

/**
 * After a stop that was none of ours, of any instance, deliveries are for a while not applied as they come but queued first, so that
 * one that kills the process is counted, goes alone and is buried (leases.ts). Until it has killed once it is not on disk, nor
 * acknowledged. Each instance has a mark in the database while it serves; on PostgreSQL it beats.
 */
export class SafeMode {
  private readonly mark = `${MARK}${makeRandomText(12)}`;
  private until = Number.NEGATIVE_INFINITY; // on the monotonic clock, ms
  private beats = 0;
  private readonly heard = new Map<string, { value: string; at: number }>();
  private beatAt = Number.NEGATIVE_INFINITY;
  private timer: Timer | undefined;
  private beating: Promise<void> = Promise.resolve();

  isActive(): boolean {
    return performance.now() < this.until;
  }

  /** Be careful, for a crash so many ms ago; tests ask for it too. */
  begin(ago = 0): void {
    this.until = Math.max(this.until, performance.now() + AFTER_CRASH_MS - ago);
  }

  /** Finds out whether the last one ended well. Alone (SQLite), a mark that is there is a dead one's. */
  async start(store: Store, now: () => number, failed: (error: unknown) => void): Promise<void> {
    const alone = store.kind === 'sqlite';
    const crashed = await store.write(async tx => {
      if (!alone) return readRecentCrash(tx, now());
      const left = await tx
        .delete(meta)
        .where(like(meta.key, `${MARK}%`))
        .returning();
      await set(tx, this.mark, '0');
      return left.length > 0 ? 0 : null;
    });
    if (crashed !== null) this.begin(crashed);
    if (alone) return;
    await this.beat(store, now());
    this.timer = setInterval(() => {
      this.beating = this.beat(store, now()).catch(failed);
    }, BEAT_MS);
  }

  /** @throws StoreUnavailable: then the next start is careful */
  async stop(store: Store): Promise<void> {
    clearInterval(this.timer);
    await this.beating; // it would bring the mark back
    await store.write(tx => tx.delete(meta).where(eq(meta.key, this.mark)));
  }

  /** Moves this instance's mark and looks whose stood still. */
  private async beat(store: Store, now: number): Promise<void> {
    const value = String(++this.beats);
    const { marks, crashed } = await store.write(async tx => {
      await set(tx, this.mark, value);
      return {
        marks: await tx
          .select()
          .from(meta)
          .where(like(meta.key, `${MARK}%`)),
        crashed: await readRecentCrash(tx, now),
      };
    });
    if (crashed !== null) this.begin(crashed);
    const at = performance.now();
    if (at - this.beatAt > 2 * BEAT_MS) this.heard.clear(); // nobody could beat, or we were not listening
    this.beatAt = at;
    const silent: string[] = [];
    for (const { key, value } of marks) {
      const last = this.heard.get(key);
      if (last?.value !== value) this.heard.set(key, { value, at });
      else if (at - last.at > SILENT_MS && key !== this.mark) silent.push(key);
    }
    if (!silent.length) return;
    this.begin();
    await store.write(async tx => {
      for (const key of silent) await tx.delete(meta).where(eq(meta.key, key));
      await set(tx, CRASHED, String(now));
    });
  }
}

/**
 * Whether an instance serves this database: on PostgreSQL its mark moves. Takes 20 s where one that died left a mark, none where all
 * ended well. A SQLite file has a lock for that.
 */
export async function isServed(store: Store): Promise<boolean> {
  const before = await readHeartbeats(store);
  if (!before.length) return false;
  for (const until = performance.now() + SILENT_MS; performance.now() < until; ) {
    await Bun.sleep(500);
    if ((await readHeartbeats(store)) !== before) return true;
  }
  return false;
}

/** The marks of instances as text; it changes when one starts, beats or ends. */
export async function readHeartbeats(store: Store): Promise<string> {
  const rows = await store.read(tx =>
    tx
      .select()
      .from(meta)
      .where(like(meta.key, `${MARK}%`))
      .orderBy(meta.key),
  );
  return rows.map(row => `${row.key}=${row.value}`).join(' ');
}

/** ms since the last crash that was noted, null when it is long ago. */
async function readRecentCrash(tx: Tx, now: number): Promise<number | null> {
  const [row] = await tx.select().from(meta).where(eq(meta.key, CRASHED));
  const ago = row === undefined ? AFTER_CRASH_MS : Math.max(0, now - Number(row.value));
  return ago < AFTER_CRASH_MS ? ago : null;
}

async function set(tx: Tx, key: string, value: string): Promise<void> {
  await tx
    .insert(meta)
    .values({ key, value })
    .onConflictDoUpdate({ target: pickKey(meta.key), set: { value } });
}
