import { eq } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { endpoints, secrets } from '../db/schema.ts';

const EVERY_MS = 60_000;
const MAX_REMEMBERED = 10_000; // endpoints

/** When it was last written that an endpoint received something, by endpoint and secret. Times by the monotonic clock. */
export class LastUsed {
  private written = new Map<string, Map<string, number>>();

  /** True once a minute for each secret: then it is to be written. */
  isDue(endpointId: string, secretId: string): boolean {
    const at = performance.now();
    const times = this.written.get(endpointId) ?? new Map<string, number>();
    if (at - (times.get(secretId) ?? -EVERY_MS) < EVERY_MS) return false;
    if (this.written.size >= MAX_REMEMBERED) this.written.clear();
    this.written.set(endpointId, times.set(secretId, at));
    return true;
  }

  /** The next good delivery is written at once. */
  forget(endpointId: string): void {
    this.written.delete(endpointId);
  }
}

/**
 * Notes that an endpoint received something and which secret matched: at first use, after a rejection, then once a minute at most,
 * and outside the delivery's transaction, because these rows are hot. A crash may lose up to a minute of it.
 */
export function noteLastUsed(ctx: Context, endpointId: string, secretId: string, now: number): void {
  ctx.rejections.close(endpointId);
  if (!ctx.lastUsed.isDue(endpointId, secretId)) return;
  ctx.store
    .write(async tx => {
      await tx.update(endpoints).set({ lastReceivedAt: now }).where(eq(endpoints.id, endpointId));
      await tx.update(secrets).set({ lastUsedAt: now }).where(eq(secrets.id, secretId));
    })
    .catch(error => {
      ctx.lastUsed.forget(endpointId);
      ctx.log.warn({ err: error, endpointId }, 'could not note when the endpoint was used');
    });
}
