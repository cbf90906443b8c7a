import type { Config } from '../config.ts';
import { AppError } from '../errors.ts';
import type { Http } from './app.ts';
import { type SentSegments, sentPaths } from './target.ts';

/** Answers in hand go out; whoever keeps a connection open without asking is cut after a while. */
export async function closeServer(server: ReturnType<typeof Bun.serve>): Promise<void> {
  const stopped = server.stop();
  const cut = setTimeout(() => void server.stop(true), 4000);
  await stopped;
  clearTimeout(cut);
}

/** Nothing throws past `createHttp`; if something does, Bun's own page would show source and paths. */
const answerFlat = () =>
  Response.json(
    { success: false, message: 'Something went wrong on our side.' },
    { status: 500, headers: { 'x-request-id': crypto.randomUUID(), 'cache-control': 'no-store' } },
  );

const STREAM = /^[^?#]*\/api\/v1\/stream(\?|$)/;

/** @throws AppError when the port can't be listened on */
export function listen(config: Config, fetch: Http['fetch']) {
  const peerOf = (request: Request, server: Bun.Server<undefined>) => server.requestIP(request)?.address ?? null;
  // The live log is quiet for longer than a connection may be idle.
  const answer = (request: Request, server: Bun.Server<undefined>, sent: SentSegments) => {
    if (STREAM.test(request.url)) server.timeout(request, 60);
    return fetch(request, peerOf(request, server), sent);
  };
  const routed = (request: Bun.BunRequest, server: Bun.Server<undefined>) => answer(request, server, request.params);
  try {
    return Bun.serve({
      hostname: config.host,
      port: config.port,
      maxRequestBodySize: 2 ** 40, // our own limits answer, with a request id; Bun passes over what is not read
      idleTimeout: 10,
      development: false, // its error page shows source and paths
      reusePort: false, // else two servers share a port outside of development
      error: answerFlat,
      routes: Object.fromEntries(sentPaths.map(path => [path, routed])),
      fetch: (request, server) => answer(request, server, null),
    });
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
    const why = taken ? 'is in use by another program' : 'can not be listened on';
    throw new AppError(
      'conflict',
      `${config.host}:${config.port} ${why}. Choose another with --port or INLET_PORT.`,
      error,
    );
  }
}

/** @throws AppError when the port can't be listened on: asked before a first start makes anything */
export async function requirePort(config: Config): Promise<void> {
  await listen(config, async () => answerFlat()).stop(true);
}
