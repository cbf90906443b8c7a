import { and, eq } from 'drizzle-orm';
import type { ContactChange } from '../../changes.ts';
import type { Context } from '../../context.ts';
import { importChunks, importFailures, imports, lists } from '../../db/schema.ts';
import type { Store, Tx } from '../../db/store.ts';
import { AppError } from '../../errors.ts';
import { yieldTurn } from '../../time.ts';
import { collectWriteKeys } from '../apiCalls.ts';
import { applyApiWrite } from '../apiWrite.ts';
import { BITE_BYTES, type CsvRow, decodeLatin1, type ReadRows, readRows } from '../csv.ts';
import { makeEmailTie, type People } from '../people.ts';
import { callPeople, makeOutcome, type PersonCall } from '../personCall.ts';
import { makeUserTie } from '../ties.ts';
import { type ImportRow, thinChunks, unpackBytes } from './imports.ts';
import { CHUNK_BYTES } from './plan.ts';
import { type Problem, readRow, type Wanted } from './rows.ts';
import { type Plan, planIn, storePlan } from './targets.ts';

const ROWS = 200; // read per step
const PER_WRITE = 20; // some ms of the thread
const MAX_REPORTED = 10_000; // failed rows kept for the report; more are only counted
const MAX_KEPT = 500; // characters of a cell, and
const MAX_CELLS = 8000; // of all cells, that the report keeps of a row

/** The file from an offset on. */
function readFileFrom(store: Store, id: string, offset: number): () => Promise<Buffer | null> {
  let at = offset;
  let held: { seq: number; bytes: Buffer } | null = null;
  return async () => {
    const seq = Math.floor(at / CHUNK_BYTES);
    if (held?.seq !== seq) {
      const mine = and(eq(importChunks.importId, id), eq(importChunks.seq, seq));
      const [row] = await store.read(tx => tx.select({ content: importChunks.content }).from(importChunks).where(mine));
      if (!row) return null;
      held = { seq, bytes: unpackBytes(row.content) };
    }
    const start = at - seq * CHUNK_BYTES;
    const bite = held.bytes.subarray(start, start + BITE_BYTES);
    at += bite.length;
    return bite.length ? bite : null;
  };
}

const importOf = async (store: Store, id: string): Promise<ImportRow | undefined> =>
  (await store.read(tx => tx.select().from(imports).where(eq(imports.id, id))))[0];

/**
 * One step of an import: applies its next rows in short transactions, each with the progress in it, so that a crash repeats and
 * loses none. The payload again while there is more to do.
 */
export async function importStep(ctx: Context, payload: unknown, now: number): Promise<(tx: Tx) => Promise<unknown>> {
  const { store } = ctx;
  const { id } = payload as { id: string }; // written by imports.ts only
  let row = await importOf(store, id);
  if (!row || !isOpen(row)) return async tx => ((await thinChunks(tx, id)) ? payload : null);
  const base = row.bytesDone;
  const plan = planIn(row);
  const read = await readRows(readFileFrom(store, id, base), plan.delimiter, ROWS, plan.header.length);
  const all = await store.read(tx => tx.select({ id: lists.id, name: lists.name }).from(lists));
  const byName = new Map(all.flatMap(({ id: listId, name }) => [[name, listId] as const, [listId, listId] as const]));
  for (let at = 0; row && isOpen(row) && (at < read.rows.length || at === 0); at += PER_WRITE) {
    const rows = read.rows.slice(at, at + PER_WRITE);
    const last = at + PER_WRITE >= read.rows.length;
    const after = last ? (read.trouble ?? (read.ended ? 'done' : null)) : null;
    const wanted = rows.map(each => readRow(each, plan, byName));
    const batch: Batch = { row, plan, base, read, rows, wanted, now, after };
    if (!(await applyBatch(ctx, batch))) break;
    await yieldTurn(); // webhooks first
    row = last ? undefined : await importOf(store, id);
  }
  return async () => payload;
}

const isOpen = ({ state }: ImportRow) => state === 'queued' || state === 'running';

interface Batch {
  row: ImportRow;
  /** As it was when reading began: the rows' empty lines count from there. */
  plan: Plan;
  read: ReadRows;
  /** Where in the file reading began: the rows' ends count from there. */
  base: number;
  rows: CsvRow[];
  wanted: (Wanted | Problem)[];
  now: number;
  /** What comes after these rows: more (null), the end, or one that can't be read. */
  after: string | null;
}

type RowOutcome = 'created' | 'updated' | 'unchanged' | Problem;

/** False: the import was removed, or another instance took over. */
async function applyBatch(ctx: Context, batch: Batch): Promise<boolean> {
  const call = buildRowsCall(batch);
  if (batch.plan.dryRun) {
    const outcomes = await ctx.people.preview(call);
    return ctx.store.write(tx => recordRows(tx, batch, outcomes));
  }
  try {
    await callPeople(ctx.people, {
      ...call,
      async after(tx, outcomes) {
        if (!(await recordRows(tx, batch, outcomes))) throw new TakenOver('an import was removed or taken over');
      },
    });
    return true;
  } catch (error) {
    if (error instanceof TakenOver) return false;
    throw error;
  }
}

/** Ends a transaction whose progress somebody else notes. */
class TakenOver extends Error {}

function buildRowsCall({ row, plan, rows, wanted }: Batch): PersonCall<RowOutcome[]> {
  const keys = wanted.flatMap(want => ('message' in want ? [] : [collectWriteKeys(want.write, want.aliases)]));
  return {
    keys: {
      ids: keys.flatMap(each => each.ids),
      ties: keys.flatMap(each => each.ties),
      lists: keys.flatMap(each => each.lists),
    },
    silent: true, // an import fires no events
    apply(people, now) {
      const known: string[] = [];
      const changes: ContactChange[] = [];
      const outcomes = wanted.map((want, i) => {
        if ('message' in want) return want;
        const line = plan.firstLine + row.lines + i + (rows[i]?.empties ?? 0);
        return applyRow(people, want, { row, line, now, known, changes });
      });
      return { ...makeOutcome(outcomes, null, { key: row.id, deliveryId: null }), known, changes };
    },
  };
}

interface Applying {
  row: ImportRow;
  line: number;
  now: number;
  /** What all rows made known and changed. */
  known: string[];
  changes: ContactChange[];
}

/** By the rules of an API write. Whoever was erased since the upload stays erased. */
function applyRow(
  people: People,
  { write, aliases }: Wanted,
  { row, line, now, known, changes }: Applying,
): RowOutcome {
  const ties = [makeEmailTie(write.email), ...(write.userId === undefined ? [] : [makeUserTie('', write.userId)])];
  const erased = (value: string) => people.tombstones.get(value);
  if (aliases.some(each => erased(each) !== undefined) || ties.some(each => (erased(each) ?? -1) >= row.createdAt))
    return { column: null, message: 'This person was erased.' };
  const mark = people.mark();
  try {
    const key = `${row.id}:${String(line).padStart(9, '0')}`;
    const options = { key, source: 'CSV import', aliases, reason: 'import' as const };
    const done = applyApiWrite(people, 'upsert', write, options, now);
    known.push(...done.known);
    changes.push(...done.changes);
    return done.created ? 'created' : done.effects.length ? 'updated' : 'unchanged';
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    people.undoTo(mark);
    return { column: null, message: error.message };
  }
}

/** Notes what became of rows and how far the file is applied. False: not ours to note. */
async function recordRows(tx: Tx, batch: Batch, outcomes: RowOutcome[]): Promise<boolean> {
  const { row, plan, base, read, rows, now, after } = batch;
  const same = and(eq(imports.id, row.id), eq(imports.bytesDone, row.bytesDone), eq(imports.state, row.state));
  const [mine] = await tx.select({ id: imports.id }).from(imports).where(same);
  if (!mine) return false;
  const counts = { created: 0, updated: 0, unchanged: 0, failed: 0 };
  for (const [i, outcome] of outcomes.entries()) {
    if (typeof outcome === 'string') counts[outcome]++;
    else if (row.failed + counts.failed++ < MAX_REPORTED) {
      const line = plan.firstLine + row.lines + i + (rows[i]?.empties ?? 0);
      const failure = makeFailure(row, line, outcome, rows[i]?.cells ?? []);
      await tx.insert(importFailures).values(failure).onConflictDoNothing();
    }
  }
  const trouble = after === null || after === 'done' ? null : after;
  const { end, empties } = rows.at(-1) ?? read; // without rows: empty lines only
  const bytesDone = after === 'done' ? row.bytes : base + end;
  const firstLine = plan.firstLine + empties;
  await tx
    .update(imports)
    .set({
      state: trouble !== null ? 'failed' : after === 'done' ? 'done' : 'running',
      error:
        trouble === null
          ? null
          : `Row ${firstLine + row.lines + rows.length} ${trouble} The rows before it are applied.`,
      bytesDone,
      ...(empties > 0 && { plan: storePlan({ ...plan, firstLine }) }),
      lines: row.lines + rows.length,
      created: row.created + counts.created,
      updated: row.updated + counts.updated,
      unchanged: row.unchanged + counts.unchanged,
      failed: row.failed + counts.failed,
      finishedAt: after === null ? null : now,
    })
    .where(eq(imports.id, row.id));
  await thinChunks(tx, row.id, Math.floor(bytesDone / CHUNK_BYTES));
  return true;
}

function makeFailure(row: ImportRow, line: number, problem: Problem, cells: string[]) {
  let left = MAX_CELLS;
  const kept = cells.slice(0, row.plan.header.length + 1).map(each => {
    const text = (decodeLatin1(each) ?? each)
      .replaceAll('\0', '\ufffd')
      .slice(0, Math.min(MAX_KEPT, left))
      .toWellFormed();
    left -= text.length;
    return text;
  });
  return { importId: row.id, line, culprit: findCulprit(row.plan, problem), message: problem.message, cells: kept };
}

const findCulprit = (plan: Pick<Plan, 'header'>, { column }: Problem): string | null =>
  column === null ? null : (plan.header[column] ?? `column ${column + 1}`);
