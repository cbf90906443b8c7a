// The webhooks that are sent: bodies as Stripe and Supabase make them, and their signatures.
import { createHmac } from 'node:crypto';

export const SECRET = 'whsec_bench_0123456789abcdef0123456789';
export const SUPABASE_SECRET = 'bench-secret-0123456789abcdef0123456789';
const FILLER = 'Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod tempor. ';

/**
 * `new`: each webhook is about somebody new: a customer, a checkout or an invoice in turn.
 * `bursts`: three in a row about each person (customer, checkout, invoice); every second person is known already.
 * `known`: makes those known persons of `bursts` under the same run.
 * `one`: each is about the same person, whatever the run.
 */
export type Kind = 'new' | 'bursts' | 'known' | 'one';

/** How many `known` webhooks belong before so many of `bursts`. */
export const knownOf = (bursts: number) => Math.floor(Math.ceil(bursts / 3) / 2);

/** The n-th unique Stripe event of a run, 1 to 5 KB. `now` in ms. */
export function loadEvent(kind: Kind, run: string, n: number, now: number): string {
  const note = FILLER.repeat(8 + (n % 40)).slice(0, 500 + (n % 8) * 480);
  const about = (person: string) => ({
    customer: `cus_${run}${person}`,
    email: `user.${run}.${person}@example.com`,
    note,
  });
  const id = `evt_${run}${kind}${n}`;
  if (kind === 'known') return customerEvent({ id, now: now - 86_400_000, ...about(`p${2 * n + 1}`) });
  if (kind === 'one')
    return customerEvent({
      id,
      now,
      ...about('one'),
      customer: 'cus_one',
      email: 'one@example.com',
      type: 'customer.updated',
      name: `Ada ${n}`,
    });
  const person = Math.floor(n / 3);
  const whom = kind === 'new' ? about(String(n)) : about(`p${person}`);
  if (n % 3 === 1) return checkoutEvent({ id, now, ...whom, object: `${run}${n}` });
  if (n % 3 === 2) return invoiceEvent({ id, now, ...whom, object: `${run}${n}` });
  const changed = kind === 'bursts' && person % 2 === 1;
  return customerEvent({ id, now, ...whom, ...(changed && { type: 'customer.updated', name: 'Ada King' }) });
}

interface Parts {
  id: string;
  now: number;
  email: string;
  note?: string;
}

const head = ({ now, note = '' }: Parts) => ({
  created: Math.floor(now / 1000),
  currency: 'usd',
  livemode: false,
  metadata: { note },
});

export function customerEvent(parts: Parts & { customer: string; type?: string; name?: string }): string {
  const { customer, email, name = 'Ada Lovelace', type = 'customer.created' } = parts;
  const object = { id: customer, object: 'customer', ...head(parts), email, name, phone: null, address: null };
  return stripeEvent(parts, type, object);
}

export function checkoutEvent(parts: Parts & { customer: string | null; object: string; payment?: string }): string {
  return stripeEvent(parts, 'checkout.session.completed', {
    id: `cs_${parts.object}`,
    object: 'checkout.session',
    ...head(parts),
    customer: parts.customer,
    customer_details: { email: parts.email, name: 'Ada Lovelace' },
    amount_total: 2900,
    payment_status: 'paid',
    ...(parts.payment && { payment_intent: parts.payment }),
  });
}

function invoiceEvent(parts: Parts & { customer: string; object: string }): string {
  return stripeEvent(parts, 'invoice.paid', {
    id: `in_${parts.object}`,
    object: 'invoice',
    ...head(parts),
    customer: parts.customer,
    customer_email: parts.email,
    customer_name: 'Ada Lovelace',
    amount_paid: 2900,
  });
}

/** Holds no address: waits for its customer. */
export const subscriptionEvent = (parts: Parts & { customer: string }) =>
  stripeEvent(parts, 'customer.subscription.created', {
    id: `sub_${parts.id}`,
    object: 'subscription',
    ...head(parts),
    customer: parts.customer,
  });

const stripeEvent = ({ id, now }: Parts, type: string, object: object) =>
  JSON.stringify({
    id,
    object: 'event',
    api_version: '2026-10-28.endive',
    created: Math.floor(now / 1000),
    type,
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    data: { object },
  });

/** A row of auth.users as a database webhook tells of it; `was` is the address before, for an update. */
export function supabaseEvent(parts: {
  user: string;
  now: number;
  email: string;
  was?: string;
  name?: string;
}): string {
  const time = (ms: number) => new Date(ms).toISOString().replace('Z', '000+00:00');
  const row = (email: string, at: number) => ({
    id: parts.user,
    aud: 'authenticated',
    role: 'authenticated',
    email,
    email_confirmed_at: time(at),
    raw_app_meta_data: { provider: 'email', providers: ['email'] },
    raw_user_meta_data: { first_name: parts.name ?? 'Ada', last_name: 'Lovelace' },
    is_anonymous: false,
    is_sso_user: false,
    created_at: time(at),
    updated_at: time(at),
    deleted_at: null,
  });
  const old = parts.was === undefined ? null : row(parts.was, parts.now - 1000);
  const type = old ? 'UPDATE' : 'INSERT';
  return JSON.stringify({ type, table: 'users', schema: 'auth', record: row(parts.email, parts.now), old_record: old });
}

/** The header that proves a Stripe body, signed for `now`. */
export function stripeSignature(body: string, now: number): string {
  const t = Math.floor(now / 1000);
  return `t=${t},v1=${createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex')}`;
}

/** A whole HTTP/1.1 request, ready to be written to a socket. */
export function request(path: string, body: string, now: number): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    'host: 127.0.0.1',
    'content-type: application/json',
    `stripe-signature: ${stripeSignature(body, now)}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}
