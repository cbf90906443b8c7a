import { count, gt, inArray } from 'drizzle-orm';
import { suppressionRemovals, suppressions } from '../db/schema.ts';
import { takeTurn } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';
import { AppError, invalid } from '../errors.ts';
import { makeId } from '../id.ts';
import { type By, findContact } from './contacts.ts';
import { normalizeEmail } from './emails.ts';
import { hashSubject, loadSalt, requireSalt } from './tombstones.ts';

const QUOTA = 100; // removals …
const QUOTA_MS = 30 * 86_400_000; // … in any 30 days, as Loops has it

export type SuppressionReason = (typeof suppressions.$inferSelect)['reason'];

/** No mail goes to this address from now on. The first reason stays. */
export async function suppress(tx: Tx, email: string, reason: SuppressionReason, now: number): Promise<void> {
  await tx
    .insert(suppressions)
    .values({ email: normalizeEmail(email), reason, createdAt: now })
    .onConflictDoNothing();
}

/** What stands in `suppressions` for the address of somebody who was erased. */
const hashAddress = (salt: string, email: string) => `hash:${hashSubject(salt, `email:${email}`)}`;

/** How an address may stand in the table: in clear, or hashed since its person was erased. */
async function listForms(tx: Tx, email: string): Promise<string[]> {
  const address = normalizeEmail(email);
  const salt = await loadSalt(tx);
  return salt === null ? [address] : [address, hashAddress(salt, address)];
}

export async function isSuppressed(tx: Tx, email: string): Promise<boolean> {
  const [row] = await tx
    .select({ email: suppressions.email })
    .from(suppressions)
    .where(inArray(suppressions.email, await listForms(tx, email)));
  return row !== undefined;
}

/** Keeps what is suppressed of these addresses without naming them: a bounce or a complaint outlives an erasure. */
export async function hashSuppressions(tx: Tx, emails: string[]): Promise<void> {
  if (!emails.length) return;
  const salt = await requireSalt(tx);
  const gone = await tx.delete(suppressions).where(inArray(suppressions.email, emails)).returning();
  for (const row of gone)
    await tx
      .insert(suppressions)
      .values({ ...row, email: hashAddress(salt, row.email) })
      .onConflictDoNothing();
}

async function countQuota(tx: Tx, now: number) {
  const [row] = await tx
    .select({ n: count() })
    .from(suppressionRemovals)
    .where(gt(suppressionRemovals.createdAt, now - QUOTA_MS));
  return { limit: QUOTA, remaining: Math.max(0, QUOTA - Number(row?.n ?? 0)) };
}

async function requireContact(tx: Tx, by: By) {
  const contact = await findContact(tx, by);
  if (!contact) throw new AppError('notFound', 'This contact was not found.');
  return contact;
}

/** Loops' shape. @throws AppError notFound, invalid */
export async function viewSuppression(tx: Tx, by: By, now: number) {
  const { id, email, userId } = await requireContact(tx, by);
  return {
    contact: { id, email, userId },
    isSuppressed: await isSuppressed(tx, email),
    removalQuota: await countQuota(tx, now),
  };
}

/** Lets mail reach the contact's address again. @throws AppError notFound; invalid when it is not suppressed or the quota is used up */
export async function unsuppress(tx: Tx, by: By, now: number) {
  const { email } = await requireContact(tx, by);
  await takeTurn(tx, 'suppression removals');
  const quota = await countQuota(tx, now);
  const gone = await tx
    .delete(suppressions)
    .where(inArray(suppressions.email, await listForms(tx, email)))
    .returning();
  if (!gone.length) throw invalid('This contact is not suppressed.');
  if (quota.remaining === 0) throw invalid('Removal quota exceeded.');
  await tx.insert(suppressionRemovals).values({ id: makeId('rem', now), createdAt: now });
  return {
    success: true,
    message: 'Email removed from suppression list.',
    removalQuota: { ...quota, remaining: quota.remaining - 1 },
  };
}
