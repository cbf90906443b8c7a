import { and, asc, eq, gt, inArray, lt, ne } from 'drizzle-orm';
import { importChunks, importFailures, imports, lists, properties } from '../../db/schema.ts';
import type { Search } from '../../db/search.ts';
import type { Store, Tx } from '../../db/store.ts';
import { invalid, notFound } from '../../errors.ts';
import { makeId } from '../../id.ts';
import { enqueue } from '../../jobs/queue.ts';
import { formatCsvLine } from '../csv.ts';
import { createProperty } from '../properties.ts';
import { type ImportOptions, planOf } from './plan.ts';
import { formatTarget, planIn, storePlan, type Target } from './targets.ts';

export type ImportRow = typeof imports.$inferSelect;

export { CHUNK_BYTES } from './plan.ts';
export const JOB = 'contacts.import';
const STALE_MS = 3_600_000; // an upload that got nowhere for so long was cut off

/** Bytes as text that every database takes as it is. */
const packBytes = (bytes: Buffer) => bytes.toString('latin1').replaceAll('\0', '\u0100');
export const unpackBytes = (text: string): Buffer => Buffer.from(text.replaceAll('\u0100', '\0'), 'latin1');

/**
 * Stores a file durably, piece by piece, and queues it. `blocks`: pieces of CHUNK_BYTES, the last one shorter.
 * @throws AppError invalid when its header can't be read or is not mapped, and what `blocks` throws
 */
export async function storeImport(
  store: Store,
  blocks: AsyncIterable<Buffer>,
  options: ImportOptions,
  now: number,
): Promise<ImportRow> {
  const id = makeId('imp', now);
  let made: Made[] = [];
  let bytes = 0;
  let seq = 0;
  try {
    for await (const block of blocks) {
      const begun = seq === 0 ? await begin(store, block, options) : null;
      if (begun) made = begun.made;
      const importId = id;
      const chunk = { importId, seq: seq++, content: packBytes(block) };
      await store.write(async tx => {
        if (begun) await tx.insert(imports).values({ ...NEW, id, plan: storePlan(begun.plan), createdAt: now });
        await tx.insert(importChunks).values(chunk);
      });
      bytes += block.length;
    }
    if (seq === 0) throw invalid('body: is empty. Send a CSV file with a header row.');
    return await store.write(tx => queue(tx, id, bytes, made, now));
  } catch (error) {
    await removeImport(store, id).catch(() => {}); // what is left goes with `pruneImports`
    throw error;
  }
}

type Made = Extract<Target, { kind: 'property' }>;
const NEW = {
  state: 'uploading' as const,
  error: null,
  bytes: 0,
  bytesDone: 0,
  lines: 0,
  created: 0,
  updated: 0,
  unchanged: 0,
  failed: 0,
  finishedAt: null,
};

async function begin(store: Store, head: Buffer, options: ImportOptions) {
  const known = await store.read(async tx => ({
    properties: new Map((await tx.select().from(properties)).map(row => [row.key, row.type])),
    lists: new Set((await tx.select({ id: lists.id }).from(lists)).map(row => row.id)),
  }));
  return planOf(head, options, known);
}

async function queue(tx: Tx, id: string, bytes: number, made: Made[], now: number): Promise<ImportRow> {
  const [row] = await tx.select().from(imports).where(eq(imports.id, id));
  if (!row) throw notFound('Import');
  const there = new Set((await tx.select({ key: properties.key }).from(properties)).map(each => each.key));
  if (!row.plan.dryRun) for (const { key, type } of made) if (!there.has(key)) await createProperty(tx, key, type, now);
  const set = { state: 'queued' as const, bytes, bytesDone: row.plan.start };
  await tx.update(imports).set(set).where(eq(imports.id, id));
  await enqueue(tx, JOB, { id }, now, makeJobKey(id));
  return { ...row, ...set };
}

const makeJobKey = (id: string) => `import:${id}`;

/** Uploads under way are nobody's business yet. */
export const importSearch = (): Search => ({ where: ne(imports.state, 'uploading') });

/** Imports in the order of `ids`. */
export async function viewImports(tx: Tx, ids: string[]) {
  if (!ids.length) return [];
  const rows = await tx.select().from(imports).where(inArray(imports.id, ids));
  return ids.flatMap(id => rows.filter(row => row.id === id).map(viewImport));
}

function viewImport(row: ImportRow) {
  const { plan } = row;
  const meaning = plan.header.map((name, i) => [name, formatTarget(plan.targets[i] ?? null)]);
  return {
    id: row.id,
    state: row.state as 'queued' | 'running' | 'done' | 'failed',
    dryRun: plan.dryRun,
    columns: Object.fromEntries(meaning) as Record<string, string | null>,
    mailingLists: plan.mailingLists,
    rows: row.lines,
    created: row.created,
    updated: row.updated,
    unchanged: row.unchanged,
    failed: row.failed,
    bytes: row.bytes,
    bytesDone: row.bytesDone,
    error: row.error,
    createdAt: new Date(row.createdAt).toISOString(),
    finishedAt: row.finishedAt === null ? null : new Date(row.finishedAt).toISOString(),
  };
}

/** Ends an import whose job was given up. Its file goes by another job. */
export async function failImport(tx: Tx, payload: unknown, now: number): Promise<void> {
  const { id } = payload as { id: string }; // written by `queue` only
  const [row] = await tx.select().from(imports).where(eq(imports.id, id));
  if (!row || (row.state !== 'queued' && row.state !== 'running')) return;
  const error = `Inlet failed or stopped again and again after row ${planIn(row).firstLine + row.lines - 1}; the log has the cause. The rows up to it are applied; send the rest again.`;
  await tx.update(imports).set({ state: 'failed', error, finishedAt: now }).where(eq(imports.id, id));
  await enqueue(tx, JOB, { id }, now);
}

/** @throws AppError notFound */
export async function getImport(tx: Tx, id: string) {
  const [view] = await viewImports(tx, [id]);
  const [row] = await tx.select({ state: imports.state }).from(imports).where(eq(imports.id, id));
  if (!view || row?.state === 'uploading') throw notFound('Import');
  return view;
}

const PIECES = 8; // chunks removed per write: 2 MiB
const FAILURES = 1000;
const MAX_PRUNED = 20; // imports per run; the next minute goes on

/** Ends an import and removes it with its file and its report, in short writes; what it did to contacts stays. */
export async function removeImport(store: Store, id: string): Promise<void> {
  await store.write(tx =>
    tx.update(imports).set({ state: 'failed', error: 'It is being removed.' }).where(eq(imports.id, id)),
  );
  while (await store.write(tx => thinChunks(tx, id)));
  while (await store.write(tx => thinFailures(tx, id)));
  await store.write(tx => tx.delete(imports).where(eq(imports.id, id)));
}

/** Removes some of a file, or only what lies before `seq`; false when there is no more. */
export async function thinChunks(tx: Tx, importId: string, before?: number): Promise<boolean> {
  const mine = and(
    eq(importChunks.importId, importId),
    before === undefined ? undefined : lt(importChunks.seq, before),
  );
  const some = await tx
    .select({ seq: importChunks.seq })
    .from(importChunks)
    .where(mine)
    .orderBy(asc(importChunks.seq))
    .limit(PIECES);
  const last = some.at(-1);
  if (!last) return false;
  await tx.delete(importChunks).where(and(eq(importChunks.importId, importId), lt(importChunks.seq, last.seq + 1)));
  return some.length === PIECES;
}

async function thinFailures(tx: Tx, importId: string): Promise<boolean> {
  const mine = eq(importFailures.importId, importId);
  const some = await tx
    .select({ line: importFailures.line })
    .from(importFailures)
    .where(mine)
    .orderBy(asc(importFailures.line))
    .limit(FAILURES);
  const last = some.at(-1);
  if (!last) return false;
  await tx.delete(importFailures).where(and(mine, lt(importFailures.line, last.line + 1)));
  return some.length === FAILURES;
}

/** Removes imports that ended before `before`, and uploads that were cut off. */
export async function pruneImports(store: Store, before: number, now: number): Promise<void> {
  const old = await store.read(tx =>
    tx
      .select({ id: imports.id })
      .from(imports)
      .where(and(eq(imports.state, 'uploading'), lt(imports.createdAt, now - STALE_MS)))
      .unionAll(tx.select({ id: imports.id }).from(imports).where(lt(imports.finishedAt, before)))
      .limit(MAX_PRUNED),
  );
  for (const { id } of old) await removeImport(store, id);
}

/** The rows that could not be applied, as CSV: where and why, then the row itself. */
export async function* reportOf(store: Store, id: string): AsyncGenerator<string> {
  const plan = await store.read(
    async tx => (await tx.select({ plan: imports.plan }).from(imports).where(eq(imports.id, id)))[0]?.plan,
  );
  yield formatCsvLine(['row', 'column', 'message', ...(plan?.header ?? [])]);
  let after = 0;
  for (;;) {
    const rows = await store.read(tx =>
      tx
        .select()
        .from(importFailures)
        .where(and(eq(importFailures.importId, id), gt(importFailures.line, after)))
        .orderBy(asc(importFailures.line))
        .limit(500),
    );
    if (!rows.length) return;
    yield rows.map(row => formatCsvLine([row.line, row.culprit, row.message, ...row.cells])).join('');
    after = rows.at(-1)?.line ?? after;
  }
}
