import { describe, expect, test } from 'bun:test';
import { findProvider } from '../../src/providers/index.ts';
import type { Fact } from '../../src/providers/provider.ts';

type Json = Record<string, unknown>;
const supabase = findProvider('supabase')!;

const T = (second: number) => `2026-11-01T10:00:${String(second).padStart(2, '0')}.000000+00:00`;
const row = (more: Json = {}) => ({
  id: 'u1',
  email: 'ada@x.co',
  created_at: T(0),
  updated_at: T(30),
  email_confirmed_at: T(0),
  confirmation_sent_at: null,
  invited_at: null,
  raw_app_meta_data: { provider: 'email', providers: ['email'] },
  raw_user_meta_data: { first_name: 'Ada' },
  ...more,
});
function read(record: unknown, settings: Json = {}, more: Json = {}): Fact {
  const body = { type: 'INSERT', schema: 'auth', table: 'users', record, old_record: null, ...more };
  const seen = { type: body.type, at: 0, externalId: null };
  const fact = supabase.read(supabase.redact(body), supabase.settings.parse(settings), seen);
  if ('ignored' in fact) throw new Error(fact.ignored);
  if ('report' in fact) throw new Error(fact.report);
  return fact;
}
const oauth = (...providers: string[]) => ({ raw_app_meta_data: { provider: providers[0], providers } });

describe('what proves an address of Supabase', () => {
  test.each<[string, boolean, Json]>([
    ['a confirmation after a mail', true, { confirmation_sent_at: T(0), email_confirmed_at: T(20) }],
    ['a confirmation within two seconds of a mail', true, { confirmation_sent_at: T(0), email_confirmed_at: T(1) }],
    ['an invitation by mail', true, { invited_at: T(0) }],
    ['a confirmation long after the sign-up', true, { email_confirmed_at: T(20) }],
    ['an OAuth identity', true, oauth('google')],
    ['an OAuth identity beside that of the address', true, oauth('email', 'github')],
    ['an OAuth provider without the list', true, { raw_app_meta_data: { provider: 'apple' } }],
    ['single sign-on', true, oauth('sso:8f1c')],
    ['a project that confirms by itself does not', false, {}],
    ['nor two seconds later', false, { email_confirmed_at: T(2) }],
    ['nor a phone', false, oauth('email', 'phone')],
    ['nor a row that does not say when it was made', false, { created_at: null }],
    ['nor a mail that nobody followed', false, { confirmation_sent_at: T(0), email_confirmed_at: null }],
    ['nor an OAuth identity whose address is unconfirmed', false, { ...oauth('google'), email_confirmed_at: null }],
    ['nor anything without an address', false, { ...oauth('google'), email: null }],
    ['nor what a user writes into the metadata', false, { raw_user_meta_data: { email_verified: true, provider: 'google', confirmation_sent_at: T(0) } }],
    ['nor a mail time that is none', false, { confirmation_sent_at: 'yes' }],
  ])('%s: %p', (_, proven, more) => expect(read(row(more)).proven).toBe(proven)); // biome-ignore format: a table

  test('a project that confirms by itself proves where it is trusted to; an unconfirmed address never', () => {
    const trusted = { trustAutoConfirmed: true };
    expect(read(row(), trusted).proven).toBe(true);
    expect(read(row({ email_confirmed_at: null }), trusted).proven).toBe(false);
    expect(supabase.settings.parse({})).toMatchObject({ trustAutoConfirmed: false, confirmedOnly: false });
  });

  test('a deletion proves what the row proved', () => {
    const gone = (more: Json) => read(null, {}, { type: 'DELETE', old_record: row(more) });
    expect(gone(oauth('google'))).toMatchObject({ email: 'ada@x.co', proven: true, deletion: true });
    expect(gone({})).toMatchObject({ email: 'ada@x.co', proven: false, deletion: true });
    const hashed = { ...row(oauth('google')), email: 'c2hhMjU2', deleted_at: T(30) };
    const soft = read(hashed, {}, { type: 'UPDATE', old_record: row(oauth('google')) });
    expect(soft).toMatchObject({ email: 'ada@x.co', proven: true, deletion: true, firstName: null });
  });
});

describe('confirmedOnly ignores whose address is not proven', () => {
  const only = { confirmedOnly: true };
  const nobody = { email: null, firstName: null, lastName: null, proven: false, personId: 'u1', userId: 'u1' };
  test('unconfirmed: no address and no name, but the id for what follows', () => {
    expect(read(row({ email_confirmed_at: null }), only)).toMatchObject(nobody);
  });
  test('confirmed by the project itself: likewise, unless that is trusted', () => {
    expect(read(row(), only)).toMatchObject(nobody);
    expect(read(row(), { ...only, trustAutoConfirmed: true })).toMatchObject({ email: 'ada@x.co', firstName: 'Ada' });
  });
  test('proven: taken, and the unconfirmed row before it showed nothing', () => {
    const before = row({ email_confirmed_at: null });
    const fact = read(row(oauth('google')), only, { type: 'UPDATE', old_record: before });
    expect(fact).toMatchObject({
      email: 'ada@x.co',
      proven: true,
      former: { email: null, firstName: null, lastName: null },
    });
  });
  test('one without any address keeps its name', () => {
    expect(read(row({ email: null }), only)).toMatchObject({ email: null, firstName: 'Ada' });
  });
  test('a deletion of one does not name the address either', () => {
    expect(read(null, only, { type: 'DELETE', old_record: row() })).toMatchObject({ ...nobody, deletion: true });
  });
});

describe('Supabase has no event ids', () => {
  const body = (type: string, record: unknown, old_record: unknown = null) => ({
    type,
    schema: 'auth',
    table: 'users',
    record,
    old_record,
  });
  const key = (value: unknown) => supabase.dedupe!(supabase.redact(value));
  test('INSERT and DELETE happen once; an UPDATE may come back', () => {
    expect(key(body('INSERT', row()))).toMatchObject({ group: 'u1', once: true });
    expect(key(body('DELETE', null, row()))).toMatchObject({ group: 'u1', once: true });
    expect(key(body('UPDATE', row(), row()))).toMatchObject({ group: 'u1', once: false });
    expect(key({ type: 'INSERT' })).toBeNull();
  });
  test('the hash is of type, id, both times and both rows as they are kept, whatever their order of keys', () => {
    const one = body('UPDATE', row(), row({ updated_at: T(10) }));
    const turned = Object.fromEntries(Object.entries(one).toReversed());
    expect(key(turned)).toEqual(key(one));
    expect(key(body('UPDATE', { ...row(), encrypted_password: 'x' }, row({ updated_at: T(10) })))).toEqual(key(one));
    expect(supabase.dedupe!({ ...one, record: { ...row(), recovery_token: 'x' } })).toEqual(key(one)!);
    const others = [
      body('UPDATE', row(), row({ updated_at: T(11) })),
      body('UPDATE', row({ updated_at: T(31) }), row({ updated_at: T(10) })),
      body('UPDATE', row({ raw_user_meta_data: { first_name: 'Eve' } }), row({ updated_at: T(10) })),
      body('UPDATE', row(), row({ updated_at: T(10), email: 'was@x.co' })),
      body('INSERT', row(), row({ updated_at: T(10) })),
    ];
    const hashes = new Set([one, ...others].map(each => key(each)?.hash));
    expect(hashes.size).toBe(6);
  });
});
