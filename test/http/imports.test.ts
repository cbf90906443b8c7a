import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { API_KEY, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

/** Imports a file to its end. */
async function imported(file: string | Uint8Array<ArrayBuffer>, query: Record<string, string> = {}) {
  const made = await app.upload(`/contacts/import?${new URLSearchParams(query)}`, file);
  expect({ status: made.status, message: made.body.message }).toEqual({ status: 201, message: undefined });
  await app.drain();
  return (await app.api('GET', `/imports/${made.body.id}`)).body;
}
const refused = async (file: string | Uint8Array<ArrayBuffer>, query: Record<string, string> = {}) => {
  const answer = await app.upload(`/contacts/import?${new URLSearchParams(query)}`, file);
  const left = (await app.api('GET', '/imports')).body.data.length;
  return { status: answer.status, message: String(answer.body.message), left };
};
const one = async (email: string) =>
  (await app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body[0];
const report = async (id: string) => String((await app.api('GET', `/imports/${id}/report`)).body);
const exported = async (query = '') => String((await app.api('GET', `/contacts/export?${query}`)).body);

describe('import', () => {
  test('what an export holds is understood: fields, lists, provider ids and properties by their headers', async () => {
    const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
    const done = await imported(
      `\ufeffEmail,First Name,"Last Name",User Id,User Group,Subscribed,mailingLists,stripe,seats,Notes\r\nADA@x.co,"Ada, ""A""",Lovelace,u1,Team,false,News,cus_1,5,x\r\nbob@x.co,,,,,,${list},,7,\r\n`,
    );
    expect(done).toMatchObject({ state: 'done', rows: 2, created: 2, failed: 0 });
    expect(done.columns).toMatchObject({
      'First Name': 'firstName',
      stripe: 'stripe',
      seats: 'seats:number',
      Notes: null,
    });
    expect(await one('ada@x.co')).toMatchObject({
      firstName: 'Ada, "A"',
      lastName: 'Lovelace',
      userId: 'u1',
      userGroup: 'Team',
      subscribed: false,
      source: 'CSV import',
      seats: 5,
    });
    expect(await one('bob@x.co')).toMatchObject({ subscribed: true, mailingLists: { [list]: true }, seats: 7 });
    const endpoint = await app.endpoint('stripe');
    await app.post(
      endpoint,
      'stripe',
      stripeEvent('customer.updated', { id: 'cus_1', email: 'ada2@x.co', name: 'Grace H' }),
    );
    await app.drain();
    expect((await app.contacts()).length).toBe(2); // the customer was Ada already
  });

  test('columns by hand, lists for everybody, a dry run that leaves nothing', async () => {
    const list = (await app.api('POST', '/lists', { name: 'News' })).body.id;
    const file = 'Mail of customer;Plan\nada@x.co;pro\n';
    const query = { columns: '{"Mail of customer":"email","Plan":"planName"}', mailingLists: list };
    const dry = await imported(file, { ...query, dryRun: 'true' });
    expect(dry).toMatchObject({ dryRun: true, created: 1, state: 'done' });
    expect(await app.contacts()).toEqual([]);
    expect((await app.api('GET', '/contacts/properties?list=custom')).body).toEqual([]);
    await imported(file, query);
    expect(await one('ada@x.co')).toMatchObject({ planName: 'pro', mailingLists: { [list]: true } });
  });

  test('rows that can not be applied are reported with column and reason, the others are applied', async () => {
    await app.api('POST', '/contacts/properties', { name: 'seats', type: 'number' });
    await app.api('POST', '/contacts/create', { email: 'x@x.co', userId: 'ux' });
    await app.api('POST', '/contacts/create', { email: 'y@x.co', userId: 'uy' });
    const latin1 = Buffer.from('g\xe9@x.co,\xe9,,\n', 'latin1');
    const rows =
      'email,firstName,seats,userId\nok@x.co,A,1,\nnone,B,,\n,C,,\na@x.co,D,many,\nx@x.co,,,uy\na@x.co,b,c,d,e\n';
    const done = await imported(Buffer.concat([Buffer.from(rows), latin1, Buffer.from('end@x.co,"=1+1",2,\n')]));
    expect(done).toMatchObject({ state: 'done', rows: 8, created: 2, failed: 6 });
    const text = await report(done.id);
    expect(
      text
        .split('\r\n')
        .slice(0, 7)
        .map(line => line.split(',').slice(0, 3).join(',')),
    ).toEqual([
      'row,column,message',
      '3,email,is no email address.',
      '4,email,is empty.',
      '5,seats,"is no number',
      '6,,Multiple contacts found for the given criteria',
      '7,,"has 5 cells',
      '8,email,is not UTF-8.',
    ]);
    expect(await one('end@x.co')).toMatchObject({ firstName: '=1+1', seats: 2 });
    expect(await one('ok@x.co')).toMatchObject({ seats: 1 });
  });

  test('subscribed true brings nobody back who unsubscribed; false unsubscribes', async () => {
    await app.api('POST', '/contacts/create', { email: 'gone@x.co' });
    await app.api('PUT', '/contacts/update', { email: 'gone@x.co', subscribed: false });
    await app.api('POST', '/contacts/create', { email: 'here@x.co' });
    await imported('email,subscribed\ngone@x.co,true\nhere@x.co,false\nnew@x.co,yes\n');
    expect([await one('gone@x.co'), await one('here@x.co'), await one('new@x.co')].map(c => c.subscribed)).toEqual([
      false,
      false,
      true,
    ]);
  });

  test('the same file again changes nothing', async () => {
    const file = 'email,firstName\nada@x.co,Ada\ngrace@x.co,Grace\n';
    expect(await imported(file)).toMatchObject({ created: 2 });
    expect(await imported(file)).toMatchObject({ created: 0, updated: 0, unchanged: 2 });
  });

  test('a file over many blocks and steps is applied whole, each row once', async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => `p${i}@x.co,${'n'.repeat(200)}${i}`);
    const done = await imported(`email,firstName\n${rows.join('\n')}\n`);
    expect(done).toMatchObject({ state: 'done', rows: 3000, created: 3000, failed: 0 });
    expect(done.bytesDone).toBe(done.bytes);
    expect((await exported()).trim().split('\r\n').length).toBe(3001);
  });

  test('a cell without end stops the import with a sentence; the rows before it stay', async () => {
    const done = await imported(`email,firstName\nok@x.co,A\nbad@x.co,"${'x'.repeat(1_000_000)}\n`);
    expect(done).toMatchObject({ state: 'failed', created: 1 });
    expect(done.error).toContain('Row 3 is longer than 256 KiB');
  });

  const utf16 = new Uint8Array(Buffer.from('\ufeffemail\na@x.co\n', 'utf16le'));
  const bare16 = new Uint8Array(Buffer.from('email\na@x.co\n', 'utf16le'));
  const hostile: [string, string | Uint8Array<ArrayBuffer>, Record<string, string>, RegExp][] = [
    ['empty', '', {}, /body: is empty/],
    ['no address', 'name\nAda\n', {}, /no column holds the address/],
    ['UTF-16', utf16, {}, /UTF-16/],
    ['UTF-16 without a mark', bare16, {}, /UTF-16/],
    ['a spreadsheet', 'PK\u0003\u0004…', {}, /spreadsheet/],
    ['a Latin-1 header', new Uint8Array(Buffer.from('email,n\xe4me\n', 'latin1')), {}, /not UTF-8/],
    ['two headers of one name', 'email,email\na@x.co,b@x.co\n', {}, /two columns mean the same/],
    ['a header without end', `"${'x'.repeat(300_000)}`, {}, /the header/],
    ['a column that is not there', 'email\na@x.co\n', { columns: '{"x":"email"}' }, /no such column/],
    ['columns that are no JSON', 'email\na@x.co\n', { columns: '{' }, /columns: must be JSON/],
    ['columns that are a list', 'email\na@x.co\n', { columns: '["email"]' }, /columns: must be an object/],
    ['columns of numbers', 'email\na@x.co\n', { columns: '{"email":1}' }, /columns: must be an object/],
    ['columns with __proto__', 'email\na@x.co\n', { columns: '{"__proto__":"email"}' }, /__proto__/],
    ['a meaning there is not', 'email,a\na@x.co,1\n', { columns: '{"a":"constructor!"}' }, /means nothing here/],
    ['a list there is not', 'email\na@x.co\n', { mailingLists: 'list_x' }, /no list list_x/],
    ['a flag that is none', 'email\na@x.co\n', { dryRun: 'maybe' }, /dryRun/],
    ['an unknown parameter', 'email\na@x.co\n', { dry: 'true' }, /dry: no such field/],
    ['many columns', `email,${'a,'.repeat(600)}\n`, {}, /at most 500/],
  ];
  for (const [name, file, query, message] of hostile)
    test(`refused: ${name}`, async () => {
      const answer = await refused(file, query);
      expect(answer).toEqual({ status: 400, message: expect.stringMatching(message), left: 0 });
    });

  test('prototype keys as headers are cells like others', async () => {
    const done = await imported('email,__proto__,constructor,toString\na@x.co,1,2,3\n');
    expect(done).toMatchObject({ state: 'done', created: 1 });
    expect(Object.getOwnPropertyDescriptor(done.columns, '__proto__')?.value ?? null).toBe(null);
    expect(await one('a@x.co')).toMatchObject({ constructor: 2, toString: 3 });
  });

  test('wrong method, wrong key, compressed, multipart, too large', async () => {
    expect((await app.api('PUT', '/contacts/import')).status).toBe(405);
    expect((await app.api('POST', '/contacts/export')).status).toBe(405);
    expect((await app.api('GET', '/contacts/export', undefined, 'wrong')).status).toBe(401);
    expect((await app.upload('/contacts/import', 'email\n', { authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await app.upload('/contacts/import', 'x', { 'content-encoding': 'gzip' })).status).toBe(415);
    expect(
      (await app.upload('/contacts/import', 'x', { 'content-type': 'multipart/form-data; boundary=x' })).status,
    ).toBe(415);
    expect((await app.upload('/contacts/import', 'x', { 'content-length': '999999999' })).status).toBe(413);
    expect((await app.api('GET', '/imports/imp_no')).status).toBe(404);
    expect((await app.api('GET', '/imports/imp_no/report')).status).toBe(404);
    expect((await app.api('DELETE', '/imports/imp_no')).status).toBe(404);
  });

  test('a removed import ends, with its file and report', async () => {
    const rows = Array.from({ length: 500 }, (_, i) => `r${i}@x.co`);
    const { id } = (await app.upload('/contacts/import', `email\n${rows.join('\n')}\n`)).body;
    expect((await app.api('DELETE', `/imports/${id}`)).status).toBe(200);
    await app.drain();
    expect((await app.api('GET', `/imports/${id}`)).status).toBe(404);
    expect(await app.contacts()).toEqual([]);
  });

  test('stopped in the middle and started again it goes on where it was', async () => {
    const rows = Array.from({ length: 1000 }, (_, i) => `s${i}@x.co,A`);
    const { id } = (await app.upload('/contacts/import', `email,firstName\n${rows.join('\n')}\n`)).body;
    const { worker } = app.app;
    await Promise.race([worker.drain(), Bun.sleep(60)]);
    await app.stop(true);
    const again = await TestApp.open({}, {}, app.folder);
    app = again;
    await again.app.worker.recoverAll();
    again.time = Date.now() + 120_000; // a lease of the former process has run out
    await again.drain();
    expect((await again.api('GET', `/imports/${id}`)).body).toMatchObject({ state: 'done', rows: 1000, created: 1000 });
  });
});

describe('export', () => {
  test('RFC 4180, no formula, lists and properties, and back in as it was', async () => {
    const list = (await app.api('POST', '/lists', { name: 'A;B' })).body.id;
    await app.api('POST', '/contacts/create', {
      email: '=cmd@x.co',
      firstName: '@SUM(1)',
      lastName: 'a,"b"\r\nc',
      userGroup: "'=x",
      planName: '-5',
      seats: -5,
      mailingLists: { [list]: true },
    });
    const text = await exported();
    const [header, ...rest] = text.split('\r\n');
    expect(header).toEndWith('createdAt,updatedAt,planName,seats');
    const line = rest.join('\r\n');
    expect(line).toContain(`,'=cmd@x.co,'@SUM(1),"a,""b""\r\nc",,API,''=x,true,${list},"A,B",,`);
    expect(line).toEndWith(",'-5,-5\r\n");
    await app.api('POST', '/contacts/delete', { email: '=cmd@x.co' });
    expect(await imported(text)).toMatchObject({ created: 1, failed: 0 });
    expect(await one('=cmd@x.co')).toMatchObject({
      firstName: '@SUM(1)',
      lastName: 'a,"b"\r\nc',
      userGroup: "'=x",
      planName: '-5',
      seats: -5,
      mailingLists: { [list]: true },
    });
  });

  test('takes the filters of the search', async () => {
    for (const [email, userGroup] of [
      ['a@x.co', 'A'],
      ['b@x.co', 'B'],
    ])
      await app.api('POST', '/contacts/create', { email, userGroup });
    expect((await exported('userGroup=A')).trim().split('\r\n').length).toBe(2);
    expect((await exported('q=b')).trim().split('\r\n')[1]).toContain('b@x.co');
    expect((await app.api('GET', '/contacts/export?perPage=1')).status).toBe(400);
    expect((await app.api('GET', '/contacts/export?subscribed=maybe')).status).toBe(400);
  });
});

test('two downloads at once at most; one that is through, left or asked by HEAD makes room', async () => {
  await app.api('POST', '/contacts/create', { email: 'one@x.co' });
  const begin = () =>
    app.app.fetch(
      new Request('http://localhost/api/v1/contacts/export', { headers: { authorization: `Bearer ${API_KEY}` } }),
    );
  const [first, second] = [await begin(), await begin()];
  const third = await begin();
  expect([first.status, second.status, third.status]).toEqual([200, 200, 503]);
  expect(third.headers.get('retry-after')).toBe('30');
  expect(await third.json()).toMatchObject({ success: false, message: expect.stringContaining('Try again when') });
  expect(await first.text()).toContain('one@x.co');
  await second.body?.cancel();
  for (let i = 0; i < 3; i++) expect((await app.api('HEAD', '/contacts/export')).status).toBe(200);
  const [fourth, fifth] = [await begin(), await begin()];
  expect([fourth.status, fifth.status]).toEqual([200, 200]);
  await Promise.all([fourth.text(), fifth.text()]);
});
