import { Database } from 'bun:sqlite';
import { makeId } from '../src/id.ts';

/** Fills a stopped server's database with processed log rows (with payloads and events) and contacts, in bulk. */
export function fill(file: string, endpointId: string, rows: number, contacts: number): void {
  const db = new Database(file);
  db.run('pragma synchronous = off');
  const delivery =
    db.prepare(`insert into deliveries (id, endpoint_id, provider, external_id, type, status, message, received_at, occurred_at,
    processed_at, due_at, leased, attempts, crashes, duplicates, contact_id, identity_id, secret_id, response, effects, replays)
    values (?, ?, 'stripe', ?, ?, 'processed', 'Updated contact', ?, ?, ?, 0, 0, 1, 0, 0, ?, null, 'sec_1', '{"status":200,"result":"accepted"}', '[]', 0)`);
  const payload = db.prepare(`insert into payloads (delivery_id, body, headers) values (?, ?, '{}')`);
  const contact =
    db.prepare(`insert into contacts (id, email, source, user_group, subscribed, properties, created_at, updated_at)
    values (?, ?, 'Stripe webhook', '', 1, '{}', ?, ?)`);
  const identity = db.prepare(
    `insert into identities (id, provider, contact_id, registers, created_at) values (?, 'stripe', ?, ?, ?)`,
  );
  const tie = db.prepare('insert into ties (value, identity_id) values (?, ?)');
  const start = Date.now() - 20 * 86_400_000;
  const body = JSON.stringify({
    id: 'evt',
    type: 'customer.updated',
    data: { object: { metadata: { note: 'x'.repeat(300) } } },
  });
  const ids: string[] = [];
  db.run('begin');
  for (let i = 0; i < contacts; i++) {
    const id = makeId('con', start);
    const email = `filled.${(i * 7919) % contacts}.${i}@example.com`;
    ids.push(id);
    contact.run(id, email, start, start);
    const k = `${String(start).padStart(16, '0')}000.0.evt_${i} ${endpointId}`;
    const registers = {
      class: 'payment',
      personId: `cus_filled${i}`,
      first: k,
      facts: [{ k, a: 1, e: email, source: 'Stripe webhook' }],
      deaths: [],
      aliases: [],
      erased: '',
      mapped: null,
    };
    identity.run(`stripe:cus_filled${i}`, id, JSON.stringify(registers), start);
    tie.run(`email:${email}`, `stripe:cus_filled${i}`);
  }
  for (let i = 0; i < rows; i++) {
    const at = start + i;
    const id = makeId('dlv', at);
    delivery.run(
      id,
      endpointId,
      `evt_filled${i}`,
      i % 5000 === 0 ? 'customer.deleted' : 'customer.updated',
      at,
      at,
      at,
      ids[i % ids.length] ?? null,
    );
    payload.run(id, body);
    if (i % 50_000 === 49_999) {
      db.run('commit');
      db.run('begin');
    }
  }
  db.run('commit');
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
}
