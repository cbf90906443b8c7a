import { describe, expect, test } from 'bun:test';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';
import { findProvider } from '../../src/providers/index.ts';
import { type RawRequest, Unverified } from '../../src/providers/provider.ts';
import { failure, NOTHING_FAILED } from '../support/failure.ts';
import { OLD_POLAR, SECRETS, signed } from '../support/signed.ts';

const stripe = new Stripe('sk_test_unused');
const body = JSON.stringify({
  id: 'evt_1',
  object: 'event',
  type: 'customer.created',
  created: 1793527200,
  data: { object: { id: 'cus_1' } },
});

interface Judge {
  name: string;
  provider: string;
  secret: string;
  prefix: string;
  /** The official verifier: throws when it refuses. */
  official(raw: RawRequest): unknown;
}
const text = (raw: RawRequest) => Buffer.from(raw.body).toString();
const judges: Judge[] = [
  {
    name: 'stripe',
    provider: 'stripe',
    secret: SECRETS.stripe ?? '',
    prefix: '',
    official: raw =>
      stripe.webhooks.constructEventAsync(text(raw), raw.headers['stripe-signature'] ?? '', SECRETS.stripe ?? ''),
  },
  {
    name: 'svix',
    provider: 'clerk',
    secret: SECRETS.clerk ?? '',
    prefix: 'svix',
    official: raw => new SvixWebhook(SECRETS.clerk ?? '').verify(text(raw), raw.headers),
  },
  {
    name: 'svix, of Resend',
    provider: 'resend',
    secret: SECRETS.resend ?? '',
    prefix: 'svix',
    official: raw => new SvixWebhook(SECRETS.resend ?? '').verify(text(raw), raw.headers),
  },
  {
    name: 'standardwebhooks, decoded key',
    provider: 'polar',
    secret: SECRETS.polar ?? '',
    prefix: 'webhook',
    official: raw => new StandardWebhook(SECRETS.polar ?? '').verify(text(raw), raw.headers),
  },
  {
    name: 'standardwebhooks, key as text',
    provider: 'polar',
    secret: OLD_POLAR,
    prefix: 'webhook',
    official: raw => new StandardWebhook(OLD_POLAR, { format: 'raw' }).verify(text(raw), raw.headers),
  },
];

const with_ = (raw: RawRequest, name: string, change: (value: string) => string): RawRequest => ({
  ...raw,
  headers: { ...raw.headers, [name]: change(raw.headers[name] ?? '') },
});

for (const judge of judges) {
  describe(judge.name, () => {
    const provider = findProvider(judge.provider);
    const now = Date.now();
    const make = (over = body, id?: string, at = now, secret = judge.secret) =>
      signed(judge.provider, over, { now: at, secret, ...(id ? { id } : {}) });
    const ours = async (raw: RawRequest) =>
      provider?.verify(raw, [{ id: 's', value: judge.secret }], provider.settings.parse({}), now);
    const signature = judge.prefix ? `${judge.prefix}-signature` : 'stripe-signature';
    const otherSecret =
      judge.provider === 'stripe'
        ? 'whsec_another_secret_0123456789abcdef'
        : `whsec_${Buffer.from('another-key-of-24-bytes!').toString('base64')}`;

    test('what it signs we accept', async () => {
      expect(await ours(await make())).toMatchObject({ secretId: 's', type: 'customer.created' });
      await judge.official(await make());
    });

    test('several signatures, one of them right, are accepted; the ninth is not looked at', async () => {
      const raw = await make();
      const separator = judge.prefix ? ' ' : ',';
      const [wrong, right] = judge.prefix
        ? [`v1,${Buffer.alloc(32).toString('base64')}`, raw.headers[signature] ?? '']
        : [`v1=${'0'.repeat(64)}`, /v1=\w+/.exec(raw.headers[signature] ?? '')?.[0] ?? ''];
      const t = judge.prefix ? '' : `${/t=\d+/.exec(raw.headers[signature] ?? '')?.[0]},`;
      const many = (n: number) => with_(raw, signature, () => t + [...Array(n).fill(wrong), right].join(separator));
      expect(await ours(many(2))).toBeDefined();
      expect(await ours(many(7))).toBeDefined();
      expect(await failure(ours(many(8)))).toBeInstanceOf(Unverified);
    });

    const forgeries: [string, (raw: RawRequest) => RawRequest | Promise<RawRequest>, boolean?][] = [
      ['a flipped byte', raw => ({ ...raw, body: Buffer.from(text(raw).replace('cus_1', 'cus_2')) })],
      ['a truncated body', raw => ({ ...raw, body: raw.body.subarray(0, -1) })],
      ['another secret', () => make(body, undefined, now, otherSecret)],
      [
        "another message's signature",
        async raw =>
          with_(raw, signature, () => '').headers && {
            ...raw,
            headers: (await make('{"id":"evt_2"}', 'msg_other')).headers,
          },
      ],
      [
        'a shifted timestamp',
        raw =>
          judge.prefix
            ? with_(raw, `${judge.prefix}-timestamp`, t => String(Number(t) + 1))
            : with_(raw, signature, h => h.replace(/t=(\d+)/, (_, t) => `t=${Number(t) + 1}`)),
      ],
      ['a truncated signature', raw => with_(raw, signature, h => h.slice(0, -4))],
      ['an odd alphabet', raw => with_(raw, signature, h => h.replace(/.{4}$/, '!?*_'))],
      ['an unknown version only', raw => with_(raw, signature, h => h.replaceAll('v1', 'v9'))],
      ['an empty signature', raw => with_(raw, signature, h => (judge.prefix ? 'v1,' : h.replace(/v1=.*/, 'v1=')))],
      ['a timestamp 301 s old', () => make(body, undefined, now - 301_000)],
      ['a timestamp 302 s ahead', () => make(body, undefined, now + 302_000), judge.provider === 'stripe'], // stripe takes any future
      [
        'a timestamp with garbage behind it',
        raw =>
          judge.prefix
            ? with_(raw, `${judge.prefix}-timestamp`, t => `${t}abc`)
            : with_(raw, signature, h => h.replace(/t=(\d+)/, 't=$1abc')),
        true,
      ],
      ['a doubled header', raw => with_(raw, signature, h => `${h}, ${h}`), true],
    ];
    for (const [name, forge, officialTakesIt] of forgeries) {
      test(`forged by ${name}: refused`, async () => {
        const forged = await forge(await make());
        expect(await failure(ours(forged))).toBeInstanceOf(Unverified);
        const official = async () => judge.official(forged);
        if (!officialTakesIt) expect((await failure(official())).message).not.toBe(NOTHING_FAILED);
      });
    }
    if (judge.prefix) {
      test('forged by another message id: refused', async () => {
        const forged = with_(await make(), `${judge.prefix}-id`, () => 'msg_forged');
        expect(await failure(ours(forged))).toBeInstanceOf(Unverified);
      });
    }
  });
}
