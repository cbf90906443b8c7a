// databases: sqlite
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { createServer, type Server, type Socket } from 'node:net';
import { webhookSubscriptions } from '../../src/db/schema.ts';
import { reachOf } from '../../src/net/addresses.ts';
import { resolveBySystem } from '../../src/net/target.ts';
import { TestApp } from '../support/app.ts';
import { call, closeReceivers, receiver, subscribe } from './receiver.ts';

// What is to be shown: no spelling of a private address, and no name that leads to one, gets a connection.
let touched = 0;
const listeners: Server[] = [];
let port = 0;
beforeAll(async () => {
  const listen = (host: string, at: number) =>
    new Promise<number>((resolve, reject) => {
      const server = createServer((socket: Socket) => {
        touched++;
        socket.destroy();
      });
      server.on('error', reject);
      server.listen(at, host, () => {
        listeners.push(server);
        resolve((server.address() as { port: number }).port);
      });
    });
  port = await listen('0.0.0.0', 0); // every IPv4 address of this machine
  await listen('::1', port);
});
afterAll(() => {
  for (const server of listeners) server.close();
  closeReceivers();
});

const V4 = [
  ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '10.255.255.255', '100.64.0.1', '100.127.255.254', '100.100.100.200'],
  ...['127.0.0.1', '127.0.0.2', '127.1.2.3', '127.255.255.254', '169.254.0.1', '169.254.169.254', '169.254.170.2'],
  ...['172.16.0.1', '172.31.255.255', '192.0.0.1', '192.0.0.170', '192.0.2.1', '192.88.99.1', '192.168.0.1'],
  ...['192.168.255.255', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1', '224.0.0.1', '239.255.255.250'],
  ...['240.0.0.1', '255.255.255.255'],
];
const V6 = [
  ...['::', '::1', '0:0:0:0:0:0:0:1', '::0001', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:10.0.0.1'],
  ...['::ffff:169.254.169.254', '::ffff:0:127.0.0.1', '64:ff9b::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::a00:1'],
  ...['100::1', '2001::1', '2001:0:7f00:1::', '2001:2::1', '2001:10::1', '2001:20::1', '2001:db8::1', '2002:7f00:1::'],
  ...['2002:a00:1::1', '2002:a9fe:a9fe::', '3fff::1', '4000::1', '5f00::1', 'fc00::1', 'fd00::1', 'fd00:ec2::254'],
  ...['fdff:ffff::1', 'fe80::1', 'fe80::7f00:1', 'febf::1', 'fec0::1', 'ff01::1', 'ff02::1', 'ff0e::1'],
];
/** Other spellings of loopback, metadata and private addresses that some parser takes. */
const ODD = [
  ...['127.1', '127.0.1', '2130706433', '0x7f000001', '0x7f.0.0.1', '0x7f.1', '0x7f.0x0.0x0.0x1', '017700000001'],
  ...[
    '0177.0.0.1',
    '0177.0.0.01',
    '0177.1',
    '127.000.000.001',
    '127.0.0.1.',
    '2130706433.',
    '0x7F000001',
    '0X7f000001',
  ],
  ...['0x0000007f000001', '00000000177.0.0.1', '127.0x0.0.01', '0', '0x0', '00', '0.0', '0.0.0', '0.', '%30', '1'],
  ...[
    '①②⑦.⓪.⓪.①',
    '①②⑦.0.0.1',
    '１２７.０.０.１',
    '127。0。0。1',
    '127．0．0．1',
    '127｡0｡0｡1',
    '𝟏𝟐𝟕.𝟎.𝟎.𝟏',
    '%31%32%37.0.0.1',
  ],
  ...['%31%32%37%2e%30%2e%30%2e%31', '127.0.0.%31', '127.0.0.1%2e', '127.0.0.1%00', '127.0.0.1%20', '127.0.0.1%0a'],
  ...[
    '2852039166',
    '0xa9fea9fe',
    '0251.0376.0251.0376',
    '0xa9.0xfe.0xa9.0xfe',
    '169.254.43518',
    '169.16689662',
    '0xA9FEA9FE',
  ],
  ...[
    '167772161',
    '0xa000001',
    '012.0.0.1',
    '10.1',
    '3232235521',
    '0xc0a80001',
    '0300.0250.0.1',
    '192.168.1',
    '172.1048577',
  ],
  ...[
    'localhost',
    'LOCALHOST',
    'localhost.',
    'LocalHost.',
    'x.localhost',
    'ｌｏｃａｌｈｏｓｔ',
    'local%68ost',
    'loc\u00adalhost',
  ],
  ...[
    '[::1]',
    '[0:0::1]',
    '[::0:1]',
    '[0000::0001]',
    '[::ffff:127.0.0.1]',
    '[::FFFF:7F00:0001]',
    '[::ffff:0x7f.0.0.1]',
  ],
  ...['[::1%25lo]', '[fe80::1%25eth0]', '[::]', '[0::0]', '[::ffff:0:0]', '[::ffff:0.0.0.0]', '[::1', '::1', '[1]'],
  ...['4294967295', '0xffffffff', '037777777777', '4294967296', '0x100000000', '256.256.256.256', '127.0.0.1.1', ''],
];
const spellings = [...V4, ...V6.map(each => `[${each}]`), ...ODD];
/** Whole URLs whose host is not where it seems to be. */
const URLS = (at: string) => [
  ...[`https://example.com@127.0.0.1:${at}/`, `https://127.0.0.1:${at}@example.com/`, `https://:p@127.0.0.1:${at}/`],
  ...[
    `https://example.com\\@127.0.0.1:${at}/`,
    `https:\\\\127.0.0.1:${at}/`,
    `https:127.0.0.1:${at}/`,
    `https:/127.0.0.1:${at}`,
  ],
  ...[
    `https:///127.0.0.1:${at}/`,
    `//127.0.0.1:${at}/`,
    `127.0.0.1:${at}`,
    ` https://127.0.0.1:${at}/`,
    `https://127.0.0.1:${at}/ `,
  ],
  ...[`ht\ntps://127.0.0.1:${at}/`, `https://127.0.\t0.1:${at}/`, `https://127.0.0.1:${at}#@example.com/`],
  ...[
    `https://127.0.0.1:${at}?@example.com/`,
    `http://127.0.0.1:${at}/`,
    `ftp://127.0.0.1:${at}/`,
    `ws://127.0.0.1:${at}/`,
  ],
  ...[
    'file:///etc/hostname',
    'data:text/plain,x',
    'javascript:1',
    'unix:/var/run/docker.sock',
    'gopher://127.0.0.1/',
    'blob:x',
  ],
  ...['http+unix://%2Fvar%2Frun%2Fdocker.sock/x', 'https://', 'https:', '', 'null', 'https://exa mple.com/'],
];

test('every special address is known; public ones are public', () => {
  for (const address of [...V4, ...V6])
    expect({ address, reach: reachOf(address) }).not.toEqual({ address, reach: 'public' });
  const open = ['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255'];
  open.push('128.0.0.0', '169.253.0.1', '172.15.255.255', '172.32.0.0', '192.167.0.1', '192.169.0.1', '198.17.0.1');
  open.push('223.255.255.255', '2001:200::1', '2606:4700::1111', '2a00:1450::1', '2001:4860:4860::8888');
  for (const address of open) expect({ address, reach: reachOf(address) }).toEqual({ address, reach: 'public' });
  expect(V4.filter(address => reachOf(address) === 'private')).not.toContain('169.254.169.254');
});

test('over 200 spellings are refused when a subscription is made, with what to do', async () => {
  const app = await TestApp.open({ resolve: resolveBySystem });
  const urls = spellings
    .flatMap(host => [`https://${host}:${port}/`, `http://${host}:${port}/`])
    .concat(URLS(String(port)));
  expect(spellings.length).toBeGreaterThan(150);
  for (const url of urls) {
    const answer = await app.api('POST', '/webhook-subscriptions', { url });
    // A name that leads nowhere may be taken: it is looked at again before each call.
    expect({ url, status: answer.status }).toEqual({ url, status: 400 });
    expect(answer.body.message).toMatch(/^url: (must|is|has) .*\./);
  }
  expect(touched).toBe(0);
  await app.stop();
}, 30_000);

test('with them in the database all the same, not one is connected to', async () => {
  const app = await TestApp.open({ resolve: resolveBySystem });
  const { id } = (await app.api('POST', '/webhook-subscriptions', { url: 'https://1.1.1.1/' })).body;
  const { store } = app.app.ctx;
  const urls = spellings
    .flatMap(host => [`https://${host}:${port}/`, `http://${host}:${port}/`])
    .concat(URLS(String(port)));
  for (const url of urls) {
    await store.write(tx => tx.update(webhookSubscriptions).set({ url, failingSince: null }));
    const made = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
    await app.drain();
    const shown = await call(app, made.id);
    expect({ url, status: shown.lastStatus, error: shown.error }).toEqual({
      url,
      status: null,
      error: expect.stringMatching(/^Not sent: the url (must|is|has) /),
    });
  }
  expect(touched).toBe(0);
  await app.stop();
}, 60_000);

test('names that lead to private addresses are refused, alone or among public ones; rebinding gains nothing', async () => {
  let answer: string[] = [];
  const app = await TestApp.open({ resolve: async () => answer });
  for (const address of [...V4, ...V6]) {
    for (const found of [[address], ['1.1.1.1', address], [address, '2606:4700::1111']]) {
      answer = found;
      const made = await app.api('POST', '/webhook-subscriptions', { url: `https://hook.example.com:${port}/` });
      expect({ found, status: made.status }).toEqual({ found, status: 400 });
    }
  }
  answer = ['1.1.1.1'];
  const { id } = await subscribe(app, `https://hook.example.com:${port}/`);
  for (const address of ['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', '0.0.0.0']) {
    answer = [address];
    const made = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
    await app.drain();
    expect((await call(app, made.id)).error).toContain('Not sent: the url has a host whose address is');
  }
  expect((await app.api('PATCH', `/webhook-subscriptions/${id}`, { url: 'https://h.test/' })).status).toBe(400);
  expect(touched).toBe(0);
  await app.stop();
});

test('what was checked is what is connected to: one look-up per attempt; the Host header keeps the name', async () => {
  const hook = await receiver();
  const { port: at } = new URL(hook.url);
  let asked = 0;
  const resolve = async () => (asked++ === 0 ? ['127.0.0.1'] : asked === 2 ? ['127.0.0.1'] : ['127.9.9.9']);
  const app = await TestApp.open({ resolve }, { allowPrivateTargets: true });
  const { id } = await subscribe(app, `http://hook.example.com:${at}/path?q=1`);
  await app.api('POST', `/webhook-subscriptions/${id}/test`);
  await app.drain();
  expect(asked).toBe(2);
  expect(hook.got.map(each => each.headers.host)).toEqual([`hook.example.com:${at}`]);
  await app.stop();
});

test('with private targets allowed: never link-local, metadata or reserved ones, and no plain http to public ones', async () => {
  const app = await TestApp.open({ resolve: async () => ['93.184.215.14'] }, { allowPrivateTargets: true });
  for (const host of ['169.254.169.254', '[fe80::1]', '100.100.100.200', '[fd00:ec2::254]', '224.0.0.1', '0.0.0.0']) {
    const made = await app.api('POST', '/webhook-subscriptions', { url: `http://${host}:${port}/` });
    expect({ host, status: made.status }).toEqual({ host, status: 400 });
  }
  const plain = await app.api('POST', '/webhook-subscriptions', { url: 'http://example.com/' });
  expect(plain.body.message).toContain('must start with https://');
  for (const url of ['http://10.1.2.3/', 'http://192.168.1.1:8080/', 'http://[fd12::1]/', 'https://example.com/'])
    await subscribe(app, url);
  expect(touched).toBe(0);
  await app.stop();
});

test('an unreachable first address gives way to the next', async () => {
  const hook = await receiver();
  const { port: at } = new URL(hook.url);
  const app = await TestApp.open(
    { resolve: async () => ['::1', '127.0.0.9', '127.0.0.1'] },
    { allowPrivateTargets: true },
  );
  const { id } = await subscribe(app, `http://hook.example.com:${at}/`);
  await app.api('POST', `/webhook-subscriptions/${id}/test`);
  await app.drain();
  expect(hook.got.length).toBe(1);
  await app.stop();
});
