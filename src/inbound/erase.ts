import { and, asc, eq, gt, inArray, isNull, ne, or, type SQL, sql } from 'drizzle-orm';
import type { SQLiteColumn } from 'drizzle-orm/sqlite-core';
import { tiesOf } from '../audience/people.ts';
import { addTombstones } from '../audience/tombstones.ts';
import { identityOfRow } from '../audience/workingSet.ts';
import {
  contacts,
  deliveries,
  erasures,
  events,
  identities,
  importFailures,
  imports,
  jobs,
  mails,
  memberships,
  payloads,
  runs,
  steps,
  suppressions,
  ties,
  webhookCalls,
} from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { notFound } from '../errors.ts';
import { enqueue } from '../jobs/queue.ts';

const JOB = 'contacts.erase';
const ROWS = 200; // removed per step
const WINDOW = 200; // rows of a table searched per step
const MESSAGE = 'The person of this delivery was erased.';

/**
 * Erases a person at once from the audience, with a tombstone for everything that named them; a job removes every copy in the log,
 * events, runs, mails and calls. What belongs to another contact too (an address two users had) stays theirs.
 * @throws AppError notFound
 */
export async function eraseContact(tx: Tx, id: string, now: number): Promise<void> {
  const [contact] = await tx.select().from(contacts).where(eq(contacts.id, id));
  if (!contact) throw notFound('Contact');
  const gone = (await tx.select().from(identities).where(eq(identities.contactId, id))).map(identityOfRow);
  const named = [...new Set([`email:${contact.email}`, ...gone.flatMap(tiesOf)])];
  const shared = await tx
    .select({ value: ties.value })
    .from(ties)
    .innerJoin(identities, eq(identities.id, ties.identityId))
    .where(and(inArray(ties.value, named), ne(identities.contactId, id)));
  const others = new Set(shared.map(row => row.value));
  const theirs = named.filter(value => !others.has(value));
  const ids = gone.map(each => each.id);
  const persons = ids.filter(each => !/^(api:|[a-z]+:@)/.test(each)); // an address may come again, a provider's person not
  await addTombstones(tx, [...persons, ...theirs], now);
  const emails = theirs.filter(value => value.startsWith('email:')).map(value => value.slice(6));
  await tx.insert(erasures).values({ contactId: id, needles: emails, createdAt: now }).onConflictDoNothing();
  if (emails.length) await tx.delete(suppressions).where(inArray(suppressions.email, emails));
  await tx.delete(memberships).where(eq(memberships.contactId, id));
  await tx.delete(contacts).where(eq(contacts.id, id));
  if (ids.length) {
    const waiting = await tx.select({ id: deliveries.id }).from(deliveries).where(inArray(deliveries.identityId, ids));
    await wipe(tx, waiting);
    await tx.delete(ties).where(inArray(ties.identityId, ids));
    await tx.delete(identities).where(inArray(identities.id, ids));
  }
  await enqueue(tx, JOB, { contactId: id, phase: 0, after: '' } satisfies Progress, now, `erase:${id}`);
}

/** The delivery's row stays as what tells a duplicate; nothing in it says of whom it was. */
async function wipe(tx: Tx, rows: { id: string }[]): Promise<void> {
  const ids = rows.map(row => row.id);
  if (!ids.length) return;
  await tx.delete(payloads).where(inArray(payloads.deliveryId, ids));
  const mine = inArray(deliveries.id, ids);
  await tx
    .update(deliveries)
    .set({ message: MESSAGE, effects: [], error: null, contactId: null, identityId: null })
    .where(mine);
  await tx
    .update(deliveries)
    .set({ status: 'ignored' })
    .where(and(mine, inArray(deliveries.status, ['queued', 'waiting', 'failed'])));
}

interface Progress {
  contactId: string;
  phase: number;
  /** The last row of that phase's table that was searched. */
  after: string;
}
type Erasure = typeof erasures.$inferSelect;

/** Columns that hold one of these texts in any case. JSON writes some characters otherwise. */
function holding(columns: SQLiteColumn[], needles: string[]): SQL | undefined {
  const texts = new Set(needles.flatMap(each => [each, JSON.stringify(each).slice(1, -1)]));
  const patterns = [...texts].map(each => `%${each.replace(/[~%_]/g, sign => `~${sign}`)}%`);
  const tests = columns.flatMap(column => patterns.map(each => sql`lower(${column}) like lower(${each}) escape '~'`));
  return or(...tests) ?? sql`1 = 0`;
}

/** One short step of a phase: where to go on, null when it is done. */
type Phase = (tx: Tx, erasure: Erasure, after: string) => Promise<string | null>;
const more = (rows: unknown[]) => (rows.length === ROWS ? '' : null);

const PHASES: Phase[] = [
  async (tx, { contactId }) => {
    const own = eq(deliveries.contactId, contactId);
    const rows = await tx.select({ id: deliveries.id }).from(deliveries).where(own).limit(ROWS);
    await wipe(tx, rows);
    return more(rows);
  },
  async (tx, { contactId }) => {
    const rows = await tx.select({ id: events.id }).from(events).where(eq(events.contactId, contactId)).limit(ROWS);
    await tx.delete(events).where(inArray(events.id, [...rows.map(row => row.id), '']));
    return more(rows);
  },
  async (tx, { contactId }) => {
    const rows = await tx.select({ id: runs.id }).from(runs).where(eq(runs.contactId, contactId)).limit(ROWS);
    const ids = [...rows.map(row => row.id), ''];
    await tx.delete(steps).where(inArray(steps.runId, ids));
    await tx.delete(runs).where(inArray(runs.id, ids));
    return more(rows);
  },
  async (tx, { contactId, needles }) => {
    const own = or(eq(mails.contactId, contactId), inArray(mails.recipient, [...needles, '']));
    const rows = await tx.select({ id: mails.id }).from(mails).where(own).limit(ROWS);
    await tx.delete(mails).where(inArray(mails.id, [...rows.map(row => row.id), '']));
    return more(rows);
  },
  async (tx, { needles }, after) => {
    const next = await window(tx, deliveries.id, after);
    if (!next) return null;
    const found = await tx
      .select({ id: deliveries.id })
      .from(deliveries)
      .leftJoin(payloads, eq(payloads.deliveryId, deliveries.id))
      .where(and(next.within, holding([deliveries.message, deliveries.effects, payloads.body], needles)));
    await wipe(tx, found);
    return next.last;
  },
  async (tx, { contactId, needles }, after) => {
    const next = await window(tx, webhookCalls.id, after);
    if (!next) return null;
    const about = holding([webhookCalls.body, webhookCalls.history], [contactId, ...needles]);
    await tx.delete(webhookCalls).where(and(next.within, about));
    return next.last;
  },
  async (tx, { needles }, after) => {
    const [file] = await tx
      .select({ id: imports.id })
      .from(imports)
      .where(gt(imports.id, after))
      .orderBy(asc(imports.id))
      .limit(1);
    if (!file) return null;
    const of = and(eq(importFailures.importId, file.id), holding([importFailures.cells], needles));
    await tx.update(importFailures).set({ cells: [] }).where(of);
    return file.id;
  },
  async (tx, { contactId, needles }) => {
    const others = or(isNull(jobs.uniqueKey), ne(jobs.uniqueKey, `erase:${contactId}`));
    await tx.delete(jobs).where(and(others, holding([jobs.payload], needles)));
    return null;
  },
];

/** The next rows of a table after an id. */
async function window(tx: Tx, id: SQLiteColumn, after: string) {
  const rows = await tx
    .select({ id: sql<string>`${id}` })
    .from(id.table)
    .where(gt(id, after))
    .orderBy(asc(id))
    .limit(WINDOW);
  const last = rows.at(-1)?.id;
  return last === undefined ? null : { last, within: and(gt(id, after), sql`${id} <= ${last}`) };
}

/** One step of `contacts.erase`; null when no copy is left. */
export async function eraseStep(tx: Tx, payload: unknown): Promise<Progress | null> {
  const { contactId, phase, after } = payload as Progress; // written here only
  const [erasure] = await tx.select().from(erasures).where(eq(erasures.contactId, contactId));
  const work = PHASES[phase];
  if (!erasure) return null;
  if (!work) {
    await tx.delete(erasures).where(eq(erasures.contactId, contactId));
    return null;
  }
  const next = await work(tx, erasure, after);
  return next === null ? { contactId, phase: phase + 1, after: '' } : { contactId, phase, after: next };
}
