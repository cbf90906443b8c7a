import { eq } from 'drizzle-orm';
import { meta } from '../db/schema.ts';
import { onKey } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';

const KEY = 'mail';

/** `paused`: nothing goes out; what is queued stays so. */
export interface MailSettings {
  paused: boolean;
}

export async function mailSettings(tx: Tx): Promise<MailSettings> {
  const [row] = await tx.select().from(meta).where(eq(meta.key, KEY));
  return { paused: false, ...(row ? (JSON.parse(row.value) as Partial<MailSettings>) : {}) };
}

export async function setMailSettings(tx: Tx, settings: MailSettings): Promise<void> {
  const value = JSON.stringify(settings);
  await tx
    .insert(meta)
    .values({ key: KEY, value })
    .onConflictDoUpdate({ target: onKey(meta.key), set: { value } });
}
