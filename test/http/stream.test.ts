import { afterEach, beforeEach, expect, test } from 'bun:test';
import { API_KEY, stripeEvent, TestApp } from '../support/app.ts';

let app: TestApp;
let endpoint: string;
beforeEach(async () => {
  app = await TestApp.open();
  endpoint = await app.endpoint('stripe');
});
afterEach(() => app.stop());

interface Told {
  event: string;
  id: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: looked at field by field in assertions
  data: any;
}

/** Listens, and gives what it heard; `untilHeard` waits for something in it. */
async function listen(headers: Record<string, string> = {}, key = API_KEY) {
  const request = new Request('http://localhost/api/v1/stream', {
    headers: { authorization: `Bearer ${key}`, ...headers },
  });
  const response = await app.app.fetch(request);
  const heard: Told[] = [];
  const state = { text: '', isOver: false };
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const reading = (async () => {
    for (let rest = ''; reader; ) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done) break;
      const text = decoder.decode(value, { stream: true });
      state.text += text;
      const parts = (rest + text).split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const field = (name: string) =>
          part
            .split('\n')
            .find(line => line.startsWith(`${name}: `))
            ?.slice(name.length + 2);
        const data = field('data');
        if (data !== undefined)
          heard.push({ event: field('event') ?? '', id: field('id') ?? null, data: JSON.parse(data) });
      }
    }
    state.isOver = true;
  })();
  const untilHeard = async (find: (told: Told[]) => boolean, ms = 6000) => {
    for (const until = performance.now() + ms; !find(heard); await Bun.sleep(20))
      if (performance.now() > until) throw new Error(`not heard: ${JSON.stringify(heard).slice(0, 2000)}`);
  };
  const untilOver = async (ms = 6000) => {
    for (const until = performance.now() + ms; !state.isOver; await Bun.sleep(20))
      if (performance.now() > until) throw new Error('it goes on');
  };
  const leave = async () => {
    await reader?.cancel();
    await reading;
  };
  return { response, heard, state, untilHeard, untilOver, leave };
}
const rowsOf = (heard: Told[], kind: 'added' | 'changed') =>
  heard.filter(each => each.event === 'deliveries').flatMap(each => each.data[kind]);

test('new deliveries, and what became of those that were open; nothing that was there before', async () => {
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  const stream = await listen();
  expect(stream.response.status).toBe(200);
  expect(Object.fromEntries(stream.response.headers)).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  });
  await stream.untilHeard(heard => heard.some(each => each.event === 'health'));
  const first = (await app.post(endpoint, 'stripe', stripeEvent('customer.created', { email: 'ada@x.co' }))).body
    .deliveryId;
  await stream.untilHeard(heard => rowsOf(heard, 'added').length > 0);
  const [row] = rowsOf(stream.heard, 'added');
  expect(row).toMatchObject({ id: first, endpointId: endpoint, type: 'customer.created', status: 'processed' });
  expect(row.message).toContain('ada@x.co');
  expect(row).not.toHaveProperty('payload');
  expect(stream.heard.find(each => each.event === 'deliveries')?.id).toBe(first);
  // One that waits, and is applied later.
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: true });
  const queued = (await app.post(endpoint, 'stripe', stripeEvent('customer.created'))).body.deliveryId;
  await stream.untilHeard(heard => rowsOf(heard, 'added').some(each => each.id === queued && each.status === 'queued'));
  await app.api('PATCH', `/endpoints/${endpoint}`, { paused: false });
  await app.drain();
  await stream.untilHeard(heard =>
    rowsOf(heard, 'changed').some(each => each.id === queued && each.status === 'processed'),
  );
  expect(rowsOf(stream.heard, 'added').length).toBe(2);
  await stream.leave();
}, 20_000);

test('who was away is told what came since, by the id that was last seen', async () => {
  const ids: string[] = [];
  for (let n = 0; n < 3; n++)
    ids.push((await app.post(endpoint, 'stripe', stripeEvent('customer.created'))).body.deliveryId);
  const stream = await listen({ 'last-event-id': ids[0] ?? '' });
  await stream.untilHeard(heard => rowsOf(heard, 'added').length > 0);
  expect(rowsOf(stream.heard, 'added').map(each => each.id)).toEqual(ids.slice(1));
  await stream.leave();
  const odd = await listen({ 'last-event-id': "dlv_' or 1=1 --" });
  await odd.untilHeard(heard => heard.some(each => each.event === 'health'));
  expect(rowsOf(odd.heard, 'added')).toEqual([]);
  await odd.leave();
});

test('a burst comes in batches, at most four a second, with how many were left out', async () => {
  const stream = await listen();
  await stream.untilHeard(heard => heard.length > 0);
  const begunAt = performance.now();
  await Promise.all(Array.from({ length: 300 }, () => app.post(endpoint, 'stripe', stripeEvent('customer.created'))));
  const told = () =>
    rowsOf(stream.heard, 'added').length + stream.heard.reduce((sum, each) => sum + (each.data.more ?? 0), 0);
  await stream.untilHeard(() => told() >= 300, 15_000);
  const seconds = (performance.now() - begunAt) / 1000;
  const batches = stream.heard.filter(each => each.event === 'deliveries');
  expect(batches.length).toBeLessThanOrEqual(Math.ceil(seconds * 4) + 1);
  expect(told()).toBe(300);
  await stream.leave();
}, 30_000);

test('ends when its key or its session is revoked', async () => {
  const { id, key } = (await app.api('POST', '/keys', { name: 'k', scope: 'read' })).body;
  const byKey = await listen({}, key);
  const opened = await app.fetch('/api/v1/session', { method: 'POST', body: JSON.stringify({ key: API_KEY }) });
  const cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? '';
  const response = await app.app.fetch(new Request('http://localhost/api/v1/stream', { headers: { cookie } }));
  const bySession = response.body?.getReader();
  const own = await listen();
  expect([byKey.response.status, response.status, own.response.status]).toEqual([200, 200, 200]);
  await app.api('DELETE', `/keys/${id}`);
  await byKey.untilOver();
  await app.api('DELETE', `/sessions/${opened.body.id}`);
  for (let read = await bySession?.read(); read && !read.done; read = await bySession?.read());
  expect(own.state.isOver).toBe(false);
  await own.leave();
  expect((await app.app.fetch(new Request('http://localhost/api/v1/stream'))).status).toBe(401);
}, 20_000);

test('two hundred may listen; the next is asked to wait, and one that leaves makes room', async () => {
  const all = [];
  for (let n = 0; n < 200; n++) all.push(await listen());
  const late = await app.api('GET', '/stream');
  expect([late.status, late.body.message]).toEqual([503, expect.stringContaining('200 live streams')]);
  await all.pop()?.leave();
  const next = await listen();
  expect(next.response.status).toBe(200);
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await next.untilHeard(heard => rowsOf(heard, 'added').length === 1);
  await all[0]?.untilHeard(heard => rowsOf(heard, 'added').length === 1);
  for (const each of [...all, next]) await each.leave();
}, 60_000);

test('over a real connection it outlives the idle time, with a comment each 15 seconds', async () => {
  await app.stop();
  app = await TestApp.open({}, { port: 0 });
  const { url } = await app.app.start();
  const response = await fetch(`${url}/api/v1/stream`, { headers: { authorization: `Bearer ${API_KEY}` } });
  const reader = response.body!.getReader();
  let text = '';
  for (const until = performance.now() + 25_000; !text.includes(': still here') && performance.now() < until; ) {
    const { done, value } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  expect(text).toContain(': still here');
  const stopped = performance.now();
  const stopping = app.stop();
  while (!(await reader.read()).done);
  await stopping;
  expect(performance.now() - stopped).toBeLessThan(3000);
  app = await TestApp.open();
}, 40_000);
