import { and, eq, inArray, lt, notInArray, sql } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { deliveries, payloads, unprocessed } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { idAt } from '../id.ts';
import { pruneIdempotencyKeys } from '../idempotency.ts';

const DAY_MS = 86_400_000;
const LOG_DAYS = 400; // at least: the row is what tells a duplicate
const CHUNK = 500;
const MAX_CHUNKS = 20; // per run; the next minute goes on
const OPEN = ['queued', 'waiting', 'failed'] as const;

/** Removes what is past its time, in short writes: payloads first, log rows after 400 days; who waited too long is buried. */
export async function retain(ctx: Context): Promise<void> {
  const now = ctx.now();
  const payloadsBefore = now - ctx.config.retentionDays * DAY_MS;
  const rowsBefore = now - Math.max(LOG_DAYS, ctx.config.retentionDays) * DAY_MS;
  await inChunks(() => ctx.store.write(tx => buryWaiting(tx, payloadsBefore, now)));
  await inChunks(() => ctx.store.write(tx => prunePayloads(tx, payloadsBefore)));
  await inChunks(() => ctx.store.write(tx => pruneRows(tx, rowsBefore)));
  await inChunks(() => ctx.store.write(tx => pruneIdempotencyKeys(tx, now, CHUNK)));
}

async function inChunks(step: () => Promise<number>): Promise<void> {
  for (let i = 0; i < MAX_CHUNKS; i++) if ((await step()) < CHUNK) return;
}

async function buryWaiting(tx: Tx, before: number, now: number): Promise<number> {
  const message = 'Nobody with an address became known behind this id in time. Replay it if they are known by now.';
  const old = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(unprocessed('waiting'), lt(deliveries.id, idAt('dlv', before))))
    .limit(CHUNK);
  const ids = old.map(row => row.id);
  if (ids.length) {
    await tx
      .update(deliveries)
      .set({ status: 'dead', message, error: message, processedAt: now })
      .where(inArray(deliveries.id, ids));
  }
  return ids.length;
}

/** Never the payload of a delivery that is still to be applied, however old. */
async function prunePayloads(tx: Tx, before: number): Promise<number> {
  const old = await tx
    .select({ id: payloads.deliveryId })
    .from(payloads)
    .innerJoin(deliveries, eq(deliveries.id, payloads.deliveryId))
    .where(and(lt(payloads.deliveryId, idAt('dlv', before)), notInArray(deliveries.status, [...OPEN])))
    .orderBy(payloads.deliveryId)
    .limit(CHUNK);
  const ids = old.map(row => row.id);
  if (ids.length) await tx.delete(payloads).where(inArray(payloads.deliveryId, ids));
  return ids.length;
}

async function pruneRows(tx: Tx, before: number): Promise<number> {
  const old = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(
      and(
        lt(deliveries.id, idAt('dlv', before)),
        notInArray(deliveries.status, [...OPEN]),
        sql`${deliveries.leased} = 0`,
      ),
    )
    .orderBy(deliveries.id)
    .limit(CHUNK);
  const ids = old.map(row => row.id);
  if (!ids.length) return 0;
  await tx.delete(payloads).where(inArray(payloads.deliveryId, ids));
  await tx.delete(deliveries).where(inArray(deliveries.id, ids));
  return ids.length;
}
