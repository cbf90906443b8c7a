import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { pickEmail, pickName, splitName } from '../../src/providers/pick.ts';

describe('one mailbox, one spelling', () => {
  test.each([
    ['jo@bücher.example', 'jo@xn--bcher-kva.example'],
    ['jo@xn--bcher-kva.example', 'jo@xn--bcher-kva.example'],
    ['jo@BÜCHER.example', 'jo@xn--bcher-kva.example'],
    ['jo@bu\u0308cher.example', 'jo@xn--bcher-kva.example'],
    ['jo@faß.example', 'jo@xn--fa-hia.example'],
    ['a@ⓔxample.com', 'a@example.com'],
    ['a@ｅｘａｍｐｌｅ.com', 'a@example.com'],
    ['a@example。com', 'a@example.com'],
    ['a@EXAMPLE.com', 'a@example.com'],
    ['Jo\u0308@x.co', 'jö@x.co'],
    ['Ü@x.co', 'Ü@x.co'],
    ["O'Brien+tag@X.co", "o'brien+tag@x.co"],
    ['root@localhost', 'root@localhost'],
    ['a_b@sub_domain.x-y.co', 'a_b@sub_domain.x-y.co'],
  ])('%s → %s', (given, wanted) => expect(pickEmail(given)).toBe(wanted));

  test.each([
    ['a zero width space', '\u200b'],
    ['a direction mark', '\u202a'],
    ['the end of one', '\u202c'],
    ['an isolate', '\u2066'],
    ['a word joiner', '\u2060'],
    ['a byte order mark', '\ufeff'],
    ['a no-break space', '\u00a0'],
    ['a soft hyphen', '\u00ad'],
    ['a Hangul filler', '\u3164'],
  ])('%s is removed at the border, and refused inside', (_, mark) => {
    expect(pickEmail(`${mark}zero.w@example.com${mark}`)).toBe('zero.w@example.com');
    expect(pickEmail(` ${mark} zero.w@example.com`)).toBe('zero.w@example.com');
    expect(pickEmail(`zero${mark}.w@example.com`)).toBeNull();
    expect(pickEmail(`zero.w@exam${mark}ple.com`)).toBeNull();
    expect(pickEmail(`zero.w@büch${mark}er.com`)).toBeNull();
  });
});

describe('what the URL rules would take for something else is no domain', () => {
  test.each([
    'a@127.0.0.1',
    'a@127.1',
    'a@0x7f.1',
    'a@１２７．０．０．１',
    'a@2130706433',
    'a@ex%61mple.com',
    'a@bücher%2eexample',
    'a@bücher.example:80',
    'a@bücher.example/path',
    'a@bücher.example?x',
    'a@bücher.example#x',
    'a@bücher.example\\x',
    'a@ex／ample.com',
    'a@x＠y.com',
    'a@[::1]',
    'a@\ufffd.com',
    'a@',
    'a@.com',
    'a@x..co',
    'a@x.co.',
    'a@ⓔx.co。',
    '@x.co',
    'a@b@c.co',
    'a@ü@c.co',
    'a＠x.co',
    `a@${'x'.repeat(64)}.co`,
  ])('%s', given => expect(pickEmail(given)).toBeNull());
});

test('no more than 254 characters, counted in the ASCII form; no more than 64 before the @', () => {
  const labels = (n: number) => Array(n).fill('x'.repeat(49)).join('.');
  expect(pickEmail(`abc@${labels(5)}`)).toHaveLength(253);
  expect(pickEmail(`abcd@${labels(5)}`)).toHaveLength(254);
  expect(pickEmail(`abcde@${labels(5)}`)).toBeNull();
  expect(pickEmail(`a@${Array(30).fill('üüüü').join('.')}`)).toBeNull();
  expect(pickEmail(`${'a'.repeat(64)}@x.co`)).not.toBeNull();
  expect(pickEmail(`${'a'.repeat(65)}@x.co`)).toBeNull();
});

test('what is an address stays as it is when it is read again, and its domain is ASCII', () => {
  const odd = fc.constantFrom(
    'ⓔ',
    'ü',
    'u\u0308',
    '\u200b',
    '\u202a',
    '。',
    '%',
    '/',
    'ß',
    'İ',
    'K',
    '\ufeff',
    '@',
    '.',
  );
  const part = fc.array(fc.oneof(odd, fc.string({ unit: 'binary', maxLength: 3 })), { maxLength: 6 });
  fc.assert(
    fc.property(part, part, (local, domain) => {
      const first = pickEmail(`${local.join('')}x@${domain.join('')}.co`);
      if (first === null) return;
      expect(pickEmail(first)).toBe(first);
      expect(first.split('@')[1]).toMatch(/^[a-z0-9_.-]+$/);
    }),
    { numRuns: 2_000 },
  );
});

test('a plain address takes no time to read', () => {
  const begin = performance.now();
  for (let i = 0; i < 20_000; i++) pickEmail('Ada.Lovelace+tag@example.com');
  expect(performance.now() - begin).toBeLessThan(500);
});

describe('a name that is an address is no name', () => {
  test.each(['named@example.com', ' Named@Example.com ', 'Ada <ada@x.co>', 'ada@localhost', 'ada＠x.co'])(
    '%s',
    given => {
      expect(pickName(given)).toBeNull();
      expect(splitName(given)).toEqual({ firstName: null, lastName: null });
    },
  );
  test.each(['Ada', 'Ada @ Acme', '@ada', "Ada O'Brien"])('%s is one', given => expect(pickName(given)).toBe(given));
});
