import { eq } from 'drizzle-orm';
import { meta } from '../db/schema.ts';
import { onKey } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';

const KEY = 'mail';

/** Limits count mails that are not transactional; null: none. */
export interface MailSettings {
  /** Nothing goes out; what is queued stays so. */
  paused: boolean;
  maxPerContactPerDay: number | null;
  maxPerHour: number | null;
}
const DEFAULTS: MailSettings = { paused: false, maxPerContactPerDay: 20, maxPerHour: 10_000 };

export async function mailSettings(tx: Tx): Promise<MailSettings> {
  const [row] = await tx.select().from(meta).where(eq(meta.key, KEY));
  return { ...DEFAULTS, ...(row ? (JSON.parse(row.value) as Partial<MailSettings>) : {}) };
}

/** Changes what is given. */
export async function setMailSettings(
  tx: Tx,
  change: { [K in keyof MailSettings]?: MailSettings[K] | undefined },
): Promise<MailSettings> {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const settings: MailSettings = { ...(await mailSettings(tx)), ...given };
  const value = JSON.stringify(settings);
  await tx
    .insert(meta)
    .values({ key: KEY, value })
    .onConflictDoUpdate({ target: onKey(meta.key), set: { value } });
  return settings;
}
