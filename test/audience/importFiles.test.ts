// databases: sqlite
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

async function imported(file: string, query: Record<string, string> = {}) {
  const made = await app.upload(`/contacts/import?${new URLSearchParams(query)}`, file);
  expect({ status: made.status, message: made.body.message }).toEqual({ status: 201, message: undefined });
  await app.drain();
  const done = (await app.api('GET', `/imports/${made.body.id}`)).body;
  const report = String((await app.api('GET', `/imports/${made.body.id}/report`)).body);
  return { ...done, report: report.trim().split('\r\n').slice(1) };
}
const one = async (email: string) =>
  (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body[0];

describe('numbers', () => {
  const lossy = ['02134', '00123', '12345678901234567890', '1e5', '0.1234567890123456', '1234567890.1234567'];
  test('that would lose digits are text where the property does not exist yet', async () => {
    for (const [i, text] of lossy.entries()) {
      await imported(`email,n${i}\na@x.co,7\nb@x.co,${text}\n`);
      expect(await one('b@x.co')).toMatchObject({ [`n${i}`]: text });
    }
  });
  test('that would lose digits fail where the property is a number', async () => {
    await imported('email,zip\na@x.co,10115\n');
    const done = await imported(
      `email,zip\n${lossy.map((text, i) => `l${i}@x.co,${text}`).join('\n')}\nok@x.co,99999\n`,
    );
    expect(done).toMatchObject({ created: 1, failed: lossy.length });
    expect(done.report.every((line: string) => line.includes('would lose digits as a number'))).toBe(true);
    expect(await one('ok@x.co')).toMatchObject({ zip: 99999 });
  });
  test('that come after the first rows decided the type fail', async () => {
    const rows = Array.from({ length: 1200 }, (_, i) => `p${i}@x.co,${10000 + i}`);
    const done = await imported(`email,zip\n${rows.join('\n')}\nlate@x.co,02134\nword@x.co,none\n`);
    expect(done).toMatchObject({ created: 1200, failed: 2, columns: { zip: 'zip:number' } });
    expect(done.report[0]).toContain('1202,zip,would lose digits as a number.');
    expect(done.report[1]).toContain('is no number');
  });
});

describe('spreadsheets', () => {
  for (const mark of ['', '\ufeff'])
    for (const line of ['sep=;\n', 'SEP=;\r\n', '"sep=;"\n'])
      test(`a line ${JSON.stringify(mark + line)} names the separator`, async () => {
        const done = await imported(`${mark}${line}email;First Name\nsepp@x.co;"A, B"\nnone;C\n`);
        expect(done).toMatchObject({ created: 1, failed: 1 });
        expect(done.report[0]).toStartWith('4,email,');
        expect(await one('sepp@x.co')).toMatchObject({ firstName: 'A, B' });
      });
  test('any sign may be the separator', async () => {
    expect(await imported('sep=|\nemail|firstName\na@x.co|A;B,C\n')).toMatchObject({ created: 1 });
    expect(await one('a@x.co')).toMatchObject({ firstName: 'A;B,C' });
  });
  test('empty lines are counted as a spreadsheet counts them', async () => {
    const rows = Array.from({ length: 250 }, (_, i) => `p${i}@x.co\r\n`).join('');
    const done = await imported(`\r\nemail\r\n\r\n${rows}\r\n\r\nnone\r\nnone2\r\n`);
    expect(done).toMatchObject({ created: 250, failed: 2 });
    expect(done.report.map((line: string) => line.split(',')[0])).toEqual(['256', '257']);
  });
  test('empty cells after the last column are no failure, others are', async () => {
    const done = await imported('email,firstName\na@x.co,A,,,\nb@x.co,B,,,x\n');
    expect(done).toMatchObject({ created: 1, failed: 1 });
    expect(done.report[0]).toContain('3,,"has 5 cells');
  });
  test('the words of databases for nothing say nothing', async () => {
    await app.api('POST', '/contacts/create', { email: 'a@x.co', firstName: 'Ada', seats: 5 });
    const done = await imported('email,firstName,lastName,seats\na@x.co,null,NULL,\\N\nnull,x,,\nb@x.co,,Null,7\n');
    expect(done).toMatchObject({ failed: 1, columns: { seats: 'seats:number' } });
    expect(await one('a@x.co')).toMatchObject({ firstName: 'Ada', lastName: null, seats: 5 });
    expect(await one('b@x.co')).toMatchObject({ lastName: 'Null' });
    expect(done.report[0]).toContain('3,email,is empty.');
  });
});

describe('invisible characters', () => {
  test('around an address and a header are taken off', async () => {
    const done = await imported(
      '\u200bemail\u200b,firstName\n\u200bz@x.co,Z\n\u202ay@x.co\u202c,Y\n\u00a0\ufeffw@x.co\u2060 ,W\n',
    );
    expect(done).toMatchObject({ created: 3, failed: 0 });
    expect(await one('y@x.co')).toMatchObject({ firstName: 'Y' });
  });
  test('within an address are named', async () => {
    const done = await imported('email\na\u200bb@x.co\na@x\u202e.co\na\u00a0b@x.co\na b@x.co\na\u0007b@x.co\n');
    expect(done.report.map((line: string) => line.split(',')[2])).toEqual([
      'holds an invisible character (U+200B).',
      'holds an invisible character (U+202E).',
      'holds an invisible character (U+00A0).',
      'is no email address.',
      'holds an invisible character (U+0007).',
    ]);
  });
});
