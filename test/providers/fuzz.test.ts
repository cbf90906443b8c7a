import { expect, test } from 'bun:test';
import { allProviders } from '../../src/providers/index.ts';
import { pick, pickAt } from '../../src/providers/pick.ts';
import { Unverified } from '../../src/providers/provider.ts';
import { computeHmac } from '../../src/providers/signatures.ts';
import { SECRETS } from '../support/app.ts';
import { seeded } from '../support/crash.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 10_000);
const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
const NOW = Date.parse('2026-11-01T10:00:00Z');

function proof(provider: string, body: Uint8Array): Record<string, string> {
  const seconds = String(NOW / 1000);
  const secret = SECRETS[provider] ?? '';
  if (provider === 'supabase' || provider === 'postmark') return { 'x-inlet-secret': secret };
  if (provider === 'stripe')
    return {
      'stripe-signature': `t=${seconds},v1=${Buffer.from(computeHmac(secret, `${seconds}.`, body)).toString('hex')}`,
    };
  const isSvix = provider === 'clerk' || provider === 'resend';
  const key = isSvix ? Buffer.from(secret.slice(6), 'base64') : secret;
  const prefix = isSvix ? 'svix' : 'webhook';
  return {
    [`${prefix}-id`]: 'msg_1',
    [`${prefix}-timestamp`]: seconds,
    [`${prefix}-signature`]: `v1,${Buffer.from(computeHmac(key, `msg_1.${seconds}.`, body)).toString('base64')}`,
  };
}

const ODD = [
  'null',
  'true',
  '-1',
  '1e999',
  '9007199254740993',
  '""',
  '"\\u0000"',
  '"\\ud800"',
  '[]',
  '{}',
  '[[[[]]]]',
  '"2024-02-30T00:00:00Z"',
  '"a@b@c"',
  '{"__proto__":{"polluted":1}}',
  '"x"',
  '{"id":{"id":{"id":1}}}',
  '[{"id":null}]',
];

/** One mutation of a body's text, or of its bytes. */
function mutate(text: string, random: () => number): Uint8Array {
  const int = (n: number) => Math.floor(random() * n);
  const values = [...text.matchAll(/:("(?:[^"\\]|\\.)*"|[\d.]+|null|true|false)/g)];
  const kind = int(10);
  if (kind < 5) {
    let out = text;
    for (let i = 0; i <= int(3); i++) {
      const value = values[int(values.length)];
      if (value) out = out.replace(value[0], `:${ODD[int(ODD.length)]}`);
    }
    return Buffer.from(out);
  }
  const bytes = Buffer.from(text);
  if (kind === 5) for (let i = 0; i <= int(8); i++) bytes[int(bytes.length)] = int(256);
  else if (kind === 6) return bytes.subarray(0, int(bytes.length));
  else if (kind === 7) return Buffer.concat([bytes.subarray(0, int(bytes.length)), bytes.subarray(int(bytes.length))]);
  else if (kind === 8)
    return Buffer.from(text.replace(/"(\w+)":/, '"__proto__":').replace(/"(\w+)":/, '"constructor":'));
  else if (int(50) === 0) return Buffer.from(`${'{"data":'.repeat(10_000)}1${'}'.repeat(10_000)}`);
  else return Buffer.from(`${text.slice(0, -1)},"type":"twice","data":{"object":{"email":1}}}`);
  return bytes;
}

const PATHS = [
  'data.object.email',
  'data.object',
  'record.raw_user_meta_data.first_name',
  '__proto__.polluted',
  'constructor.name',
  'data.email_addresses[0].id',
  'data..x',
  '',
  '0',
  'data.object.items.data.0.id',
];

for (const provider of allProviders) {
  test(`${provider.id}: ${RUNS} mutated, correctly signed bodies: no throw, no stall, nothing polluted`, async () => {
    console.log(`fuzz ${provider.id}: SEED=${SEED} FUZZ_RUNS=${RUNS}`);
    const random = seeded(SEED);
    const settings = provider.settings.parse({});
    const secrets = [{ id: 's', value: SECRETS[provider.id] ?? '' }];
    const samples = provider.types.map(({ type }) => JSON.stringify(provider.sample(type, 'ada@example.com', NOW)));
    let facts = 0;
    let slowest = 0;
    for (let run = 0; run < RUNS; run++) {
      const body = mutate(samples[run % samples.length] ?? '', random);
      const begin = performance.now();
      try {
        const seen = await provider.verify({ body, headers: proof(provider.id, body) }, secrets, settings, NOW);
        expect(Number.isSafeInteger(seen.at)).toBe(true);
        if (seen.json !== undefined) {
          const redacted = provider.redact(seen.json);
          const stored: unknown = JSON.parse(JSON.stringify(redacted ?? null));
          const read = provider.read(stored, settings, seen);
          if ('report' in read) {
            facts++;
            for (const address of read.recipients) expect(address).toMatch(/^[^\s@]+@[^\s@]+$/);
            for (const given of read.mailIds) expect(given).toMatch(/^[\x21-\x7e]{1,300}$/);
            for (const said of [read.words, read.detail])
              expect(!said?.includes('\0') && (said?.length ?? 0) <= 500).toBe(true);
          } else if (!('ignored' in read)) {
            facts++;
            expect(read.email === null || /^[^\s@]+@[^\s@]+$/.test(read.email)).toBe(true);
            expect(Number.isSafeInteger(read.at) && read.at >= 0).toBe(true);
            for (const name of [read.firstName, read.lastName])
              expect(name === null || (name.isWellFormed() && !name.includes('\0'))).toBe(true);
          }
          const before = provider.previous(stored);
          if (before !== null) provider.read(before, settings, seen);
          provider.dedupe?.(stored);
          for (const path of PATHS)
            expect(['string', 'number', 'boolean', 'undefined']).toContain(typeof pick(stored, path));
          expect(pickAt(stored, '__proto__.toString')).toBeUndefined();
        }
      } catch (error) {
        if (!(error instanceof Unverified))
          throw new Error(`run ${run}: ${Buffer.from(body).toString('latin1').slice(0, 400)}`, { cause: error });
      }
      slowest = Math.max(slowest, performance.now() - begin);
    }
    expect(facts).toBeGreaterThan(RUNS / 20);
    expect(slowest).toBeLessThan(100);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  }, 600_000);
}
