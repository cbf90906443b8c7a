import { expect, test } from 'bun:test';
import { guarded } from '../../src/fetch.ts';
import { providerHosts } from '../../src/providers/index.ts';

const fetch = guarded({ hosts: [...providerHosts, '*.example.test'], deadlineMs: 1 });
const refusalOf = async (url: string) => {
  try {
    await fetch(url, { signal: AbortSignal.abort() });
  } catch (error) {
    return String(error).includes('is not a host') ? 'refused' : 'tried';
  }
  return 'answered';
};

test.each([
  ['https://api.stripe.com/v1/customers', 'tried'],
  ['https://sandbox-api.polar.sh/v1', 'tried'],
  ['https://abcdefgh.supabase.co/auth', 'tried'],
  ['https://one.example.test/', 'tried'],
  ['http://api.stripe.com/v1', 'refused'],
  ['https://api.stripe.com:8443/v1', 'refused'],
  ['https://api.stripe.com.evil.example/', 'refused'],
  ['https://evil-api.stripe.com/', 'refused'],
  ['https://a.b.supabase.co/', 'refused'],
  ['https://supabase.co/', 'refused'],
  ['https://evil.example/.supabase.co', 'refused'],
])('%s is %s: only hosts that a provider names are called', async (url, what) => {
  expect(await refusalOf(url)).toBe(what);
});
