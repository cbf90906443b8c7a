import { eq } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { properties } from '../db/schema.ts';
import { query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import { enqueue } from '../jobs/queue.ts';
import { yieldTurn } from '../time.ts';
import type { PropertyType } from './coerce.ts';
import { callPeople, makeOutcome, type PersonCall } from './personCall.ts';
import { RESERVED_KEYS } from './properties.ts';
import { reconcile } from './reconcile.ts';

export const RETYPE_JOB = 'properties.retype';
const PER_STEP = 200; // identities
const PER_WRITE = 20; // some ms of the thread
const SEEN_BY_ALL_MS = 1000; // until every instance knows the new type

interface Retype {
  key: string;
  /** The last identity done. */
  after: string;
}

/** Gives a custom property another type; a job brings the contacts into it. @throws AppError invalid for a default one, notFound */
export async function retypeProperty(tx: Tx, key: string, type: PropertyType, now: number): Promise<void> {
  if (RESERVED_KEYS.has(key)) throw invalid(`${key}: every contact has it, its type is fixed.`);
  const [was] = await tx.select({ type: properties.type }).from(properties).where(eq(properties.key, key));
  if (!was) throw notFound('Contact property');
  if (was.type === type) return;
  await tx.update(properties).set({ type }).where(eq(properties.key, key));
  await enqueue(tx, RETYPE_JOB, { key, after: '' } satisfies Retype, now + SEEN_BY_ALL_MS);
}

/**
 * One step of the job: contacts of the next identities as they follow from the values that were kept as they came. What fits the new
 * type shows up, the newest of it first; nobody is told. The payload of the next step, or null.
 */
export async function retypeStep(
  { store, people }: Context,
  payload: unknown,
  _now: number,
): Promise<(tx: Tx) => Promise<unknown>> {
  const { key, after } = payload as Retype; // written above only
  const rows = await store.read(tx =>
    query(
      tx,
      'select id, case when registers like ? then 1 else 0 end from identities where id > ? order by id limit ?',
      [`%"${key}"%`, after, PER_STEP],
    ),
  );
  const last = rows.at(-1);
  if (!last) return async () => null;
  people.definitions.invalidate(); // another instance may have changed it
  const ids = rows.flatMap(([id, holdsIt]) => (Number(holdsIt) === 1 ? [id as string] : []));
  for (let at = 0; at < ids.length; at += PER_WRITE) {
    await callPeople(people, buildReconcileCall(ids.slice(at, at + PER_WRITE)));
    await yieldTurn(); // webhooks first
  }
  return async () => ({ key, after: last[0] as string }) satisfies Retype;
}

/** Works out the contacts of these identities anew, in silence. */
function buildReconcileCall(ids: string[]): PersonCall<null> {
  return {
    keys: { ids },
    silent: true,
    apply(people, now) {
      const all = ids.flatMap(id => (people.identities.has(id) ? [reconcile(people, id, now)] : []));
      const known = all.flatMap(done => done.known);
      return { ...makeOutcome(null, null, { key: RETYPE_JOB, deliveryId: null }), known };
    },
  };
}
