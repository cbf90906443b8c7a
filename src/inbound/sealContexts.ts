import { eq, isNotNull } from 'drizzle-orm';
import { endpoints, meta, secrets } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { findProvider } from '../providers/index.ts';
import type { Provider } from '../providers/provider.ts';
import type { Sealer } from '../sealing.ts';

const MARKER = 'sealContexts';
const EDITION = '2';

/** A signing secret opens at its own endpoint only: who can write the database can't move it to another. */
export const makeSecretContext = (secretId: string, endpointId: string): string => `${secretId} ${endpointId}`;

/** An API key opens only beside the address it may be sent to. */
export const makeApiKeyContext = (
  endpointId: string,
  { movesWith }: Pick<Provider, 'movesWith'>,
  settings: Record<string, unknown>,
): string => `${endpointId} ${movesWith.map(key => settings[key] ?? '').join(' ')}`;

/** Seals again, once, what an older version sealed with the id of its row alone. Afterwards only the contexts above open. */
export async function resealOnce(tx: Tx, sealer: Sealer): Promise<void> {
  const [done] = await tx.select().from(meta).where(eq(meta.key, MARKER));
  if (done) return;
  for (const { id, endpointId, sealed } of await tx.select().from(secrets)) {
    const again = reseal(sealer, sealed, id, makeSecretContext(id, endpointId));
    if (again !== null) await tx.update(secrets).set({ sealed: again }).where(eq(secrets.id, id));
  }
  for (const row of await tx.select().from(endpoints).where(isNotNull(endpoints.sealedApiKey))) {
    const provider = findProvider(row.provider);
    if (!provider) continue;
    const again = reseal(sealer, row.sealedApiKey ?? '', row.id, makeApiKeyContext(row.id, provider, row.settings));
    if (again !== null) await tx.update(endpoints).set({ sealedApiKey: again }).where(eq(endpoints.id, row.id));
  }
  await tx.insert(meta).values({ key: MARKER, value: EDITION }).onConflictDoNothing();
}

/** Null: not sealed in the old context; a command of this version may have sealed it before the first start. */
function reseal(sealer: Sealer, sealed: string, before: string, context: string): string | null {
  try {
    return sealer.seal(sealer.open(sealed, before), context);
  } catch {
    return null;
  }
}
