import { sql } from 'drizzle-orm';
import { createKey } from './access/keys.ts';
import { createLink } from './access/sessions.ts';
import { PeopleWriter } from './audience/peopleWriter.ts';
import { upgradePeople } from './audience/upgrade.ts';
import { publishToAll } from './changes.ts';
import type { Config } from './config.ts';
import type { Context, Health } from './context.ts';
import { Counters } from './counters.ts';
import { type Opened, openStore } from './db/open.ts';
import { keys, meta } from './db/schema.ts';
import { takeTurn } from './db/sql.ts';
import type { Store } from './db/store.ts';
import { requireWhole } from './db/transfer/transfer.ts';
import { AppError } from './errors.ts';
import { startFlushing } from './history/stats.ts';
import { clearUnappliedOnce } from './history/unappliedBodies.ts';
import { createHttp } from './http/app.ts';
import { closeServer, listen } from './http/listen.ts';
import { makeBackfillLoop } from './inbound/backfill/run.ts';
import { EndpointCache } from './inbound/endpointCache.ts';
import { LastUsed } from './inbound/lastUsed.ts';
import { countBacklog } from './inbound/pause.ts';
import { Rejections } from './inbound/rejections.ts';
import { isServed, SafeMode } from './inbound/safeMode.ts';
import { resealOnce } from './inbound/sealContexts.ts';
import { countDeadJobs } from './jobs/jobViews.ts';
import { Worker } from './jobs/worker.ts';
import { createLog, type Log } from './log.ts';
import { Mailer } from './mail/mailer.ts';
import { makeGuardedFetch } from './net/fetch.ts';
import { type Resolve, resolveBySystem } from './net/target.ts';
import { SubscriptionIndex } from './outgoing/publish.ts';
import { CallSender } from './outgoing/sender.ts';
import { providerHosts } from './providers/index.ts';
import type { Fetch } from './providers/provider.ts';
import { makeSealer, type Sealer } from './sealing.ts';
import { Templates } from './templates/templates.ts';
import { Engine } from './workflows/engine.ts';
import { TriggerMatcher } from './workflows/triggerMatcher.ts';

/** What a test may put in place of the real edges. */
export interface Seams {
  now?(): number;
  fetch?: Fetch;
  /** The addresses of a host that outgoing webhooks go to. */
  resolve?: Resolve;
  log?: Log;
  /** Called instead of ending the process when going on would be dishonest. */
  onFatal?(error: Error): void;
}

/** What a start gives to print. A first one made a key and what a link holds that signs in on the page: shown once. */
export interface Started {
  url: string;
  newApiKey: string | null;
  loginToken: string | null;
}

export interface App {
  ctx: Context;
  worker: Worker;
  fetch(request: Request, peer?: string | null): Promise<Response>;
  /** Listens and works. */
  start(): Promise<Started>;
  /** Finishes requests and commits in hand, then lets go of everything. */
  stop(): Promise<void>;
}

/** Puts the parts together: the only place where they meet. A SQLite file is locked for it. @throws AppError when it can't start */
export async function createApp(config: Config, seams: Seams = {}): Promise<App> {
  const log = seams.log ?? createLog(config);
  const now = seams.now ?? Date.now;
  const rejections = new Rejections();
  const health: Health = {
    storeTrouble: null,
    mailTrouble: null,
    backlog: async () => 0,
    deadJobs: async () => 0,
    get clockSkewSeconds() {
      return rejections.clock.skewSeconds(now());
    },
  };
  const onFatal = seams.onFatal ?? stopNow;
  const opened = await openStore(config, {
    onFatal: error => {
      log.fatal({ err: error }, 'the database failed in a way that makes going on dishonest; stopping');
      onFatal(error);
    },
    onCommit: error => {
      health.storeTrouble = error ? TROUBLE[opened.store.kind] : null;
    },
  });
  try {
    const sealer = makeSealer(opened.key);
    await checkFingerprint(opened.store, sealer);
    await opened.store.write(tx => resealOnce(tx, sealer));
    const report = (message: string) => log.info(message);
    await upgradePeople(
      opened.store,
      now(),
      report,
      async () => opened.store.kind === 'postgres' && isServed(opened.store),
    );
    await opened.store.write(tx => clearUnappliedOnce(tx, now()));
    return assemble(config, seams, { opened, sealer, log, health, rejections, onFatal });
  } catch (error) {
    await opened.close();
    throw error;
  }
}

const TROUBLE = {
  sqlite: 'The database cannot commit. Check free disk space and the log.',
  postgres: 'The PostgreSQL server can not be used. Check that it runs, its connections and disk space, and the log.',
};

interface Parts {
  opened: Opened;
  sealer: Sealer;
  log: Log;
  health: Health;
  rejections: Rejections;
  onFatal(error: Error): void;
}

function assemble(config: Config, seams: Seams, parts: Parts): App {
  const { opened, sealer, log, health } = parts;
  const { store } = opened;
  const automation = new TriggerMatcher(store, () => worker.wake());
  const subscribed = new SubscriptionIndex(() => worker.wake());
  const resolve = seams.resolve ?? resolveBySystem;
  const now = seams.now ?? Date.now;
  const tell = publishToAll([automation.hear, subscribed.hear]);
  const ctx: Context = {
    config,
    store,
    log,
    sealer,
    health,
    now,
    fetch: seams.fetch ?? makeGuardedFetch({ hosts: providerHosts, anywhere: config.allowPrivateTargets, resolve }),
    careful: new SafeMode(),
    tell,
    people: new PeopleWriter(
      store,
      (...told) => ctx.tell(...told),
      now,
      () => worker.wake(),
    ),
    lastUsed: new LastUsed(),
    rejections: parts.rejections,
    automation,
    subscribed,
    resolve,
    live: new EndpointCache(store, sealer, log),
    wake: () => worker.wake(),
    templates: new Templates(),
    counters: new Counters(),
  };
  const stopping = new AbortController();
  const outgoing = new CallSender(ctx);
  const mailer = new Mailer(ctx);
  const worker = new Worker(ctx, [
    makeBackfillLoop(ctx, stopping.signal),
    outgoing.duty,
    mailer.duty,
    new Engine(ctx).duty,
  ]);
  health.backlog = () => store.read(tx => countBacklog(tx, ctx.now()));
  health.deadJobs = async () => (await store.read(countDeadJobs)).count;
  const http = createHttp(ctx);
  let server: ReturnType<typeof Bun.serve> | undefined;
  let watch: Timer | undefined;
  let served = false;
  let stopFlushing = async () => {};
  return {
    ctx,
    worker,
    fetch: (request, peer = null) => http.fetch(request, peer),
    async start() {
      server = listen(config, http.fetch); // first: a key made before a failed start would never be shown
      const first = await makeFirst(config, store, ctx.now());
      await ctx.careful.start(store, ctx.now, error =>
        log.warn({ err: error }, 'could not note that this instance lives'),
      );
      if (config.role !== 'web') await worker.start();
      watch = setInterval(() => {
        const lost = opened.lost();
        if (lost === null) return;
        clearInterval(watch);
        const error = new Error(lost);
        log.fatal(
          { err: error },
          'the database file is gone from its place; stopping so that nothing is written into nowhere',
        );
        parts.onFatal(error);
      }, 1000);
      stopFlushing = startFlushing(ctx);
      served = true;
      return { url: `http://${config.host}:${server.port}`, ...first };
    },
    async stop() {
      clearInterval(watch);
      http.endStreams();
      if (server) await closeServer(server);
      stopping.abort();
      await worker.stop();
      await mailer.stop();
      await ctx.templates.stop();
      await outgoing.stop();
      await stopFlushing();
      if (served)
        await ctx.careful
          .stop(store)
          .catch(error => log.warn({ err: error }, 'could not note a clean stop; the next start is careful'));
      await opened.close();
    },
  };
}

/** A failed fsync or a vanished file: whoever restarts us finds out what is true. */
function stopNow(): void {
  setTimeout(() => process.exit(74), 200); // 503s that are on their way get out
}

/** Secrets sealed with another key could never be opened: better not to start. */
async function checkFingerprint(store: Store, sealer: Sealer): Promise<void> {
  const known = await store.write(async tx => {
    await requireWhole(tx);
    await tx.insert(meta).values({ key: 'secretKeyFingerprint', value: sealer.fingerprint }).onConflictDoNothing();
    const rows = await tx.select().from(meta).where(sql`${meta.key} = 'secretKeyFingerprint'`);
    return rows[0]?.value;
  });
  if (known === sealer.fingerprint) return;
  throw new AppError(
    'conflict',
    'INLET_SECRET_KEY (or secret.key) is not the key that sealed the secrets in this database. Bring back the old key, or run `inlet endpoints reset-secrets` and add every signing secret again.',
  );
}

/** The first key, where none is given, and a link that signs in. */
async function makeFirst(config: Config, store: Store, now: number): Promise<Omit<Started, 'url'>> {
  const nothing = { newApiKey: null, loginToken: null };
  if (config.apiKey !== null) return nothing;
  return store.write(async tx => {
    await takeTurn(tx, 'first key');
    const [any] = await tx.select({ id: keys.id }).from(keys).limit(1);
    if (any) return nothing;
    const { key } = await createKey(tx, 'first key', now);
    return { newApiKey: key, loginToken: config.dashboard ? await createLink(tx, now) : null };
  });
}
