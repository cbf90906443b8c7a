// databases: sqlite
import { afterAll, afterEach, beforeEach, expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import { TestApp } from '../support/app.ts';
import { call, closeReceivers, rawReceiver, receiver, subscribe, subscription } from './receiver.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open({}, { allowPrivateTargets: true });
});
afterEach(() => app.stop());
afterAll(closeReceivers);

/** Sends one test call to `url`, and gives how the API shows it, with the ms it took. */
async function sendTo(url: string) {
  const { id } = await subscribe(app, url);
  const made = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
  const started = performance.now();
  await app.drain();
  return { ...(await call(app, made.id)), took: performance.now() - started, subscriptionId: id };
}

const MB = 1_048_576;

test('a receiver that resets the connection, closes it, or speaks something else', async () => {
  const reset = await rawReceiver(socket => socket.resetAndDestroy());
  const closed = await rawReceiver(socket => socket.end());
  const ssh = await rawReceiver(socket => socket.end('SSH-2.0-OpenSSH_9.7\r\n'));
  const upgrade = await rawReceiver(socket => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n');
  });
  const smuggle = await rawReceiver(socket => {
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n');
  });
  const half = await rawReceiver(socket => socket.end('HTTP/1.1 2'));
  for (const [url, error] of [
    [reset.url, 'closed the connection'],
    [closed.url, 'closed the connection'],
    [ssh.url, 'not HTTP'],
    [upgrade.url, 'not HTTP'],
    [smuggle.url, 'not HTTP'],
    [half.url, 'closed the connection'],
    ['http://127.0.0.1:1/', 'connection was refused'],
  ] as const) {
    const made = await sendTo(url);
    expect({ url, state: made.state, attempts: made.attemptCount }).toEqual({ url, state: 'queued', attempts: 1 });
    expect(made.error).toContain(error);
    expect(made.error).not.toMatch(/HPE_|ECONN/);
    expect(made.nextAttemptAt).not.toBeNull();
  }
  expect(reset.connections).toBe(1); // not sent again by itself
});

test('a redirect is a failure and is not followed', async () => {
  const inner = await receiver();
  for (const status of [301, 302, 303, 307, 308]) {
    const hook = await receiver();
    hook.answer = (_, response) => void response.writeHead(status, { location: inner.url }).end();
    const made = await sendTo(hook.url);
    expect(made).toMatchObject({ state: 'queued', lastStatus: status });
    expect(made.error).toContain('redirects');
  }
  expect(inner.got).toEqual([]);
});

test('a body of 1 GB is hung up on; its status counts', async () => {
  const hook = await receiver();
  let sent = 0;
  hook.answer = (_, response) => {
    response.writeHead(200, { 'content-length': String(1024 * MB) });
    const chunk = Buffer.alloc(65_536, 'x');
    const more = () => {
      while (!response.destroyed && response.write(chunk)) sent += chunk.length;
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  };
  const before = process.memoryUsage().rss;
  const made = await sendTo(hook.url);
  expect(made).toMatchObject({ state: 'delivered', lastStatus: 200 });
  expect(made.attempts[0].answer).toBe('x'.repeat(500));
  expect(made.took).toBeLessThan(2000);
  await Bun.sleep(50);
  expect(sent).toBeLessThan(32 * MB); // what the kernel buffers
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * MB);
});

test('a gzip bomb is not opened', async () => {
  const hook = await receiver();
  const bomb = gzipSync(Buffer.alloc(300 * MB), { level: 9 });
  hook.answer = (_, response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
  Bun.gc(true);
  const before = process.memoryUsage().rss;
  const made = await sendTo(hook.url);
  expect(made).toMatchObject({ state: 'delivered', attempts: [{ answer: '(compressed; not opened)' }] });
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * MB);
});

test('an endless head ends', async () => {
  const flood = await rawReceiver(socket => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const timer = setInterval(() => {
      if (socket.destroyed) clearInterval(timer);
      else socket.write(`x-a: ${'y'.repeat(30_000)}\r\n`);
    }, 1);
  });
  const made = await sendTo(flood.url);
  expect(made).toMatchObject({ state: 'queued', lastStatus: null, error: 'What came back is not HTTP.' });
});

test('black holes and drips end at one deadline, and others are served meanwhile', async () => {
  const silent = await rawReceiver(() => {});
  const drippingHead = await rawReceiver(socket => {
    const text = `HTTP/1.1 200 OK\r\nx-slow: ${'y'.repeat(5000)}`;
    let i = 0;
    const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write(text[i++] ?? 'y')), 50);
  });
  const continues = await rawReceiver(socket => {
    const timer = setInterval(() => {
      if (socket.destroyed) clearInterval(timer);
      else socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    }, 50);
  });
  const drippingBody = await receiver();
  drippingBody.answer = (_, response) => {
    response.writeHead(200);
    const timer = setInterval(() => (response.destroyed ? clearInterval(timer) : response.write('d')), 50);
  };
  const well = await receiver();
  const send = async (url: string) => {
    const { id } = await subscribe(app, url);
    return (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body.id as string;
  };
  const slow: string[] = [];
  for (const { url } of [silent, drippingHead, continues]) slow.push(await send(url));
  const dripping = await send(drippingBody.url);
  const { id: busy } = await subscribe(app, silent.url);
  for (let i = 0; i < 40; i++) await app.api('POST', `/webhook-subscriptions/${busy}/test`);
  const started = performance.now();
  await app.app.worker.start();
  await Bun.sleep(300);
  const quick = await send(well.url);
  app.app.worker.wake();
  while ((await call(app, quick)).state !== 'delivered') await Bun.sleep(20);
  expect(performance.now() - started).toBeLessThan(2500);
  while ((await call(app, dripping)).state === 'queued') await Bun.sleep(50);
  expect(performance.now() - started).toBeWithin(2900, 6000);
  expect((await call(app, dripping)).lastStatus).toBe(200); // the receiver took it; only its body was cut
  expect(silent.connections).toBe(1 + 4); // at most four at once
  for (const id of slow) while ((await call(app, id)).attempts.length === 0) await Bun.sleep(50);
  expect(performance.now() - started).toBeWithin(14_500, 18_000);
  for (const id of slow)
    expect(await call(app, id)).toMatchObject({ lastStatus: null, error: 'No answer within 15 seconds.' });
  expect((await subscription(app, busy)).failingSince).not.toBeNull();
}, 40_000);

test('stopping ends what is under way, and notes it as due again', async () => {
  const silent = await rawReceiver(() => {});
  const folder = app.folder;
  const { id } = await subscribe(app, silent.url);
  const made = (await app.api('POST', `/webhook-subscriptions/${id}/test`)).body;
  await app.app.worker.start();
  while (silent.connections === 0) await Bun.sleep(10);
  const started = performance.now();
  await app.stop(true);
  expect(performance.now() - started).toBeLessThan(6000);
  app = await TestApp.open({}, { allowPrivateTargets: true }, folder);
  const shown = await call(app, made.id);
  expect(shown).toMatchObject({ state: 'queued', sending: false, error: 'Inlet was stopped before an answer came.' });
  expect((await subscription(app, id)).failingSince).toBeNull();
}, 15_000);
