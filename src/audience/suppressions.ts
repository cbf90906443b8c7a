import { eq } from 'drizzle-orm';
import { suppressions } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';

/** No mail goes to this address until it is freed. Normalised address. */
export async function suppress(
  tx: Tx,
  email: string,
  reason: 'bounced' | 'complaint' | 'manual',
  now: number,
): Promise<void> {
  await tx.insert(suppressions).values({ email, reason, createdAt: now }).onConflictDoNothing();
}

export async function isSuppressed(tx: Tx, email: string): Promise<boolean> {
  const rows = await tx.select({ email: suppressions.email }).from(suppressions).where(eq(suppressions.email, email));
  return rows.length > 0;
}
