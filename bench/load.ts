// The load, in a process of its own: presigned unique Stripe events over keep-alive connections. A line when the warm-up is over, and
// results as one line of JSON.
// SIGTERM ends it early: it waits for what is under way and reports what it has.
import { parseArgs } from 'node:util';
import { type Kind, loadEvent, request } from './events.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    path: { type: 'string' },
    kind: { type: 'string', default: 'new' },
    run: { type: 'string' },
    count: { type: 'string' },
    warmup: { type: 'string', default: '0' },
    connections: { type: 'string', default: '64' },
    rate: { type: 'string' }, // per second; absent: as fast as answers come
  },
});
const port = Number(values.port);
const warmup = Number(values.warmup);
const rate = values.rate === undefined ? null : Number(values.rate);
const run = values.run ?? String(Date.now() % 1e7);
let total = Number(values.count) + warmup;

const now = Date.now();
const requests = Array.from({ length: total }, (_, n) =>
  request(values.path ?? '/', loadEvent(values.kind as Kind, run, n, now), now),
);
const latencies = new Float64Array(total);
const statuses: Record<string, number> = {};
let next = 0;
let answered = 0;
let begun = 0;
let ended = 0;

interface Connection {
  sentAt: number;
  index: number;
  busy: boolean;
  pending: Buffer | null;
}
const finished = Promise.withResolvers<void>();
const idle: Bun.Socket<Connection>[] = [];

/** Sends the next request. Latency counts from when it should have gone out, so that a stall is not hidden. */
function send(socket: Bun.Socket<Connection>, due: number): void {
  if (next >= total) return;
  const index = next++;
  const bytes = requests[index];
  if (!bytes) return;
  if (index === warmup) {
    begun = performance.now();
    console.log('warm');
  }
  Object.assign(socket.data, { sentAt: due, index, busy: true });
  const written = socket.write(bytes);
  socket.data.pending = written < bytes.length ? bytes.subarray(written) : null;
}

function received(socket: Bun.Socket<Connection>, data: Buffer): void {
  // Answers are small and come whole; the status is in the first line.
  if (!socket.data.busy) return;
  const status = data.toString('latin1', 9, 12);
  statuses[status] = (statuses[status] ?? 0) + 1;
  socket.data.busy = false;
  const at = performance.now();
  latencies[socket.data.index] = at - socket.data.sentAt;
  if (++answered === total) {
    ended = at;
    finished.resolve();
  } else if (rate === null) send(socket, at);
  else idle.push(socket);
}

const sockets = await Promise.all(
  Array.from({ length: Number(values.connections) }, () =>
    Bun.connect<Connection>({
      hostname: '127.0.0.1',
      port,
      data: { sentAt: 0, index: 0, busy: false, pending: null },
      socket: {
        data: received,
        drain(socket) {
          const { pending } = socket.data;
          if (!pending) return;
          const written = socket.write(pending);
          socket.data.pending = written < pending.length ? pending.subarray(written) : null;
        },
        close() {
          finished.reject(new Error('the server closed a connection'));
        },
      },
    }),
  ),
);

const started = performance.now();
process.on('SIGTERM', () => {
  // What is overdue still goes out: a stall at the end must show.
  if (rate !== null) total = Math.min(total, Math.max(next, Math.floor(((performance.now() - started) / 1000) * rate)));
  else total = next;
  if (answered === total) {
    ended = performance.now();
    finished.resolve();
  }
});
if (rate === null) for (const socket of sockets) send(socket, started);
else {
  idle.push(...sockets);
  const tick = setInterval(() => {
    const due = Math.min(total, Math.floor(((performance.now() - started) / 1000) * rate));
    while (next < due && idle.length) {
      const socket = idle.shift(); // in turn: one that rests for long is closed by the server
      if (socket) send(socket, started + (next / rate) * 1000);
    }
    if (next >= total) clearInterval(tick);
  }, 1);
}
await finished.promise;
const measured = [...latencies.subarray(warmup, total)].sort((a, b) => a - b);
const percentile = (p: number) => measured[Math.min(measured.length - 1, Math.floor((p / 100) * measured.length))] ?? 0;
console.log(
  JSON.stringify({
    count: total,
    perSecond: measured.length / ((ended - begun) / 1000),
    statuses,
    p50: percentile(50),
    p99: percentile(99),
    p999: percentile(99.9),
    max: measured.at(-1) ?? 0,
    endedAt: Date.now() - (performance.now() - ended),
    begunAt: Date.now() - (performance.now() - begun),
  }),
);
process.exit(0);
