import { expect, test } from 'bun:test';
import { Matcher, unescapeText } from '../../src/history/eraseSearch.ts';

const matcher = new Matcher({
  emails: ['jürgen@xn--bcher-kva.example', 'ada@x.co'],
  persons: ['cus_AbC', 'auth0|12345'],
  weak: ['user_9', 'pi_77'],
});

/** As Python's json.dumps writes it. */
const escaped = (text: string) =>
  JSON.stringify(text).replace(/[^ -~]/g, sign => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);

const FOUND: [string, string][] = [
  ['as it is', '{"email":"ada@x.co"}'],
  ['in capitals', '{"email":"ADA@X.CO"}'],
  ['escaped by Python', `{"email":${escaped('Jürgen@bücher.example')}}`],
  ['domain in ASCII', '{"email":"jürgen@XN--BCHER-KVA.example"}'],
  ['composed of two signs', `{"email":"${'jürgen'.normalize('NFD')}@bücher.example"}`],
  ['JSON in JSON', JSON.stringify({ raw: `{"email":${escaped('jürgen@bücher.example')}}` })],
  ['after a line break', JSON.stringify({ note: 'wrote to\nada@x.co, twice' })],
  ['in a link', '{"url":"https://pay.example/?prefilled_email=ada%40x.co&x=1"}'],
  ['a slash that PHP escapes', '{"url":"https:\\/\\/x\\/cus_AbC"}'],
  ['every sign escaped', `{"email":"${[...'ada@x.co'].map(s => `\\u00${s.charCodeAt(0).toString(16)}`).join('')}"}`],
  ['an id in capitals', '{"customer":"CUS_ABC"}'],
  ['an id of two words', '{"sub":"auth0|12345"}'],
];
for (const [name, text] of FOUND)
  test(`a person is found ${name}`, () => {
    expect({ text: unescapeText(text), found: matcher.find(text) }).toMatchObject({ found: 'strong' });
  });

const OTHERS = [
  '{"email":"not.ada@x.co"}',
  '{"email":"ada@x.co.uk"}',
  '{"email":"ada+b@x.co"}',
  '{"email":"b+ada@x.co"}',
  '{"customer":"cus_AbCd"}',
  '{"customer":"xcus_AbC"}',
  '{"sub":"auth0|123456"}',
  '{"user":"user_99"}',
];
for (const text of OTHERS)
  test(`somebody else is not: ${text}`, () => {
    expect(matcher.find(text)).toBe('none');
  });

test('user ids and payments are less sure', () => {
  expect(matcher.find('{"user":"user_9"}')).toBe('weak');
  expect(matcher.find('{"user":"user_9","email":"ada@x.co"}')).toBe('strong');
  expect(new Matcher({ emails: [], persons: ['7'], weak: ['ada'] }).find('{"n":7,"name":"ada"}')).toBe('none');
});
