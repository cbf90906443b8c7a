import { describe, expect, test } from 'bun:test';
import { allProviders, findProvider } from '../../src/providers/index.ts';
import { parseBody, parseJson } from '../../src/providers/signatures.ts';
import { SECRETS, signed } from '../support/signed.ts';

const MIB = 1_048_576;
const filled = (unit: string, bytes: number) => Buffer.from(`[${unit.repeat(Math.floor((bytes - 4) / unit.length))}1]`);
/** The best of a few runs: what else the machine does is not what is asked. */
function fastest(run: () => unknown): number {
  const times = Array.from({ length: 7 }, () => {
    const begin = performance.now();
    run();
    return performance.now() - begin;
  });
  return Math.min(...times);
}

describe('how many values a body may hold', () => {
  test('an invoice of 9,000 lines in a body of 1 MiB is read', async () => {
    const line = { id: 'il_1', amount: 100, price: { id: 'price_1', product: 'prod_1' }, quantity: 1, tax: [] };
    const object = {
      id: 'in_1',
      customer: 'cus_1',
      customer_email: 'a@x.co',
      lines: { data: Array(9_000).fill(line) },
    };
    const body = JSON.stringify({ id: 'evt_1', type: 'invoice.paid', created: 1_793_527_200, data: { object } });
    expect(body.length).toBeLessThan(MIB);
    const stripe = findProvider('stripe')!;
    const settings = stripe.settings.parse({});
    const now = 1_793_527_200_000;
    const secrets = [{ id: 's', value: SECRETS.stripe ?? '' }];
    const seen = await stripe.verify(await signed('stripe', body, { now }), secrets, settings, now);
    expect(seen.problem).toBeUndefined();
    expect(stripe.read(stripe.redact(seen.json), settings, seen)).toMatchObject({ email: 'a@x.co' });
  });

  test('a small body may be as dense as it likes', () => {
    expect(parseBody(filled('1,', 90_000)).problem).toBeUndefined();
    expect(parseBody(filled('[],', 70_000)).problem).toBeUndefined();
  });

  test('the larger the body, the more values', () => {
    expect(parseBody(filled('"abcdef",', MIB)).problem).toBeUndefined();
    expect(parseBody(filled('"abcdef",', 10 * MIB)).problem).toBeUndefined();
    expect(parseJson(filled('"abcdef",', MIB)).problem).toContain('more than 50000 values');
  });

  test.each(['[],', '{},', '1,', '"",', '[[]],', '{"a":1},'])('1 MiB of %s takes less than 60 ms', unit => {
    const body = filled(unit, MIB);
    expect(fastest(() => parseBody(body))).toBeLessThan(60);
  });

  test('as deep as 64 levels, whatever the size', () => {
    const deep = (n: number) => Buffer.from(`${'['.repeat(n)}${']'.repeat(n)}${' '.repeat(MIB)}`);
    expect(parseBody(deep(64)).problem).toBeUndefined();
    expect(parseBody(deep(65)).problem).toContain('deeper than 64');
  });
});

describe('what all providers have in common', () => {
  for (const provider of allProviders) {
    const isOfPeople = provider.class !== 'mail';
    test(`${provider.id}: a namespace, empty by default, and a step that says when to set it`, () => {
      const maxBodyBytes = provider.id === 'postmark' ? 16 * MIB : MIB; // its bounces may hold the whole mail
      expect(provider.settings.parse({})).toMatchObject({ namespace: '', maxBodyBytes });
      const takes = (namespace: unknown) => provider.settings.safeParse({ namespace }).success;
      for (const good of ['', 'staging', 'eu-2', 'x'.repeat(40)]) expect(takes(good)).toBe(true);
      for (const bad of ['Staging', 'a b', 'a_b', 'a/b', 'ü', 'x'.repeat(41), null, 1, 'a\n'])
        expect(takes(bad)).toBe(false);
      expect(provider.setup.filter(step => step.includes('settings.namespace'))).toHaveLength(isOfPeople ? 1 : 0);
    });

    if (!isOfPeople) continue;
    test(`${provider.id}: its API hosts are names, what moves its key are settings of it`, () => {
      for (const host of provider.apiHosts) expect(host).toMatch(/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)+$/);
      for (const key of provider.movesWith)
        expect(provider.settings.safeParse({ [key]: 'https://x.example' }).success).toBe(true);
      expect(provider.apiHosts.length && provider.movesWith.length).toBeGreaterThan(0);
    });
  }

  test.each(['clerk', 'supabase'])('%s says in its steps what follows from unproven sign-ups', id => {
    expect(findProvider(id)?.setup.join(' ')).toMatch(/settings\.(verified|confirmed)Only/);
  });
});
