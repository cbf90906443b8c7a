import { eq } from 'drizzle-orm';
import type { Config } from '../config.ts';
import { meta } from '../db/schema.ts';
import { pickKey } from '../db/sql.ts';
import type { Tx } from '../db/store.ts';

export { RESTORED } from '../db/sqlite/backup.ts';

const KEY = 'mail';
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Why the unsubscribe links in mails would lead nowhere, null: they would not, or mails stay on this machine, which is a trial.
 * Gmail and Yahoo want one-click unsubscribing over https (RFC 8058) of whoever writes to many.
 */
export function findUrlTrouble({ publicUrl, smtp }: Config): string | null {
  if (!smtp || smtp.loopback) return null;
  const { hostname, protocol } = new URL(publicUrl);
  if (protocol === 'https:' && !LOOPBACK.test(hostname)) return null;
  const why = LOOPBACK.test(hostname) ? 'leads to this machine only' : 'is not https';
  return `INLET_PUBLIC_URL is ${publicUrl}, which ${why}: unsubscribe links would not work. Mail that is not transactional is held until it is an https address that others reach; set it and restart.`;
}

/** Limits count mails that are not transactional; null: none. */
interface MailSettings {
  /** Nothing goes out; what is queued stays so. */
  paused: boolean;
  /** Why, where it was not the API that paused it. */
  pauseReason: string | null;
  maxPerContactPerDay: number | null;
  maxPerHour: number | null;
}
const DEFAULTS: MailSettings = { paused: false, pauseReason: null, maxPerContactPerDay: 20, maxPerHour: 10_000 };

export async function loadMailSettings(tx: Tx): Promise<MailSettings> {
  const [row] = await tx.select().from(meta).where(eq(meta.key, KEY));
  return { ...DEFAULTS, ...(row ? (JSON.parse(row.value) as Partial<MailSettings>) : {}) };
}

/** Changes what is given. */
export async function setMailSettings(
  tx: Tx,
  change: { [K in keyof MailSettings]?: MailSettings[K] | undefined },
): Promise<MailSettings> {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const settings: MailSettings = {
    ...(await loadMailSettings(tx)),
    ...(change.paused !== undefined && { pauseReason: null }),
    ...given,
  };
  const value = JSON.stringify(settings);
  await tx
    .insert(meta)
    .values({ key: KEY, value })
    .onConflictDoUpdate({ target: pickKey(meta.key), set: { value } });
  return settings;
}
