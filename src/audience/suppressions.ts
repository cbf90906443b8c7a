import { count, eq, gt } from 'drizzle-orm';
import { suppressionRemovals, suppressions } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';
import { newId } from '../id.ts';
import { type By, contactBy } from './contacts.ts';
import { normalEmail } from './emails.ts';

const QUOTA = 100; // removals …
const QUOTA_MS = 30 * 86_400_000; // … in any 30 days, as Loops has it

export type SuppressionReason = (typeof suppressions.$inferSelect)['reason'];

/** No mail goes to this address from now on. The first reason stays. */
export async function suppress(tx: Tx, email: string, reason: SuppressionReason, now: number): Promise<void> {
  await tx
    .insert(suppressions)
    .values({ email: normalEmail(email), reason, createdAt: now })
    .onConflictDoNothing();
}

export async function isSuppressed(tx: Tx, email: string): Promise<boolean> {
  const [row] = await tx
    .select({ email: suppressions.email })
    .from(suppressions)
    .where(eq(suppressions.email, normalEmail(email)));
  return row !== undefined;
}

async function quotaAt(tx: Tx, now: number) {
  const [row] = await tx
    .select({ n: count() })
    .from(suppressionRemovals)
    .where(gt(suppressionRemovals.createdAt, now - QUOTA_MS));
  return { limit: QUOTA, remaining: Math.max(0, QUOTA - Number(row?.n ?? 0)) };
}

async function known(tx: Tx, by: By) {
  const contact = await contactBy(tx, by);
  if (!contact) throw new AppError('notFound', 'This contact was not found.');
  return contact;
}

/** Loops' shape. @throws AppError notFound, invalid */
export async function suppressionOf(tx: Tx, by: By, now: number) {
  const { id, email, userId } = await known(tx, by);
  return {
    contact: { id, email, userId },
    isSuppressed: await isSuppressed(tx, email),
    removalQuota: await quotaAt(tx, now),
  };
}

/** Lets mail reach the contact's address again. @throws AppError notFound; invalid when it is not suppressed or the quota is used up */
export async function unsuppress(tx: Tx, by: By, now: number) {
  const { email } = await known(tx, by);
  const quota = await quotaAt(tx, now);
  const [gone] = await tx.delete(suppressions).where(eq(suppressions.email, email)).returning();
  if (!gone) throw invalid('This contact is not suppressed.');
  if (quota.remaining === 0) throw invalid('Removal quota exceeded.');
  await tx.insert(suppressionRemovals).values({ id: newId('rem', now), createdAt: now });
  return {
    success: true,
    message: 'Email removed from suppression list.',
    removalQuota: { ...quota, remaining: quota.remaining - 1 },
  };
}
