const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';
const pool = new Uint8Array(4096);
let used = pool.length;
let lastMs = 0;
let counter = 0;

function encodeBase36(value: number, length: number): string {
  return value.toString(36).padStart(length, '0').slice(-length);
}

/** Random base-36 text from the system's secure generator; 25 characters carry 128 bits. */
export function makeRandomText(length: number): string {
  let out = '';
  while (out.length < length) {
    if (used === pool.length) {
      crypto.getRandomValues(pool); // in bulk: asking for a few bytes each time costs more than using them
      used = 0;
    }
    const byte = pool[used++] ?? 255;
    if (byte < 252) out += ALPHABET[byte % 36]; // 252 = 7 × 36: no letter is likelier
  }
  return out;
}

/**
 * Prefixed id that sorts by creation: 9 characters of ms, 4 of a per-process counter, then 11 random ones (56 bits).
 * Never steps back while the process lives, even when the clock does.
 */
export function makeId(prefix: string, now = Date.now()): string {
  if (now > lastMs) {
    lastMs = now;
    counter = 0;
  } else counter++;
  return `${prefix}_${encodeBase36(lastMs, 9)}${encodeBase36(counter, 4)}${makeRandomText(11)}`;
}

/** An endpoint id is part of a public URL, so it is all random: 128 bits, no time. */
export const makeEndpointId = () => `ep_${makeRandomText(25)}`;

/** The smallest id a row made at `ms` could have: lets a primary key answer "older than". */
export const makeIdAt = (prefix: string, ms: number) => `${prefix}_${encodeBase36(Math.max(0, ms), 9)}`;
