// databases: sqlite
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeLinks, sealToken } from '../../src/mail/links.ts';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, SECRETS, stripeEvent, TestApp } from '../support/app.ts';
import { emptyFolder, freePort } from '../support/binary.ts';

const NGINX = process.env.NGINX ?? '/usr/sbin/nginx';
const present = existsSync(NGINX);
if (!present)
  console.log(`proxy: no nginx at ${NGINX}, so the docs' configurations are not tested (set NGINX to its path)`);

let app: TestApp;
let port: number;
beforeAll(async () => {
  app = await TestApp.open({}, { port: 0, rateLimit: 0 });
  port = Number(new URL((await app.app.start()).url).port);
});
afterAll(() => app.stop());

/** What a raw request gets: a client library would tidy the path up. */
async function ask(to: number, method: string, target: string, more = '', body = ''): Promise<[number, string]> {
  let answer = '';
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: to,
    socket: {
      data(_, bytes) {
        answer += bytes;
      },
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  socket.write(
    `${method} ${target} HTTP/1.1\r\nHost: hooks.example.com\r\nAuthorization: Bearer ${API_KEY}\r\nConnection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`,
  );
  await Promise.race([promise, Bun.sleep(5000)]);
  socket.end();
  return [Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0), answer.slice(answer.indexOf('\r\n\r\n') + 4)];
}

const REWRITTEN = [
  '/webhooks/..\\health',
  '/webhooks/..\\api\\v1\\keys',
  '/webhooks/x\\..\\..\\swagger\\json',
  '/webhooks/..\\swagger',
  '/webhooks/..\\swagger/',
  '/webhooks//..\\..\\health',
  '/webhooks/%2e.\\health',
  '/webhooks/.%2E\\api\\v1\\keys',
  '/webhooks/%2e%2e\\health',
  '/webhooks/../health',
  '/webhooks/%2E%2e/api/v1/keys',
  '/webhooks/./../health',
  '/unsubscribe/..\\health',
  '/unsubscribe/x\\..\\..\\api\\v1\\keys',
  '/webhooks/..%5chealth',
  '/webhooks/..%5Capi%5Cv1%5Ckeys',
  '/webhooks/..%2fhealth',
  '/webhooks/..%2Fapi%2Fv1%2Fkeys',
  '/health#',
  '/webhooks/#/../health',
  '/api/v1/keys#x',
  '/api/v1/keys?q=1#x',
  '/api/v1/./keys',
  '\\health',
];

test('a path that a proxy could have read in another way is refused with a sentence', async () => {
  for (const target of REWRITTEN) {
    const [status, body] = await ask(port, 'GET', target);
    expect({ target, status }).toEqual({ target, status: 400 });
    if (target !== '\\health')
      expect(JSON.parse(body)).toMatchObject({ success: false, message: expect.stringContaining('Send the path') });
  }
});

test('plain paths go on working, an encoded slash in the name of an event too', async () => {
  await app.api('POST', '/events/send', { email: 'ada@example.com', eventName: 'orders/paid' });
  const plain: [string, number][] = [
    ['/health', 200],
    ['/swagger', 200],
    ['/swagger/', 200],
    ['/api/v1/keys?q=', 200],
    ['/api/v1/contacts?q=..%2f%5c\\', 200],
    ['/api/v1/event-patterns/by-name/orders%2Fpaid', 200],
    ['/webhooks/', 405],
    ['/api/v1/keys/', 404],
    ['/api//v1/keys', 404],
    ['/', 302],
    ['/_/', 200],
    ['/1/2/3/4/5/6/7/8/9', 404],
    ['http://hooks.example.com/health', 200],
  ];
  for (const [target, status] of plain) expect([target, (await ask(port, 'GET', target))[0]]).toEqual([target, status]);
});

test('HEAD of an export makes none of it', async () => {
  for (let n = 0; n < 3; n++) await app.api('POST', '/contacts/create', { email: `head${n}@example.com` });
  const { store } = app.app.ctx;
  const read = store.read;
  let reads = 0;
  store.read = (...args) => {
    reads++;
    return read.apply(store, args as never) as never;
  };
  try {
    const answer = await app.api('HEAD', '/contacts/export');
    expect([answer.status, answer.headers.get('content-type'), answer.body]).toEqual([
      200,
      'text/csv; charset=utf-8',
      '',
    ]);
    expect(reads).toBe(1); // the filters
  } finally {
    store.read = read;
  }
});

const docs = ['operations', 'postgres'].map(name =>
  readFileSync(join(import.meta.dir, `../../docs/${name}.md`), 'utf8'),
);
const blocks = [...docs.join('\n').matchAll(/```nginx\n(.*?)```/gs)].map(found => found[1] ?? '');

/** A configuration of the docs on a loopback port, in plain HTTP and before our server; the locations are as they stand there. */
async function startNginx(block: string): Promise<{ port: number; stop(): Promise<void> }> {
  const [folder, listen] = [emptyFolder(), await freePort()];
  const servers = block
    .replace('listen 443 ssl;', `listen 127.0.0.1:${listen};`)
    .replaceAll('127.0.0.1:8484', `127.0.0.1:${port}`)
    .replaceAll(/10\.0\.0\.\d:8484/g, `127.0.0.1:${port}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    name => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    join(folder, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;\n' : ''}pid ${folder}/pid;\ndaemon off;\nerror_log ${folder}/error.log;\nevents {}\nhttp {\naccess_log off;\n${temporary.join('\n')}\n${servers}}\n`,
  );
  const child = Bun.spawn([NGINX, '-p', folder, '-c', join(folder, 'nginx.conf')], {
    stdout: 'ignore',
    stderr: 'pipe',
  });
  for (let tries = 0; (await ask(listen, 'GET', '/').catch(() => [0]))[0] !== 404; tries++) {
    if (tries > 100 || child.exitCode !== null)
      throw new Error(`nginx did not start: ${await new Response(child.stderr).text()}`);
    await Bun.sleep(50);
  }
  const stop = async () => {
    child.kill();
    await child.exited;
  };
  return { port: listen, stop };
}

test('the docs have both configurations', () => expect(blocks).toHaveLength(2));

for (const [at, block] of blocks.entries())
  test.skipIf(!present)(
    `nginx as in the docs (${at + 1}): webhooks and unsubscribe links pass, and nothing else`,
    async () => {
      const nginx = await startNginx(block);
      try {
        const inside = [
          ...REWRITTEN,
          '/health',
          '/swagger',
          '/swagger/json',
          '/api/v1/keys',
          '/',
          '/webhooks',
          '/webhooks/',
        ];
        const endpoint = await app.endpoint('stripe');
        inside.push(
          '/;/../health',
          '/webhooks/;/../../health',
          '/webhooks/..;/health',
          '/webhooks/%5c..%5chealth',
          '//health',
        );
        inside.push(
          `/webhooks/${endpoint}/../../health`,
          `/webhooks/${endpoint}\\..\\..\\health`,
          `/webhooks/${endpoint}%2f..%2f..%2fhealth`,
        );
        inside.push('/unsubscribe/%5c..%5chealth', '/unsubscribe/;/../../health', '/unsubscribe/.%2e\\health');
        for (const target of inside) {
          const [status] = await ask(nginx.port, 'GET', target);
          expect({ target, refused: [400, 404, 405].includes(status), status }).toEqual({
            target,
            refused: true,
            status,
          });
        }
        const event = JSON.stringify(stripeEvent('customer.created'));
        const headers = findProvider('stripe')?.sign(event, SECRETS.stripe ?? '', {}, Date.now()) ?? {};
        const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
        const [status, body] = await ask(nginx.port, 'POST', `/webhooks/${endpoint}`, lines.join(''), event);
        expect([status, JSON.parse(body)]).toMatchObject([200, { result: 'accepted' }]);
        await app.api('POST', '/contacts/create', { email: `left${at}@example.com` });
        const [contact] = (await app.api('GET', `/contacts/find?email=left${at}@example.com`)).body;
        const link = new URL(
          makeLinks('https://hooks.example.com', sealToken(app.app.ctx.sealer, contact.id, 'mail_x')).unsubscribeUrl,
        );
        expect((await ask(nginx.port, 'GET', link.pathname))[0]).toBe(200);
        const [chosen, form] = await ask(nginx.port, 'GET', link.pathname.replace('unsubscribe', 'preferences'));
        expect([chosen, form]).toEqual([200, expect.stringContaining('What you get')]);
        for (const where of ['unsubscribe', 'preferences'])
          expect((await ask(nginx.port, 'GET', `/${where}/test`))[0]).toBe(200); // what doctor asks for
        expect((await ask(nginx.port, 'POST', link.pathname, '', 'List-Unsubscribe=One-Click'))[0]).toBe(200);
        expect((await app.api('GET', `/contacts/find?email=left${at}@example.com`)).body).toMatchObject([
          { subscribed: false },
        ]);
      } finally {
        await nginx.stop();
      }
    },
    30_000,
  );
