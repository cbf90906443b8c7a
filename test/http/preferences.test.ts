import { afterEach, expect, test } from 'bun:test';
import { findLostLink } from '../../src/cli/doctorMail.ts';
import { closeAll, later, linkOf, message, open, queue, sink, subscribed } from '../mail/support.ts';
import { TestApp } from '../support/app.ts';

afterEach(closeAll);

/** An app with a mail to ada, two public lists and a private one; she is on the first and the private one. */
async function opened() {
  const server = await sink();
  const app = await open(server.port);
  app.time = Date.now();
  const make = async (name: string, isPublic: boolean) =>
    (await app.api('POST', '/lists', { name, isPublic, description: `About <${name}>` })).body.id as string;
  const [news, tips, staff] = [await make('News & more', true), await make('Tips', true), await make('Staff', false)];
  const email = 'ada@example.com';
  const created = { email, mailingLists: { [news]: true, [staff]: true } };
  const { id } = (await app.api('POST', '/contacts/create', created)).body;
  await queue(app, { id, email }, (await message(app)).id);
  await app.drain();
  const path = linkOf(server.mails[0]?.raw ?? '').replace('/unsubscribe/', '/preferences/');
  const submit = (...fields: [string, string][]) =>
    app.fetch(path, {
      method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
  const listsOf = async () =>
    Object.keys((await app.api('GET', `/contacts/find?email=${email}`)).body[0].mailingLists).sort();
  return { app, email, path, submit, listsOf, news, tips, staff };
}

test('opening it changes nothing and runs no script; public lists are shown, private ones not', async () => {
  const { app, email, path, listsOf, news, staff } = await opened();
  const shown = await app.fetch(path);
  expect(shown.status).toBe(200);
  expect(shown.headers.get('content-security-policy')).toContain("default-src 'none'");
  expect(shown.body).toContain('News &amp; more');
  expect(shown.body).toContain('About &lt;Tips&gt;');
  expect(shown.body).not.toContain('Staff');
  expect(shown.body).not.toContain('<script');
  expect(shown.body.match(/ checked/g)).toHaveLength(2); // mails, and the first list
  expect(await subscribed(app, email)).toBe(true);
  expect(await listsOf()).toEqual([news, staff].sort());
  expect((await app.fetch(path.slice(0, -4), {})).status).toBe(404);
});

test('what is submitted counts: lists on and off, private ones stay', async () => {
  const { app, email, submit, listsOf, news, tips, staff } = await opened();
  const saved = await submit(['action', 'save'], ['subscribed', 'yes'], ['list', tips], ['list', 'list_none']);
  expect([saved.status, saved.body]).toEqual([200, expect.stringContaining('Saved.')]);
  expect(await listsOf()).toEqual([staff, tips].sort());
  await submit(['action', 'save'], ['subscribed', 'yes'], ['list', news], ['list', tips]);
  expect(await listsOf()).toEqual([news, staff, tips].sort());
  expect(await subscribed(app, email)).toBe(true);
  await submit(['list', news]); // nothing was pressed
  expect(await listsOf()).toEqual([news, staff, tips].sort());
});

test('everything off, and on again by an explicit yes; a few times an hour at most', async () => {
  const { app, email, submit, listsOf, news, tips, staff } = await opened();
  expect((await submit(['action', 'unsubscribe'])).body).toContain('no more mails');
  expect(await subscribed(app, email)).toBe(false);
  app.time! += 1000;
  await submit(['action', 'save'], ['list', news]); // the box for mails is still empty
  expect(await subscribed(app, email)).toBe(false);
  app.time! += 1000;
  await submit(['action', 'save'], ['subscribed', 'yes'], ['list', news]);
  expect(await subscribed(app, email)).toBe(true);
  const answers: number[] = [];
  for (let n = 0; n < 20; n++) {
    app.time! += 1000;
    answers.push((await submit(['action', 'save'], ['subscribed', 'yes'], ['list', n % 2 ? news : tips])).status);
  }
  // Six changes in all; then every other submit asks for what is already so.
  expect(answers.slice(0, 4)).not.toContain(429);
  expect(answers.slice(4).filter(status => status === 429).length).toBeGreaterThanOrEqual(7);
  const kept = (await listsOf()).filter(each => each !== staff).map(each => ['list', each] as [string, string]);
  const others: number[] = [];
  for (let n = 0; n < 10; n++) {
    app.time! += 1000;
    await submit(['action', 'unsubscribe']);
    app.time! += 1000;
    others.push((await submit(['action', 'save'], ['subscribed', 'yes'], ...kept)).status);
  }
  expect(others.filter(status => status === 200)).toHaveLength(2);
  expect(await subscribed(app, email)).toBe(false);
});

test('of an address that nobody shows now everything can be switched off, for who comes back', async () => {
  const { app, email, path, submit } = await opened();
  await app.api('POST', '/contacts/delete', { email });
  expect((await app.fetch(path)).body).toContain('Nobody is known here');
  expect((await submit(['action', 'unsubscribe'])).status).toBe(200);
  await app.api('POST', '/contacts/create', { email });
  expect(await subscribed(app, email)).toBe(false);
});

test('doctor finds a proxy that does not pass the links of mails', async () => {
  const app = await TestApp.open({}, { port: 0 });
  later(() => app.stop());
  const { url } = await app.app.start();
  expect(await findLostLink(url)).toBeNull();
  const proxy = Bun.serve({
    port: 0,
    fetch: request => {
      const { pathname } = new URL(request.url);
      return pathname.startsWith('/unsubscribe/') ? fetch(url + pathname) : new Response(null, { status: 404 });
    },
  });
  later(async () => proxy.stop(true));
  expect(await findLostLink(`http://127.0.0.1:${proxy.port}`)).toBe('/preferences/test');
});

test('{{ preferencesUrl }} leads a mail to its page, a test mail to one that changes nothing, and is empty in a transactional one', async () => {
  const server = await sink();
  const app = await open(server.port);
  const email = 'ada@example.com';
  const { id } = (await app.api('POST', '/contacts/create', { email })).body;
  const html = '<p>Hello</p><p><a href="{{ preferencesUrl }}">Choose</a> [{{ preferencesUrl }}]</p>';
  const made = await app.api('POST', '/email-messages', { subject: 'Hello', html });
  expect(made.status).toBe(201);
  await queue(app, { id, email }, made.body.id);
  await queue(app, { id, email }, made.body.id, { transactional: true });
  await app.drain();
  const pages = server.mails.map(({ raw }) => {
    const text = raw.replace(/=\r\n/g, '').replaceAll('=3D', '=');
    return /<a href="([^"]*)">Choose/.exec(text)?.[1] ?? '';
  });
  const own = pages.find(each => each !== '') ?? '';
  expect(pages).toHaveLength(2);
  expect(pages).toContain('');
  const path = new URL(own).pathname;
  expect(path).toMatch(/^\/preferences\/[\w.-]{40,}$/);
  const shown = await app.fetch(path);
  expect([shown.status, shown.body]).toEqual([200, expect.stringContaining('name="subscribed"')]);
  await app.fetch(path, {
    method: 'POST',
    body: 'action=unsubscribe',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(await subscribed(app, email)).toBe(false);
  const rendered = (await app.api('POST', `/email-messages/${made.body.id}/render`, { email })).body.html;
  const sample = /href="([^"]*)"/.exec(rendered)?.[1] ?? '';
  expect((await app.fetch(new URL(sample).pathname)).body).toContain('A test link');
  expect(sample).toContain('/preferences/test');
});
