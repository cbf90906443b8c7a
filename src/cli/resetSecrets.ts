import { eq } from 'drizzle-orm';
import { loadSecretKey, replaceKey } from '../db/files.ts';
import { meta } from '../db/schema.ts';
import { takeLock } from '../db/sqlite/lock.ts';
import { resetSecrets } from '../inbound/endpoints.ts';
import { forgetSubscriptionSecrets } from '../outgoing/subscriptions.ts';
import { makeSealer } from '../sealing.ts';
import type { Invocation } from './command.ts';
import { writeNoted } from './noteChange.ts';
import { FINGERPRINT, readInvocationConfig, requireData, useStore } from './open.ts';

/** Servers must be stopped, they would go on with the old key: the lock proves it of a data folder; on PostgreSQL it is up to the user. */
export async function resetAll(i: Invocation): Promise<number> {
  const config = readInvocationConfig(i);
  const own = config.databaseUrl === null;
  if (own) requireData(config);
  const lock = own ? takeLock(config.dataDir) : null;
  try {
    const key = own ? (config.secretKey ?? replaceKey(config, Date.now())) : loadSecretKey(config);
    const { fingerprint } = makeSealer(key);
    await useStore(config, store =>
      writeNoted(store, { action: 'secrets.reset' }, async tx => {
        await resetSecrets(tx);
        await forgetSubscriptionSecrets(tx);
        await tx.update(meta).set({ value: fingerprint }).where(eq(meta.key, FINGERPRINT));
      }),
    );
    i.io.out(`All signing secrets are forgotten; the sealing key is now ${fingerprint}.`);
    i.io.out('Start the server, then for each of "inlet endpoints list": inlet endpoints set-secret ID');
    return 0;
  } finally {
    lock?.release();
  }
}
