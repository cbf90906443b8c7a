// The handler a user would write by hand: official verifier, one synced transaction per webhook, tables like Inlet's.
import { Database } from 'bun:sqlite';
import Stripe from 'stripe';
import { SECRET } from './events.ts';
import schema from './handler.sql' with { type: 'text' };

const db = new Database(process.argv[2] ?? ':memory:', { create: true });
for (const pragma of ['journal_mode = wal', 'synchronous = full', 'busy_timeout = 5000']) db.run(`pragma ${pragma}`);
db.run(schema);

const stripe = new Stripe('sk_test_unused');
const delivery =
  db.prepare(`insert into deliveries (id, endpoint_id, provider, external_id, type, status, message, received_at, occurred_at, processed_at,
  due_at, leased, attempts, crashes, duplicates, contact_id, identity_id, secret_id, response, effects, replays, dedupe_group, error)
  values (?, 'ep_1', 'stripe', ?, ?, 'processed', 'done', ?, ?, ?, 0, 0, 1, 0, 0, ?, null, 'sec_1', '{"status":200}', '[]', 0, null, null)
  on conflict do nothing returning id`);
const payload = db.prepare('insert into payloads (delivery_id, body, headers) values (?, ?, ?)');
const identity = db.prepare('select contact_id from identities where id = ?');
const byEmail = db.prepare('select id from contacts where email = ?');
const contact =
  db.prepare(`insert into contacts (id, email, user_id, first_name, last_name, source, user_group, subscribed, properties, created_at, updated_at)
  values (?, ?, null, ?, ?, 'Stripe webhook', '', 1, '{}', ?, ?)`);
const changed = db.prepare('update contacts set email = ?, first_name = ?, last_name = ?, updated_at = ? where id = ?');
const known = db.prepare(
  'insert into identities (id, provider, contact_id, registers, created_at) values (?, ?, ?, ?, ?) on conflict do nothing',
);
const link = db.prepare('insert into links (value, identity_id) values (?, ?) on conflict do nothing');
const member = db.prepare('insert into memberships (contact_id, list_id) values (?, ?) on conflict do nothing');
const event =
  db.prepare(`insert into events (id, effect_key, event_name, contact_id, email, event_properties, delivery_id, created_at)
  values (?, ?, 'paid', ?, ?, '{}', ?, ?) on conflict do nothing`);

interface Person {
  email?: string;
  customer_email?: string;
  customer_details?: { email?: string; name?: string };
  name?: string;
  customer_name?: string;
  customer?: string;
  id: string;
}
let n = 0;
const handle = db.transaction((text: string, { id, type, created, data }: Stripe.Event) => {
  const object = data.object as unknown as Person;
  const now = Date.now();
  const deliveryId = `dlv_${now}${n++}`;
  const email = (object.email ?? object.customer_email ?? object.customer_details?.email ?? '').trim().toLowerCase();
  const isCustomer = type.startsWith('customer.');
  const customer = `stripe:${isCustomer ? object.id : object.customer}`;
  let row = (identity.get(customer) ?? byEmail.get(email)) as { contact_id?: string; id?: string } | null;
  const [first, ...rest] = (object.name ?? object.customer_name ?? object.customer_details?.name ?? '').split(' ');
  if (!row) {
    row = { id: `con_${now}${n}` };
    contact.run(row.id ?? '', email, first ?? null, rest.join(' '), now, now);
  }
  const contactId = row.contact_id ?? row.id ?? '';
  if (!delivery.get(deliveryId, id, type, now, created * 1000, now, contactId)) return;
  if (type === 'customer.updated') changed.run(email, first ?? null, rest.join(' '), now, contactId);
  payload.run(deliveryId, text, '{}');
  known.run(customer, 'stripe', contactId, JSON.stringify({ email, first, rest }), now);
  link.run(`email:${email}`, customer);
  member.run(contactId, 'list_1');
  event.run(`evt_${now}${n}`, `${deliveryId}:event:paid`, contactId, email, deliveryId, now);
});

const server = Bun.serve({
  port: 0,
  hostname: '127.0.0.1',
  async fetch(request) {
    const text = await request.text();
    try {
      const verified = await stripe.webhooks.constructEventAsync(
        text,
        request.headers.get('stripe-signature') ?? '',
        SECRET,
      );
      handle.immediate(text, verified);
      return Response.json({ success: true });
    } catch {
      return Response.json({ success: false }, { status: 400 });
    }
  },
});
console.log(JSON.stringify({ port: server.port }));
