import { expect, test } from 'bun:test';
import { AppError } from '../../src/errors.ts';
import { makeGuardedFetch } from '../../src/net/fetch.ts';
import { providerHosts } from '../../src/providers/index.ts';

const fetch = makeGuardedFetch({ hosts: [...providerHosts, '*.example.test'], deadlineMs: 1 });
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

/** What a call of `anywhere` came to; names lead where `addresses` says. */
async function call(url: string, addresses: string[] = []): Promise<string> {
  const anywhere = makeGuardedFetch({ anywhere: true, deadlineMs: 2000, resolve: async () => addresses });
  try {
    return await (await anywhere(url)).text();
  } catch (error) {
    return error instanceof AppError ? error.message : 'another error';
  }
}

test.each([
  ['http://0.0.0.0:PORT/', []],
  ['http://link-local.example.test/latest', ['169.254.169.254']],
  ['http://[::ffff:127.0.0.1]:PORT/', []],
  ['https://metadata.example.test/', ['fd00:ec2::254']],
  ['http://metadata.example.test/', ['100.100.100.200']],
  ['https://mixed.example.test/', ['10.0.0.1', '169.254.169.254']],
  ['http://public.example.test/', ['93.184.215.14']],
  ['http://user:secret@127.0.0.1:PORT/', []],
] as [string, string[]][])('%s is not called, also where private targets are allowed', async (url, addresses) => {
  using server = Bun.serve({ port: 0, hostname: '0.0.0.0', fetch: () => new Response('reached') });
  expect(await call(url.replace('PORT', String(server.port)), addresses)).toStartWith('Inlet does not call');
});

test('a private host is called at the address that was checked, by its own name', async () => {
  using server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: req => new Response(req.headers.get('host')) });
  expect(await call(`http://supabase.internal:${server.port}/`, ['127.0.0.1'])).toBe(
    `supabase.internal:${server.port}`,
  );
});
