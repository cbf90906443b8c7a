import { and, eq, inArray, lt } from 'drizzle-orm';
import { pruneIdempotencyKeys } from '../access/idempotency.ts';
import { pruneSessions } from '../access/sessions.ts';
import type { Context } from '../context.ts';
import { type DeliveryStatus, deliveries, payloads, unprocessed } from '../db/schema.ts';
import { encodeAmong, query, writeAmong } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { makeIdAt } from '../id.ts';
import { DAY_MS, yieldTurn } from '../time.ts';
import { resumeErasures } from './eraseJob.ts';
import { pruneStats } from './stats.ts';

const LOG_DAYS = 400; // at least: the row is what tells a duplicate, a payment who paid
const CHUNK = 500;
const MAX_CHUNKS = 20; // per run; the next minute goes on
const WINDOW = 1000; // rows looked at in one go
const OPEN: DeliveryStatus[] = ['queued', 'waiting', 'failed'];

/**
 * Removes what is past its time, in short writes: payloads and changes first, log rows and payments after 400 days; who waited too
 * long is buried, and their payload kept as long again.
 */
export async function retain(ctx: Context): Promise<void> {
  const { store } = ctx;
  const now = ctx.now();
  const contentsBefore = now - ctx.config.retentionDays * DAY_MS;
  const rowsBefore = now - Math.max(LOG_DAYS, ctx.config.retentionDays) * DAY_MS;
  await repeatInChunks(() => store.write(tx => buryWaiting(tx, contentsBefore, now)));
  await sweep(store, 'payloads', 'delivery_id', makeIdAt('dlv', contentsBefore), contentsBefore, removePayloads);
  await sweep(store, 'deliveries', 'id', makeIdAt('dlv', rowsBefore), contentsBefore, removeDeliveries);
  await repeatInChunks(() => store.write(tx => prune(tx, 'contact_changes', 'id', contentsBefore)));
  await repeatInChunks(() => store.write(tx => prune(tx, 'payments', 'value', rowsBefore)));
  await repeatInChunks(() => store.write(tx => pruneIdempotencyKeys(tx, now, CHUNK)));
  await repeatInChunks(() => store.write(tx => pruneSessions(tx, now, CHUNK)));
  await repeatInChunks(() => store.write(tx => prune(tx, 'audits', 'id', rowsBefore, 'at')));
  await pruneStats(store, now);
  await store.write(tx => resumeErasures(tx, now));
}

async function repeatInChunks(step: () => Promise<number>): Promise<void> {
  for (let i = 0; i < MAX_CHUNKS; i++) if ((await step()) < CHUNK) return;
}

async function buryWaiting(tx: Tx, before: number, now: number): Promise<number> {
  const message = 'Nobody with an address became known behind this id in time. Replay it if they are known by now.';
  const old = await tx
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(unprocessed('waiting'), lt(deliveries.id, makeIdAt('dlv', before))))
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

const removePayloads = (tx: Tx, ids: string[]) => tx.delete(payloads).where(inArray(payloads.deliveryId, ids));

async function removeDeliveries(tx: Tx, ids: string[]): Promise<void> {
  await removePayloads(tx, ids);
  await tx.delete(deliveries).where(and(inArray(deliveries.id, ids), eq(deliveries.leased, false)));
}

/**
 * Goes through what deliveries older than `below` left. Never of one that is still to be applied, however old, and of one that was
 * given up only `deadBefore` that moment: it can be replayed once the cause is mended.
 */
async function sweep(
  store: Store,
  table: 'payloads' | 'deliveries',
  key: string,
  below: string,
  deadBefore: number,
  remove: (tx: Tx, ids: string[]) => Promise<unknown>,
): Promise<void> {
  const from = table === 'deliveries' ? 'deliveries d' : 'payloads p left join deliveries d on d.id = p.delivery_id';
  const id = table === 'deliveries' ? 'd.id' : `p.${key}`;
  const text = `select ${id}, d.status, d.processed_at, d.leased from ${from} where ${id} > ? and ${id} < ? order by ${id} limit ${WINDOW}`;
  let removed = 0;
  for (let after = ''; removed < CHUNK * MAX_CHUNKS; ) {
    const rows = await store.read(tx => query(tx, text, [after, below]));
    const old = rows.flatMap(([each, status, processedAt, leased]) => {
      if (OPEN.includes(status as DeliveryStatus) || Number(leased) === 1) return [];
      if (status === 'dead' && processedAt !== null && Number(processedAt) >= deadBefore) return [];
      return [each as string];
    });
    for (let at = 0; at < old.length; at += CHUNK) {
      const some = old.slice(at, at + CHUNK);
      await store.write(async tx => void (await remove(tx, some)));
      removed += some.length;
    }
    if (rows.length < WINDOW) return;
    after = rows.at(-1)?.[0] as string;
    await yieldTurn(); // webhooks first
  }
}

async function prune(
  tx: Tx,
  table: 'contact_changes' | 'payments' | 'audits',
  key: string,
  before: number,
  column = 'created_at',
): Promise<number> {
  const old = await query(tx, `select ${key} from ${table} where ${column} < ? limit ${CHUNK}`, [before]);
  const ids = old.map(row => row[0] as string);
  if (ids.length)
    await query(tx, `delete from ${table} where ${key} ${writeAmong(tx)} returning ${key}`, [encodeAmong(tx, ids)]);
  return ids.length;
}
