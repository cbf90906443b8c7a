import { eq } from 'drizzle-orm';
import { replaceKey } from '../db/files.ts';
import { takeLock } from '../db/lock.ts';
import { meta } from '../db/schema.ts';
import { resetSecrets } from '../inbound/endpoints.ts';
import { makeSealer } from '../sealing.ts';
import type { Invocation } from './command.ts';
import { configOf, FINGERPRINT, requireData, withStore } from './open.ts';

/** Needs the lock: a running server would go on with the old key. */
export async function resetAll(i: Invocation): Promise<number> {
  const config = configOf(i);
  requireData(config);
  const lock = takeLock(config.dataDir);
  try {
    const { fingerprint } = makeSealer(config.secretKey ?? replaceKey(config, Date.now()));
    await withStore(config, store =>
      store.write(async tx => {
        await resetSecrets(tx);
        await tx.update(meta).set({ value: fingerprint }).where(eq(meta.key, FINGERPRINT));
      }),
    );
    i.io.out(`All signing secrets are forgotten; the sealing key is now ${fingerprint}.`);
    i.io.out('Start the server, then for each of "inlet endpoints list": inlet endpoints set-secret ID');
    return 0;
  } finally {
    lock.release();
  }
}
