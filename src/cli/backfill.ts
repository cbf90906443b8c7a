import { createApp } from '../app.ts';
import type { Config } from '../config.ts';
import { takeLock } from '../db/sqlite/lock.ts';
import type { Store } from '../db/store.ts';
import { invalid } from '../errors.ts';
import { type BackfillRow, getBackfill, openBackfill, startBackfill } from '../inbound/backfill/backfills.ts';
import { getEndpoint, patchEndpoint, requireProvider } from '../inbound/endpoints.ts';
import type { Invocation, Io } from './command.ts';
import { askHealth, buildLocalUrl } from './health.ts';
import { writeNoted } from './noteChange.ts';
import { openSealer, readInvocationConfig, useStore } from './open.ts';
import { readSecret } from './prompt.ts';

const POLL_MS = 500;
const SAY_EVERY_MS = 2000;
const PER_SECOND = 5;

/** Stores the key where one is given, or asks for one where none is stored. */
async function settleKey(i: Invocation, config: Config, store: Store, id: string): Promise<void> {
  const file = i.options['key-file'];
  const row = await store.read(tx => getEndpoint(tx, id));
  const { name, backfill } = requireProvider(row.provider);
  const settings: Record<string, unknown> = {};
  if (i.options['project-url']) settings.projectUrl = i.options['project-url'];
  const lacking = backfill?.needs.find(need => !row.settings[need] && !settings[need]);
  if (lacking === 'projectUrl') throw invalid('--project-url: is needed, like https://abcdefgh.supabase.co');
  if (file !== undefined || row.sealedApiKey === null) {
    if (file === undefined) i.io.err(`${name} is asked with ${backfill?.key}; it is kept sealed.`);
    settings.apiKey = await readSecret(file, { question: 'API key (not shown): ', flag: '--key-file' });
  }
  if (!Object.keys(settings).length) return;
  const deps = { sealer: await openSealer(config, store), now: Date.now(), publicUrl: config.publicUrl };
  await writeNoted(store, { action: 'endpoint.update', subject: 'endpoint', target: id }, tx =>
    patchEndpoint(tx, deps, id, { settings }),
  );
}

/** Queues it; with one under way already, that one is followed instead. */
async function begin(i: Invocation, store: Store, id: string): Promise<BackfillRow> {
  const open = await store.read(tx => openBackfill(tx, id));
  if (open) {
    i.io.err(`${open.id} is under way already; this follows it.`);
    return open;
  }
  const options = {
    dryRun: i.switches.has('dry-run'),
    triggerEvents: i.switches.has('trigger-events'),
    requestsPerSecond: PER_SECOND,
  };
  return writeNoted(store, { action: 'backfill.start', subject: 'backfill' }, tx =>
    startBackfill(tx, id, options, Date.now()),
  );
}

const formatProgress = ({ counts: c, total, pages }: BackfillRow) =>
  `${c.read}${total === null ? '' : ` of ${total}`} read in ${pages} pages: ${c.created} created, ${c.updated} updated, ${c.known} known, ${c.waiting} without an address, ${c.skipped} skipped`;

/** Says how far it is until it ends. */
async function follow(io: Io, store: Store, id: string): Promise<BackfillRow> {
  let said = '';
  let saidAt = 0;
  for (;;) {
    const row = await store.read(tx => getBackfill(tx, id));
    if (row.finishedAt !== null) return row;
    const line = row.error ?? formatProgress(row);
    if (line !== said && performance.now() - saidAt > SAY_EVERY_MS) {
      io.err(line);
      said = line;
      saidAt = performance.now();
    }
    await Bun.sleep(POLL_MS);
  }
}

/** Whether a server has this database: the lock says so of a data folder, on PostgreSQL one that answers on this host. */
async function isServed(config: Config): Promise<boolean> {
  if (config.databaseUrl !== null) return (await askHealth(buildLocalUrl(config))) !== null;
  try {
    takeLock(config.dataDir).release();
    return false;
  } catch {
    return true;
  }
}

async function workHere(config: Config, io: Io, id: string): Promise<void> {
  const app = await createApp({ ...config, logLevel: 'error' });
  io.err('No server runs, so this command does the work. Stopped, it can be run again and goes on.');
  let over = false;
  const work = async () => {
    while (!over) {
      await app.worker.drain();
      await Bun.sleep(POLL_MS);
    }
  };
  const ended = follow(io, app.ctx.store, id).finally(() => {
    over = true;
  });
  try {
    await Promise.all([ended, work()]);
  } finally {
    await app.stop();
  }
}

/** What was begun goes on without this command. Said from before it begins: the server may be at work a moment later. */
function explainInterrupt(io: Io): void {
  process.once('SIGINT', () => {
    io.err('It goes on in the server. Look at GET /api/v1/backfills, or run this again to follow it.');
    process.exit(130);
  });
}

function report(io: Io, row: BackfillRow): number {
  io.out(`${row.id} ${row.state}${row.dryRun ? ' (dry run: nothing was changed)' : ''}`);
  io.out(formatProgress(row));
  if (row.counts.released) io.out(`${row.counts.released} deliveries had waited for these people and were applied`);
  for (const [reason, n] of Object.entries(row.reasons)) io.out(`  ${n} skipped: ${reason}`);
  if (row.error) io.out(row.error);
  return row.state === 'done' ? 0 : 1;
}

/** Exit code 0 when it was done to the end. */
export async function runBackfill(i: Invocation): Promise<number> {
  const [id = ''] = i.args;
  const config = readInvocationConfig(i);
  const served = await isServed(config);
  if (served) explainInterrupt(i.io);
  const started = await useStore(config, async store => {
    await settleKey(i, config, store, id);
    return begin(i, store, id);
  });
  if (served) await useStore(config, store => follow(i.io, store, started.id));
  else await workHere(config, i.io, started.id);
  return report(i.io, await useStore(config, store => store.read(tx => getBackfill(tx, started.id))));
}
