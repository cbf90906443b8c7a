// How instances on one PostgreSQL server add up: with its disk as it is and with commits that take 5 ms more (`commit_delay`, which
// PostgreSQL waits before each sync of its log), for few and for many senders; one person whom all instances are told of; and memory
// while the database stands still.
import { Database } from 'bun:sqlite';
import { createHmac } from 'node:crypto';
import { Postgres } from '../test/support/postgres.ts';
import { customerEvent, SECRET } from './events.ts';
import { cpuMs, rss } from './machine.ts';
import { count, type Load, load, ms, newRun, per, startLoad, table } from './measure.ts';
import { type Inlet, serverCpuMs, startInlet } from './servers.ts';
import { fileIn } from './target.ts';

const WARM_UP = 500; // webhooks for each instance
const MOST = 4000; // a second, of all instances together
const DELAY_US = 5000;
const LARGE = { count: 1200, bytes: 900_000 };

const SETTINGS = ['shared_buffers=256MB', 'max_connections=200'];

interface Measured {
  loads: Load[];
  inletMs: number;
  serverMs: number;
}

/** Loads all instances at once for some seconds; CPU is that of the same time, warm-up left out. */
async function measure(target: Inlet, server: Postgres, connections: number, seconds: number): Promise<Measured> {
  const { ports, path, servers } = target;
  const n = Math.ceil((MOST * seconds) / ports.length);
  const all = ports.map(port => startLoad(port, path, { count: n, warmup: WARM_UP, connections, run: newRun() }));
  await Promise.all(all.map(each => each.warm));
  const cpu = async () => [servers.reduce((sum, each) => sum + cpuMs(each.pid), 0), await serverCpuMs(server)] as const;
  const [inlet, database] = await cpu();
  await Bun.sleep(1000 * seconds);
  for (const each of all) each.stop();
  const loads = await Promise.all(all.map(each => each.done));
  const [inletEnd, databaseEnd] = await cpu();
  return { loads, inletMs: inletEnd - inlet, serverMs: databaseEnd - database };
}

async function scale(server: Postgres, name: string, seconds: number): Promise<string[][]> {
  const lines: string[][] = [];
  for (const eachHas of [8, null])
    for (const instances of [1, 2, 3]) {
      const target = await startInlet({ instances, server });
      const connections = eachHas ?? Math.round(64 / instances);
      const { loads, inletMs, serverMs } = await measure(target, server, connections, seconds);
      const sent = loads.reduce((sum, each) => sum + each.count - WARM_UP, 0);
      const rate = loads.reduce((sum, each) => sum + each.perSecond, 0);
      const worst = (pick: (each: Load) => number) => ms(Math.max(...loads.map(pick)));
      const cells = [
        ...[name, eachHas === null ? '64 in all' : '8 each', String(instances), per(rate)],
        ...[worst(each => each.p50), worst(each => each.p99)],
        ...[(inletMs / sent).toFixed(2), (serverMs / sent).toFixed(2)],
      ];
      lines.push(cells);
      console.error(`  ${cells.join(' · ')}`);
      await target.stop();
    }
  return lines;
}

/** 200 webhooks a second about one person, over three instances. */
async function hurryOne(server: Postgres): Promise<string> {
  const target = await startInlet({ instances: 3, server });
  const loads = await Promise.all(
    target.ports.map(port => load(port, target.path, { kind: 'one', count: 667, warmup: 66, rate: 67, run: newRun() })),
  );
  const longest = Math.max(...loads.map(each => each.max));
  await target.stop();
  return `p50 ${ms(Math.max(...loads.map(each => each.p50)))}, p99 ${ms(Math.max(...loads.map(each => each.p99)))}, longest ${ms(longest)}`;
}

/** Peak memory in MB while webhooks of 0.9 MB come to a database that stands still, and how they were answered. */
async function flood(target: Inlet, stall: () => Promise<() => Promise<void>>): Promise<string> {
  const url = `http://127.0.0.1:${target.ports[0]}${target.path}`;
  const release = await stall();
  const statuses: Record<string, number> = {};
  const now = Date.now();
  const send = async (n: number) => {
    const note = 'x'.repeat(LARGE.bytes);
    const body = customerEvent({ id: `evt_large${n}`, now, customer: `cus_l${n}`, email: `l${n}@example.com`, note });
    const at = Math.floor(now / 1000);
    const signature = `t=${at},v1=${createHmac('sha256', SECRET).update(`${at}.${body}`).digest('hex')}`;
    const answer = await fetch(url, { method: 'POST', body, headers: { 'stripe-signature': signature } });
    await answer.arrayBuffer();
    statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
  };
  const sending: Promise<void>[] = [];
  for (let n = 0; n < LARGE.count; n++) {
    sending.push(send(n).catch(() => {}));
    if (n % 20 === 19) await Bun.sleep(150);
  }
  await Bun.sleep(2000);
  await release();
  await Promise.all(sending);
  const peak = rss(target.pid, 'VmHWM').toFixed(0);
  return `${peak} MB; answers ${Object.entries(statuses)
    .map(([status, n]) => `${n} × ${status}`)
    .join(', ')}`;
}

async function floodBoth(server: Postgres): Promise<string[][]> {
  const onServer = await startInlet({ server });
  const pids = async () => {
    const rows = await server.query('postgres', `select pid from pg_stat_activity where application_name = 'inlet'`);
    return (rows as { pid: number }[]).map(each => each.pid);
  };
  const first = await flood(onServer, async () => {
    const all = await pids();
    for (const pid of all) process.kill(pid, 'SIGSTOP');
    return async () => {
      for (const pid of all) process.kill(pid, 'SIGCONT');
    };
  });
  await onServer.stop();
  const inFile = await startInlet();
  const second = await flood(inFile, async () => {
    const db = new Database(fileIn(inFile.cwd));
    db.run('pragma busy_timeout = 10000');
    db.run('begin immediate'); // nobody else writes until it ends
    return async () => {
      db.run('rollback');
      db.close();
    };
  });
  await inFile.stop();
  return [
    ['PostgreSQL', first],
    ['SQLite', second],
  ];
}

/** Needs a PostgreSQL server of its own for the slow commits; takes some five minutes. */
export async function scaling(server: Postgres, quick: boolean): Promise<string> {
  const seconds = quick ? 1 : 5; // of each row, after a warm-up
  const lines = await scale(server, 'as it is', seconds);
  const slow = await Postgres.start([...SETTINGS, `commit_delay=${DELAY_US}`, 'commit_siblings=0']);
  lines.push(...(await scale(slow, `+ ${DELAY_US / 1000} ms`, seconds)));
  await slow.remove();
  console.error('  one person, three instances …');
  const one = await hurryOne(server);
  console.error(`  ${one}\n  large webhooks while the database stands still …`);
  const memory = await floodBoth(server);
  const head = ['sync', 'connections', 'instances', 'webhooks', 'p50', 'p99', 'CPU ms of Inlet', 'of the server'];
  const named = `${count(LARGE.count)} webhooks of 0.9 MB while the database stands still`;
  const rest = [
    ['200/s about one person, three instances', one],
    ...memory.map(([name, value]) => [`${named} (${name})`, value ?? '']),
  ];
  return `${table(head, lines)}\n\n${table(['', ''], rest)}`;
}
