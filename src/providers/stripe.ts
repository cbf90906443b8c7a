import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { apiKey, apiUrl } from './api.ts';
import { at, email, id, own, splitName, text } from './pick.ts';
import {
  type EventType,
  type Fact,
  type Ignored,
  type Provider,
  type Rank,
  type RawRequest,
  type Secret,
  type Seen,
  Unverified,
} from './provider.ts';
import { examined, findSigner, fromHex, hmacSha256, oneHeader, parseJson, unixSeconds } from './signatures.ts';
import { backfill, idOf, lookup } from './stripeApi.ts';
import { stripeSample } from './stripeSamples.ts';

const settings = z.object({
  mode: z.enum(['any', 'live', 'test']).default('any').describe('Which events to apply: live, test or both'),
  connect: z
    .boolean()
    .default(false)
    .describe("Apply events of connected accounts: these are the connected accounts' customers"),
  apiKey: apiKey('Restricted key with read access to Customers and Charges, for look-ups and back-fills'),
  apiBase: apiUrl.describe('Where the API is, instead of https://api.stripe.com'),
});
type Settings = z.infer<typeof settings>;

const types: EventType[] = [
  { type: 'customer.created', description: 'A customer was made', carriesEmail: 'usually', deletion: false },
  {
    type: 'customer.updated',
    description: 'A property of a customer changed',
    carriesEmail: 'usually',
    deletion: false,
    silentWhenUnchanged: true,
  },
  { type: 'customer.deleted', description: 'A customer was deleted', carriesEmail: 'usually', deletion: true },
  {
    type: 'checkout.session.completed',
    description: 'A checkout was completed; payment may still be under way',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'checkout.session.async_payment_succeeded',
    description: 'A delayed payment of a checkout succeeded',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'checkout.session.async_payment_failed',
    description: 'A delayed payment of a checkout failed',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'invoice.paid',
    description: 'An invoice was paid, zero amounts included',
    carriesEmail: 'usually',
    deletion: false,
  },
  { type: 'invoice.payment_failed', description: 'Paying an invoice failed', carriesEmail: 'usually', deletion: false },
  {
    type: 'invoice.upcoming',
    description: 'An invoice will be made in a few days',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'customer.subscription.created',
    description: 'A subscription began',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.paused',
    description: 'A subscription got the status paused',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.resumed',
    description: 'A paused subscription goes on',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.trial_will_end',
    description: 'A trial ends in three days, or ended at once',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.deleted',
    description: 'A subscription ended',
    carriesEmail: 'never',
    deletion: false,
  },
  { type: 'quote.finalized', description: 'A quote was finalised', carriesEmail: 'never', deletion: false },
  { type: 'quote.accepted', description: 'A quote was accepted', carriesEmail: 'never', deletion: false },
  { type: 'quote.canceled', description: 'A quote was cancelled', carriesEmail: 'never', deletion: false },
  { type: 'charge.dispute.created', description: 'A payment was disputed', carriesEmail: 'sometimes', deletion: false },
  {
    type: 'charge.dispute.closed',
    description: 'A dispute was won, lost or withdrawn',
    carriesEmail: 'sometimes',
    deletion: false,
  },
];
const SUPPORTED = new Set(types.map(each => each.type));

const setup = [
  'In Stripe, open Workbench → Webhooks in the right mode (sandbox or live) and press "Create an event destination".',
  'Scope "Your account", payload style "Snapshot" (thin payloads hold no address), default API version.',
  'Tick the event types you want → Continue → "Webhook endpoint" → paste {url} → create.',
  "Reveal the signing secret (whsec_…) on the destination's page and bring it back to Inlet.",
  'Optional: make a restricted key with read access to Customers and Charges and set it as settings.apiKey, so that subscriptions, quotes and disputes are looked up at once, and a back-fill can read the customers you have already.',
];

/** `t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body`, the whole `whsec_…` text as key (docs.stripe.com/webhooks/signature). */
function verify(req: RawRequest, secrets: Secret[], _settings: Settings, now: number): Seen {
  const pairs = oneHeader(req, 'stripe-signature')
    .split(',')
    .map(pair => pair.trim().split('='));
  const times = pairs.filter(([key]) => key === 't');
  if (times.length !== 1)
    throw new Unverified('malformed', 'the stripe-signature header does not hold exactly one timestamp');
  const sentText = times[0]?.[1] ?? '';
  const sentAt = unixSeconds(sentText, 'stripe-signature');
  const given = examined(pairs.filter(([key]) => key === 'v1').map(([, value]) => value ?? ''));
  const signatures = given.map(fromHex).filter(bytes => bytes !== null);
  if (!signatures.length) throw new Unverified('malformed', 'the stripe-signature header holds no v1 signature in hex');
  const expected = (secret: string, body: Uint8Array) => [hmacSha256(secret, `${sentText}.`, body)];
  const signer = findSigner({ body: req.body, secrets, sentAt, now, signatures, expected });
  const { json, problem } = parseJson(req.body);
  const created = own(json, 'created');
  const at =
    typeof created === 'number' && Number.isSafeInteger(created) && created >= 0 && created < 8e12
      ? created * 1000
      : now;
  return {
    secretId: signer.id,
    externalId: id(own(json, 'id')),
    type: text(own(json, 'type')) ?? '',
    at,
    json,
    problem,
  };
}

/** Objects without keys that let a browser act on a payment. */
function redact(body: unknown): unknown {
  const needs = (value: unknown): boolean =>
    typeof value === 'object' &&
    value !== null &&
    (Object.hasOwn(value, 'client_secret') || Object.values(value).some(needs));
  if (!needs(body)) return body;
  return JSON.parse(JSON.stringify(body), (key, value: unknown) =>
    key === 'client_secret' ? undefined : value,
  ) as unknown;
}

function names(type: string, object: unknown) {
  if (type.startsWith('customer.')) return splitName(text(own(object, 'individual_name')) ?? own(object, 'name'));
  if (type.startsWith('checkout.')) {
    const name =
      text(at(object, 'customer_details.individual_name')) ?? text(at(object, 'collected_information.individual_name'));
    return splitName(name ?? at(object, 'customer_details.name'));
  }
  if (type.startsWith('invoice.')) return splitName(own(object, 'customer_name'));
  const name = text(at(object, 'evidence.customer_name'));
  return splitName(name?.includes('@') ? null : name); // Stripe's own sample holds an address here
}

function address(type: string, object: unknown): string | null {
  if (type.startsWith('checkout.'))
    return email(at(object, 'customer_details.email')) ?? email(own(object, 'customer_email'));
  if (type.startsWith('invoice.')) return email(own(object, 'customer_email'));
  if (type.startsWith('charge.dispute.')) return email(at(object, 'evidence.customer_email_address'));
  return /^customer\.(created|updated|deleted)$/.test(type) ? email(own(object, 'email')) : null;
}

const RANKS: Record<string, Rank> = { 'customer.created': 0, 'customer.updated': 1, 'customer.deleted': 3 };

function read(body: unknown, set: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const refusal = ignored(body, set, seen.type);
  if (refusal) return { ignored: `Ignored: ${refusal}` };
  const { type } = seen;
  const object = at(body, 'data.object');
  const account = id(own(body, 'account'));
  const scoped = (value: string | null) => (value !== null && account ? `${account}/${value}` : value);
  const isPerson = /^customer\.(created|updated|deleted)$/.test(type);
  const dispute = type.startsWith('charge.dispute.');
  const customer = scoped(isPerson ? idOf(object) : dispute ? null : idOf(own(object, 'customer')));
  const accountV2 = scoped(id(own(object, 'customer_account')));
  const found = address(type, object);
  const payment = [own(object, 'charge'), own(object, 'payment_intent')].map(value => scoped(idOf(value)));
  const pays = /^(checkout|invoice)\./.test(type) || (dispute && found === null);
  return {
    authority: isPerson ? 'person' : 'copy',
    rank: RANKS[type] ?? 2,
    at: seen.at,
    personId: customer ?? accountV2,
    aliases: [accountV2, ...(pays ? payment : [])].filter(value => value !== null),
    email: found,
    formerEmail: isPerson ? email(at(body, 'data.previous_attributes.email')) : null,
    ...names(type, object),
    userId: null,
    deletion: type === 'customer.deleted',
  };
}

/** Why a verified event is not applied, or null. */
function ignored(body: unknown, set: Settings, type: string): string | null {
  if (own(body, 'object') === 'v2.core.event') {
    return 'this is a thin payload, which holds no data. Recreate the event destination in Stripe with payload style "Snapshot".';
  }
  if (!SUPPORTED.has(type)) return `"${type}" is not an event type Inlet applies. Untick it in Stripe to save traffic.`;
  if (typeof at(body, 'data.object') !== 'object') return 'the event holds no data.object.';
  const live = own(body, 'livemode');
  if (set.mode === 'live' && live !== true)
    return 'a test event, and this endpoint takes live events only (settings.mode).';
  if (set.mode === 'test' && live !== false)
    return 'a live event, and this endpoint takes test events only (settings.mode).';
  if (own(body, 'account') && !set.connect) {
    return 'an event of a connected account. Switch on settings.connect to apply those.';
  }
  return null;
}

/** `previous_attributes` laid over the object: hashes hold only the keys that changed, anything else is whole. */
function previous(body: unknown): unknown {
  const before = at(body, 'data.previous_attributes');
  const object = at(body, 'data.object');
  if (typeof before !== 'object' || before === null || typeof object !== 'object' || object === null) return null;
  return { ...Object(body), data: { object: overlaid(object, before), previous_attributes: {} } };
}

function overlaid(now: unknown, before: unknown): unknown {
  const plain = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!plain(now) || !plain(before)) return before;
  const entries = new Map<string, unknown>(Object.entries(now));
  for (const [key, value] of Object.entries(before)) entries.set(key, overlaid(own(now, key), value));
  return Object.fromEntries(entries);
}

function sign(body: string, secret: string, _settings: Settings, now: number): Record<string, string> {
  const t = Math.floor(now / 1000);
  return { 'stripe-signature': `t=${t},v1=${Buffer.from(hmacSha256(secret, `${t}.${body}`)).toString('hex')}` };
}

export const stripe = {
  id: 'stripe',
  name: 'Stripe',
  class: 'payment' as const,
  settings,
  types,
  setup,
  secretMadeBy: 'provider' as const,
  logHeaders: [],
  signatureHeaders: ['stripe-signature'],
  verify,
  redact,
  read,
  previous,
  lookup,
  backfill,
  sample: (type: string, address: string, now: number) =>
    stripeSample(type, address, now, randomUUID().replaceAll('-', '').slice(0, 24)),
  sign,
} satisfies Provider<Settings>;
