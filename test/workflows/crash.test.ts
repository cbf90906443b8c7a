import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { join } from 'node:path';
import { emptyFolder, freePort, type Running, start } from '../support/binary.ts';
import { seeded } from '../support/crash.ts';

const KEY = 'crash-key-0123456789abcdefghij';
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'error', INLET_LOG_FORMAT: 'json' };
const SEED = process.env.SEED ? Number(process.env.SEED) : Math.trunc(Math.random() * 2 ** 31);
const KILLS = 15;
const CLIENTS = 8;
const WAY = ['t entered', 'm1 sent', 'w waited', 'm2 sent', 'x exited'];

async function api(port: number, method: string, path: string, body?: unknown) {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY}` },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as { id: string };
}

/** Timers take a minute at least: those that run are over now, as if the server had been down for so long. */
function pass(file: string): void {
  const db = new Database(file);
  db.run('pragma busy_timeout = 5000');
  db.run(`update runs set due_at = ? where status = 'active' and waiting = 1 and attempts = 0`, [Date.now()]);
  db.close();
}

// The guarantee: an acknowledged event is one run, each of its nodes one step, each mail node one mail, kill -9 or not.
test(`${KILLS} kills between any two steps: each event is one run, with one mail for each node`, async () => {
  console.log(`workflow crash: SEED=${SEED}`);
  const random = seeded(SEED);
  const cwd = emptyFolder();
  const file = join(cwd, 'inlet-data/inlet.db');
  const port = await freePort();
  let server: Running = await start({ cwd, env: ENV, port });
  const mail = async (subject: string) => (await api(port, 'POST', '/email-messages', { subject, html: 'x' })).id;
  const send = async (subject: string, next: string) => ({
    ...{ typeName: 'SendEmailAction', emailMessageId: await mail(subject) },
    nextNodeIds: [next],
  });
  const { id } = await api(port, 'POST', '/workflows', { name: 'w' });
  const nodes = {
    t: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['m1'] },
    m1: await send('one', 'w'),
    w: { typeName: 'TimerAction', amount: 1, unit: 'm', nextNodeIds: ['m2'] },
    m2: await send('two', 'x'),
    x: { typeName: 'ExitAction', nextNodeIds: [] },
  };
  await api(port, 'PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes });
  await api(port, 'POST', `/workflows/${id}/start`);
  const acknowledged = new Set<string>();
  let next = 0;
  let running = true;
  const client = async () => {
    while (running) {
      const email = `crash${next++}@example.com`;
      const sent = api(port, 'POST', '/events/send', { email, eventName: 'paid' });
      await sent.then(
        () => acknowledged.add(email),
        () => Bun.sleep(5),
      );
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  for (let kill = 0; kill < KILLS; kill++) {
    await Bun.sleep(20 + random() * 300);
    await server.kill9();
    pass(file);
    server = await start({ cwd, env: ENV, port });
  }
  running = false;
  await Promise.all(clients);
  const db = new Database(file, { readonly: true });
  const open = db.prepare<{ n: number }, []>('select count(*) as n from runs where ended_at is null');
  while (open.get()?.n) {
    pass(file);
    await Bun.sleep(50);
  }
  const found = db
    .query<{ email: string; run: string; status: string; mails: number }, []>(
      `select e.email, r.id as run, r.status, (select count(*) from mails m where m.workflow_run_id = r.id) as mails
       from events e left join runs r on r.event_id = e.id`,
    )
    .all();
  const wrong = found.filter(each => each.status !== 'completed' || each.mails !== 2).map(each => JSON.stringify(each));
  const once = new Map<string, number>();
  for (const { email } of found) once.set(email, (once.get(email) ?? 0) + 1);
  for (const email of acknowledged) if (once.get(email) !== 1) wrong.push(`${email}: ${once.get(email) ?? 0} runs`);
  const ways = db
    .query<{ way: string }, []>(
      `select distinct way from (select group_concat(node_id || ' ' || outcome, ', ') as way
       from (select * from steps order by run_id, visit) group by run_id)`,
    )
    .all();
  db.close();
  expect(wrong.slice(0, 10)).toEqual([]);
  expect(ways).toEqual([{ way: WAY.join(', ') }]);
  expect(acknowledged.size).toBeGreaterThan(200);
  await server.stop();
}, 60_000);
