import { describe, expect, test } from 'bun:test';
import { allProviders, findProvider } from '../../src/providers/index.ts';
import { pick } from '../../src/providers/pick.ts';
import { soundsSecret } from '../../src/providers/redaction.ts';

type Json = Record<string, unknown>;
const CANARY = 'CANARY-must-not-be-stored';
const KEPT = 'kept';

describe('secrets are known by whole words', () => {
  const WITHHELD =
    'password Password user_password passwordHash passwd passcode passphrase secret client_secret clientSecret token access_token accessToken refresh-token ' +
    'idToken tokens token2 otp otpCode totp_secret pin PIN user_pin hash password_hash salt credential credentials jwt JWTValue session session_token api_key apiKey APIKey apikey ' +
    'API-KEY2 private_key privatekey secretKey auth_code authCode verification_code recovery_codes backupCodes security_code mfa_code 2fa_code magic_link ｔｏｋｅｎ';
  test.each(WITHHELD.split(' '))('%s is one', key => expect(soundsSecret(key)).toBe(true));

  const STAYS =
    'referral_code country_code zip_code zipCode postcode post_code promo_code shipping_plan shippingPlan author authored_by keywords key public_key_points monkey bucket ' +
    'opinion spinning pinterest hashtag secretary tokenizer compass passport passenger passed salted saltwater code codes link phrase language_code utm_source company_id plan';
  test.each(STAYS.split(' '))('%s is none', key => expect(soundsSecret(key)).toBe(false));
});

/** A body with a canary at each path that must go and a word at each that must stay. */
function bodyOf(head: Json, gone: string[], stays: string[]): Json {
  const body = structuredClone(head);
  const put = (path: string, value: string) => {
    const keys = path.split('.');
    let here: Json = body;
    for (const [i, key] of keys.slice(0, -1).entries()) {
      if (!Object.hasOwn(here, key)) here[key] = /^\d+$/.test(keys[i + 1] ?? '') ? [] : {};
      here = here[key] as Json;
    }
    here[keys.at(-1) ?? ''] = value;
  };
  for (const path of gone) put(path, CANARY);
  for (const path of stays) put(path, KEPT);
  return body;
}

const PROVIDERS: Record<string, { head: Json; gone: string[]; stays: string[] }> = {
  stripe: {
    head: { id: 'evt_1', object: 'event', type: 'invoice.paid' },
    gone: [
      'data.object.client_secret',
      'data.object.payment_intent.client_secret',
      'data.object.lines.data.0.deep.client_secret',
      'data.object.charge.payment_method_details.card.last4',
      'data.object.sources.data.0.fingerprint',
      'data.object.sources.data.0.last4',
      'data.object.default_payment_method.card.iin',
      'data.object.default_source.account_number',
      'data.object.us_bank_account.routing_number',
      'data.object.evidence.customer_purchase_ip',
      'data.object.evidence.uncategorized_text',
      'data.object.metadata.access_token',
      'data.previous_attributes.client_secret',
      'data.previous_attributes.default_source.last4',
    ],
    stays: [
      'data.object.name',
      'data.object.number',
      'data.object.metadata.plan',
      'data.object.metadata.card',
      'data.object.metadata.referral_code',
      'data.object.metadata.evidence',
      'data.object.address.country',
      'data.object.shipping.phone',
      'data.object.hosted_invoice_url',
      'data.object.invoice_pdf',
      'data.object.receipt_url',
      'data.object.status',
      'data.object.discount.promotion_code',
      'data.object.evidence.customer_name',
      'data.object.evidence.customer_email_address',
      'data.previous_attributes.metadata.plan',
      'request.idempotency_key',
    ],
  },
  clerk: {
    head: { object: 'event', type: 'user.created' },
    gone: [
      'data.private_metadata.note',
      'data.organization_memberships.0.organization.private_metadata.note',
      'data.password_digest',
      'data.password',
      'data.totp_secret',
      'data.backup_codes.0',
      'data.external_accounts.0.access_token',
      'data.external_accounts.0.verification.nonce',
      'data.web3_wallets.0.verification.nonce',
      'data.unsafe_metadata.otp',
      'data.public_metadata.apiKey',
    ],
    stays: [
      'data.first_name',
      'data.public_metadata.plan',
      'data.public_metadata.referral_code',
      'data.unsafe_metadata.country_code',
      'data.password_enabled',
      'data.totp_enabled',
      'data.backup_code_enabled',
      'data.email_addresses.0.email_address',
      'data.email_addresses.0.verification.status',
      'data.invitation.url',
    ],
  },
  supabase: {
    head: { type: 'UPDATE', schema: 'auth', table: 'users' },
    gone: [
      'record.encrypted_password',
      'record.recovery_token',
      'record.confirmation_token',
      'record.phone',
      'record.email_change',
      'record.new_column_of_tomorrow',
      'record.raw_user_meta_data.access_token',
      'record.raw_user_meta_data.deep.er.apiKey',
      'record.raw_user_meta_data.list.0.pin',
      'record.raw_app_meta_data.role',
      'old_record.encrypted_password',
      'old_record.raw_user_meta_data.password',
    ],
    stays: [
      'record.email',
      'record.role',
      'record.raw_user_meta_data.referral_code',
      'record.raw_user_meta_data.country_code',
      'record.raw_user_meta_data.shipping_plan',
      'record.raw_user_meta_data.a.b.c.d.e',
      'record.raw_app_meta_data.provider',
      'old_record.raw_user_meta_data.zip_code',
    ],
  },
  polar: {
    head: { type: 'order.paid' },
    gone: [
      'data.customer_session_token',
      'data.checkout.client_secret',
      'data.customer.access_token',
      'data.customer.metadata.api_key',
      'data.items.0.token',
    ],
    stays: [
      'data.customer.name',
      'data.customer.metadata.plan',
      'data.metadata.referral_code',
      'data.discount.code',
      'data.custom_field_data.color',
      'data.billing_address.country',
    ],
  },
};

for (const [id, { head, gone, stays }] of Object.entries(PROVIDERS)) {
  describe(`what ${id} sends`, () => {
    const provider = findProvider(id)!;
    const redacted = provider.redact(bodyOf(head, gone, stays));
    test('secrets are not stored, at any depth', () => expect(JSON.stringify(redacted)).not.toContain(CANARY));
    test.each(stays)('%s is', path => {
      expect(pick(redacted, path)).toBe(KEPT);
      expect(provider.withholds?.(path)).toBe(false);
    });
    test.each(gone)('of %s it can be told that it is withheld', path => {
      expect(provider.withholds?.(path)).toBe(true);
      expect(provider.withholds?.(path.replace(/\.(\d+)/g, '[$1]'))).toBe(true);
    });
    test('twice is the same as once', () => expect(provider.redact(redacted)).toEqual(redacted));
  });
}

test('a body without secrets is the very same object, an array without is the very same array', () => {
  const body = { type: 'x', data: { object: { list: [1, { a: [2] }] } } };
  for (const id of ['stripe', 'clerk', 'polar']) expect(findProvider(id)?.redact(body)).toBe(body);
});

test('of rows of other tables nothing is kept, and a time column of Supabase keeps only a time', () => {
  const supabase = findProvider('supabase')!;
  const other = { type: 'INSERT', schema: 'public', table: 'users', record: { note: CANARY }, old_record: null };
  expect(supabase.redact(other)).toEqual({ type: 'INSERT', schema: 'public', table: 'users' });
  const row = (confirmation_sent_at: unknown) =>
    supabase.redact({ type: 'INSERT', schema: 'auth', table: 'users', record: { id: 'u', confirmation_sent_at } });
  expect(pick(row(CANARY), 'record.confirmation_sent_at')).toBeUndefined();
  expect(pick(row('2026-11-01 10:00:00+00'), 'record.confirmation_sent_at')).toBe('2026-11-01 10:00:00+00');
});

test('keys such as __proto__ stay own keys', () => {
  const body: unknown = JSON.parse('{"type":"x","__proto__":{"token":1,"a":2},"constructor":{"a":1}}');
  for (const { redact } of allProviders) {
    const redacted = JSON.stringify(redact(body));
    expect(redacted).not.toContain('token');
    expect(Object.hasOwn(Object.prototype, 'a')).toBe(false);
  }
});
