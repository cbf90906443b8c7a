import { expect, test } from 'bun:test';
import { makeSealer } from '../src/sealing.ts';

const sealer = makeSealer(new Uint8Array(32).fill(1));
const SECRET = 'whsec_ünïcode-😀-MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test('what was sealed opens again, and never looks the same twice', () => {
  const a = sealer.seal(SECRET, 'sec_1');
  const b = sealer.seal(SECRET, 'sec_1');
  expect(a).not.toBe(b);
  expect(a).toMatch(/^v1\.[\w-]+$/);
  expect(sealer.open(a, 'sec_1')).toBe(SECRET);
  expect(sealer.open(b, 'sec_1')).toBe(SECRET);
  expect(sealer.open(sealer.seal('', 'sec_1'), 'sec_1')).toBe('');
});

test('it does not open in another row, with another key, or after any change', () => {
  const sealed = sealer.seal(SECRET, 'sec_1');
  expect(() => sealer.open(sealed, 'sec_2')).toThrow();
  expect(() => makeSealer(new Uint8Array(32).fill(2)).open(sealed, 'sec_1')).toThrow();
  const bytes = Buffer.from(sealed.slice(3), 'base64url');
  for (let i = 0; i < bytes.length; i++) {
    const changed = Buffer.from(bytes);
    changed[i] = (changed[i] ?? 0) ^ 1;
    expect(() => sealer.open(`v1.${changed.toString('base64url')}`, 'sec_1')).toThrow();
  }
  for (const bad of ['', 'v1.', 'v2'.concat(sealed.slice(2)), sealed.slice(0, 20), SECRET]) {
    expect(() => sealer.open(bad, 'sec_1')).toThrow();
  }
});

test('the fingerprint belongs to the key and does not hold it', () => {
  expect(sealer.fingerprint).toBe(makeSealer(new Uint8Array(32).fill(1)).fingerprint);
  expect(sealer.fingerprint).not.toBe(makeSealer(new Uint8Array(32).fill(2)).fingerprint);
  expect(sealer.fingerprint).toMatch(/^[0-9a-f]{16}$/);
});

test('a key of another length is refused', () => {
  expect(() => makeSealer(new Uint8Array(16))).toThrow('32 bytes');
});
