import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';
import type { RawRequest } from '../../src/providers/provider.ts';
import { SECRETS as COMMON } from './app.ts';

/** New-style secrets, as the providers make them now; `OLD_POLAR` is one of before September 2026. */
export const OLD_POLAR = COMMON.polar ?? '';
export const SECRETS: Record<string, string> = {
  ...COMMON,
  polar: `whsec_${Buffer.from('polar-key-of-thirty-two-bytes-ok').toString('base64')}`,
};

const stripe = new Stripe('sk_test_unused');

/** A request as the official packages sign it. `now` in ms. */
export async function signed(
  provider: string,
  body: string,
  options: { now: number; secret?: string; id?: string },
): Promise<RawRequest> {
  const secret = options.secret ?? SECRETS[provider] ?? '';
  const id = options.id ?? 'msg_2KWPBgLlAfxdpx2AI54pPJ85f4W';
  const seconds = Math.floor(options.now / 1000);
  const at = new Date(seconds * 1000);
  const bytes = Buffer.from(body);
  switch (provider) {
    case 'stripe':
      return {
        body: bytes,
        headers: {
          'stripe-signature': await stripe.webhooks.generateTestHeaderStringAsync({
            payload: body,
            secret,
            timestamp: seconds,
          }),
        },
      };
    case 'clerk':
    case 'resend':
      return {
        body: bytes,
        headers: {
          'svix-id': id,
          'svix-timestamp': String(seconds),
          'svix-signature': new SvixWebhook(secret).sign(id, at, body),
        },
      };
    case 'polar': {
      const signer = secret.startsWith('whsec_')
        ? new StandardWebhook(secret)
        : new StandardWebhook(secret, { format: 'raw' });
      return {
        body: bytes,
        headers: {
          'webhook-id': id,
          'webhook-timestamp': String(seconds),
          'webhook-signature': signer.sign(id, at, body),
        },
      };
    }
    default:
      return { body: bytes, headers: { 'x-inlet-secret': secret } };
  }
}
