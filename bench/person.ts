// Long work about one person with many deliveries: how long it takes, and how long somebody else's webhook waits meanwhile.
import { Database } from 'bun:sqlite';
import { start } from '../test/support/binary.ts';
import { clone, idOf, numbered } from './clone.ts';
import { customerEvent, stripeSignature, subscriptionEvent } from './events.ts';
import { api, count, type Load, ms, startLoad, table } from './measure.ts';
import { ENV, type Inlet, startInlet } from './servers.ts';
import { fileIn } from './target.ts';

const RATE = 200; // the neighbour's webhooks: each 5 ms
const PROBE_MS = 3_000; // at least
const POLL_MS = 50;

type Sent = { customer: string; email: string; id: string };
const post = async ({ ports: [port], path }: Inlet, body: string): Promise<string> => {
  const headers = { 'stripe-signature': stripeSignature(body, Date.now()) };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers, body });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  return ((await response.json()) as { deliveryId: string }).deliveryId;
};
const person = (name: string): Sent => ({ customer: `cus_${name}`, email: `${name}@example.com`, id: `evt_${name}` });

/** Gives a delivery so many copies, with their payloads and events, in a stopped server's database file. */
export function fill(file: string, deliveryId: string, eventId: string, copies: number): void {
  const db = new Database(file);
  db.run('pragma synchronous = off');
  db.run('begin');
  const changes = { [deliveryId]: idOf(deliveryId), [eventId]: numbered(eventId) };
  clone(db, 'deliveries', `id = '${deliveryId}'`, copies, changes);
  clone(db, 'payloads', `delivery_id = '${deliveryId}'`, copies, changes);
  const made = db.query<{ id: string }, []>(`select id from events where delivery_id = '${deliveryId}'`).all();
  for (const { id } of made) clone(db, 'events', `id = '${id}'`, copies, { ...changes, [id]: idOf(id) });
  db.run('commit');
  db.run('analyze');
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
}

interface Options {
  rows: number;
  /** How long one piece of work may take. */
  capMs: number;
}

/** Does the work while somebody else's webhooks come, until `left` finds nothing; a line of the table. */
async function during(inlet: Inlet, name: string, capMs: number, work: () => Promise<unknown>, left: string | null) {
  const [port = 0] = inlet.ports;
  const most = (capMs / 1000 + 30) * RATE;
  const probe = startLoad(port, inlet.path, { count: most, warmup: RATE, rate: RATE });
  await probe.warm;
  const at = performance.now();
  await work();
  const answered = performance.now() - at;
  let open = 0;
  while (left && performance.now() - at < capMs) {
    [{ n: open } = { n: 0 }] = await inlet.database.query<{ n: number }>(left);
    if (!open) break;
    await Bun.sleep(POLL_MS);
  }
  const took = performance.now() - at;
  await Bun.sleep(PROBE_MS - took);
  probe.stop();
  const seen: Load = await probe.done;
  const all = open ? `> cap (${capMs / 1000} s), ${count(open)} left` : `${(took / 1000).toFixed(1)} s`;
  const cells = [name, left ? ms(answered) : '', left ? all : '', ms(seen.p50), ms(seen.p99), ms(seen.max)];
  console.error(`  ${cells.join(', ')}`);
  return cells;
}

export async function longWork({ rows, capMs }: Options): Promise<string> {
  const first = await startInlet();
  const older = person('older');
  const younger = person('younger');
  const waiting = person('waiting');
  const now = Date.now();
  await post(first, customerEvent({ ...older, now }));
  const known = await post(first, customerEvent({ ...younger, now }));
  const waits = await post(first, subscriptionEvent({ ...waiting, now }));
  const contactOf = async ({ email }: Sent) =>
    (await api<{ id: string }[]>(first.servers[0]!, 'GET', `/contacts/find?email=${email}`))[0]?.id;
  const kept = await contactOf(older);
  const merged = await contactOf(younger);
  await Promise.all(first.servers.map(each => each.stop()));
  console.error(`  filling in ${count(2 * rows)} deliveries …`);
  fill(fileIn(first.cwd), known, younger.id, rows);
  fill(fileIn(first.cwd), waits, waiting.id, rows);

  const server = await start({ cwd: first.cwd, env: ENV });
  const inlet: Inlet = { ...first, servers: [server], ports: [server.port], pid: server.pid };
  const many = count(rows);
  const moves = customerEvent({
    ...younger,
    id: 'evt_moves',
    email: older.email,
    type: 'customer.updated',
    now: now + 1000,
  });
  const known2 = customerEvent({ ...waiting, id: 'evt_known', now: now + 1000 });
  const contact = `contact_id = '${kept}'`;
  const lines = [
    await during(inlet, 'nothing', PROBE_MS, async () => undefined, null),
    await during(
      inlet,
      `merging ${many} deliveries`,
      capMs,
      () => post(inlet, moves),
      `select count(*) as n from deliveries where contact_id = '${merged}'`,
    ),
    await during(
      inlet,
      `releasing ${many} that waited`,
      capMs,
      () => post(inlet, known2),
      `select count(*) as n from deliveries where status in ('waiting', 'queued', 'failed') and external_id like 'evt_waiting%'`,
    ),
    await during(
      inlet,
      `erasing ${many}`,
      capMs,
      () => api(server, 'DELETE', `/contacts/${kept}?erase=true`),
      `select (select count(*) from deliveries where ${contact}) + (select count(*) from events where ${contact}) + (select count(*) from erasures) as n`,
    ),
  ];
  await server.kill9();
  const head = [
    'long work about one person',
    'answered after',
    'done after',
    "a neighbour's p50",
    'p99',
    'longest wait',
  ];
  const how = `The neighbour's webhooks come each ${1000 / RATE} ms.`;
  return `${table(head, lines)}\n\n${how}`;
}
