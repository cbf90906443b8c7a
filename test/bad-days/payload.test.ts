import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { allProviders, findProvider } from '../../src/providers/index.ts';
import { computeHmac } from '../../src/providers/signatures.ts';
import { SECRETS, TestApp } from '../support/app.ts';

let app: TestApp;
const ids: Record<string, string> = {};
beforeAll(async () => {
  app = await TestApp.open();
  for (const { id } of allProviders) ids[id] = await app.endpoint(id);
});
afterAll(() => app.stop());

/** Headers that prove these very bytes, valid UTF-8 or not. */
function proof(provider: string, body: Uint8Array): Record<string, string> {
  const seconds = String(Math.floor(Date.now() / 1000));
  const secret = SECRETS[provider] ?? '';
  if (provider === 'supabase' || provider === 'postmark') return { 'x-inlet-secret': secret };
  if (provider === 'stripe')
    return {
      'stripe-signature': `t=${seconds},v1=${Buffer.from(computeHmac(secret, `${seconds}.`, body)).toString('hex')}`,
    };
  const id = crypto.randomUUID();
  const isSvix = provider === 'clerk' || provider === 'resend';
  const key = isSvix ? Buffer.from(secret.slice(6), 'base64') : secret;
  const prefix = isSvix ? 'svix' : 'webhook';
  const signature = Buffer.from(computeHmac(key, `${id}.${seconds}.`, body)).toString('base64');
  return { [`${prefix}-id`]: id, [`${prefix}-timestamp`]: seconds, [`${prefix}-signature`]: `v1,${signature}` };
}

const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map(part => Buffer.from(part as string)));
const deep = (n: number) => `${'{"data":'.repeat(n)}1${'}'.repeat(n)}`;
const hostile: [string, (sample: string) => Uint8Array][] = [
  ['nothing', () => bytes('')],
  ['not JSON', () => bytes('hello')],
  ['a bare null', () => bytes('null')],
  ['an array', () => bytes('[1,2,3]')],
  ['10,000 levels', () => bytes(deep(10_000))],
  ['a flood of tokens', () => bytes(`[${'{},'.repeat(200_000)}{}]`)],
  ['invalid UTF-8', s => bytes(s.slice(0, -1), ',"x":"', [0xff, 0xfe, 0xc3], '"}')],
  ['a byte order mark', s => bytes([0xef, 0xbb, 0xbf], s)],
  [
    'a NUL in an id and a name',
    s => bytes(s.replaceAll('Ada', 'A\\u0000da').replace(/"id":"(\w)/g, '"id":"$1\\u0000')),
  ],
  ['lone surrogates', s => bytes(s.replaceAll('Ada', '\\ud800Ada\\udfff'))],
  [
    'prototype keys',
    s => bytes(`${s.slice(0, -1)},"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}`),
  ],
  [
    'doubled keys',
    s =>
      bytes(
        `${s.slice(0, -1)},"type":"user.created","data":{"object":{"email":"twice@x.co"}},"type":${JSON.stringify(JSON.parse(s).type)}}`,
      ),
  ],
  ['numbers beyond 2^53', s => bytes(s.replaceAll(/:(\d{9,})/g, ':9007199254740993999'))],
  ['infinite numbers', s => bytes(s.replaceAll(/:(\d{9,})/g, ':1e999'))],
  ['negative times', s => bytes(s.replaceAll(/:(\d{9,})/g, ':-5'))],
  ['impossible dates', s => bytes(s.replaceAll(/"\d{4}-\d\d-\d\dT[^"]*"/g, '"2024-02-30T25:61:61Z"'))],
  ['an address of a thousand characters', s => bytes(s.replaceAll('ada@example.com', `${'a'.repeat(1000)}@x.co`))],
  ['two addresses in one', s => bytes(s.replaceAll('ada@example.com', 'a@x.co, b@x.co'))],
  [
    'objects for texts',
    s => bytes(s.replaceAll(/"Ada( Lovelace)?"/g, '{"a":[1]}').replaceAll('"ada@example.com"', '["ada@example.com"]')),
  ],
];

for (const { id, types } of allProviders) {
  describe(id, () => {
    for (const [name, make] of hostile) {
      test(`${name}: answered 200, applied or ignored, nothing thrown or polluted`, async () => {
        const provider = findProvider(id);
        for (const { type } of types.slice(0, 3)) {
          const body = make(JSON.stringify(provider?.sample(type, 'ada@example.com', Date.now())));
          const at = performance.now();
          const answer = await app.fetch(`/webhooks/${ids[id]}`, { method: 'POST', body, headers: proof(id, body) });
          expect(performance.now() - at).toBeLessThan(500);
          expect(answer.status).toBe(200);
          expect(['accepted', 'ignored', 'duplicate']).toContain(answer.body.result);
        }
        await app.drain();
        expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
        expect((await app.api('GET', '/deliveries?status=failed')).body.data).toEqual([]);
        expect((await app.api('GET', '/deliveries?status=dead')).body.data).toEqual([]);
        expect((await app.api('GET', '/contacts?perPage=100')).status).toBe(200);
        expect((await app.api('GET', '/deliveries?perPage=100')).status).toBe(200);
      });
    }
    test('nothing is parsed before it is verified: an unsigned bomb is refused at once', async () => {
      const body = bytes(`[${'{},'.repeat(300_000)}{}]`);
      const answer = await app.fetch(`/webhooks/${ids[id]}`, { method: 'POST', body });
      expect(answer.status).toBe(401);
    });
  });
}
