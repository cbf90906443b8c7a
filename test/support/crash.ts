import { Database } from 'bun:sqlite';
import { createHmac } from 'node:crypto';
import { join } from 'node:path';
import { emptyFolder, freePort, type Running, start } from './binary.ts';
import { findWrongContacts } from './selfCheck.ts';

const SECRET = 'whsec_crash_0123456789abcdef0123456789';
const KEY = 'crash-key-0123456789abcdefghij';
const CLIENTS = 16;

export interface CrashReport {
  kills: number;
  acknowledged: number;
  /** What is wrong with the database afterwards; empty when the promise held. */
  wrong: string[];
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const eventOf = (n: number) =>
  JSON.stringify({
    id: `evt_crash${n}`,
    object: 'event',
    type: 'customer.created',
    created: Math.floor(Date.now() / 1000),
    livemode: false,
    data: { object: { id: `cus_crash${n}`, object: 'customer', email: `crash${n}@example.com`, name: `N${n} Crash` } },
  });

async function post(url: string, body: string): Promise<boolean> {
  const t = Math.floor(Date.now() / 1000);
  const v1 = createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex');
  try {
    const response = await fetch(url, { method: 'POST', body, headers: { 'stripe-signature': `t=${t},v1=${v1}` } });
    await response.text();
    return response.status === 200;
  } catch {
    return false; // killed meanwhile: nothing was promised
  }
}

/**
 * Kills the built binary with -9 at random moments under load, and restarts it. The client's own log of what was acknowledged
 * is the truth: each of those must be there once and applied once. Unanswered events are sent again, as a provider would.
 */
export async function crash(kills: number, seed: number, onKill: (n: number) => void = () => {}): Promise<CrashReport> {
  const random = seeded(seed);
  const cwd = emptyFolder();
  const port = await freePort();
  const env = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'error', INLET_LOG_FORMAT: 'json' };
  let server: Running = await start({ cwd, env, port });
  const make = async (path: string, body: unknown) => {
    const response = await fetch(`${server.url}/api/v1${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { authorization: `Bearer ${KEY}` },
    });
    return (await response.json()) as { id: string };
  };
  const list = await make('/lists', { name: 'crash' });
  const set = { mailingLists: [list.id], triggerEvent: 'signup' };
  const { id } = await make('/endpoints', { provider: 'stripe', secret: SECRET, events: { 'customer.created': set } });
  const acknowledged = new Set<number>();
  const again: number[] = [];
  let next = 0;
  let running = true;
  const client = async () => {
    while (running) {
      const n = again.pop() ?? next++;
      if (await post(`http://127.0.0.1:${port}/webhooks/${id}`, eventOf(n))) acknowledged.add(n);
      else {
        again.push(n);
        await Bun.sleep(5);
      }
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  for (let kill = 1; kill <= kills; kill++) {
    await Bun.sleep(10 + random() * 340);
    await server.kill9();
    onKill(kill);
    server = await start({ cwd, env, port });
  }
  running = false;
  await Promise.all(clients);
  const file = join(cwd, 'inlet-data/inlet.db');
  await settled(file);
  await server.stop();
  const wrong = [...check(file, acknowledged), ...(await findWrongContacts(cwd))];
  return { kills, acknowledged: acknowledged.size, wrong };
}

async function settled(file: string): Promise<void> {
  const db = new Database(file, { readonly: true });
  const open = db.prepare(`select 1 from deliveries where status in ('queued', 'failed') limit 1`);
  for (let i = 0; open.get() && i < 6000; i++) await Bun.sleep(10);
  db.close();
}

function check(file: string, acknowledged: Set<number>): string[] {
  const db = new Database(file);
  const wrong: string[] = [];
  const rows = db
    .query<{ external_id: string; status: string; n: number }, []>(
      'select external_id, status, count(*) as n from deliveries group by external_id, status',
    )
    .all();
  const byId = new Map(rows.map(row => [row.external_id, row]));
  if (byId.size !== rows.length) wrong.push('an event has several deliveries');
  const events = new Map(
    db
      .query<{ email: string; n: number }, []>('select email, count(*) as n from events group by email')
      .all()
      .map(row => [row.email, row.n]),
  );
  const contacts = new Map(
    db
      .query<{ email: string; n: number }, []>(
        'select email, count(m.list_id) as n from contacts c left join memberships m on m.contact_id = c.id group by c.email',
      )
      .all()
      .map(row => [row.email, row.n]),
  );
  for (const n of acknowledged) {
    const row = byId.get(`evt_crash${n}`);
    const email = `crash${n}@example.com`;
    if (row?.n !== 1 || row.status !== 'processed')
      wrong.push(`evt_crash${n}: ${row ? `${row.n} × ${row.status}` : 'lost'}`);
    if (events.get(email) !== 1) wrong.push(`${email}: ${events.get(email) ?? 0} events`);
    if (contacts.get(email) !== 1) wrong.push(`${email}: contact or list missing`);
  }
  if ([...events.values()].some(n => n !== 1)) wrong.push('an event fired twice');
  const integrity = db.query<{ integrity_check: string }, []>('pragma integrity_check').get()?.integrity_check;
  if (integrity !== 'ok') wrong.push(`integrity: ${integrity}`);
  db.close();
  return wrong;
}
