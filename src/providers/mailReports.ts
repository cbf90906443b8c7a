import { createHash } from 'node:crypto';
import { pickEmail, pickText, readOwn } from './pick.ts';
import type { EventType } from './provider.ts';

const MAX_RECIPIENTS = 10;
const MAX_ID = 300; // characters

/** An event type of a mail provider. */
export const describeMailEvent = (type: string, description: string): EventType => ({
  type,
  description,
  carriesEmail: 'always',
  deletion: false,
});

/** A Message-ID without its angle brackets, or null. */
export function readMessageId(value: unknown): string | null {
  const bare = pickText(value)?.replace(/^<|>$/g, '') ?? '';
  return /^[\x21-\x7e]+$/.test(bare) && bare.length <= MAX_ID ? bare : null;
}

/** The address in `Ada <ada@example.com>` or `ada@example.com`, in its normal form, or null. */
export function readAddress(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const open = value.lastIndexOf('<');
  const close = value.lastIndexOf('>');
  return pickEmail(open >= 0 && close > open ? value.slice(open + 1, close) : value);
}

/** The addresses of a list, or of one text. */
export function readAddresses(value: unknown): string[] {
  const all: unknown[] = Array.isArray(value) ? value.slice(0, MAX_RECIPIENTS) : [value];
  return [...new Set(all.flatMap(each => readAddress(each) ?? []))];
}

/** Texts of a list or of one text, each on one line, joined; null where there are none. */
export function readWords(value: unknown): string | null {
  const all: unknown[] = Array.isArray(value) ? value.slice(0, MAX_RECIPIENTS) : [value];
  return pickText(
    all
      .flatMap(each => pickText(each) ?? [])
      .join(' ')
      .replace(/\s+/g, ' '),
  );
}

/**
 * What a subject is compared by. The account may be shared with other senders, whose subjects hold one-time codes: none is stored.
 * Null: there is none.
 */
export function hashMailSubject(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const plain = value.toWellFormed().normalize('NFC').replace(/\s+/g, ' ').trim();
  return plain === '' ? null : createHash('sha256').update(plain).digest('hex').slice(0, 32);
}

const DIGEST = /^[0-9a-f]{32}$/;

/** A digest that `redact` left in a stored body. */
export function readDigest(body: unknown, key: string): string | null {
  const value = readOwn(body, key);
  return typeof value === 'string' && DIGEST.test(value) ? value : null;
}
