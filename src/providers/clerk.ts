import { randomUUID } from 'node:crypto';
import { Webhook } from 'svix';
import { z } from 'zod';
import { invalid } from '../errors.ts';
import { apiKey, apiUrl, getJson, listOf, PER_PAGE } from './api.ts';
import { pickAt, pickEmail, pickId, pickMs, pickName, pickText, readOwn } from './pick.ts';
import type { Backfill, EventType, Fact, Ignored, Provider, RawRequest, Secret, Seen } from './provider.ts';
import { leadsToWithheld, redactBody, soundsSecret } from './redaction.ts';
import { findSvixProblem } from './secrets.ts';
import { decodeBase64, findSvixSigner, parseBody, signStandard } from './signatures.ts';

const settings = z.object({
  verifiedOnly: z.boolean().default(false).describe('Ignore a sign-up until Clerk has verified its address'),
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
  'Sign-ups whose address is not verified take no contact, name or mail that somebody else had before. settings.verifiedOnly ignores them until Clerk has verified the address.',
  "Optional: set the instance's secret key (Configure → API keys) as settings.apiKey, so that a back-fill can read the users you have already.",
];

/** Signed by Svix (docs.svix.com/receiving). */
function verify(req: RawRequest, secrets: Secret[], _settings: Settings, now: number): Seen {
  const { id: messageId, sentAt, signer } = findSvixSigner(req, secrets, now);
  const parsed = parseBody(req.body);
  const { json } = parsed;
  const time = pickMs(readOwn(json, 'timestamp')) ?? sentAt * 1000;
  return {
    secretId: signer.id,
    externalId: messageId,
    type: pickText(readOwn(json, 'type')) ?? '',
    at: time,
    ...parsed,
  };
}

const PRIVATE = ['private_metadata', 'password_digest', 'password_hasher', 'totp_secret', 'backup_codes', 'nonce'];
const FLAGS = ['password_enabled', 'password_last_updated_at', 'totp_enabled', 'backup_code_enabled']; // say that there is one, not which

/** Private metadata and whatever sounds like a secret, at every depth: users have sessions, accounts and metadata inside. */
function withholdsKey(keys: readonly string[]): boolean {
  const key = keys.at(-1) ?? '';
  return PRIVATE.includes(key) || (soundsSecret(key) && !FLAGS.includes(key));
}

interface Address {
  email: string | null;
  verified: boolean;
}
const NO_ADDRESS: Address = { email: null, verified: false };

/** The entry that `primary_email_address_id` names; else the first verified one; else none. */
function pickPrimaryAddress(data: unknown): Address {
  const all = readOwn(data, 'email_addresses');
  if (!Array.isArray(all)) return NO_ADDRESS;
  const isVerified = (entry: unknown) => pickAt(entry, 'verification.status') === 'verified';
  const primaryId = readOwn(data, 'primary_email_address_id');
  const primary: unknown = primaryId ? all.find(entry => readOwn(entry, 'id') === primaryId) : undefined;
  const chosen: unknown = primary ?? all.find(isVerified);
  const found = pickEmail(readOwn(chosen, 'email_address'));
  return { email: found, verified: found !== null && isVerified(chosen) };
}

function lacksProof(body: unknown): boolean | null {
  const { email: shown, verified } = pickPrimaryAddress(readOwn(body, 'data'));
  return shown === null ? null : !verified;
}

/** Clerk's own names, filled up from the accounts somebody signed in with. */
function pickNames(data: unknown) {
  const external = readOwn(data, 'external_accounts');
  const accounts: unknown[] = Array.isArray(external) ? external : [];
  const named = (key: string) =>
    [data, ...accounts].map(each => pickName(readOwn(each, key))).find(name => name !== null) ?? null;
  return { firstName: named('first_name'), lastName: named('last_name') };
}

function read(body: unknown, set: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const { type } = seen;
  if (!SUPPORTED.has(type))
    return { ignored: `Ignored: "${type}" is not an event type Inlet applies. Untick it in Clerk to save traffic.` };
  const data = readOwn(body, 'data');
  const user = type.startsWith('user.');
  const userId = user ? pickId(readOwn(data, 'id')) : null;
  if (user && userId === null) return { ignored: 'Ignored: the event holds no user id (data.id).' };
  const deletion = type === 'user.deleted';
  const address = user
    ? pickPrimaryAddress(data)
    : { email: pickEmail(readOwn(data, 'email_address')), verified: false };
  if (set.skipTestUsers && address.email?.split('@')[0]?.includes('+clerk_test')) {
    return { ignored: 'Ignored: a test user of Clerk (+clerk_test), and settings.skipTestUsers is on.' };
  }
  if (userId?.startsWith('user_29w8') && address.email === 'example@example.org')
    return { ignored: "Ignored: Clerk's example message. The endpoint works; nobody is made of it." };
  const unproven = user && set.verifiedOnly && address.email !== null && !address.verified;
  const { email: shown, verified } = deletion || unproven ? NO_ADDRESS : address;
  return {
    authority: user ? 'person' : 'copy',
    rank: deletion ? 3 : type.endsWith('.created') ? 0 : 1,
    at: (deletion ? null : pickMs(readOwn(data, 'updated_at'))) ?? seen.at,
    micros: 0,
    sentAt: pickMs(readOwn(body, 'timestamp')) ?? 0,
    personId: userId,
    aliases: [],
    payments: [],
    email: shown,
    proven: verified,
    former: null,
    ...(user && !deletion && !unproven ? pickNames(data) : { firstName: null, lastName: null }),
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
    const follows = last !== '' && readOwn(users[0], 'id') === last;
    if (last !== '' && !follows && offset > Number(trusted))
      return { items: [], next: `${Math.max(0, offset - PER_PAGE)}::${offset}`, total: null };
    const fresh = follows ? users.slice(1) : users;
    const next = `${offset + users.length - 1}:${pickId(readOwn(users.at(-1), 'id')) ?? ''}:${trusted}`;
    return { items: fresh.map(readListed), next: fresh.length ? next : null, total: null };
  },
};

function readListed(user: unknown) {
  const at = pickMs(readOwn(user, 'updated_at')) ?? pickMs(readOwn(user, 'created_at')) ?? 0;
  return {
    id: pickId(readOwn(user, 'id')),
    at,
    body: { object: 'event', type: 'user.created', timestamp: at, data: user },
  };
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
  apiHosts: ['api.clerk.com'],
  movesWith: ['apiBase'],
  secretProblem: (secret: string) =>
    findSvixProblem(secret, "Wanted is the Signing Secret (whsec_…) on the endpoint's page in Clerk."),
  verify,
  redact: (body: unknown) => redactBody(body, withholdsKey),
  withholds: (path: string) => leadsToWithheld(path, withholdsKey),
  read,
  previous: () => null,
  unproven: {
    isTaken: ({ verifiedOnly }: Settings) => !verifiedOnly,
    lacksProof,
    follows:
      "They take over nobody's contact and rank below payers until it is proven; settings.verifiedOnly ignores them until then.",
    help: 'Switch on "Verify at sign-up" for email addresses in Clerk (Configure → User & authentication → Email).',
  },
  backfill,
  sample,
  sign: (body: string, secret: string, _settings: Settings, now: number) => {
    if (!decodeBase64(secret.replace(/^whsec_/, '')))
      throw invalid("This endpoint's secret is not one Clerk makes (whsec_…). Set it again.");
    return signStandard('svix', new Webhook(secret), `msg_${randomUUID().replaceAll('-', '')}`, body, now);
  },
} satisfies Provider<Settings>;
