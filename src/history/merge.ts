import type { Merge } from '../audience/merges.ts';
import { query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';

const ROWS = 500; // moved per step
const TABLES = ['deliveries', 'events', 'mails', 'contact_changes'];

/** Points the runs of a contact at another one. */
type MergeRuns = (tx: Tx, from: string, to: string) => Promise<void>;

/** One step of the job `contacts.merge`: points some rows of a merged contact at the one that it is part of now. */
export async function mergeStep(tx: Tx, payload: unknown, mergeRuns: MergeRuns): Promise<Merge | null> {
  const { from } = payload as Merge; // written by noteMerges only
  const [into] = await query(tx, 'select to_id from merged_contacts where from_id = ?', [from]);
  if (!into) return null; // erased meanwhile
  const [to] = into;
  for (const table of TABLES) {
    const some = `select id from ${table} where contact_id = ? limit ${ROWS}`;
    const moved = await query(tx, `update ${table} set contact_id = ? where id in (${some}) returning id`, [to, from]);
    if (moved.length) return { from };
  }
  await mergeRuns(tx, from, to as string); // those of a write that told nobody
  return null;
}
