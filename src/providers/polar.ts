import { randomUUID } from 'node:crypto';
import { Webhook } from 'svix';
import { z } from 'zod';
import { ApiTrouble, apiKey, apiUrl, getJson, listOf, makeNextCursor, PER_PAGE, parseCursor } from './api.ts';
import { parseMs, pickAt, pickEmail, pickId, pickText, readOwn, splitName } from './pick.ts';
import type { Backfill, EventType, Fact, Ignored, Provider, Rank, RawRequest, Secret, Seen } from './provider.ts';
import { leadsToWithheld, redactBody, soundsSecret } from './redaction.ts';
import { findSecretProblem } from './secrets.ts';
import { computeHmac, decodeBase64, findSigner, parseBody, readStandardHeaders, signStandard } from './signatures.ts';

const settings = z.object({
  apiKey: apiKey('Organization access token with the scope customers:read, for back-fills'),
  apiBase: apiUrl.describe(
    'Where the API is, instead of https://api.polar.sh; the sandbox: https://sandbox-api.polar.sh',
  ),
});
type Settings = z.infer<typeof settings>;

const types: EventType[] = [
  { type: 'customer.created', description: 'A customer was made', carriesEmail: 'usually', deletion: false },
  {
    type: 'customer.updated',
    description: 'A customer changed',
    carriesEmail: 'usually',
    deletion: false,
    silentWhenUnchanged: true,
  },
  {
    type: 'customer.deleted',
    description: 'A customer was deleted; the address may be anonymised',
    carriesEmail: 'sometimes',
    deletion: true,
  },
  { type: 'order.paid', description: 'An order was paid', carriesEmail: 'usually', deletion: false },
  {
    type: 'subscription.created',
    description: 'A subscription was made; it may not be active yet',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'subscription.active',
    description: 'A subscription became active, or recovered',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'subscription.canceled',
    description: 'A subscription will end at the end of its period',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'subscription.uncanceled',
    description: 'A scheduled end was taken back',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'subscription.past_due',
    description: 'A payment of a subscription is overdue',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'subscription.revoked',
    description: 'A subscription ended, access with it',
    carriesEmail: 'usually',
    deletion: false,
  },
];
const SUPPORTED = new Set(types.map(each => each.type));

const setup = [
  'In Polar open the organisation → Settings → Webhooks → Add Endpoint.',
  'URL {url}, format Raw, newest API version; tick the events you want → Create.',
  "Press Copy Secret on the endpoint's page and bring it back to Inlet.",
  'The sandbox needs an endpoint and secret of its own.',
  'Optional: set an organization access token with the scope customers:read as settings.apiKey, so that a back-fill can read the customers you have already. For the sandbox also settings.apiBase https://sandbox-api.polar.sh.',
];

/**
 * Standard Webhooks, with two keys in the wild: the UTF-8 of the whole secret (made before 2026-09-08, or chosen by hand), or what
 * follows `whsec_`, base64-decoded. Nothing tells them apart, so both are tried (polarsource/polar PR 14102, 14400).
 */
function verify(req: RawRequest, secrets: Secret[], _settings: Settings, now: number): Seen {
  const { id: messageId, sentAt, signatures } = readStandardHeaders(req, ['webhook']);
  const expected = (secret: string, body: Uint8Array) => {
    const decoded = secret.startsWith('whsec_') ? decodeBase64(secret.slice(6)) : null;
    return [secret, ...(decoded && decoded.length >= 24 ? [decoded] : [])].map(key =>
      computeHmac(key, `${messageId}.${sentAt}.`, body),
    );
  };
  const signer = findSigner({ body: req.body, secrets, sentAt, now, signatures, expected });
  const parsed = parseBody(req.body);
  const { json } = parsed;
  const time = parseMs(readOwn(json, 'timestamp')) ?? sentAt * 1000;
  return {
    secretId: signer.id,
    externalId: messageId,
    type: pickText(readOwn(json, 'type')) ?? '',
    at: time,
    ...parsed,
  };
}

const RANKS: Record<string, Rank> = {
  'customer.created': 0,
  'customer.updated': 1,
  'customer.deleted': 3,
  'subscription.canceled': 3,
  'subscription.revoked': 3,
};

/** Tokens of customer sessions and client secrets of checkouts by their names, at every depth. */
const withholdsKey = (keys: readonly string[]): boolean => soundsSecret(keys.at(-1) ?? '');

function read(body: unknown, _settings: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const { type } = seen;
  if (!SUPPORTED.has(type))
    return { ignored: `Ignored: "${type}" is not an event type Inlet applies. Untick it in Polar to save traffic.` };
  const data = readOwn(body, 'data');
  const isPerson = type.startsWith('customer.');
  const customer = isPerson ? data : readOwn(data, 'customer');
  const personId = pickId(readOwn(customer, 'id')) ?? (isPerson ? null : pickId(readOwn(data, 'customer_id')));
  if (personId === null)
    return { ignored: 'Ignored: the event names no customer. Is the format of the Polar endpoint Raw?' };
  const address = pickEmail(readOwn(customer, 'email'));
  const anonymised = address?.endsWith('@anonymized.polar.sh') ?? false;
  const team = readOwn(customer, 'type') === 'team'; // its name is an organisation's
  const deletion = type === 'customer.deleted';
  const name = readOwn(customer, 'name');
  return {
    authority: isPerson ? 'person' : 'copy',
    rank: RANKS[type] ?? 2,
    at: seen.at,
    micros: 0,
    sentAt: 0,
    personId,
    aliases: [],
    payments: [],
    email: anonymised ? null : address,
    proven: false,
    former: null,
    ...(team || anonymised || deletion ? { firstName: null, lastName: null } : splitName(name)),
    userId: pickId(readOwn(customer, 'external_id')),
    deletion,
  };
}

/** GET /v1/customers/, oldest first, `{items, pagination: {total_count, max_page}}` (polar.sh/docs/api-reference/customers/list). */
const backfill: Backfill<Settings> = {
  type: 'customer.created',
  key: 'an organization access token with the scope customers:read',
  needs: [],
  async page({ key, settings: set, cursor, fetch }) {
    const { page, before } = parseCursor(cursor);
    const query = `page=${page}&limit=${PER_PAGE}&sorting=created_at`;
    const base = set.apiBase ?? 'https://api.polar.sh';
    const { json } = await getJson(fetch, `${base}/v1/customers/?${query}`, { authorization: `Bearer ${key}` });
    const customers = listOf(readOwn(json, 'items'));
    const total = pickAt(json, 'pagination.total_count');
    const pages = pickAt(json, 'pagination.max_page');
    if (typeof total !== 'number' || typeof pages !== 'number') throw new ApiTrouble(0);
    return { items: customers.map(readListed), next: makeNextCursor(page, before, total, page < pages), total };
  },
};

function readListed(customer: unknown) {
  const changed = readOwn(customer, 'modified_at') ?? readOwn(customer, 'created_at');
  const body = { type: 'customer.created', timestamp: changed, data: customer };
  return { id: pickId(readOwn(customer, 'id')), at: parseMs(changed) ?? 0, body };
}

function sample(type: string, address: string, now: number): unknown {
  const time = new Date(now).toISOString();
  const customer = {
    id: randomUUID(),
    type: 'individual',
    email: address,
    email_verified: true,
    name: 'Ada Lovelace',
    external_id: null,
    metadata: {},
    created_at: time,
    modified_at: null,
    deleted_at: type === 'customer.deleted' ? time : null,
  };
  const event = { type, timestamp: time, api_version: '2026-10' };
  if (type.startsWith('customer.')) return { ...event, data: customer };
  const common = {
    id: randomUUID(),
    customer_id: customer.id,
    customer,
    amount: 2900,
    currency: 'usd',
    metadata: {},
    created_at: time,
  };
  if (type === 'order.paid')
    return { ...event, data: { ...common, status: 'paid', paid: true, billing_reason: 'purchase' } };
  const status = { past_due: 'past_due', revoked: 'canceled' }[type.split('.')[1] ?? ''] ?? 'active';
  return {
    ...event,
    data: { ...common, status, recurring_interval: 'month', cancel_at_period_end: type === 'subscription.canceled' },
  };
}

export const polar = {
  id: 'polar',
  name: 'Polar',
  class: 'payment' as const,
  settings,
  types,
  setup,
  secretMadeBy: 'provider' as const,
  logHeaders: ['webhook-id', 'webhook-timestamp'],
  signatureHeaders: ['webhook-signature'],
  apiHosts: ['api.polar.sh', 'sandbox-api.polar.sh'],
  movesWith: ['apiBase'],
  secretProblem: (secret: string) =>
    findSecretProblem(
      secret,
      "Wanted is what Copy Secret gives on the endpoint's page in Polar (whsec_… or polar_whs_…).",
    ),
  verify,
  redact: (body: unknown) => redactBody(body, withholdsKey),
  withholds: (path: string) => leadsToWithheld(path, withholdsKey),
  read,
  previous: () => null,
  backfill,
  sample,
  sign: (body: string, secret: string, _settings: Settings, now: number) =>
    signStandard('webhook', new Webhook(secret, { format: 'raw' }), randomUUID(), body, now),
} satisfies Provider<Settings>;
