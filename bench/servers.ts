// The servers that are measured, each started on an empty database.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, start } from '../test/support/binary.ts';
import type { Postgres } from '../test/support/postgres.ts';
import { SECRET, SUPABASE_SECRET } from './events.ts';
import { cpuMs, folder } from './machine.ts';
import { api, KEY } from './measure.ts';
import { type Database, postgres, sqlite } from './target.ts';

/** Something that takes webhooks. */
export interface Target {
  ports: number[];
  path: string;
  pid: number;
  /** ms since 1970 of when the last webhook was applied; null: each was before its answer. */
  applied(): Promise<number | null>;
  /** @throws Error unless it holds what so many webhooks, about so many objects of Stripe, make */
  check(webhooks: number, objects: number): Promise<void>;
  stop(): Promise<void>;
}

export interface Inlet extends Target {
  servers: Running[];
  endpointId: string;
  cwd: string;
  database: Database;
}

export const ENV = { INLET_API_KEY: KEY, INLET_RATE_LIMIT: '0', INLET_LOG_LEVEL: 'warn', INLET_LOG_FORMAT: 'json' };

interface Options {
  instances?: number;
  env?: Record<string, string>;
  /** Where its database is; absent: a file. */
  server?: Postgres | null | undefined;
}

/** Starts instances of the binary with one Stripe endpoint: a list and a trigger on each type that is sent. */
export async function startInlet(options: Options = {}): Promise<Inlet> {
  const cwd = mkdtempSync(join(folder, 'inlet-'));
  const database = options.server ? await postgres(options.server) : sqlite(cwd);
  const env = { ...ENV, ...database.env, ...options.env };
  const servers: Running[] = [];
  while (servers.length < (options.instances ?? 1)) servers.push(await start({ cwd, env }));
  const first = servers[0]!;
  const { id: listId } = await api<{ id: string }>(first, 'POST', '/lists', { name: 'bench' });
  const set = { mailingLists: [listId], triggerEvent: 'paid' };
  const types = ['customer.created', 'customer.updated', 'checkout.session.completed', 'invoice.paid'];
  const { id } = await api<{ id: string }>(first, 'POST', '/endpoints', {
    provider: 'stripe',
    secret: SECRET,
    events: Object.fromEntries(types.map(type => [type, set])),
  });
  if (servers.length > 1) await Bun.sleep(1000); // the others see it within a second
  return {
    servers,
    ports: servers.map(each => each.port),
    path: `/webhooks/${id}`,
    pid: first.pid,
    endpointId: id,
    cwd,
    database,
    applied: () => database.applied(),
    check: webhooks => holds(database.query, ['deliveries'], webhooks),
    stop: async () => {
      await Promise.all(servers.map(each => each.stop()));
      await database.drop();
    },
  };
}

/** Path of a new endpoint for Supabase. */
export async function supabaseEndpoint({ servers: [server] }: Inlet): Promise<string> {
  const given = { provider: 'supabase', secret: SUPABASE_SECRET };
  return `/webhooks/${(await api<{ id: string }>(server!, 'POST', '/endpoints', given)).id}`;
}

async function holds(query: Database['query'], tables: string[], want: number): Promise<void> {
  const parts = tables.map(each => `(select count(*) from ${each})`);
  const [row] = await query<{ n: number | string }>(`select ${parts.join(' + ')} as n`);
  if (Number(row?.n) !== want) throw new Error(`${row?.n} rows in ${tables.join(', ')}, not ${want}`);
}

/** A program that says on its first line where it listens. */
async function startProgram(command: string[], cwd = import.meta.dir) {
  const child = Bun.spawn(command, { cwd, stdout: 'pipe', stderr: 'inherit' });
  const end = () => child.kill();
  process.on('exit', end);
  const { value } = await child.stdout.getReader().read();
  if (!value) throw new Error(`${command.slice(0, 2).join(' ')} ended before it listened`);
  const { port } = JSON.parse(new TextDecoder().decode(value)) as { port: number };
  return {
    ports: [port],
    path: '/',
    pid: child.pid,
    applied: async () => null,
    check: async () => undefined,
    stop: async () => {
      child.kill();
      process.off('exit', end);
      await child.exited;
    },
  };
}

export const startBare = (): Promise<Target> => startProgram([process.execPath, 'bare.ts']);

let handlers = 0;
export const startHandler = (): Promise<Target> =>
  startProgram([process.execPath, 'handler.ts', join(folder, `handler${handlers++}.db`)]);

export const PEER = '@supabase/stripe-sync-engine';
const peers = join(import.meta.dir, 'peers');
const OBJECTS = ['stripe.customers', 'stripe.checkout_sessions', 'stripe.invoices'];

/** Version of the peer, installed first as its lockfile says. */
export async function installPeer(): Promise<string> {
  const done = Bun.spawnSync([process.execPath, 'install', '--frozen-lockfile'], { cwd: peers, stderr: 'pipe' });
  if (done.exitCode !== 0) throw new Error(`stripe-sync-engine could not be installed: ${done.stderr}`);
  return ((await Bun.file(join(peers, 'node_modules', PEER, 'package.json')).json()) as { version: string }).version;
}

/** stripe-sync-engine under `runtime` with so many connections to the database. Each webhook of a load is a row of its own there. */
export async function startPeer(server: Postgres, runtime: string, connections: number): Promise<Target> {
  const database = await postgres(server);
  const [role] = await database.query(`select 1 from pg_roles where rolname = 'postgres'`);
  if (!role) await database.query('create role postgres'); // its migrations take it for granted
  const url = database.env.INLET_DATABASE_URL ?? '';
  const program = await startProgram([runtime, 'server.mjs', url, SECRET, String(connections)], peers);
  return {
    ...program,
    check: (_webhooks, objects) => holds(database.query, OBJECTS, objects),
    stop: async () => {
      await program.stop();
      await database.drop();
    },
  };
}

/** ms of CPU so far of all processes of a PostgreSQL server. */
export async function serverCpuMs(server: Postgres): Promise<number> {
  const [row] = (await server.query('postgres', `select pg_read_file('postmaster.pid') as text`)) as { text: string }[];
  return cpuMs(Number.parseInt(row?.text ?? '', 10));
}
