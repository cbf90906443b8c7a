import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { apiKey, apiUrl } from './api.ts';
import { pickAt, pickEmail, pickId, pickName, pickText, readOwn, splitName } from './pick.ts';
import {
  type Fact,
  type Former,
  type Ignored,
  type Provider,
  type Rank,
  type RawRequest,
  type Secret,
  type Seen,
  Unverified,
} from './provider.ts';
import { leadsToWithheld, redactBody, soundsSecret } from './redaction.ts';
import { findWhsecProblem } from './secrets.ts';
import {
  computeHmac,
  decodeHex,
  findSigner,
  limitSignatures,
  parseBody,
  parseUnixSeconds,
  readOneHeader,
} from './signatures.ts';
import { backfill, lookup, pickIdOf, pickPersonName } from './stripeApi.ts';
import { makeStripeSample } from './stripeSamples.ts';
import { SIBLINGS, setup, types } from './stripeTypes.ts';

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
const SUPPORTED = new Set(types.map(each => each.type));

/** `t=…,v1=…[,v1=…]`: HMAC-SHA256 over `t.body`, the whole `whsec_…` text as key (docs.stripe.com/webhooks/signature). */
function verify(req: RawRequest, secrets: Secret[], _settings: Settings, now: number): Seen {
  const pairs = readOneHeader(req, 'stripe-signature')
    .split(',')
    .map(pair => pair.trim().split('='));
  const times = pairs.filter(([key]) => key === 't');
  if (times.length !== 1)
    throw new Unverified('malformed', 'the stripe-signature header does not hold exactly one timestamp');
  const sentText = times[0]?.[1] ?? '';
  const sentAt = parseUnixSeconds(sentText, 'stripe-signature');
  const given = limitSignatures(pairs.filter(([key]) => key === 'v1').map(([, value]) => value ?? ''));
  const signatures = given.map(decodeHex).filter(bytes => bytes !== null);
  if (!signatures.length) throw new Unverified('malformed', 'the stripe-signature header holds no v1 signature in hex');
  const expected = (secret: string, body: Uint8Array) => [computeHmac(secret, `${sentText}.`, body)];
  const signer = findSigner({ body: req.body, secrets, sentAt, now, signatures, expected });
  const parsed = parseBody(req.body);
  const { json } = parsed;
  const created = readOwn(json, 'created');
  const at =
    typeof created === 'number' && Number.isSafeInteger(created) && created >= 0 && created < 8e12
      ? created * 1000
      : now;
  return {
    secretId: signer.id,
    externalId: pickId(readOwn(json, 'id')),
    type: pickText(readOwn(json, 'type')) ?? '',
    at,
    ...parsed,
  };
}

/** Keys of payment means and bank accounts, wherever they stand but in metadata, whose keys are the owner's. */
const PAYMENT_MEANS = new Set(
  [
    'payment_method_details payment_method_data next_action card card_present interac_present fingerprint iin last4 dynamic_last4',
    'bank_account us_bank_account sepa_debit bacs_debit au_becs_debit acss_debit ach_debit ach_credit_transfer link_token',
    'account_number routing_number sort_code iban bic bank_transfer financial_addresses network_token',
  ].flatMap(line => line.split(' ')),
);
const KEPT_EVIDENCE = ['customer_email_address', 'customer_name'];

/** Secrets by their names, payment means, and of a dispute's evidence all but who it is about. */
function withholdsKey(keys: readonly string[]): boolean {
  const key = keys.at(-1) ?? '';
  const inMetadata = keys.lastIndexOf('metadata', -2) >= 0;
  if (inMetadata || key === 'metadata') return soundsSecret(key);
  return soundsSecret(key) || PAYMENT_MEANS.has(key) || (keys.at(-2) === 'evidence' && !KEPT_EVIDENCE.includes(key));
}

function pickNames(type: string, object: unknown) {
  if (type.startsWith('customer.')) return pickPersonName(object);
  if (type.startsWith('checkout.')) {
    const collected = pickName(pickAt(object, 'collected_information.individual_name'));
    return pickPersonName(readOwn(object, 'customer_details'), collected);
  }
  if (type.startsWith('invoice.')) return splitName(readOwn(object, 'customer_name'));
  return splitName(pickAt(object, 'evidence.customer_name'));
}

function pickAddress(type: string, object: unknown): string | null {
  if (type.startsWith('checkout.'))
    return pickEmail(pickAt(object, 'customer_details.email')) ?? pickEmail(readOwn(object, 'customer_email'));
  if (type.startsWith('invoice.')) return pickEmail(readOwn(object, 'customer_email'));
  if (type.startsWith('charge.dispute.')) return pickEmail(pickAt(object, 'evidence.customer_email_address'));
  return /^customer\.(created|updated|deleted)$/.test(type) ? pickEmail(readOwn(object, 'email')) : null;
}

const RANKS: Record<string, Rank> = {
  'customer.created': 0,
  'customer.updated': 1,
  'customer.deleted': 3,
  'customer.subscription.deleted': 3,
  'quote.canceled': 3,
};
const MAX_PAYMENTS = 20; // of one event; an invoice paid in parts has one for each part

/** Ids of what was paid, by which a later dispute finds who paid. Null where the object has none of that name. */
function collectPayments(type: string, object: unknown): (string | null)[] {
  const of = (holder: unknown, ...keys: string[]) => keys.map(key => pickIdOf(readOwn(holder, key)));
  if (type.startsWith('checkout.')) return of(object, 'payment_intent', 'invoice');
  if (type.startsWith('charge.dispute.')) return of(object, 'charge', 'payment_intent');
  if (!type.startsWith('invoice.')) return [];
  const parts = pickAt(object, 'payments.data'); // since 2025-03-31.basil
  const paid = Array.isArray(parts) ? parts.slice(0, MAX_PAYMENTS).map(part => readOwn(part, 'payment')) : [];
  const itself = type === 'invoice.upcoming' ? [] : of(object, 'id'); // a preview has no id that lasts
  return [
    ...itself,
    ...of(object, 'charge', 'payment_intent'),
    ...paid.flatMap(each => of(each, 'payment_intent', 'charge')),
  ];
}

/** What `previous_attributes` say that the customer was like; a name only where a part of it changed. */
function readFormer(object: unknown, before: unknown): Former | null {
  if (typeof before !== 'object' || before === null) return null;
  const renamed = ['name', 'individual_name', 'business_name'].some(key => Object.hasOwn(before, key));
  return {
    ...(Object.hasOwn(before, 'email') && { email: pickEmail(readOwn(before, 'email')) }),
    ...(renamed && pickPersonName(mergeOver(object, before))),
  };
}

function read(body: unknown, set: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const refusal = explainIgnored(body, set, seen.type);
  if (refusal) return { ignored: `Ignored: ${refusal}` };
  const { type } = seen;
  const object = pickAt(body, 'data.object');
  const account = pickId(readOwn(body, 'account'));
  const scoped = (value: string | null) => (value !== null && account ? `${account}/${value}` : value);
  const isPerson = /^customer\.(created|updated|deleted)$/.test(type);
  const dispute = type.startsWith('charge.dispute.');
  const customer = scoped(isPerson ? pickIdOf(object) : dispute ? null : pickIdOf(readOwn(object, 'customer')));
  const accountV2 = scoped(pickId(readOwn(object, 'customer_account')));
  const payments = collectPayments(type, object).map(scoped);
  return {
    authority: isPerson ? 'person' : 'copy',
    rank: RANKS[type] ?? 2,
    at: seen.at,
    micros: 0,
    sentAt: 0,
    personId: customer ?? accountV2,
    aliases: customer !== null && accountV2 !== null ? [accountV2] : [],
    payments: [...new Set(payments.filter(value => value !== null))].slice(0, MAX_PAYMENTS),
    email: pickAddress(type, object),
    proven: false,
    former: isPerson ? readFormer(object, pickAt(body, 'data.previous_attributes')) : null,
    ...pickNames(type, object),
    userId: null,
    deletion: type === 'customer.deleted',
  };
}

/** Why a verified event is not applied, or null. */
function explainIgnored(body: unknown, set: Settings, type: string): string | null {
  if (readOwn(body, 'object') === 'v2.core.event') {
    return 'this is a thin payload, which holds no data. Recreate the event destination in Stripe with payload style "Snapshot".';
  }
  if (!SUPPORTED.has(type)) {
    const sibling = Object.hasOwn(SIBLINGS, type) ? `, and tick ${SIBLINGS[type]} for what it is about` : '';
    return `"${type}" is not an event type Inlet applies. Untick it in Stripe to save traffic${sibling}.`;
  }
  if (typeof pickAt(body, 'data.object') !== 'object') return 'the event holds no data.object.';
  const live = readOwn(body, 'livemode');
  if (set.mode === 'live' && live !== true)
    return 'a test event, and this endpoint takes live events only (settings.mode).';
  if (set.mode === 'test' && live !== false)
    return 'a live event, and this endpoint takes test events only (settings.mode).';
  if (readOwn(body, 'account') && !set.connect) {
    return 'an event of a connected account. Switch on settings.connect to apply those.';
  }
  return null;
}

/** `previous_attributes` laid over the object: hashes hold only the keys that changed, anything else is whole. */
function readPrevious(body: unknown): unknown {
  const before = pickAt(body, 'data.previous_attributes');
  const object = pickAt(body, 'data.object');
  if (typeof before !== 'object' || before === null || typeof object !== 'object' || object === null) return null;
  return { ...Object(body), data: { object: mergeOver(object, before), previous_attributes: {} } };
}

function mergeOver(now: unknown, before: unknown): unknown {
  const plain = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!plain(now) || !plain(before)) return before;
  const entries = new Map<string, unknown>(Object.entries(now));
  for (const [key, value] of Object.entries(before)) entries.set(key, mergeOver(readOwn(now, key), value));
  return Object.fromEntries(entries);
}

function sign(body: string, secret: string, _settings: Settings, now: number): Record<string, string> {
  const t = Math.floor(now / 1000);
  return { 'stripe-signature': `t=${t},v1=${Buffer.from(computeHmac(secret, `${t}.${body}`)).toString('hex')}` };
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
  apiHosts: ['api.stripe.com'],
  movesWith: ['apiBase'],
  secretProblem: (secret: string) =>
    findWhsecProblem(secret, "Wanted is the signing secret (whsec_…) on the event destination's page in Stripe."),
  verify,
  redact: (body: unknown) => redactBody(body, withholdsKey),
  withholds: (path: string) => leadsToWithheld(path, withholdsKey),
  read,
  previous: readPrevious,
  lookup,
  lookupHint:
    'A restricted key with read access to Customers and Charges as settings.apiKey lets Inlet look up who it is at once.',
  backfill,
  sample: (type: string, address: string, now: number) =>
    makeStripeSample(type, address, now, randomUUID().replaceAll('-', '').slice(0, 24)),
  sign,
} satisfies Provider<Settings>;
