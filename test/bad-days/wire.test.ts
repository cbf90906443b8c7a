import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { findProvider } from '../../src/providers/index.ts';
import { API_KEY, SECRETS } from '../support/app.ts';
import { emptyFolder, type Running, start } from '../support/binary.ts';

let server: Running;
const paths: Record<string, string> = {};
const api = async (method: string, path: string, body?: unknown) =>
  (await (
    await fetch(`${server.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${API_KEY}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  )
    // biome-ignore lint/suspicious/noExplicitAny: looked at field by field in assertions
    .json()) as any;

beforeAll(async () => {
  server = await start({ cwd: emptyFolder(), env: { INLET_API_KEY: API_KEY } });
  for (const [provider, secret] of Object.entries(SECRETS))
    paths[provider] = `/webhooks/${(await api('POST', '/endpoints', { provider, secret })).id}`;
});
afterAll(async () => void (await server.stop()));

/** Writes bytes as they are and gives back what came until `answers` heads were seen, the end, or 5 s. */
async function wire(bytes: string | Uint8Array, answers = 1): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let seen = '';
  let rest = Buffer.from(bytes);
  const push = (socket: { write(data: Uint8Array): number }) => {
    while (rest.length) {
      const written = socket.write(rest);
      if (written <= 0) return;
      rest = rest.subarray(written);
    }
  };
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: server.port,
    socket: {
      open: push,
      drain: push,
      data(_, chunk) {
        seen += chunk.toString('latin1');
        if ((seen.match(/HTTP\/1\.1 \d\d\d[\s\S]*?\r\n\r\n/g)?.length ?? 0) >= answers) resolve();
      },
      close: () => resolve(),
      error: () => resolve(),
    },
  });
  await Promise.race([promise, Bun.sleep(5000)]);
  await Bun.sleep(20); // the rest of the last body
  socket.end();
  return seen;
}
const statuses = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d\d\d)/g)].map(([, status]) => Number(status));

/** Sample, signed: its headers as pairs, so that some can be sent twice. */
function signedSample(provider: string) {
  const known = findProvider(provider);
  if (!known) throw new Error(provider);
  const body = JSON.stringify(known.sample(known.types[0]?.type ?? '', `${provider}@x.co`, Date.now()));
  const headers = known.sign(body, SECRETS[provider] ?? '', known.settings.parse({}), Date.now());
  return { body, headers: Object.entries(headers) };
}
const post = (path: string, headers: [string, string][], body: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe.each(Object.keys(SECRETS))('%s, on the wire', provider => {
  test('each of its headers is taken once and refused twice: as two lines, joined by a comma, with another beside it', async () => {
    const { body, headers } = signedSample(provider);
    expect(statuses(await wire(post(paths[provider] ?? '', headers, body)))).toEqual([200]);
    for (const [name, value] of headers) {
      const others = headers.filter(([each]) => each !== name);
      const upper = name.toUpperCase();
      const wrong = value.replace(/.$/, last => (last === 'A' ? 'B' : 'A'));
      const forms: [string, string][][] = [
        [[name, value], [name, value]],
        [[name, value], [upper, wrong]],
        [[name, wrong], [name, value]],
        [[name, `${value}, ${value}`]],
        [[name, `${value},${value}`]],
        [[name, `${wrong},${value}`]],
        [[name, '']],
      ]; // biome-ignore format: a table
      for (const form of forms) {
        const answer = await wire(post(paths[provider] ?? '', [...others, ...form], body));
        expect({ form, status: statuses(answer) }).toEqual({ form, status: [401] });
        expect(answer).toMatch(/x-request-id: [0-9a-f-]{36}/i);
      }
    }
    const page = await api('GET', `/deliveries?endpointId=${paths[provider]?.split('/')[2]}&status=rejected`);
    expect(page.data.some((each: { message: string }) => each.message.includes('came more than once'))).toBe(true);
  });
});

test('a body over the largest limit of 25 MiB is 413 with a request id, declared or in chunks', async () => {
  const id = paths.polar?.split('/')[2];
  await api('PATCH', `/endpoints/${id}`, { settings: { maxBodyBytes: 26_214_400 } });
  expect((await api('PATCH', `/endpoints/${id}`, { settings: { maxBodyBytes: 26_214_401 } })).success).toBe(false);
  const head = `POST ${paths.polar} HTTP/1.1\r\nhost: x\r\n`;
  const declared = await wire(`${head}content-length: 26214401\r\n\r\n`);
  expect(declared).toMatch(/^HTTP\/1\.1 413[\s\S]*x-request-id: [0-9a-f-]{36}/i);
  expect(declared).toContain('"success":false');
  const chunk = Buffer.from(`100000\r\n${'x'.repeat(1_048_576)}\r\n`);
  const chunks = Buffer.concat([Buffer.from(`${head}transfer-encoding: chunked\r\n\r\n`), ...Array(26).fill(chunk)]);
  expect(await wire(chunks)).toMatch(/^HTTP\/1\.1 413[\s\S]*x-request-id: [0-9a-f-]{36}/i);
  const huge = await wire(`${head}content-length: 99999999999999999999\r\n\r\n`);
  expect(statuses(huge)).not.toContain(200);
});

test('a second request smuggled behind an ambiguous length is never run', async () => {
  const { body, headers } = signedSample('stripe');
  const inner = post(paths.stripe ?? '', headers, body);
  const before = (await api('GET', '/deliveries')).pagination.totalResults;
  const shapes = [
    'content-length: 4\r\ntransfer-encoding: chunked',
    'transfer-encoding: chunked\r\ncontent-length: 4',
    'transfer-encoding: identity, chunked\r\ncontent-length: 4',
    'transfer-encoding : chunked\r\ncontent-length: 4',
    'content-length: 4, 5',
    'content-length: +4',
  ];
  for (const shape of shapes) {
    const text = `POST ${paths.polar} HTTP/1.1\r\nhost: x\r\n${shape}\r\n\r\n0\r\n\r\n${inner}`;
    expect({ shape, passed: statuses(await wire(text, 2)).includes(200) }).toEqual({ shape, passed: false });
  }
  expect((await api('GET', '/deliveries?type=customer.created')).pagination.totalResults).toBeLessThanOrEqual(before);
});

test('header sections that are too large or broken are refused, and the server goes on', async () => {
  const head = `POST ${paths.stripe} HTTP/1.1\r\nhost: x\r\n`;
  const bad = [
    `${head}${'a'.repeat(200_000)}: b\r\n\r\n`,
    `${head}a: ${'b'.repeat(200_000)}\r\n\r\n`,
    `${head}${Array.from({ length: 5000 }, (_, i) => `h${i}: ${i}\r\n`).join('')}content-length: 0\r\n\r\n`,
    `POST /${'x'.repeat(200_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
    `${head}stripe-signature: t=1\0,v1=aa\r\ncontent-length: 0\r\n\r\n`,
    `${head} folded: x\r\ncontent-length: 0\r\n\r\n`,
    '\0\0\0\0\r\n\r\n',
    `GET / HTTP/9.9\r\n\r\n`,
  ];
  for (const bytes of bad) {
    const answer = await wire(bytes);
    for (const status of statuses(answer)) expect([400, 401, 404, 414, 431, 505]).toContain(status);
    expect(answer).not.toMatch(/sqlite|\.ts\b|node_modules|at \w+ \(/i);
  }
  expect(statuses(await wire('GET /health HTTP/1.1\r\nhost: x\r\n\r\n'))).toEqual([200]);
});

test('requests sent without waiting for answers: no answer is mixed up, what was acknowledged is kept, a resend is safe', async () => {
  const [a, b] = [signedSample('clerk'), signedSample('supabase')];
  const first = post(paths.clerk ?? '', a.headers, a.body);
  const answer = await wire([first, post(paths.supabase ?? '', b.headers, b.body), first].join(''), 3);
  const ids = [...answer.matchAll(/"deliveryId":"(\w+)"/g)].map(([, id]) => id);
  expect(ids).toHaveLength(statuses(answer).filter(status => status === 200).length);
  for (const id of ids) expect((await api('GET', `/deliveries/${id}`)).id).toBe(id);
  expect(await wire(first)).toMatch(/^HTTP\/1\.1 200[\s\S]*"result":"(accepted|duplicate)"/);
  const same = (await api('GET', '/deliveries?type=user.created')).data.filter(
    (each: { externalId: string }) => each.externalId === a.headers.find(([name]) => name === 'svix-id')?.[1],
  );
  expect(same).toHaveLength(1);
});

test('other methods at a webhook are a flat 405 that names POST', async () => {
  for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE']) {
    const answer = await wire(`${method} ${paths.stripe} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`);
    expect({ method, status: statuses(answer) }).toEqual({ method, status: [405] });
    expect(answer).toMatch(/allow: POST/i);
    expect(answer).toMatch(/x-request-id: /i);
    if (method === 'HEAD') expect(answer.endsWith('\r\n\r\n')).toBe(true);
  }
  for (const method of ['TRACE', 'CONNECT', 'FOO', 'post']) {
    const answer = await wire(
      `${method} ${paths.stripe} HTTP/1.1\r\nhost: x\r\nx-mark: echoed\r\ncontent-length: 0\r\n\r\n`,
    );
    expect({ method, passed: statuses(answer).includes(200) }).toEqual({ method, passed: false });
    expect(answer).not.toContain('echoed');
  }
});
