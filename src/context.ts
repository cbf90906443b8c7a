import type { PeopleWriter } from './audience/peopleWriter.ts';
import type { Listener } from './changes.ts';
import type { Config } from './config.ts';
import type { Counters } from './counters.ts';
import type { Store, Tx } from './db/store.ts';
import type { EndpointCache } from './inbound/endpointCache.ts';
import type { LastUsed } from './inbound/lastUsed.ts';
import type { Rejections } from './inbound/rejections.ts';
import type { SafeMode } from './inbound/safeMode.ts';
import type { Log } from './log.ts';
import type { Resolve } from './net/target.ts';
import type { SubscriptionIndex } from './outgoing/publish.ts';
import type { Fetch } from './providers/provider.ts';
import type { Sealer } from './sealing.ts';
import type { Templates } from './templates/templates.ts';
import type { TriggerMatcher } from './workflows/triggerMatcher.ts';

/** What the parts of a running Inlet share. Made in `app.ts` only; tests pass their own clock. */
export interface Context {
  config: Config;
  store: Store;
  log: Log;
  sealer: Sealer;
  /** ms since 1970. */
  now(): number;
  /** The one guarded way out to the network. */
  fetch: Fetch;
  /** The addresses of a host that outgoing webhooks go to. */
  resolve: Resolve;
  /** Endpoints with settings resolved and secrets opened, as of the newest commit. */
  live: EndpointCache;
  careful: SafeMode;
  /** The one way by which contacts change. */
  people: PeopleWriter;
  /** When endpoints and secrets were last noted as used. */
  lastUsed: LastUsed;
  /** What is remembered of refused webhooks. */
  rejections: Rejections;
  /** Workflows and outgoing webhooks: told what happens to contacts, in the transaction that does it. */
  tell: Listener;
  /** Which workflows listen to what. */
  automation: TriggerMatcher;
  /** Which outgoing webhook subscriptions want what; `emit` queues calls of what is no contact's happening (mail). */
  subscribed: SubscriptionIndex;
  /** Tells the worker that something is due. */
  wake(): void;
  /** Works on the templates of messages, apart from this thread. */
  templates: Templates;
  /** What is counted for statistics, until it is written down. */
  counters: Counters;
  /** Notes in its transaction what a request changes; absent: nothing is to be noted. For writes about people; others note by themselves. */
  noteChange?: (tx: Tx) => Promise<void>;
  health: Health;
}

/** What went wrong lately, for `/health` and `inlet doctor`. */
export interface Health {
  /** Set while commits fail (disk full); cleared by the next one that works. */
  storeTrouble: string | null;
  /** Seconds our clock is ahead (+) or behind (-) of the senders', after three different requests with a right signature and a wrong time. */
  readonly clockSkewSeconds: number | null;
  /** Why no mail goes out now; null: nothing is known against it. */
  mailTrouble: string | null;
  /** Deliveries queued and due that no worker has taken yet. */
  backlog(): Promise<number>;
  /** Jobs that were given up. */
  deadJobs(): Promise<number>;
}
