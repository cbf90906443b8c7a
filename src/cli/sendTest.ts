import { desc, eq } from 'drizzle-orm';
import type { Config } from '../config.ts';
import { endpoints, secrets } from '../db/schema.ts';
import type { Store } from '../db/store.ts';
import { AppError, invalid, notFound } from '../errors.ts';
import { makeSecretContext } from '../inbound/sealContexts.ts';
import { suggestWord } from '../nearest.ts';
import { findProvider } from '../providers/index.ts';
import type { Sealer } from '../sealing.ts';
import type { Invocation } from './command.ts';
import { buildLocalUrl } from './health.ts';
import { openSealer, readInvocationConfig, useStore } from './open.ts';
import { stripControls } from './print.ts';

const TIMEOUT_MS = 15_000;

/** A sample as the provider would send it, signed with the endpoint's newest secret. */
async function makeSample(config: Config, store: Store, id: string, type: string, email: string) {
  const sealer = await openSealer(config, store);
  const { row, sealed } = await store.read(async tx => {
    const [row] = await tx.select().from(endpoints).where(eq(endpoints.id, id));
    const newestFirst = [desc(secrets.createdAt), desc(secrets.id)];
    const [sealed] = await tx
      .select()
      .from(secrets)
      .where(eq(secrets.endpointId, id))
      .orderBy(...newestFirst)
      .limit(1);
    return { row, sealed };
  });
  const provider = row && findProvider(row.provider);
  if (!row || !provider) throw notFound('Endpoint');
  const types = provider.types.map(t => t.type);
  if (!types.includes(type))
    throw invalid(`${provider.name} has no event type ${type.slice(0, 60)}.${suggestWord(type, types)}`);
  if (!sealed) throw invalid(`This endpoint has no signing secret yet. Add it: inlet endpoints set-secret ${id}`);
  const now = Date.now();
  const body = JSON.stringify(provider.sample(type, email, now));
  const headers = provider.sign(
    body,
    openSecret(sealer, sealed.sealed, makeSecretContext(sealed.id, id)),
    provider.settings.parse(row.settings),
    now,
  );
  return { body, headers };
}

function openSecret(sealer: Sealer, sealed: string, context: string): string {
  try {
    return sealer.open(sealed, context);
  } catch (error) {
    throw new AppError(
      'conflict',
      'The stored secret can not be opened. After an upgrade start the server once; else add the secret again: inlet endpoints set-secret ID',
      error,
    );
  }
}

/** Exit code 0 when the server accepted it. */
export async function sendTest(i: Invocation): Promise<number> {
  const [id = '', type = ''] = i.args;
  const config = readInvocationConfig(i);
  const email = i.options.email ?? 'test@example.com';
  const { body, headers } = await useStore(config, store => makeSample(config, store, id, type, email));
  const url = `${buildLocalUrl(config)}/webhooks/${id}`;
  let answer: Response;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new AppError(
      'unavailable',
      `No server answers on ${buildLocalUrl(config)}. Start it first, or pass the --host and --port it has.`,
    );
  }
  i.io.out(`${answer.status} ${stripControls(await answer.text())}`);
  return answer.ok ? 0 : 1;
}
