import { describe, expect, test } from 'bun:test';
import { allProviders, findProvider } from '../../src/providers/index.ts';
import { OLD_POLAR, SECRETS } from '../support/signed.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const GOOD: [string, string][] = [
  ['stripe', SECRETS.stripe ?? ''],
  ['stripe', 'whsec_0123456789abcdef0123456789'],
  ['clerk', SECRETS.clerk ?? ''],
  ['clerk', `whsec_${base64('a-key-that-is-32-bytes-long-0123')}`],
  ['supabase', SECRETS.supabase ?? ''],
  ['supabase', 'any-text-of-24-characters'],
  ['resend', SECRETS.resend ?? ''],
  ['postmark', 'any-text-of-24-characters'],
  ['polar', SECRETS.polar ?? ''],
  ['polar', OLD_POLAR],
  ['polar', 'a-secret-that-the-merchant-chose'],
  ['polar', 'whsec_Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcD4fGh7jKm0nP3q'],
];
const BAD: [string, string, RegExp][] = [
  ['stripe', 'sk_test_51Habcdefghijklmnopqrstuv', /API key.*whsec_/],
  ['stripe', 'rk_live_51Habcdefghijklmnopqrstuv', /API key.*whsec_/],
  ['stripe', 'pk_live_51Habcdefghijklmnopqrstuv', /API key.*whsec_/],
  ['stripe', 'we_1PabcdefghijklmnopqrstuvWX', /id of an event destination/],
  ['stripe', 'polar_oat_abcdefghijklmnopqrstuv', /access token of Polar/],
  ['stripe', '"whsec_0123456789abcdef0123456789"', /quotation marks/],
  ['stripe', '“whsec_0123456789abcdef0123456789”', /quotation marks/],
  ['stripe', "'whsec_0123456789abcdef0123456789'", /quotation marks/],
  ['stripe', 'STRIPE_WEBHOOK_SECRET=whsec_0123456789abcdef', /NAME=value/],
  ['stripe', 'this-is-not-a-stripe-secret-at-all', /does not begin with whsec_/],
  ['stripe', 'whsec_0123456789', /24 characters/],
  ['stripe', 'whsec_AAAAAAAAAAAAAAAAAAAAAAAA', /different characters/],
  ['stripe', `whsec_${'ABCDEFG'.repeat(4)}`, /different characters/],
  ['clerk', 'this-is-not-a-clerk-secret-at-all', /whsec_/],
  ['clerk', 'whsec_this-is-no-base64-at-all-01234', /base64/],
  ['clerk', `whsec_${base64('only-23-bytes-of-a-key!')}`, /base64/],
  ['clerk', `whsec_${base64('\0'.repeat(32))}`, /different characters/],
  ['clerk', `whsec_${Buffer.alloc(35, Buffer.from([0, 1, 2, 3, 4, 5, 6])).toString('base64')}`, /trivial/],
  ['clerk', 'sk_test_abcdefghijklmnopqrstuvwx', /API key.*Clerk/],
  ['polar', 'polar_oat_abcdefghijklmnopqrstuv', /access token.*Copy Secret/],
  ['polar', '"polar_whs_0123456789abcdef01234567"', /quotation marks/],
  ['polar', 'sk_live_abcdefghijklmnopqrstuvwx', /API key/],
  ['polar', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', /different characters/],
  ['polar', 'tooshort-secret', /24 characters/],
  ['supabase', 'AAAAAAAAAAAAAAAAAAAAAAAA', /different characters/],
  ['supabase', 'sb_secret_abcdefghijklmnopqrstuvwx', /API key of Supabase/],
  ['supabase', 'short', /24 characters/],
  ['resend', 're_abcdefghijklmnopqrstuvwxyz', /whsec_.*Resend/],
  ['postmark', 'short', /24 characters/],
];

describe('which kind of secret is wanted', () => {
  test.each(GOOD)('%s takes %s', (id, secret) => expect(findProvider(id)?.secretProblem(secret)).toBeNull());
  test.each(BAD)('%s refuses %s', (id, secret, reason) => {
    const problem = findProvider(id)?.secretProblem(secret) ?? '';
    expect(problem).toMatch(reason);
    for (let i = 0; i + 12 <= secret.length; i++) expect(problem).not.toContain(secret.slice(i, i + 12));
  });
  test('every provider can say it', () => {
    for (const provider of allProviders) expect(provider.secretProblem('')).toContain('Wanted is');
  });
});
