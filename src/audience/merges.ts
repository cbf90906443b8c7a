import { execute, selectAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { enqueue } from '../jobs/queue.ts';
import type { WorkingSet } from './workingSet.ts';

export const MERGE_JOB = 'contacts.merge';

/** Contact `from` became part of another. */
export interface Merge {
  from: string;
}

/** Has a job move the history of contacts that became one with another in this write. What leads to them leads to the survivor at once. */
export async function noteMerges(tx: Tx, { people, loaded }: WorkingSet, now: number): Promise<void> {
  for (const [from, to] of people.merged) {
    if (loaded.merged.get(from) === to) continue;
    await execute(tx, 'update merged_contacts set to_id = ? where to_id = ?', [to, from]);
    await enqueue(tx, MERGE_JOB, { from } satisfies Merge, now, `merge:${from}`);
  }
}

const MOST = 200; // merged ids that are followed

/** The id of the contact that these ids lead to now, and of all that became one with it: whose history is its history. */
export async function loadMergedIds(tx: Tx, ids: string[]): Promise<string[]> {
  const followed = await selectAmong(tx, 'select from_id, to_id from merged_contacts where from_id', ids);
  const survivors = new Map(followed.map(([from, to]) => [from as string, to as string]));
  const all = new Set(ids.map(id => survivors.get(id) ?? id));
  const into = await selectAmong(
    tx,
    'select from_id from merged_contacts where to_id',
    [...all],
    ` order by created_at desc limit ${MOST}`,
  );
  for (const [from] of into) all.add(from as string);
  return [...all];
}

export const loadMergedIdsOf = (tx: Tx, id: string): Promise<string[]> => loadMergedIds(tx, [id]);
