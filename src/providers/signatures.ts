import { createHash, timingSafeEqual } from 'node:crypto';
import type { Webhook } from 'svix';
import { type Parsed, type RawRequest, type Secret, Unverified } from './provider.ts';

const WINDOW_SECONDS = 300;
const MAX_SIGNATURES = 8;
const MIN_SECRET_BYTES = 24;
const MAX_DEPTH = 64;
const MAX_TOKENS = 50_000;
const BYTES_PER_TOKEN = 2; // only bare digits and empty brackets are denser, and no event is made of those
const MAX_REENCODED_BYTES = 65_536;

export const computeHmac = (key: string | Uint8Array, ...parts: (string | Uint8Array)[]): Uint8Array => {
  const hasher = new Bun.CryptoHasher('sha256', key);
  for (const part of parts) hasher.update(part);
  return hasher.digest();
};

/** Bytes of strict hex, null for any other alphabet or an odd length (Buffer.from would cut silently). */
export const decodeHex = (text: string): Uint8Array | null =>
  /^(?:[0-9a-f]{2})+$/i.test(text) ? Buffer.from(text, 'hex') : null;

/** Bytes of strict standard base64 with or without padding, null for anything else. */
export function decodeBase64(text: string): Uint8Array | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '') ? bytes : null;
}

const areBytesEqual = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Compares texts of any length in constant time, by their hashes. */
export const areTextsEqual = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());

/** A header that must be there once. Two of it arrive joined by ", ", which none of our signature headers holds by itself. */
export function readOneHeader(req: RawRequest, name: string): string {
  const value = Object.hasOwn(req.headers, name) ? req.headers[name] : undefined;
  if (value === undefined || value === '') throw new Unverified('missingHeader', `no ${name} header`);
  if (value.includes(', ')) throw new Unverified('doubledHeader', `the ${name} header came more than once`);
  return value;
}

/** Unix seconds of digits only. */
export function parseUnixSeconds(text: string, header: string): number {
  if (!/^\d{1,12}$/.test(text))
    throw new Unverified('malformed', `the timestamp in ${header} is not a Unix time in seconds`);
  return Number(text);
}

export const filterUsable = (secrets: Secret[]): Secret[] =>
  secrets.filter(s => Buffer.byteLength(s.value) >= MIN_SECRET_BYTES);

/** The signatures to examine, at most eight: a header full of them must cost no more. */
export const limitSignatures = (signatures: string[]): string[] => signatures.slice(0, MAX_SIGNATURES);

interface Check {
  body: Uint8Array;
  secrets: Secret[];
  /** Unix seconds of the sender. */
  sentAt: number;
  /** ms since 1970. */
  now: number;
  signatures: Uint8Array[];
  /** What the right signatures of this body under this secret are. */
  expected(secret: string, body: Uint8Array): Uint8Array[];
}

/** The secret that signed the body. The time is judged last, so that a right signature with a wrong time can be told. */
export function findSigner(check: Check): Secret {
  const { body, signatures } = check;
  const signed = (bytes: Uint8Array) =>
    filterUsable(check.secrets).find(secret =>
      check.expected(secret.value, bytes).some(right => signatures.some(given => areBytesEqual(right, given))),
    );
  const signer = signed(body);
  if (!signer) {
    throw new Unverified('badSignature', 'no signature matches a secret of this endpoint', undefined, () => {
      const how = listReencodings(body).find(({ bytes }) => signed(bytes) !== undefined)?.how;
      return how ? `the body was re-encoded on the way (${how})` : null;
    });
  }
  const skew = check.sentAt - Math.floor(check.now / 1000);
  if (Math.abs(skew) > WINDOW_SECONDS) {
    const side = skew < 0 ? 'behind' : 'ahead of';
    throw new Unverified('clockSkew', `timestamp ${Math.abs(skew)} s ${side} our clock`, skew);
  }
  return signer;
}

/** What a careless proxy or framework may have made of the body; tried only to name the cause, never to accept. */
function listReencodings(body: Uint8Array): { how: string; bytes: Uint8Array }[] {
  if (body.length > MAX_REENCODED_BYTES || body.length === 0) return [];
  const text = Buffer.from(body).toString('utf8');
  const out = [
    { how: 'white space was added at its end', bytes: Buffer.from(text.trimEnd()) },
    { how: 'a line end was lost', bytes: Buffer.from(`${text}\n`) },
  ];
  const { json } = parseBody(body);
  if (json === undefined) return out;
  out.push({ how: 'JSON was parsed and written again', bytes: Buffer.from(JSON.stringify(json)) });
  out.push({ how: 'JSON was parsed and written again', bytes: Buffer.from(JSON.stringify(json, null, 2)) });
  return out;
}

/** Why the bytes must not be parsed, or null. One pass: JavaScript's parser itself has no limit on depth. */
function findExcess(bytes: Uint8Array, maxTokens: number): string | null {
  let depth = 0;
  let tokens = 0;
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i];
    if (c === 0x22) {
      for (i++; i < bytes.length && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
      tokens++;
    } else if (c === 0x7b || c === 0x5b) {
      tokens++;
      if (++depth > MAX_DEPTH) return `nested deeper than ${MAX_DEPTH} levels`;
    } else if (c === 0x7d || c === 0x5d) depth--;
    else if (c === 0x2c || c === 0x3a) tokens++;
    if (tokens > maxTokens) return `more than ${maxTokens} values`;
  }
  return null;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** JSON of verified bytes, bounded in depth and tokens. `problem` says why there is none. Never throws. */
export function parseJson(bytes: Uint8Array, maxTokens = MAX_TOKENS): Parsed {
  const much = findExcess(bytes, maxTokens);
  if (much) return { problem: `the JSON is ${much}` };
  try {
    const text = strict.decode(bytes);
    return { json: JSON.parse(text) as unknown, text };
  } catch (error) {
    return { problem: error instanceof SyntaxError ? 'the body is not JSON' : 'the body is not valid UTF-8' };
  }
}

/** The JSON of a webhook: the larger a body its endpoint accepts, the more values it may hold. */
export const parseBody = (bytes: Uint8Array) =>
  parseJson(bytes, Math.max(MAX_TOKENS, Math.floor(bytes.length / BYTES_PER_TOKEN)));

interface StandardHeaders {
  id: string;
  sentAt: number;
  signatures: Uint8Array[];
}

/** The three headers of Svix and Standard Webhooks: `v1,<base64>` entries separated by spaces; other versions are passed over. */
export function readStandardHeaders(req: RawRequest, prefixes: string[]): StandardHeaders {
  const prefix = prefixes.find(p => Object.hasOwn(req.headers, `${p}-signature`)) ?? prefixes[0];
  const id = readOneHeader(req, `${prefix}-id`);
  const sentAt = parseUnixSeconds(readOneHeader(req, `${prefix}-timestamp`), `${prefix}-timestamp`);
  const header = readOneHeader(req, `${prefix}-signature`);
  if (!/^[\x21-\x7e]{1,255}$/.test(id)) throw new Unverified('malformed', `the ${prefix}-id header is not an id`);
  const signatures = limitSignatures(header.split(' ')).flatMap(entry => {
    const bytes = entry.startsWith('v1,') ? decodeBase64(entry.slice(3)) : null;
    return bytes ? [bytes] : [];
  });
  if (!signatures.length) throw new Unverified('malformed', `the ${prefix}-signature header holds no v1 signature`);
  return { id, sentAt, signatures };
}

/** Who signed by the rules of Svix: HMAC-SHA256 over `id.timestamp.body`, the key is what follows `whsec_`, base64-decoded. `now` in ms. @throws Unverified */
export function findSvixSigner(req: RawRequest, secrets: Secret[], now: number) {
  const { id, sentAt, signatures } = readStandardHeaders(req, ['svix', 'webhook']);
  const expected = (secret: string, body: Uint8Array) => {
    const key = decodeBase64(secret.replace(/^whsec_/, ''));
    return key ? [computeHmac(key, `${id}.${sentAt}.`, body)] : [];
  };
  return { id, sentAt, signer: findSigner({ body: req.body, secrets, sentAt, now, signatures, expected }) };
}

/** Signs with the provider's own package; `prefix` is `svix` or `webhook`, `now` in ms. */
export function signStandard(
  prefix: string,
  webhook: Webhook,
  messageId: string,
  body: string,
  now: number,
): Record<string, string> {
  const seconds = Math.floor(now / 1000);
  return {
    [`${prefix}-id`]: messageId,
    [`${prefix}-timestamp`]: String(seconds),
    [`${prefix}-signature`]: webhook.sign(messageId, new Date(seconds * 1000), body),
  };
}
