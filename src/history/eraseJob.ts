import { eq, inArray, or } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { erasures, formerContacts, jobs, mergedContacts } from '../db/schema.ts';
import type { Store, Tx } from '../db/store.ts';
import { enqueue } from '../jobs/queue.ts';
import { yieldTurn } from '../time.ts';
import { type Erasure, PHASES } from './erasePhases.ts';

export const ERASE_JOB = 'contacts.erase';
export const makeJobKey = (id: string) => `erase:${id}`;

const STEP_MS = 300; // of one step of the job
interface Progress {
  id: string;
  phase: number;
  /** The last row of that phase's table that was searched. */
  after: string;
}

async function loadErasure(store: Store, id: string): Promise<Erasure | null> {
  const [row] = await store.read(tx => tx.select().from(erasures).where(eq(erasures.id, id)));
  if (!row) return null;
  const { createdAt } = row;
  const none = { contacts: [], identities: [], emails: [], persons: [], weak: [], spared: [] };
  if (!Array.isArray(row.needles)) return { id, createdAt, ...none, ...row.needles };
  return { id, createdAt, ...none, contacts: [id], emails: row.needles }; // begun by an older version
}

/**
 * One step of `contacts.erase`. Copies are found by reading, some ms at a time, and only the hits are written, so that nobody waits;
 * a crash repeats some looks and loses nothing.
 */
export async function eraseStep({ store }: Context, payload: unknown): Promise<(tx: Tx) => Promise<Progress | null>> {
  const given = payload as Progress | { contactId: string }; // written here and by erase.ts; the second by an older version
  const at: Progress = 'id' in given ? { ...given } : { id: given.contactId, phase: 0, after: '' };
  const erasure = await loadErasure(store, at.id);
  if (!erasure) return async () => null;
  const until = performance.now() + STEP_MS;
  for (let phase = PHASES[at.phase]; phase && performance.now() < until; phase = PHASES[at.phase]) {
    const next = await phase(store, erasure, at.after);
    at.after = next ?? '';
    if (next === null) at.phase++;
    await yieldTurn(); // webhooks first
  }
  return async tx => (at.phase < PHASES.length ? at : finish(tx, erasure));
}

async function finish(tx: Tx, { id, contacts, identities }: Erasure): Promise<null> {
  const all = [...contacts, ''];
  await tx.delete(mergedContacts).where(or(inArray(mergedContacts.fromId, all), inArray(mergedContacts.toId, all)));
  await tx
    .delete(formerContacts)
    .where(or(inArray(formerContacts.contactId, all), inArray(formerContacts.identityId, [...identities, ''])));
  await tx.delete(erasures).where(eq(erasures.id, id));
  return null;
}

const STALLED_MS = 3_600_000;

/** Has erasures go on whose job was given up or is gone. */
export async function resumeErasures(tx: Tx, now: number): Promise<void> {
  for (const { id } of await tx.select({ id: erasures.id }).from(erasures)) {
    const [job] = await tx
      .select()
      .from(jobs)
      .where(eq(jobs.uniqueKey, makeJobKey(id)));
    if (!job) await enqueue(tx, ERASE_JOB, { id, phase: 0, after: '' } satisfies Progress, now, makeJobKey(id));
    else if (job.status !== 'queued' && job.dueAt < now - STALLED_MS)
      await tx.update(jobs).set({ status: 'queued', dueAt: now, attempts: 0 }).where(eq(jobs.id, job.id));
  }
}
