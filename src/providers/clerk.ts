import { randomUUID } from 'node:crypto';
import { Webhook } from 'svix';
import { z } from 'zod';
import { invalid } from '../errors.ts';
import { apiKey, apiUrl, getJson, listOf, PER_PAGE } from './api.ts';
import { at, email, id, msOfNumber, own, text } from './pick.ts';
import type { Backfill, EventType, Fact, Ignored, Provider, RawRequest, Secret, Seen } from './provider.ts';
import { findSigner, fromBase64, hmacSha256, parseJson, standardHeaders } from './signatures.ts';

const settings = z.object({
  verifiedOnly: z.boolean().default(false).describe('Take only addresses that Clerk has verified'),
  skipTestUsers: z.boolean().default(false).describe('Ignore addresses with +clerk_test'),
  apiKey: apiKey('Secret key (sk_…) of the instance, for back-fills'),
  apiBase: apiUrl.describe('Where the API is, instead of https://api.clerk.com'),
});
type Settings = z.infer<typeof settings>;

const types: EventType[] = [
  { type: 'user.created', description: 'A user signed up', carriesEmail: 'usually', deletion: false },
  {
    type: 'user.updated',
    description: 'Something about a user changed',
    carriesEmail: 'usually',
    deletion: false,
    silentWhenUnchanged: true,
  },
  { type: 'user.deleted', description: 'A user was deleted', carriesEmail: 'never', deletion: true },
  {
    type: 'waitlistEntry.created',
    description: 'Somebody joined the waitlist',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'waitlistEntry.updated',
    description: 'A waitlist entry was invited, completed or rejected',
    carriesEmail: 'always',
    deletion: false,
  },
];
const SUPPORTED = new Set(types.map(each => each.type));

const setup = [
  'In the Clerk dashboard choose the instance (Development or Production) → Configure → Webhooks → Add Endpoint.',
  'Paste {url} exactly: redirects are not followed.',
  'Subscribe to user.created, user.updated, user.deleted, waitlistEntry.created and waitlistEntry.updated → Create.',
  "Copy the Signing Secret (whsec_…) from the endpoint's page and bring it back to Inlet.",
  'The other instance needs an endpoint of its own: it has another secret.',
  "Optional: set the instance's secret key (Configure → API keys) as settings.apiKey, so that a back-fill can read the users you have already.",
];

/** Svix: HMAC-SHA256 over `id.timestamp.body`, the key is what follows `whsec_`, base64-decoded (docs.svix.com/receiving). */
function verify(req: RawRequest, secrets: Secret[], _settings: Settings, now: number): Seen {
  const { id: messageId, sentAt, signatures } = standardHeaders(req, ['svix', 'webhook']);
  const expected = (secret: string, body: Uint8Array) => {
    const key = fromBase64(secret.replace(/^whsec_/, ''));
    return key ? [hmacSha256(key, `${messageId}.${sentAt}.`, body)] : [];
  };
  const signer = findSigner({ body: req.body, secrets, sentAt, now, signatures, expected });
  const { json, problem } = parseJson(req.body);
  const time = msOfNumber(own(json, 'timestamp')) ?? sentAt * 1000;
  return { secretId: signer.id, externalId: messageId, type: text(own(json, 'type')) ?? '', at: time, json, problem };
}

function redact(body: unknown): unknown {
  const data = own(body, 'data');
  const secret = ['private_metadata', 'password', 'password_digest', 'totp_secret', 'backup_codes'];
  if (typeof data !== 'object' || data === null || !secret.some(key => Object.hasOwn(data, key))) return body;
  const kept = Object.entries(data).filter(([key]) => !secret.includes(key));
  return { ...Object(body), data: Object.fromEntries(kept) };
}

/** The entry that `primary_email_address_id` names; else the first verified one; else none. */
function primaryEmail(data: unknown, verifiedOnly: boolean): string | null {
  const all = own(data, 'email_addresses');
  if (!Array.isArray(all)) return null;
  const isVerified = (entry: unknown) => at(entry, 'verification.status') === 'verified';
  const primaryId = own(data, 'primary_email_address_id');
  const primary: unknown = primaryId ? all.find(entry => own(entry, 'id') === primaryId) : undefined;
  const chosen: unknown = primary ?? all.find(isVerified);
  return chosen === undefined || (verifiedOnly && !isVerified(chosen)) ? null : email(own(chosen, 'email_address'));
}

function read(body: unknown, set: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const { type } = seen;
  if (!SUPPORTED.has(type))
    return { ignored: `Ignored: "${type}" is not an event type Inlet applies. Untick it in Clerk to save traffic.` };
  const data = own(body, 'data');
  const user = type.startsWith('user.');
  const userId = user ? id(own(data, 'id')) : null;
  if (user && userId === null) return { ignored: 'Ignored: the event holds no user id (data.id).' };
  const deletion = type === 'user.deleted';
  const found = user ? primaryEmail(data, set.verifiedOnly) : email(own(data, 'email_address'));
  if (set.skipTestUsers && found?.split('@')[0]?.includes('+clerk_test')) {
    return { ignored: 'Ignored: a test user of Clerk (+clerk_test), and settings.skipTestUsers is on.' };
  }
  const external = (Array.isArray(own(data, 'external_accounts')) ? own(data, 'external_accounts') : []) as unknown[];
  const fill = (key: string) => external.map(each => text(own(each, key))).find(value => value !== null) ?? null;
  return {
    authority: user ? 'person' : 'copy',
    rank: deletion ? 3 : type.endsWith('.created') ? 0 : 1,
    at: (deletion ? null : msOfNumber(own(data, 'updated_at'))) ?? seen.at,
    personId: userId,
    aliases: [],
    email: deletion ? null : found,
    formerEmail: null,
    firstName: user && !deletion ? (text(own(data, 'first_name')) ?? fill('first_name')) : null,
    lastName: user && !deletion ? (text(own(data, 'last_name')) ?? fill('last_name')) : null,
    userId,
    deletion,
  };
}

/**
 * GET /v1/users, oldest first, by offset (clerk.com/docs/reference/backend/user/get-user-list). The cursor is `offset:id:trusted`: a page
 * begins with the last user of the one before. When it does not, somebody before was deleted and others moved into what was read:
 * a page back, and no second look on the same way. That users of one instant keep their order is inferred, and does not matter then.
 */
const backfill: Backfill<Settings> = {
  type: 'user.created',
  key: 'the secret key (sk_…) of this instance',
  needs: [],
  async page({ key, settings: set, cursor, fetch }) {
    const [from = '0', last = '', trusted = '0'] = (cursor ?? '0').split(':');
    const offset = Number(from);
    const query = `limit=${PER_PAGE}&offset=${offset}&order_by=%2Bcreated_at`;
    const base = set.apiBase ?? 'https://api.clerk.com';
    const { json } = await getJson(fetch, `${base}/v1/users?${query}`, { authorization: `Bearer ${key}` });
    const users = listOf(json);
    const follows = last !== '' && own(users[0], 'id') === last;
    if (last !== '' && !follows && offset > Number(trusted))
      return { items: [], next: `${Math.max(0, offset - PER_PAGE)}::${offset}`, total: null };
    const fresh = follows ? users.slice(1) : users;
    const next = `${offset + users.length - 1}:${id(own(users.at(-1), 'id')) ?? ''}:${trusted}`;
    return { items: fresh.map(listed), next: fresh.length ? next : null, total: null };
  },
};

function listed(user: unknown) {
  const at = msOfNumber(own(user, 'updated_at')) ?? msOfNumber(own(user, 'created_at')) ?? 0;
  return { id: id(own(user, 'id')), at, body: { object: 'event', type: 'user.created', timestamp: at, data: user } };
}

function sample(type: string, address: string, now: number): unknown {
  const key = randomUUID().replaceAll('-', '').slice(0, 27);
  const event = { object: 'event', type, timestamp: now, instance_id: 'ins_sample' };
  if (type === 'user.deleted') return { ...event, data: { id: `user_${key}`, object: 'user', deleted: true } };
  if (type.startsWith('waitlistEntry.')) {
    const status = type.endsWith('created') ? 'pending' : 'invited';
    const data = {
      id: `wle_${key}`,
      object: 'waitlist_entry',
      email_address: address,
      status,
      invitation: null,
      created_at: now,
      updated_at: now,
    };
    return { ...event, data };
  }
  const emailId = `idn_${key}`;
  const verification = { status: 'verified', strategy: 'email_code' };
  const data = {
    id: `user_${key}`,
    object: 'user',
    first_name: 'Ada',
    last_name: 'Lovelace',
    username: null,
    external_id: null,
    primary_email_address_id: emailId,
    email_addresses: [{ id: emailId, object: 'email_address', email_address: address, verification }],
    phone_numbers: [],
    public_metadata: {},
    created_at: now,
    updated_at: now,
  };
  return { ...event, data };
}

/** Signs with the provider's own package; `prefix` is `svix` or `webhook`. */
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

export const clerk = {
  id: 'clerk',
  name: 'Clerk',
  class: 'auth' as const,
  settings,
  types,
  setup,
  secretMadeBy: 'provider' as const,
  logHeaders: ['svix-id', 'svix-timestamp', 'webhook-id', 'webhook-timestamp'],
  signatureHeaders: ['svix-signature'],
  verify,
  redact,
  read,
  previous: () => null,
  backfill,
  sample,
  sign: (body: string, secret: string, _settings: Settings, now: number) => {
    if (!fromBase64(secret.replace(/^whsec_/, '')))
      throw invalid("This endpoint's secret is not one Clerk makes (whsec_…). Set it again.");
    return signStandard('svix', new Webhook(secret), `msg_${randomUUID().replaceAll('-', '')}`, body, now);
  },
} satisfies Provider<Settings>;
