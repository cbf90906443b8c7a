import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_KEY, onPostgres, stripeEvent, TestApp } from '../support/app.ts';

const CANARY = 'CANARYmark';
const mark = (name: string) => `${CANARY}${name}0123456789abcdef`;

test('no secret, password hash or token reaches a log line, an answer or the database', async () => {
  const app = await TestApp.open();
  const answers: string[] = [];
  const call = async (method: string, path: string, body?: unknown) => {
    const answer = await app.api(method, path, body);
    answers.push(JSON.stringify(answer.body), JSON.stringify(Object.fromEntries(answer.headers)));
    return answer;
  };
  const stripeSecret = `whsec_${mark('Stripe')}`;
  const headerSecret = mark('Supabase');
  const stripe = (
    await call('POST', '/endpoints', {
      provider: 'stripe',
      secret: stripeSecret,
      settings: { apiKey: `rk_${mark('ApiKey')}` },
    })
  ).body.id;
  const supabase = (await call('POST', '/endpoints', { provider: 'supabase', secret: headerSecret })).body.id;
  const clerkSecret = `whsec_${Buffer.from(mark('Clerk')).toString('base64')}`;
  const clerk = (await call('POST', '/endpoints', { provider: 'clerk', secret: clerkSecret })).body.id;
  const polar = (await call('POST', '/endpoints', { provider: 'polar', secret: `polar_whs_${mark('Polar')}` })).body.id;
  const made = await app.api('POST', '/keys', { name: 'marked' });
  const send = async (id: string, provider: string, body: unknown, secret: string) => {
    for (const options of [
      { secret },
      { secret: secret.replace('CANARY', 'CANORY') },
      { secret, at: Date.now() - 900_000 },
    ]) {
      const answer = await app.post(id, provider, body, options);
      answers.push(JSON.stringify(answer.body));
    }
  };
  await send(stripe, 'stripe', stripeEvent('customer.created', { client_secret: mark('ClientSecret') }), stripeSecret);
  const row = {
    id: '6f1c2a7e-0000-4000-8000-000000000009',
    email: 'canary@x.co',
    encrypted_password: mark('Hash'),
    confirmation_token: mark('Confirm'),
    recovery_token: mark('Recovery'),
    email_change_token_new: mark('ChangeNew'),
    email_change_token_current: mark('ChangeCurrent'),
    reauthentication_token: mark('Reauth'),
    phone: mark('Phone'),
    raw_user_meta_data: { first_name: 'Ada', access_token: mark('MetaToken'), nested: { password: mark('MetaPass') } },
    raw_app_meta_data: { provider: 'email', secret: mark('AppMeta') },
    updated_at: '2026-11-01T10:00:00+00:00',
  };
  await send(
    supabase,
    'supabase',
    { type: 'INSERT', schema: 'auth', table: 'users', record: row, old_record: null },
    headerSecret,
  );
  await send(
    supabase,
    'supabase',
    { type: 'INSERT', schema: 'public', table: 'orders', record: { note: mark('OtherTable') }, old_record: null },
    headerSecret,
  );
  const user = {
    id: 'user_canary',
    email_addresses: [],
    private_metadata: { token: mark('Private') },
    password_digest: mark('Digest'),
  };
  await send(clerk, 'clerk', { type: 'user.created', object: 'event', data: user }, clerkSecret);
  await send(
    polar,
    'polar',
    { type: 'customer.created', timestamp: new Date().toISOString(), data: { id: 'p', email: 'p@x.co' } },
    `polar_whs_${mark('Polar')}`,
  );
  await app.fetch('/api/v1/contacts', { headers: { authorization: `Bearer ${mark('WrongKey')}` } });
  await app.fetch(`/webhooks/${stripe}`, {
    method: 'POST',
    body: mark('Unsigned'),
    headers: { 'stripe-signature': `t=1,v1=${mark('Sig')}`, authorization: mark('Auth'), cookie: mark('Cookie') },
  });
  await app.drain();
  await call('POST', '/endpoints', { provider: 'stripe', secret: `${mark('Spaced')} inside` });
  await call('POST', `/endpoints/${stripe}/secrets`, { secret: mark('Short').slice(0, 20) });
  await call('POST', '/endpoints', { provider: 'stripe', settings: { apiKey: { nested: mark('Nested') } } });
  await call('PATCH', `/endpoints/${stripe}`, { settings: { nosuch: mark('Unknown') } });
  for (const path of ['/endpoints', '/deliveries?perPage=100', '/contacts', '/events', '/keys', `/endpoints/${stripe}`])
    await call('GET', path);
  const database = await stored(app);
  await app.stop(true);
  if (!onPostgres) database.push(readFileSync(join(app.folder, 'data/inlet.db'), 'latin1'));
  const encoded = Buffer.from(mark('Clerk')).toString('base64');
  for (const [where, texts] of Object.entries({ log: app.lines, answers, database })) {
    const hits = texts.flatMap(text => text.match(/.{0,40}CANARYmark.{0,20}/g) ?? []);
    expect({ where, hits }).toEqual({ where, hits: [] });
    for (const text of texts)
      for (const secret of [encoded, made.body.key, API_KEY]) expect(text.includes(secret)).toBe(false);
  }
  expect(database.some(text => text.includes('canary@x.co'))).toBe(true); // the search looks where things are
  expect(app.lines.length).toBeGreaterThan(0);
});

/** Everything the database holds: the bytes of its files, on PostgreSQL each row as text. */
async function stored(app: TestApp): Promise<string[]> {
  if (!onPostgres)
    return readdirSync(join(app.folder, 'data'))
      .filter(name => name.startsWith('inlet.db'))
      .map(name => readFileSync(join(app.folder, 'data', name), 'latin1'));
  const sql = new Bun.SQL(app.app.ctx.config.databaseUrl ?? '', { max: 1 });
  const tables = await sql.unsafe(`select tablename from pg_tables where schemaname = 'public'`);
  const rows = await Promise.all(
    tables.map(({ tablename }: { tablename: string }) => sql.unsafe(`select t::text as row from ${tablename} t`)),
  );
  await sql.close();
  return rows.flat().map(({ row }) => row);
}
