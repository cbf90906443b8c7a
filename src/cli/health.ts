import type { Config } from '../config.ts';
import { loadSecretKey } from '../db/files.ts';
import { makeAuthorization } from '../http/auth.ts';
import { makeSealer } from '../sealing.ts';
import type { Invocation } from './command.ts';
import { readInvocationConfig } from './open.ts';

const TIMEOUT_MS = 3000;

/** Where a server with this configuration answers on this host. */
export function buildLocalUrl({ host, port }: Config): string {
  if (host === '0.0.0.0') return `http://127.0.0.1:${port}`;
  if (host === '::') return `http://[::1]:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The running server's `/health`: status and JSON body, with the details if `authorization` is good. Null: nobody answers. */
export async function askHealth(
  url: string,
  authorization?: string,
): Promise<{ status: number; body: Record<string, unknown> } | null> {
  try {
    const answer = await fetch(`${url}/health`, {
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(authorization !== undefined && { headers: { authorization } }),
    });
    const body: unknown = await answer.json().catch(() => ({}));
    return { status: answer.status, body: typeof body === 'object' && body !== null ? { ...body } : {} };
  } catch {
    return null;
  }
}

/** The same of the server on this host, with the details if it was started with the sealing key that this command has. */
export async function askServer(config: Config): ReturnType<typeof askHealth> {
  const url = buildLocalUrl(config);
  try {
    const answer = await askHealth(url, makeAuthorization(makeSealer(loadSecretKey(config))));
    return answer?.status === 401 || answer?.status === 429 ? await askHealth(url) : answer;
  } catch {
    return askHealth(url); // no key at hand: another check says so
  }
}

export async function printHealth(i: Invocation): Promise<number> {
  const url = buildLocalUrl(readInvocationConfig(i));
  const answer = await askHealth(url);
  if (answer?.status === 200) {
    i.io.out(`ok: ${url}`);
    return 0;
  }
  i.io.err(
    answer
      ? `inlet: ${url} answers ${answer.status}. See inlet doctor and the log.`
      : `inlet: no server answers on ${url}.`,
  );
  return 1;
}
