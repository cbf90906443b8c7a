import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { parseTarget, Refused, type Resolve, resolveAddresses } from '../net/target.ts';
import { escapeControls } from '../plainName.ts';

const DEADLINE_MS = 15_000; // look-up, connecting, TLS, headers and body together
const BODY_MS = 3000; // of that, at most, for the body: it is only shown
const MAX_BODY = 65_536; // bytes of an answer that are read at most
const SHOWN = 500; // characters of it that are kept
const NEXT_ADDRESS = new Set(['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'ENETDOWN']);

/** What came of one POST. `error` is null exactly when the receiver took it (2xx). */
export interface Outcome {
  status: number | null;
  ms: number;
  /** The first 500 characters of the answer, control characters escaped. */
  answer: string | null;
  /** A sentence of our own. */
  error: string | null;
  /** As the receiver sent it. */
  retryAfter: string | null;
}

interface Post {
  url: string;
  body: string;
  headers: Record<string, string>;
  allowPrivate: boolean;
  resolve: Resolve;
  /** Ends it early. */
  signal: AbortSignal;
}

const readCode = (error: unknown) =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Why nothing came back, without a foreign word in it. */
function describeFailure(error: unknown, stopped: boolean): string {
  if (error instanceof Refused) return `Not sent: the url ${error.message}`;
  if (stopped) return 'Inlet was stopped before an answer came.';
  const code = readCode(error);
  if (/^(ENOTFOUND|ENODATA|EAI_|ESERVFAIL|DNS_|ECANCELLED|EBADNAME)/.test(code))
    return 'The host name has no address. Check its spelling and DNS.';
  if (code === 'ETIMEOUT') return 'The look-up of the host name took too long.';
  if (code === 'ECONNREFUSED') return 'Nothing listens there: the connection was refused.';
  if (/^(ECONNRESET|EPIPE|ECONNABORTED)$/.test(code)) return 'The receiver closed the connection before an answer.';
  if (/^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|ENETDOWN|ETIMEDOUT)$/.test(code))
    return 'The receiver can not be reached.';
  if (/CERT|SIGNATURE|ISSUER|ALTNAME/.test(code))
    return `The receiver's TLS certificate is not valid for its host (${code}).`;
  if (/^(ERR_SSL|ERR_TLS|EPROTO)/.test(code)) return 'The TLS handshake failed.';
  if (code.startsWith('HPE_')) return 'What came back is not HTTP.';
  if (error instanceof Error && /^(AbortError|TimeoutError)$/.test(error.name))
    return `No answer within ${DEADLINE_MS / 1000} seconds.`;
  return 'The call failed on its way; the log has the cause.';
}

/** The start of an answer, to be shown as text; compressed ones are not opened. */
function showAnswer(response: IncomingMessage, chunks: Buffer[]): string {
  const encoding = response.headers['content-encoding'];
  if (encoding && encoding !== 'identity') return '(compressed; not opened)';
  const text = new TextDecoder().decode(Buffer.concat(chunks).subarray(0, SHOWN * 4));
  return [...escapeControls(text)].slice(0, SHOWN).join('');
}

/** Reads what is to be shown, then hangs up on whoever sends on. Never throws: an answer counts by its status. */
function readBody(response: IncomingMessage): Promise<Buffer[]> {
  return new Promise(resolve => {
    const chunks: Buffer[] = [];
    let size = 0;
    const end = () => {
      clearTimeout(timer);
      response.destroy();
      resolve(chunks);
    };
    const timer = setTimeout(end, BODY_MS);
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size >= MAX_BODY) end();
    });
    for (const event of ['end', 'error', 'close', 'aborted']) response.on(event, end);
  });
}

/** One request to one address that was checked; the certificate must be that of the URL's host. @throws as node:http does */
function ask(url: URL, address: string, post: Post, signal: AbortSignal): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:';
  const named = isIP(url.hostname.replace(/^\[|\]$/g, '')) === 0;
  return new Promise((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)({
      host: address,
      port: url.port || (secure ? 443 : 80),
      path: url.pathname + url.search,
      method: 'POST',
      headers: { ...post.headers, host: url.host, 'content-length': Buffer.byteLength(post.body) },
      agent: false, // a connection of its own, past any proxy in the environment
      signal,
      ...(secure && { rejectUnauthorized: true, ...(named && { servername: url.hostname.replace(/\.$/, '') }) }),
    });
    request.on('error', reject);
    request.on('response', resolve);
    request.on('upgrade', (_, socket) => {
      socket.destroy();
      reject(Object.assign(new Error('switched protocols unasked'), { code: 'HPE_UPGRADE' }));
    });
    request.end(post.body);
  });
}

/** The first address that takes a connection answers; an error before that has sent nothing. */
async function askAny(url: URL, addresses: string[], post: Post, signal: AbortSignal): Promise<IncomingMessage> {
  for (const [i, address] of addresses.entries()) {
    try {
      return await ask(url, address, post, signal);
    } catch (error) {
      if (i === addresses.length - 1 || !NEXT_ADDRESS.has(readCode(error))) throw error;
    }
  }
  throw new Error('no address');
}

function judgeStatus(status: number): string | null {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400)
    return `The receiver redirects (${status}), which is not followed. Set the url to where it leads.`;
  if (status === 410) return 'The receiver answered 410 Gone: it wants no more calls.';
  return `The receiver answered ${status}.`;
}

/** POSTs once: checked address, no redirects, no proxy, no inflation, bounded answer, one deadline. Never throws; `failed` hears the cause. */
export async function send(post: Post, failed: (error: unknown) => void = () => {}): Promise<Outcome> {
  const started = performance.now();
  const elapsed = () => Math.round(performance.now() - started);
  const signal = AbortSignal.any([post.signal, AbortSignal.timeout(DEADLINE_MS)]);
  const over = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason)); // even where node:http would wait on
  });
  const answered = async () => {
    const url = parseTarget(post.url, post.allowPrivate);
    const addresses = await resolveAddresses(url, post.allowPrivate, post.resolve);
    return askAny(url, addresses, post, signal);
  };
  try {
    const response = await Promise.race([answered(), over]);
    const status = response.statusCode ?? 0;
    const answer = showAnswer(response, await readBody(response));
    return {
      status,
      ms: elapsed(),
      answer,
      error: judgeStatus(status),
      retryAfter: response.headers['retry-after'] ?? null,
    };
  } catch (error) {
    failed(error);
    const sentence = describeFailure(error, post.signal.aborted);
    return { status: null, ms: elapsed(), answer: null, error: sentence, retryAfter: null };
  }
}
