// `bun bench/api.ts`: writes through the management API against the built binary, beside a call that writes nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { start } from '../test/support/binary.ts';
import { machine } from './machine.ts';

const { values } = parseArgs({ options: { count: { type: 'string', default: '10000' } } });
const COUNT = Number(values.count); // calls per row
const WARMUP = Math.ceil(COUNT / 10);
const CONNECTIONS = 64;
const KNOWN = 1000; // contacts that the rows about known ones go round
const KEY = 'bench-key-0123456789abcdefghij';
const folder = mkdtempSync(join(tmpdir(), 'inlet-bench-api-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

function bytesOf(method: string, path: string, body?: unknown): Buffer {
  const text = body === undefined ? '' : JSON.stringify(body);
  const head = `${method} /api/v1${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json`;
  return Buffer.from(`${head}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
}

interface Result {
  perSecond: number;
  p50: number;
  p99: number;
}

/** Sends `COUNT` calls, each as soon as one of the connections is free. @throws Error on an answer that is not 200 */
async function load(port: number, requestOf: (n: number) => Buffer): Promise<Result> {
  const requests = Array.from({ length: COUNT + WARMUP }, (_, n) => requestOf(n));
  const took: number[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let next = 0;
  let answered = 0;
  let begun = 0;
  const send = (socket: Bun.Socket<{ at: number }>) => {
    const bytes = requests[next++];
    if (!bytes) return;
    if (next === WARMUP) begun = performance.now();
    socket.data.at = performance.now();
    socket.write(bytes); // far smaller than a socket's buffer
  };
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, () =>
      Bun.connect<{ at: number }>({
        hostname: '127.0.0.1',
        port,
        data: { at: 0 },
        socket: {
          data(socket, data) {
            const status = data.toString('latin1', 9, 12);
            if (status !== '200') reject(new Error(`answered ${data.toString()}`));
            if (++answered > WARMUP) took.push(performance.now() - socket.data.at);
            if (answered === requests.length) resolve(performance.now());
            else send(socket);
          },
          error: (_, error) => reject(error),
        },
      }),
    ),
  );
  for (const socket of sockets) send(socket);
  const ended = await promise;
  for (const socket of sockets) socket.end();
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.floor(took.length * share)] ?? 0;
  return { perSecond: COUNT / ((ended - begun) / 1000), p50: at(0.5), p99: at(0.99) };
}

const email = (n: number) => `known${n % KNOWN}@example.com`;
const ROWS: Record<string, (n: number) => Buffer> = {
  'GET /api-key (reference)': () => bytesOf('GET', '/api-key'),
  'PUT /contacts/update, new': n => bytesOf('PUT', '/contacts/update', { email: `new${n}@example.com`, plan: 'pro' }),
  'PUT /contacts/update, known': n => bytesOf('PUT', '/contacts/update', { email: email(n), plan: `p${n}` }),
  'POST /events/send, known': n =>
    bytesOf('POST', '/events/send', { email: email(n), eventName: 'paid', eventProperties: { amount: n } }),
};

const running = await start({
  cwd: folder,
  env: { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn' },
});
await load(running.port, n => bytesOf('PUT', '/contacts/update', { email: email(n), plan: 'free' }));
console.log(`${await machine(null)} ${CONNECTIONS} connections, ${COUNT} calls a row\n`);
console.log('| call | per second | of the reference | p50 ms | p99 ms |\n|---|---|---|---|---|');
let reference = 0;
for (const [name, requestOf] of Object.entries(ROWS)) {
  const { perSecond, p50, p99 } = await load(running.port, requestOf);
  reference ||= perSecond;
  const share = (perSecond / reference).toFixed(2);
  console.log(`| ${name} | ${Math.round(perSecond)} | ${share} | ${p50.toFixed(1)} | ${p99.toFixed(1)} |`);
}
await running.stop();
