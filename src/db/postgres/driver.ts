import { drizzle } from 'drizzle-orm/sqlite-proxy';
import type { Run } from '../prepared.ts';
import * as schema from '../schema.ts';
import { dialects, direct, type Tx } from '../store.ts';

const placeholders = new Map<string, string>();
const MAX_TEXTS = 2000;

/** `?` becomes `$1`, `$2`, … outside of quotes. */
export function numberPlaceholders(text: string): string {
  let known = placeholders.get(text);
  if (known === undefined) {
    let n = 0;
    known = text.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|\?/g, part => (part === '?' ? `$${++n}` : part));
    if (placeholders.size >= MAX_TEXTS) placeholders.clear();
    placeholders.set(text, known);
  }
  return known;
}

/** As text without a type, so that the server takes the column's; it can't store NUL or half of a surrogate pair. */
function encode(value: unknown): unknown {
  if (typeof value === 'string')
    return value.includes('\0') ? value.replaceAll('\0', '\uFFFD').toWellFormed() : value.toWellFormed();
  if (typeof value === 'number') return String(value);
  return typeof value === 'boolean' ? (value ? '1' : '0') : value;
}

export function encodeAll(params: unknown[]): unknown[] {
  const out = new Array<unknown>(params.length);
  for (let i = 0; i < params.length; i++) out[i] = encode(params[i]);
  return out;
}

/** Drizzle over a function that runs statements. */
export function wrapInDrizzle(run: Run): Tx {
  const tx = drizzle(
    async (text, params, method) => {
      const rows = await run(text, params, method !== 'run');
      return { rows: method === 'get' ? rows[0]! : rows };
    },
    { schema },
  );
  direct.set(tx, run);
  dialects.set(tx, 'postgres');
  return tx;
}
