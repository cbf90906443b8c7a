import { afterEach, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { queueMail } from '../../src/mail/mails.ts';
import { makeGuardedFetch } from '../../src/net/fetch.ts';
import { closeReceivers, receiver, subscribe } from '../outgoing/receiver.ts';
import { onPostgres, SECRETS, stripeEvent, TestApp } from '../support/app.ts';
import { FakeApi } from '../support/fakeApi.ts';
import { smtpSink } from '../support/smtp.ts';

const MARK = 'CANARYout';
const fetch = makeGuardedFetch({ anywhere: true, deadlineMs: 2000 });
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await closeReceivers();
});

/** All that can be read of an app, over its API, from its log and, in the end, from its files. */
async function everything(app: TestApp, paths: string[]): Promise<Record<string, string>> {
  const answers: string[] = [];
  for (const path of paths) {
    const answer = await app.api('GET', path);
    answers.push(JSON.stringify(answer.body), JSON.stringify(Object.fromEntries(answer.headers)));
    for (const { id } of (answer.body.data ?? []) as { id?: string }[])
      if (id) answers.push(JSON.stringify((await app.api('GET', `${path.split('?')[0]}/${id}`)).body));
  }
  answers.push(JSON.stringify((await app.health()).body));
  const database = onPostgres ? await rows(app) : '';
  await app.stop(true);
  const files = onPostgres ? [] : readdirSync(join(app.folder, 'data')).filter(name => name.startsWith('inlet.db'));
  const bytes = files.map(name => readFileSync(join(app.folder, 'data', name), 'latin1')).join('');
  return { log: app.lines.join('\n'), answers: answers.join('\n'), database: database + bytes };
}

async function rows(app: TestApp): Promise<string> {
  const sql = new Bun.SQL(app.app.ctx.config.databaseUrl ?? '', { max: 1 });
  const tables = await sql.unsafe(`select tablename from pg_tables where schemaname = 'public'`);
  const out = [];
  for (const { tablename } of tables) out.push(...(await sql.unsafe(`select t::text as row from ${tablename} t`)));
  await sql.close();
  return out.map(({ row }: { row: string }) => row).join('\n');
}

/** None of the secrets in none of the places, neither as it is nor in base64. */
function unseen(places: Record<string, string>, secrets: string[]): void {
  for (const [where, text] of Object.entries(places)) {
    if (where !== 'log') expect({ where, long: text.length > 50 }).toEqual({ where, long: true });
    const forms = secrets.flatMap(secret => [secret, Buffer.from(secret).toString('base64').replace(/=+$/, '')]);
    for (const form of forms) {
      const at = text.indexOf(form);
      expect({ where, around: at < 0 ? '' : text.slice(Math.max(0, at - 80), at + 40) }).toEqual({ where, around: '' });
    }
    expect({ where, hit: new RegExp(`.{0,60}${MARK}.{0,20}`).exec(text)?.[0] ?? '' }).toEqual({ where, hit: '' });
  }
}

/** Answers with whatever it was sent: the key in the body, in the status text's place and in headers. */
const echo = (status: number) => (request: Request) => {
  const key = request.headers.get('authorization') ?? '';
  const error = {
    type: 'api_error',
    code: key,
    message: `bad key ${key} ${request.headers.get('apikey')}`,
    param: key,
  };
  return Response.json({ error, message: key, errors: [{ message: key }] }, {
    status,
    headers: { 'x-echo': key, 'retry-after': '1', 'request-id': key, 'stripe-should-retry': 'false' },
  }); // biome-ignore format: one glance
};

test.each(['stripe', 'clerk', 'supabase', 'polar'])(
  '%s: an API that echoes the key in its errors, on a back-fill and a look-up',
  async provider => {
    const api = new FakeApi(provider);
    closing.push(() => api.stop());
    const key = `${{ stripe: 'rk_test_', clerk: 'sk_test_', supabase: 'sb_secret_', polar: 'polar_oat_' }[provider]}${MARK}0123456789abcdef`;
    api.mishaps = [401, 403, 429, 500, 400, 404, 301, 500, 401, 500, 500].map(echo);
    const app = await TestApp.open({ fetch });
    const endpoint = await app.endpoint(provider, { settings: { ...api.settings, apiKey: key } });
    for (let i = 0; i < 3; i++) {
      const started = await app.api('POST', `/endpoints/${endpoint}/backfill`, { requestsPerSecond: 25 });
      expect(started.status).toBe(202);
      for (let j = 0; j < 3; j++) {
        await app.drain();
        app.time = app.now() + 3_600_000;
      }
      await app.api('POST', `/backfills/${started.body.id}/cancel`);
    }
    api.mishaps = Array(20).fill(echo(401));
    if (provider === 'stripe') {
      const ask = { id: 'sub_1', object: 'subscription', customer: 'cus_asked', email: undefined };
      await app.post(endpoint, 'stripe', stripeEvent('customer.subscription.created', ask));
      for (let i = 0; i < 6; i++) {
        await app.drain();
        app.time = app.now() + 700_000;
      }
    }
    expect(api.urls.length).toBeGreaterThan(3);
    const places = await everything(app, [
      '/endpoints',
      '/deliveries',
      `/endpoints/${endpoint}/backfills`,
      '/contacts',
    ]);
    unseen(places, [key, SECRETS[provider] ?? '']);
  },
);

test('a mail server that refuses the login and repeats it', async () => {
  const password = `${MARK}Password0123`;
  const server = await smtpSink({
    disabledCommands: ['STARTTLS'],
    authOptional: false,
    allowInsecureAuth: true,
    onAuth: (auth, _session, done) =>
      done(new Error(`no login for ${auth.username} with ${auth.password} or ${Buffer.from(`\0${auth.username}\0${auth.password}`).toString('base64')}`)),
  }); // biome-ignore format: one glance
  closing.push(() => server.close());
  const url = `smtp://inlet:${password}@127.0.0.1:${server.port}`;
  const { config } = readConfig({ INLET_SMTP_URL: url, INLET_MAIL_FROM: 'Acme <hello@acme.test>' }, {});
  const app = await TestApp.open({}, { smtp: config.smtp, mailFrom: config.mailFrom });
  const message = await app.api('POST', '/email-messages', { subject: 's', html: '<p>x {{ unsubscribeUrl }}</p>' });
  await app.app.ctx.store.write(tx =>
    queueMail(tx, { key: 'k', contactId: null, to: 'a@x.co', emailMessageId: message.body.id, data: {}, transactional: true }, app.now()),
  ); // biome-ignore format: one glance
  for (let i = 0; i < 4; i++) {
    await app.drain();
    app.time = app.now() + 3_600_000;
  }
  const shown = (await app.api('GET', '/mails')).body.data;
  const places = await everything(app, ['/mails', '/mail', '/email-messages', '/deliveries']);
  expect(shown.length).toBeGreaterThan(0);
  unseen(places, [password, `\0inlet\0${password}`]);
  expect(() => readConfig({ INLET_SMTP_URL: `smtp://u:${password}@` }, {})).toThrow();
  try {
    readConfig({ INLET_SMTP_URL: `smtp://u:${password}@` }, {});
  } catch (error) {
    expect(String(error)).not.toContain(password);
  }
});

test('the secret of an outgoing webhook, shown once and then nowhere', async () => {
  const { url } = await receiver();
  const app = await TestApp.open({}, { allowPrivateTargets: true });
  const { secret, id } = await subscribe(app, url);
  const endpoint = await app.endpoint('stripe');
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  const rotated = await app.api('POST', `/webhook-subscriptions/${id}/rotate-secret`, {});
  await app.post(endpoint, 'stripe', stripeEvent('customer.created'));
  await app.drain();
  const fresh = String(rotated.body.secret ?? '');
  const places = await everything(app, ['/webhook-subscriptions', `/webhook-subscriptions/${id}/calls`, '/deliveries']);
  const bare = (value: string) => value.replace(/^whsec_/, '').replace(/=+$/, '');
  unseen(places, [secret, bare(secret), ...(fresh ? [fresh, bare(fresh)] : [])]);
});
