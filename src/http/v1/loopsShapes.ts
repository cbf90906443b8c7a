import { z } from 'zod';
import type { ContactWrite } from '../../audience/apiWrite.ts';
import { RESERVED_KEYS } from '../../audience/properties.ts';
import type { Scalar } from '../../db/schema.ts';
import { invalid } from '../../errors.ts';

const MAX_TEXT = 500; // characters of any key or value
const MAX_PROPERTIES = 100; // of a contact or an event, in one call

const text = z.string().nullable().optional();
const empty = z.array(z.unknown()).max(0); // PHP's empty object
const value = z.union([z.string(), z.number(), z.boolean()], 'must be text, a number, true or false');

/** What official clients send of a contact: custom properties stand beside these keys, absent things may be null, "", {} or []. */
export const contactFields = {
  email: text,
  userId: text.describe('Your own id of this person'),
  firstName: text,
  lastName: text,
  source: text,
  userGroup: text,
  subscribed: z.boolean().nullable().optional().describe('true subscribes again who had left'),
  mailingLists: z
    .union([z.record(z.string(), z.boolean()), empty], 'must be an object of list ids, each true or false')
    .nullable()
    .optional(),
};
export const property = value.nullable().describe('A contact property; null removes it');
export const contactBody = z.object(contactFields).catchall(property);

/** Also PHP's empty array. */
export const eventProperties = z
  .union([z.record(z.string(), value.nullable()), empty], 'must be an object of text, numbers, true and false')
  .nullable()
  .optional();

/** Loops' bound on keys and values. @throws AppError invalid */
export function requireShort(body: Record<string, unknown>): void {
  const long = (each: unknown) => typeof each === 'string' && each.length > MAX_TEXT;
  for (const [key, inner] of Object.entries(body)) {
    const nested = typeof inner === 'object' && inner !== null ? Object.entries(inner).flat() : [];
    if ([key, inner, ...nested].some(long)) throw invalid('Some body key or value is longer than allowable');
  }
}

const trimGiven = (each: string | null | undefined) => each?.trim() || undefined;
type ContactBody = z.output<typeof contactBody>;

/** A body as a write; null and "" of address and user id are none, keys that Loops answers but nobody sets are passed over. */
export function writeOf(body: ContactBody, except: readonly string[] = []): ContactWrite {
  const { email, userId, firstName, lastName, source, userGroup, subscribed, mailingLists } = body;
  const custom = Object.entries(body).filter(([key]) => !RESERVED_KEYS.has(key) && !except.includes(key));
  if (custom.length > MAX_PROPERTIES) throw invalid(`body: at most ${MAX_PROPERTIES} contact properties at once.`);
  return {
    email: trimGiven(email),
    userId: trimGiven(userId),
    firstName,
    lastName,
    source: source ?? undefined,
    userGroup: userGroup === null ? '' : userGroup,
    subscribed: subscribed ?? undefined,
    mailingLists: { ...mailingLists } as Record<string, boolean>,
    properties: Object.fromEntries(custom) as Record<string, Scalar | null>,
  };
}

/** Event properties with trimmed names, without nulls. @throws AppError invalid */
export function collectEventProperties(body: z.output<typeof eventProperties>): Record<string, Scalar> {
  const out = new Map<string, Scalar>();
  for (const [key, each] of Object.entries(body ?? {})) {
    const name = key.trim();
    if (each === null) continue;
    if (!name || out.has(name))
      throw invalid(`eventProperties.${name.slice(0, 60)}: names must be unique and not empty.`);
    out.set(name, each as Scalar);
  }
  if (out.size > MAX_PROPERTIES) throw invalid(`eventProperties: at most ${MAX_PROPERTIES} at once.`);
  return Object.fromEntries(out);
}
