// `bun bench/mail.ts [--quick] [--database postgres]`: mails a second that leave the built binary for a mail server on this machine, and
// the answer time of webhooks meanwhile. Server, mail server and load are processes of their own.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Running, start } from '../test/support/binary.ts';
import { Postgres } from '../test/support/postgres.ts';
import { SECRET } from './events.ts';
import { cpuMs, machine } from './machine.ts';
import { api, folder, KEY, load, per, row, rows, spread } from './measure.ts';
import { postgres, sqlite } from './target.ts';

const { values } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, database: { type: 'string', default: 'sqlite' } },
});
const COUNT = values.quick ? 500 : 3000;
const RATE = 1000; // webhooks a second while mails go out
const SECONDS = values.quick ? 2 : 5;
const CLIENTS = 16;
const WAIT_MS = 60_000;
const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn', INLET_LOG_FORMAT: 'json' };
const server = values.database === 'postgres' ? await Postgres.start() : null;

interface Taken {
  taken: number;
  firstAt: number;
  lastAt: number;
}

/** A mail server; its variables, what it took so far, and its process. */
async function mailServer() {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'smtpSink.ts')], { stdout: 'pipe' });
  process.on('exit', () => child.kill());
  const { value } = await child.stdout.getReader().read();
  const ports = JSON.parse(new TextDecoder().decode(value)) as { smtp: number; http: number };
  const seen = async () => (await (await fetch(`http://127.0.0.1:${ports.http}`)).json()) as Taken;
  /** What it took, once that is `count` mails. @throws Error when they do not come */
  const took = async (count: number) => {
    for (const until = Date.now() + WAIT_MS; Date.now() < until; await Bun.sleep(20)) {
      const now = await seen();
      if (now.taken >= count) return now;
    }
    throw new Error(`only ${(await seen()).taken} of ${count} mails came`);
  };
  const env = { INLET_SMTP_URL: `smtp://127.0.0.1:${ports.smtp}`, INLET_MAIL_FROM: 'Acme <hello@acme.test>' };
  return { env, seen, took, pid: child.pid, stop: () => child.kill() };
}

/** Where a server's data is, empty. */
async function place() {
  const cwd = mkdtempSync(join(folder, 'mail-'));
  const database = server ? await postgres(server) : sqlite(cwd);
  return { database, run: (env: Record<string, string>) => start({ cwd, env: { ...ENV, ...database.env, ...env } }) };
}

/** Asks for `count` mails by the API. */
async function send(running: Running, count: number): Promise<void> {
  let next = 0;
  const client = async () => {
    for (let n = next++; n < count; n = next++)
      await api(running, 'POST', '/transactional', {
        transactionalId: 'example',
        email: `someone${n}@example.com`,
        dataVariables: {},
      });
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

/** A server that holds `count` mails for want of a mail server, stopped, with an endpoint. */
async function holding(count: number) {
  const { database, run } = await place();
  const running = await run({});
  const { id } = await api<{ id: string }>(running, 'POST', '/endpoints', {
    provider: 'stripe',
    secret: SECRET,
    events: { 'customer.created': {}, 'checkout.session.completed': {}, 'invoice.paid': {} },
  });
  await send(running, count);
  while ((await api<{ data: unknown[] }>(running, 'GET', '/mails?state=queued')).data.length) await Bun.sleep(50);
  await running.stop();
  return { database, run, path: `/webhooks/${id}` };
}

async function byApi(): Promise<void> {
  const mail = await mailServer();
  const { run } = await place();
  const running = await run(mail.env);
  await send(running, 100); // warm
  await mail.took(100);
  const [at, before] = [Date.now(), cpuMs(mail.pid)];
  await send(running, COUNT);
  const asked = Date.now() - at;
  const { lastAt } = await mail.took(100 + COUNT);
  const ms = lastAt - at;
  row(
    'mails asked for by the API, sent meanwhile',
    `${per(COUNT / (ms / 1000))} out; asked ${per(COUNT / (asked / 1000))}`,
  );
  row('… CPU of the mail server', `${Math.round(((cpuMs(mail.pid) - before) / ms) * 100)} % of a core`);
  await running.stop();
  mail.stop();
}

async function released(): Promise<void> {
  const mail = await mailServer();
  const { run } = await holding(COUNT);
  const running = await run(mail.env);
  const { firstAt, lastAt } = await mail.took(COUNT);
  row(`${COUNT} held mails released by a restart`, `${per((COUNT - 1) / ((lastAt - firstAt) / 1000))} out`);
  await running.stop();
  mail.stop();
}

/** Acknowledgement without mails, then while a backlog of them that outlasts the load goes out. */
async function meanwhile(): Promise<void> {
  const mail = await mailServer();
  const { database, run, path } = await holding(values.quick ? 1500 : 4000);
  const options = { count: SECONDS * RATE, warmup: 500, rate: RATE };
  const quiet = await run({});
  row(`acknowledgement at ${RATE}/s, no mails`, spread(await load(quiet.port, path, options)));
  await database.applied();
  await quiet.stop();
  const busy = await run(mail.env);
  const from = await mail.took(1);
  const loaded = await load(busy.port, path, options);
  const { taken, lastAt } = await mail.seen();
  const out = (taken - from.taken) / ((lastAt - from.lastAt) / 1000);
  row(`acknowledgement at ${RATE}/s while ${per(out)} mails go out`, spread(loaded));
  await database.applied();
  await busy.stop();
  mail.stop();
}

await byApi();
await released();
await meanwhile();
console.log(`\n${await machine(server)}\n`);
await server?.stop();
console.log(`| what | result |\n|---|---|\n${rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n')}`);
process.exit(0);
