import { eq } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { endpoints, secrets } from '../db/schema.ts';

const EVERY_MS = 60_000;
const MAX_REMEMBERED = 10_000;
const written = new WeakMap<Context, Map<string, number>>();

/**
 * Notes that an endpoint received something and which secret matched: at first use, then once a minute at most, and outside
 * the delivery's transaction, because these rows are hot. A crash may lose up to a minute of it.
 */
export function touch(ctx: Context, endpointId: string, secretId: string, now: number): void {
  const times = written.get(ctx) ?? new Map<string, number>();
  written.set(ctx, times);
  const key = `${endpointId} ${secretId}`;
  const last = times.get(key);
  const at = performance.now();
  if (last !== undefined && at - last < EVERY_MS) return;
  if (times.size >= MAX_REMEMBERED) times.clear();
  times.set(key, at);
  ctx.store
    .write(async tx => {
      await tx.update(endpoints).set({ lastReceivedAt: now }).where(eq(endpoints.id, endpointId));
      await tx.update(secrets).set({ lastUsedAt: now }).where(eq(secrets.id, secretId));
    })
    .catch(error => {
      times.delete(key);
      ctx.log.warn({ err: error, endpointId }, 'could not note when the endpoint was used');
    });
}
