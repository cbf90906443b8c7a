import { createHmac } from 'node:crypto';

export const SECRET = 'whsec_bench_0123456789abcdef0123456789';
const FILLER = 'Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod tempor. ';

/** The n-th unique Stripe event of a run: a customer, a checkout or an invoice in turn, 1 to 5 KB. `now` in ms. */
export function stripeEvent(run: string, n: number, now: number): string {
  const customer = `cus_${run}${n}`;
  const email = `user.${run}.${n}@example.com`;
  const metadata = { note: FILLER.repeat(8 + (n % 40)).slice(0, 500 + (n % 8) * 480) };
  const base = { object: 'customer', created: Math.floor(now / 1000), currency: 'usd', livemode: false, metadata };
  const kind = n % 3;
  const [type, object] =
    kind === 0
      ? ['customer.created', { id: customer, ...base, email, name: 'Ada Lovelace', phone: null, address: null }]
      : kind === 1
        ? [
            'checkout.session.completed',
            {
              id: `cs_${run}${n}`,
              ...base,
              object: 'checkout.session',
              customer,
              customer_details: { email, name: 'Ada Lovelace' },
              amount_total: 2900,
              payment_status: 'paid',
            },
          ]
        : [
            'invoice.paid',
            {
              id: `in_${run}${n}`,
              ...base,
              object: 'invoice',
              customer,
              customer_email: email,
              customer_name: 'Ada Lovelace',
              amount_paid: 2900,
            },
          ];
  return JSON.stringify({
    id: `evt_${run}${n}`,
    object: 'event',
    api_version: '2026-10-28.endive',
    created: Math.floor(now / 1000),
    type,
    livemode: false,
    pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    data: { object },
  });
}

/** A whole HTTP/1.1 request, signed for `now`, ready to be written to a socket. */
export function request(path: string, body: string, now: number): Buffer {
  const t = Math.floor(now / 1000);
  const v1 = createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex');
  const head = `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nstripe-signature: t=${t},v1=${v1}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return Buffer.from(head + body);
}
