import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { allProviders } from '../../src/providers/index.ts';
import {
  type Fact,
  type Ignored,
  type MailReport,
  type RawRequest,
  type Secret,
  Unverified,
} from '../../src/providers/provider.ts';
import { SECRETS, signed } from '../support/signed.ts';

const FIXTURES = join(import.meta.dir, '../fixtures');
const NOW = Date.parse('2026-11-01T10:00:00Z');
interface Fixture {
  settings?: Record<string, unknown>;
  body: Record<string, unknown>;
  expect: Partial<Fact> | MailReport | Ignored;
}
const fixturesOf = (id: string) =>
  readdirSync(join(FIXTURES, id)).map(name => ({
    name: name.replace('.json', ''),
    fixture: JSON.parse(readFileSync(join(FIXTURES, id, name), 'utf8')) as Fixture,
  }));
const secretOf = (value: string): Secret[] => [{ id: 'sec_1', value }];

async function refusal(run: () => unknown): Promise<Unverified> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(Unverified);
    return error as Unverified;
  }
  throw new Error('it was accepted');
}

test('43 event types: Stripe 19, Clerk 5, Supabase 3, Polar 10, Resend 4, Postmark 2, each with a fixture', () => {
  expect(allProviders.map(p => [p.id, p.types.length])).toEqual([
    ['stripe', 19],
    ['clerk', 5],
    ['supabase', 3],
    ['polar', 10],
    ['resend', 4],
    ['postmark', 2],
  ]);
  for (const { id, types } of allProviders) {
    const names = fixturesOf(id).map(each => each.name);
    for (const { type } of types) expect(names).toContain(type);
  }
});

for (const provider of allProviders) {
  const signs = !['supabase', 'postmark'].includes(provider.id);
  const secret = SECRETS[provider.id] ?? '';
  for (const { name, fixture } of fixturesOf(provider.id)) {
    describe(`${provider.id} ${name}`, () => {
      const settings = provider.settings.parse(fixture.settings ?? {});
      const text = JSON.stringify(fixture.body);
      const check = (raw: RawRequest, value = secret, now = NOW) =>
        provider.verify(raw, secretOf(value), settings, now);

      test('is accepted, gives its fact, and the same bytes give the same id', async () => {
        const raw = await signed(provider.id, text, { now: NOW });
        const seen = await check(raw);
        expect(seen.secretId).toBe('sec_1');
        const redacted = provider.redact(seen.json);
        const read = provider.read(redacted, settings, { type: seen.type, at: seen.at, externalId: seen.externalId });
        if ('ignored' in fixture.expect) expect('ignored' in read && read.ignored).toContain(fixture.expect.ignored);
        else expect(read).toMatchObject(fixture.expect);
        const again = await check(raw);
        expect(again.externalId).toBe(seen.externalId);
        expect(provider.dedupe?.(provider.redact(again.json))).toEqual(provider.dedupe?.(redacted));
        expect(JSON.stringify(redacted)).not.toContain('CANARY');
      });

      test('is refused with another, short or empty secret, without its header, with a doubled one', async () => {
        const raw = await signed(provider.id, text, { now: NOW });
        for (const wrong of [`${secret.slice(0, -6)}QQQQQQ`, secret.slice(0, 23), ''])
          expect((await refusal(() => check(raw, wrong))).reason).toBe('badSignature');
        for (const header of Object.keys(raw.headers)) {
          const { [header]: value, ...rest } = raw.headers;
          expect((await refusal(() => check({ ...raw, headers: rest }))).reason).toBe('missingHeader');
          const doubled = await refusal(() => check({ ...raw, headers: { ...rest, [header]: `${value}, ${value}` } }));
          expect(doubled.reason).toBe('doubledHeader');
        }
      });

      if (!signs) return;
      test('is refused with a flipped byte, and too old or too new with the seconds told', async () => {
        const raw = await signed(provider.id, text, { now: NOW });
        const body = Uint8Array.from(raw.body);
        body[Math.floor(body.length / 2)]! ^= 1;
        expect((await refusal(() => check({ ...raw, body }))).reason).toBe('badSignature');
        expect(await check(raw, secret, NOW + 300_000)).toBeDefined();
        expect(await check(raw, secret, NOW - 300_000)).toBeDefined();
        expect(await refusal(() => check(raw, secret, NOW + 301_000))).toMatchObject({
          reason: 'clockSkew',
          skewSeconds: -301,
        });
        expect(await refusal(() => check(raw, secret, NOW - 301_000))).toMatchObject({
          reason: 'clockSkew',
          skewSeconds: 301,
        });
      });
    });
  }

  test(`${provider.id}: an unknown type is ignored without a throw, every sample verifies and reads`, async () => {
    const settings = provider.settings.parse({});
    for (const body of [{}, null, [], 'x', { type: 'no.such' }, { type: 7, data: null }]) {
      expect(
        'ignored' in provider.read(provider.redact(body), settings, { type: 'no.such', at: 0, externalId: null }),
      ).toBe(true);
    }
    for (const { type } of provider.types) {
      const body = JSON.stringify(provider.sample(type, 'Ada@Example.com', NOW));
      const raw = { body: Buffer.from(body), headers: provider.sign(body, secret, settings, NOW) };
      const seen = await provider.verify(raw, secretOf(secret), settings, NOW);
      expect(seen.type).toBe(type);
      expect('ignored' in provider.read(provider.redact(seen.json), settings, seen)).toBe(false);
    }
  });
}
