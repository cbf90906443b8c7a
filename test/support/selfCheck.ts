import { join } from 'node:path';
import { findDifferences } from '../../src/audience/selfCheck.ts';
import { openSqlite } from '../../src/db/sqlite/store.ts';

/** Contacts of a stopped installation that are not what follows from their identities, in words. `cwd`: where it ran. */
export async function findWrongContacts(cwd: string): Promise<string[]> {
  const store = openSqlite(join(cwd, 'inlet-data/inlet.db'));
  try {
    return (await findDifferences(store, Date.now())).map(({ contactId, message }) => `${contactId} ${message}`);
  } finally {
    await store.close();
  }
}
