// What else is worth knowing: what the machine gives, slow disks, a full log, start-up, memory, several instances.
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { inlet as command, start } from '../test/support/binary.ts';
import { Postgres } from '../test/support/postgres.ts';
import { appliedPerSecond } from './compare.ts';
import { SECRET } from './events.ts';
import { fill } from './fill.ts';
import { folder, rss, slowSync } from './machine.ts';
import { api, count, load, loadAll, ms, per, row, rows, spread, table } from './measure.ts';
import { ENV, type Inlet, startBare, startInlet } from './servers.ts';
import { fileIn, postgres } from './target.ts';

interface Options {
  server: Postgres | null;
  quick: boolean;
}

export async function more({ server, quick }: Options): Promise<string> {
  const size = quick ? { count: 6_000, warmup: 1_000 } : { count: 30_000, warmup: 5_000 };
  const seconds = quick ? 4 : 15;
  const many = quick ? 50_000 : 1_000_000;

  /** Received and applied, per second. */
  const throughput = async (target: Inlet) => {
    const result = await loadAll(target.ports, target.path, size);
    return appliedPerSecond(result, size.count, await target.database.applied());
  };
  const paced = (target: Inlet) =>
    loadAll(target.ports, target.path, { count: seconds * 1000, warmup: 1000, rate: 1000 });

  const bare = await startBare();
  row('bare Bun.serve, reads the body and answers', per((await load(bare.ports[0] ?? 0, '/', size)).perSecond));
  await bare.stop();

  let empty = 0;
  for (const instances of server ? [1, 3] : [1]) {
    const name = instances === 1 ? 'Inlet' : `${instances} instances`;
    const target = await startInlet({ instances, server });
    const applied = await throughput(target);
    empty ||= applied;
    row(`${name}: received and applied`, per(applied));
    row(`${name}: answer at 1,000/s`, spread(await paced(target)));
    await target.database.applied();
    row(`${name}: peak memory`, `${Math.max(...target.servers.map(each => rss(each.pid, 'VmHWM'))).toFixed(0)} MB`);
    await target.stop();
  }

  const library = slowSync();
  for (const delay of [5, 50]) {
    const name = `answer at 1,000/s, fsync + ${delay} ms`;
    if (!library) {
      row(name, 'not measured: no C compiler here');
      continue;
    }
    const env = { LD_PRELOAD: library, SLOW_FSYNC_MS: String(delay) };
    const slowServer = server ? await Postgres.start(['shared_buffers=256MB'], env) : null;
    const slow = await startInlet(slowServer ? { server: slowServer } : { env });
    row(name, spread(await paced(slow)));
    await slow.stop();
    await slowServer?.remove();
  }

  console.error(`  filling in ${count(many)} log rows and 100,000 contacts …`);
  const filled = server ? await filledOn(server, many) : await filledFile(many);
  row('exec to first answer, 100,000 contacts', ms(await firstAnswer(filled)));
  const running = await start(filled);
  const big: Inlet = { ...filled.inlet, servers: [running], ports: [running.port], pid: running.pid };
  await Bun.sleep(3000);
  row('idle memory', `${rss(running.pid, 'VmRSS').toFixed(0)} MB`);
  let reading = true;
  let pages = 0;
  const reader = (async () => {
    for (let cursor = ''; reading; pages++) {
      const filter = pages % 2 ? '' : '&type=customer.deleted'; // rare: counting it walks the whole log
      const page = await api<{ pagination: { nextCursor: string | null } }>(
        running,
        'GET',
        `/deliveries?perPage=100&cursor=${cursor}${filter}`,
      );
      cursor = page.pagination.nextCursor ?? '';
    }
  })();
  const whileReading = await paced(big);
  reading = false;
  await reader;
  row(`answer at 1,000/s while ${pages} pages of ${count(many)} rows are read and counted`, spread(whileReading));
  await big.database.applied();
  const large = await throughput(big);
  const share = (large / empty).toFixed(2);
  row(`received and applied with ${count(many)} log rows`, `${per(large)} (${share} × the empty log)`);
  await running.stop();
  return table(['', ''], rows);
}

/** A stopped installation with much in it, and how to start it. */
interface Filled {
  inlet: Inlet;
  cwd: string;
  env: Record<string, string>;
}

async function filledFile(many: number): Promise<Filled> {
  const inlet = await startInlet();
  await inlet.stop();
  fill(fileIn(inlet.cwd), inlet.endpointId, many, 100_000);
  return { inlet, cwd: inlet.cwd, env: ENV };
}

/** Filled in a file, then moved to the server. */
async function filledOn(server: Postgres, many: number): Promise<Filled> {
  const cwd = mkdtempSync(join(folder, 'file-'));
  const database = await postgres(server);
  const env = { ...ENV, INLET_SECRET_KEY: database.env.INLET_SECRET_KEY ?? '' };
  const first = await start({ cwd, env });
  const { id } = await api<{ id: string }>(first, 'POST', '/endpoints', { provider: 'stripe', secret: SECRET });
  await first.stop();
  fill(fileIn(cwd), id, many, 100_000);
  const moved = await command(['migrate-data', '--from', fileIn(cwd), '--to', 'postgres'], { cwd, env: database.env });
  if (moved.code !== 0) throw new Error(moved.err);
  const inlet = await startInlet({ server });
  await inlet.stop();
  return {
    inlet: { ...inlet, path: `/webhooks/${id}`, endpointId: id, database },
    cwd,
    env: { ...ENV, ...database.env },
  };
}

/** From exec to the first answer of /health, in ms: the best of five. */
async function firstAnswer(filled: Filled): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) {
    const at = performance.now();
    const server = await start(filled);
    await fetch(`${server.url}/health`);
    times.push(performance.now() - at);
    await server.stop();
  }
  return Math.min(...times);
}
