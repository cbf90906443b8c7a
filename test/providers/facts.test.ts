import { describe, expect, test } from 'bun:test';
import { findProvider } from '../../src/providers/index.ts';
import type { Fact, Ignored, MailReport } from '../../src/providers/provider.ts';
import { SECRETS } from '../support/signed.ts';

const NOW = Date.parse('2026-11-01T10:00:00Z');
type Json = Record<string, unknown>;

/** What a body is read as, through signing, verifying and redacting. */
async function read(provider: string, body: unknown, given: Json = {}): Promise<Fact | MailReport | Ignored> {
  const known = findProvider(provider);
  if (!known) throw new Error(provider);
  const settings = known.settings.parse(given);
  const text = JSON.stringify(body);
  const secret = SECRETS[provider] ?? '';
  const raw = { body: Buffer.from(text), headers: known.sign(text, secret, settings, NOW) };
  const seen = await known.verify(raw, [{ id: 's', value: secret }], settings, NOW);
  return known.read(known.redact(seen.json), settings, { ...seen, externalId: seen.externalId ?? '' });
}
const unknown = { ignored: expect.any(String) };
const nameless = { firstName: null, lastName: null };

interface Case {
  name: string;
  body: unknown;
  settings?: Json;
  expect: unknown;
}
const all = (provider: string, cases: Case[]) =>
  describe(provider, () => {
    test.each(cases.map(each => [each.name, each] as const))('%s', async (_, each) => {
      expect(await read(provider, each.body, each.settings)).toMatchObject(each.expect as object);
    });
  });

const event = (type: string, object: unknown, more: Json = {}) => ({
  id: 'evt_1', object: 'event', type, created: 1_793_527_200, livemode: true, data: { object }, ...more,
}); // biome-ignore format: one glance
const changed = (object: Json, previous_attributes: Json) =>
  event('customer.updated', null, { data: { object, previous_attributes } });
const customer = (more: Json) => event('customer.created', { id: 'cus_1', object: 'customer', ...more });

all('stripe', [
  { name: 'times are seconds', body: customer({ email: 'a@x.co' }), expect: { at: 1_793_527_200_000 } },
  { name: 'an address as typed by the payer', body: customer({ email: '  A.B+Tag@X.CO ' }), expect: { email: 'a.b+tag@x.co' } },
  { name: 'no address', body: customer({ email: null }), expect: { email: null, personId: 'cus_1' } },
  { name: 'individual_name before name', body: customer({ individual_name: 'Ada Lovelace', name: 'Acme Ltd' }), expect: { firstName: 'Ada', lastName: 'Lovelace' } },
  { name: 'a company is not split into a person', body: customer({ name: 'Acme Analytical Engines', business_name: 'Acme Analytical Engines' }), expect: nameless },
  { name: 'business_name alone is no name', body: customer({ name: null, business_name: 'Acme Ltd' }), expect: nameless },
  { name: 'one name string is split at its first space', body: customer({ name: 'Ada King Lovelace' }), expect: { firstName: 'Ada', lastName: 'King Lovelace' } },
  { name: 'never a guess from description or metadata', body: customer({ description: 'd@x.co', metadata: { email: 'm@x.co' } }), expect: { email: null } },
  { name: 'a former address', body: event('customer.updated', { id: 'cus_1', email: 'new@x.co' }, { data: { object: { id: 'cus_1', email: 'new@x.co' }, previous_attributes: { email: 'Old@x.co' } } }), expect: { email: 'new@x.co', former: { email: 'old@x.co' } } },
  { name: 'a deleted stub', body: event('customer.deleted', { id: 'cus_1', object: 'customer', deleted: true }), expect: { deletion: true, personId: 'cus_1', email: null, rank: 3 } },
  { name: 'a guest checkout', body: event('checkout.session.completed', { customer: null, customer_details: { email: 'g@x.co', name: 'G' } }), expect: { personId: null, email: 'g@x.co', authority: 'copy' } },
  { name: 'customer_email is only the fallback', body: event('checkout.session.completed', { customer: null, customer_email: 'pre@x.co', customer_details: { email: null } }), expect: { email: 'pre@x.co' } },
  { name: 'what was typed at the checkout wins over the prefill', body: event('checkout.session.completed', { customer: 'cus_1', customer_email: 'pre@x.co', customer_details: { email: 'typed@x.co' } }), expect: { email: 'typed@x.co', personId: 'cus_1' } },
  { name: 'a checkout of a company', body: event('checkout.session.completed', { customer: 'cus_1', customer_details: { email: 'c@x.co', name: 'Acme Ltd', business_name: 'Acme Ltd' } }), expect: nameless },
  { name: 'the name collected at the checkout', body: event('checkout.session.completed', { customer: 'cus_1', customer_details: { email: 'c@x.co', name: 'Acme Ltd' }, collected_information: { individual_name: 'Ada L' } }), expect: { firstName: 'Ada', lastName: 'L' } },
  { name: 'an invoice since basil', body: event('invoice.paid', { customer: 'cus_1', customer_email: 'i@x.co', customer_name: 'I N', parent: { subscription_details: { subscription: 'sub_1' } } }), expect: { email: 'i@x.co', personId: 'cus_1', authority: 'copy' } },
  { name: 'an upcoming invoice has no id', body: event('invoice.upcoming', { customer: 'cus_1', customer_email: 'i@x.co' }), expect: { email: 'i@x.co' } },
  { name: 'a customer of Accounts v2', body: event('quote.finalized', { customer: null, customer_account: 'acct_9' }), expect: { personId: 'acct_9', aliases: [], email: null } },
  { name: 'both kinds of id', body: event('customer.subscription.created', { customer: 'cus_1', customer_account: 'acct_9' }), expect: { personId: 'cus_1', aliases: ['acct_9'] } },
  { name: 'an expanded customer', body: event('customer.subscription.created', { customer: { id: 'cus_1', email: 'e@x.co' } }), expect: { personId: 'cus_1', email: null } },
  { name: 'a cancelled draft of a quote names nobody', body: event('quote.canceled', { customer: null }), expect: { personId: null, email: null, aliases: [] } },
  { name: 'a dispute with evidence', body: event('charge.dispute.created', { charge: 'ch_1', evidence: { customer_email_address: 'D@x.co', customer_name: 'D U' } }), expect: { personId: null, email: 'd@x.co', firstName: 'D', payments: ['ch_1'] } },
  { name: 'a dispute whose name is an address', body: event('charge.dispute.closed', { charge: 'ch_1', evidence: { customer_name: 'd@x.co' } }), expect: { ...nameless, email: null, aliases: [], payments: ['ch_1'] } },
  { name: 'a dispute without evidence waits for the payment', body: event('charge.dispute.closed', { charge: 'ch_1', payment_intent: 'pi_1', evidence: null }), expect: { aliases: [], payments: ['ch_1', 'pi_1'] } },
  { name: 'a thin payload', body: { id: 'evt_1', object: 'v2.core.event', type: 'v1.customer.created', created: '2026-11-01T10:00:00Z', livemode: true, related_object: { id: 'cus_1' } }, expect: { ignored: expect.stringContaining('Snapshot') } },
  { name: 'a resource of v2', body: { id: 'evt_1', object: 'v2.core.event', type: 'v2.core.account.updated', created: '2026-11-01T10:00:00Z' }, expect: unknown },
  { name: 'a live event where only test is taken', body: customer({}), settings: { mode: 'test' }, expect: { ignored: expect.stringContaining('settings.mode') } },
  { name: 'an event without livemode where only live is taken', body: { ...customer({}), livemode: undefined }, settings: { mode: 'live' }, expect: unknown },
  { name: 'a connected account', body: { ...customer({}), account: 'acct_1' }, expect: { ignored: expect.stringContaining('connect') } },
  { name: 'ids of connected accounts are kept apart', body: { ...customer({ email: 'a@x.co' }), account: 'acct_1' }, settings: { connect: true }, expect: { personId: 'acct_1/cus_1' } },
  { name: 'a former name is what the name field was read as', body: changed({ id: 'cus_1', name: 'Ada King' }, { name: 'Ada Byron' }), expect: { firstName: 'Ada', lastName: 'King', former: { firstName: 'Ada', lastName: 'Byron' } } },
  { name: 'a name that became a company had a person before', body: changed({ id: 'cus_1', name: 'Acme', business_name: 'Acme' }, { business_name: null }), expect: { ...nameless, former: { firstName: 'Acme', lastName: null } } },
  { name: 'a former address of none', body: changed({ id: 'cus_1', email: 'a@x.co' }, { email: null }), expect: { former: { email: null } } },
  { name: 'a customer has no payments', body: customer({ charge: 'ch_1', payment_intent: 'pi_1' }), expect: { payments: [], aliases: [], proven: false, sentAt: 0, micros: 0 } },
  { name: 'a customer of Accounts v2 that has a customer id too', body: customer({ customer_account: 'acct_9' }), expect: { personId: 'cus_1', aliases: ['acct_9'] } },
  { name: 'a checkout: its payment and its invoice', body: event('checkout.session.completed', { customer: 'cus_1', payment_intent: { id: 'pi_1' }, invoice: 'in_1' }), expect: { aliases: [], payments: ['pi_1', 'in_1'] } },
  { name: 'an invoice before basil', body: event('invoice.paid', { id: 'in_1', customer: 'cus_1', charge: 'ch_1', payment_intent: 'pi_1' }), expect: { aliases: [], payments: ['in_1', 'ch_1', 'pi_1'] } },
  { name: 'an invoice since basil, with its payments', body: event('invoice.paid', { id: 'in_1', customer: 'cus_1', payments: { data: [{ payment: { type: 'payment_intent', payment_intent: 'pi_1' } }, { payment: { type: 'charge', charge: 'ch_2' } }, null] } }), expect: { payments: ['in_1', 'pi_1', 'ch_2'] } },
  { name: 'the id of a preview does not last', body: event('invoice.upcoming', { id: 'upcoming_in_1', customer: 'cus_1' }), expect: { payments: [] } },
  { name: 'payments of connected accounts are kept apart', body: { ...event('charge.dispute.created', { charge: 'ch_1' }), account: 'acct_1' }, settings: { connect: true }, expect: { payments: ['acct_1/ch_1'] } },
  { name: 'a subscription names no payment', body: event('customer.subscription.created', { customer: 'cus_1', latest_invoice: 'in_1' }), expect: { payments: [], aliases: [] } },
  { name: 'the end of a subscription outranks its beginning', body: event('customer.subscription.deleted', { customer: 'cus_1' }), expect: { rank: 3, deletion: false } },
  { name: 'a cancelled quote outranks a finalised one', body: event('quote.canceled', { customer: 'cus_1' }), expect: { rank: 3, deletion: false } },
  { name: 'a name that is an address: customer', body: customer({ email: 'named@x.co', name: 'named@x.co' }), expect: { ...nameless, email: 'named@x.co' } },
  { name: 'a name that is an address: individual_name, then the name', body: customer({ individual_name: 'named@x.co', name: 'Ada L' }), expect: { firstName: 'Ada', lastName: 'L' } },
  { name: 'a name that is an address: invoice', body: event('invoice.paid', { customer: 'cus_1', customer_name: 'named@x.co' }), expect: nameless },
  { name: 'a name that is an address: checkout', body: event('checkout.session.completed', { customer: 'cus_1', customer_details: { name: 'named@x.co' } }), expect: nameless },
  { name: 'a name with an address in it', body: customer({ name: 'Ada <ada@x.co>' }), expect: nameless },
  { name: 'a name with an at sign is a name', body: customer({ name: 'Ada @ Acme' }), expect: { firstName: 'Ada', lastName: '@ Acme' } },
  { name: 'payment_succeeded: the hint names invoice.paid', body: event('invoice.payment_succeeded', { customer: 'cus_1' }), expect: { ignored: expect.stringContaining('invoice.paid') } },
  { name: 'charge.succeeded: the hint names what says it', body: event('charge.succeeded', {}), expect: { ignored: expect.stringContaining('checkout.session.completed') } },
  { name: 'subscription.updated is not one of ours', body: event('customer.subscription.updated', { customer: 'cus_1' }), expect: unknown },
]); // biome-ignore format: a table

const at = (ms: number) => NOW + ms;
const address = (id: string, email: string, status?: string) => ({
  id,
  email_address: email,
  verification: status ? { status } : null,
});
const user = (more: Json, type = 'user.created') => ({ type, object: 'event', timestamp: at(-1000), data: { id: 'user_1', object: 'user', updated_at: at(-2000), ...more } }); // biome-ignore format: one glance
const two = [address('i1', 'one@x.co', 'verified'), address('i2', 'Two@x.co', 'unverified')];

all('clerk', [
  { name: 'the primary address, wherever it stands', body: user({ primary_email_address_id: 'i2', email_addresses: two }), expect: { email: 'two@x.co', userId: 'user_1', at: at(-2000) } },
  { name: 'no primary: the first verified one', body: user({ primary_email_address_id: null, email_addresses: two.toReversed() }), expect: { email: 'one@x.co' } },
  { name: 'a primary that is not among them: the first verified one', body: user({ primary_email_address_id: 'i9', email_addresses: two }), expect: { email: 'one@x.co' } },
  { name: 'none verified: none', body: user({ primary_email_address_id: null, email_addresses: [address('i', 'a@x.co'), address('j', 'b@x.co', 'expired')] }), expect: { email: null } },
  { name: 'phone only', body: user({ primary_email_address_id: null, email_addresses: [], phone_numbers: [{ id: 'p' }] }), expect: { email: null, personId: 'user_1' } },
  { name: 'no addresses at all', body: user({ email_addresses: undefined }), expect: { email: null } },
  { name: 'only verified ones are taken when so set', body: user({ primary_email_address_id: 'i2', email_addresses: two }), settings: { verifiedOnly: true }, expect: { email: null } },
  { name: "the person's id is Clerk's, not external_id", body: user({ external_id: 'app_7', email_addresses: two }), expect: { userId: 'user_1' } },
  { name: 'an OAuth name fills a missing one only', body: user({ first_name: 'Ada', last_name: null, external_accounts: [{ first_name: 'X', last_name: 'Y' }] }), expect: { firstName: 'Ada', lastName: 'Y' } },
  { name: 'a deletion is an id', body: { type: 'user.deleted', data: { id: 'user_1', object: 'user', deleted: true } }, expect: { deletion: true, personId: 'user_1', email: null, at: NOW } },
  { name: 'a deletion without an id', body: { type: 'user.deleted', data: { deleted: true } }, expect: unknown },
  { name: 'an old message without timestamp', body: { type: 'waitlistEntry.created', data: { email_address: 'W@x.co' } }, expect: { email: 'w@x.co', personId: null, userId: null, at: NOW } },
  { name: 'a waitlist entry is an address only', body: { type: 'waitlistEntry.updated', timestamp: at(0), data: { id: 'wle_1', email_address: 'w@x.co', status: 'invited', invitation: null, updated_at: at(-5) } }, expect: { personId: null, authority: 'copy', at: at(-5), rank: 1 } },
  { name: 'a test user is taken by default', body: user({ primary_email_address_id: 'i', email_addresses: [address('i', 'jane+clerk_test@example.com')] }), expect: { email: 'jane+clerk_test@example.com' } },
  { name: 'a test user is skipped when so set', body: user({ primary_email_address_id: 'i', email_addresses: [address('i', 'jane+clerk_test@example.com')] }), settings: { skipTestUsers: true }, expect: { ignored: expect.stringContaining('skipTestUsers') } },
  { name: 'the example message of the dashboard makes nobody', body: user({ id: 'user_29w83sxmDNGwOuEthce5gg56FcC', primary_email_address_id: 'i', email_addresses: [address('i', 'example@example.org', 'verified')] }), expect: { ignored: expect.stringContaining('example') } },
  { name: 'anybody else at example.org is somebody', body: user({ primary_email_address_id: 'i', email_addresses: [address('i', 'example@example.org', 'verified')] }), expect: { email: 'example@example.org' } },
  { name: 'a verified address is proven, as of when the event was sent', body: user({ primary_email_address_id: 'i1', email_addresses: two }), expect: { email: 'one@x.co', proven: true, sentAt: at(-1000), micros: 0, former: null, payments: [] } },
  { name: 'an unverified address is not proven', body: user({ primary_email_address_id: 'i2', email_addresses: two }), expect: { email: 'two@x.co', proven: false } },
  { name: 'a verified entry without a plausible address proves nothing', body: user({ primary_email_address_id: 'i', email_addresses: [address('i', 'nobody', 'verified')] }), expect: { email: null, proven: false } },
  { name: 'an unverified sign-up names nobody where only verified are taken', body: user({ first_name: 'Eve', primary_email_address_id: 'i2', email_addresses: two }), settings: { verifiedOnly: true }, expect: { ...nameless, email: null, personId: 'user_1', proven: false } },
  { name: 'a phone-only user keeps the name where only verified are taken', body: user({ first_name: 'Ada', email_addresses: [] }), settings: { verifiedOnly: true }, expect: { firstName: 'Ada' } },
  { name: 'a test user is skipped although unverified ones are not taken', body: user({ primary_email_address_id: 'i', email_addresses: [address('i', 'jane+clerk_test@example.com')] }), settings: { skipTestUsers: true, verifiedOnly: true }, expect: unknown },
  { name: 'a waitlist entry proves nothing', body: { type: 'waitlistEntry.created', timestamp: at(0), data: { email_address: 'w@x.co' } }, expect: { proven: false, sentAt: at(0) } },
  { name: 'a name that is an address gives way to that of an account', body: user({ first_name: 'ada@x.co', external_accounts: [{ first_name: 'Ada' }] }), expect: { firstName: 'Ada' } },
  { name: 'its billing types collide with those of Polar', body: { type: 'subscription.created', data: { customer: { id: 'x', email: 'a@x.co' } } }, expect: unknown },
]); // biome-ignore format: a table

const row = (more: Json = {}) => ({
  id: 'u1',
  email: 'ada@x.co',
  email_confirmed_at: null,
  updated_at: '2026-10-30T10:00:00.123456+00:00',
  deleted_at: null,
  ...more,
});
const hook = (type: string, record: unknown, old_record: unknown = null) => ({
  type,
  schema: 'auth',
  table: 'users',
  record,
  old_record,
});
const named = (first_name: string) => ({ raw_user_meta_data: { first_name } });
const HASHED = 'n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg'; // biome-ignore format: one glance

all('supabase', [
  { name: 'microseconds are kept beside the ms', body: hook('INSERT', row()), expect: { at: Date.parse('2026-10-30T10:00:00.123Z'), micros: 456, rank: 0 } },
  { name: 'a row of SQL origin in capitals', body: hook('INSERT', row({ email: ' ADA@X.co' })), expect: { email: 'ada@x.co', userId: 'u1' } },
  { name: 'a top-level user_id is ignored', body: { ...hook('INSERT', row()), user_id: 'other' }, expect: { userId: 'u1' } },
  { name: 'an anonymous user', body: hook('INSERT', row({ email: null, is_anonymous: true })), expect: { email: null, personId: 'u1' } },
  { name: 'a phone-only user', body: hook('INSERT', row({ email: '', phone: '1' })), expect: { email: null } },
  { name: 'an anonymous user becomes permanent by an UPDATE', body: hook('UPDATE', row(), row({ email: null, is_anonymous: true })), expect: { email: 'ada@x.co', former: { email: null }, deletion: false } },
  { name: 'a pending change of address is not read', body: hook('UPDATE', row({ email_change: 'next@x.co' }), row()), expect: { email: 'ada@x.co' } },
  { name: 'a changed address', body: hook('UPDATE', row({ email: 'new@x.co' }), row()), expect: { email: 'new@x.co', former: { email: 'ada@x.co' } } },
  { name: 'unconfirmed, where only confirmed are taken', body: hook('INSERT', row({ confirmed_at: '2026-10-30T10:00:00Z' })), settings: { confirmedOnly: true }, expect: { email: null } },
  { name: 'unconfirmed, by default', body: hook('INSERT', row()), expect: { email: 'ada@x.co' } },
  { name: 'a soft delete: the real address is in old_record', body: hook('UPDATE', row({ email: HASHED, deleted_at: '2026-10-30T10:00:00Z' }), row()), expect: { deletion: true, email: 'ada@x.co', rank: 3, settingsType: 'DELETE' } },
  { name: 'the UPDATEs after a soft delete never show the hash', body: hook('UPDATE', row({ email: HASHED, deleted_at: '2026-10-30T10:00:00Z' }), row({ email: HASHED, deleted_at: '2026-10-30T10:00:00Z' })), expect: { deletion: true, email: null, former: { email: null } } },
  { name: 'a hash is no address without a deletion either', body: hook('UPDATE', row({ email: HASHED }), row()), expect: { email: null } },
  { name: 'a ban is no deletion', body: hook('UPDATE', row({ banned_until: '2030-01-01T00:00:00Z' }), row()), expect: { deletion: false } },
  { name: 'a DELETE is ordered by the last change of the row, and happens now', body: hook('DELETE', null, row()), expect: { deletion: true, email: 'ada@x.co', at: Date.parse('2026-10-30T10:00:00.123Z'), micros: 456, happenedAt: NOW } },
  { name: 'a DELETE of a soft-deleted row', body: hook('DELETE', null, row({ email: HASHED, deleted_at: '2026-10-30T10:00:00Z' })), expect: { deletion: true, email: null, personId: 'u1' } },
  { name: 'first_name and last_name before the others', body: hook('INSERT', row({ raw_user_meta_data: { first_name: 'Ada', family_name: 'L', full_name: 'No One' } })), expect: { firstName: 'Ada', lastName: 'L' } },
  { name: 'given_name before full_name before name', body: hook('INSERT', row({ raw_user_meta_data: { given_name: 'Ada', full_name: 'No One' } })), expect: { firstName: 'Ada', lastName: null } },
  { name: 'full_name is split', body: hook('INSERT', row({ raw_user_meta_data: { full_name: 'Ada King L', name: 'No One' } })), expect: { firstName: 'Ada', lastName: 'King L' } },
  { name: 'name is split', body: hook('INSERT', row({ raw_user_meta_data: { name: 'Ada L' } })), expect: { firstName: 'Ada', lastName: 'L' } },
  { name: 'no metadata', body: hook('INSERT', row({ raw_user_meta_data: null })), expect: nameless },
  { name: 'full_name that is an address gives way to name', body: hook('INSERT', row({ raw_user_meta_data: { full_name: 'ada@x.co', name: 'Ada L' } })), expect: { firstName: 'Ada', lastName: 'L' } },
  { name: 'first_name that is an address', body: hook('INSERT', row({ raw_user_meta_data: { first_name: 'ada@x.co' } })), expect: nameless },
  { name: 'nanoseconds are cut to microseconds', body: hook('INSERT', row({ updated_at: '2026-10-30T10:00:00.1234567Z' })), expect: { micros: 456 } },
  { name: 'tenths have no microseconds', body: hook('INSERT', row({ updated_at: '2026-10-30T10:00:00.1Z' })), expect: { at: Date.parse('2026-10-30T10:00:00.100Z'), micros: 0 } },
  { name: 'an UPDATE says what was before, names and nulls too', body: hook('UPDATE', row(named('Carla')), row({ ...named('Berta'), email: null })), expect: { firstName: 'Carla', former: { email: null, firstName: 'Berta', lastName: null } } },
  { name: 'an UPDATE without the old row says nothing of before', body: hook('UPDATE', row()), expect: { former: null } },
  { name: 'an INSERT had nothing before it', body: hook('INSERT', row(), row()), expect: { former: null } },
  { name: 'another table', body: { ...hook('INSERT', row()), table: 'orders' }, expect: unknown },
  { name: 'users of another schema', body: { ...hook('INSERT', row()), schema: 'public' }, expect: unknown },
  { name: 'another operation', body: hook('TRUNCATE', null), expect: unknown },
]); // biome-ignore format: a table

const person = (more: Json = {}) => ({
  id: 'c1',
  type: 'individual',
  email: 'Ada@X.co',
  name: 'Ada L',
  external_id: null,
  ...more,
});
const polar = (type: string, data: Json) => ({ type, timestamp: '2026-11-01T09:00:00Z', api_version: '2026-10', data });

all('polar', [
  { name: 'ISO time, address in its stored case', body: polar('customer.created', person()), expect: { at: Date.parse('2026-11-01T09:00:00Z'), email: 'ada@x.co', firstName: 'Ada', authority: 'person' } },
  { name: 'an own user id', body: polar('customer.updated', person({ external_id: 'user_1' })), expect: { userId: 'user_1', rank: 1 } },
  { name: 'a team: its name is nobody’s', body: polar('customer.created', person({ type: 'team', email: null, name: 'Acme Ltd' })), expect: { ...nameless, email: null, personId: 'c1' } },
  { name: 'billing_name is for invoices', body: polar('customer.created', person({ name: null, billing_name: 'B N' })), expect: nameless },
  { name: 'an anonymised deletion', body: polar('customer.deleted', person({ email: `${'a'.repeat(64)}@anonymized.polar.sh`, name: 'f00d', external_id: 'user_1' })), expect: { ...nameless, deletion: true, email: null, personId: 'c1' } },
  { name: 'an anonymised address in an order', body: polar('order.paid', { customer_id: 'c1', customer: person({ email: 'aa@Anonymized.polar.sh', name: 'f00d' }) }), expect: { ...nameless, email: null } },
  { name: 'data.user is never read', body: polar('order.paid', { customer_id: 'c1', user_id: 'legacy', user: { id: 'legacy', email: 'legacy@x.co' } }), expect: { personId: 'c1', email: null } },
  { name: 'an order names its customer', body: polar('order.paid', { id: 'o1', customer_id: 'c1', customer: person() }), expect: { personId: 'c1', email: 'ada@x.co', authority: 'copy' } },
  { name: 'nothing is proven, nothing was before', body: polar('customer.updated', person()), expect: { proven: false, former: null, payments: [], micros: 0, sentAt: 0 } },
  { name: 'a revoked subscription outranks an active one', body: polar('subscription.revoked', { customer_id: 'c1' }), expect: { rank: 3, deletion: false } },
  { name: 'a cancelled subscription outranks an active one', body: polar('subscription.canceled', { customer_id: 'c1' }), expect: { rank: 3, deletion: false } },
  { name: 'a subscription taken up again does not', body: polar('subscription.uncanceled', { customer_id: 'c1' }), expect: { rank: 2 } },
  { name: 'a name that is an address', body: polar('customer.created', person({ name: 'Ada@X.co' })), expect: nameless },
  { name: 'customer.state_changed is not one of ours', body: polar('customer.state_changed', person()), expect: unknown },
  { name: 'a Slack-shaped body', body: { text: 'New order', blocks: [] }, expect: unknown },
]); // biome-ignore format: a table

describe('the header that carries the Supabase secret', () => {
  const settings = findProvider('supabase')?.settings;
  test.each(['authorization', 'cookie', 'user-agent', 'content-type', 'content-encoding', 'transfer-encoding', 'x-forwarded-for', 'proxy-authorization', 'svix-id', 'webhook-id'])(
    'is never %s: the log or a proxy would show or change it',
    headerName => expect(settings?.safeParse({ headerName }).success).toBe(false),
  ); // biome-ignore format: one glance
  test.each(['x-inlet-secret', 'x-my-secret', 'inlet-key'])('may be %s', headerName =>
    expect(settings?.safeParse({ headerName }).success).toBe(true),
  );
});
