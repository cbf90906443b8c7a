import { desc, eq } from 'drizzle-orm';
import { endpoints, secrets } from '../db/schema.ts';
import type { Store } from '../db/store.ts';
import type { Log } from '../log.ts';
import { findProvider } from '../providers/index.ts';
import type { Provider, Secret } from '../providers/provider.ts';
import type { Sealer } from '../sealing.ts';
import { type EventSettings, resolveEvents } from './eventSettings.ts';
import { makeApiKeyContext, makeSecretContext } from './sealContexts.ts';

/** An endpoint ready for use: settings resolved, secrets opened. Lives in memory only. */
export interface ReadyEndpoint {
  id: string;
  provider: Provider;
  paused: boolean;
  /** As the provider's schema made them, with `maxBodyBytes` and, where set, the opened `apiKey`. */
  settings: Record<string, unknown> & { maxBodyBytes: number };
  events: Record<string, EventSettings>;
  secrets: (Secret & { expiresAt: number | null })[];
}

const CHECK_EVERY_MS = 500; // another process's change is seen within a second
const MAX_CACHED = 5000;

/** Endpoints as of the newest commit, cached until this process or another one changes something. */
export class EndpointCache {
  private cache = new Map<string, Promise<ReadyEndpoint | null>>();
  private version = -1;
  private checkedAt = -Infinity;

  constructor(
    private readonly store: Store,
    private readonly sealer: Sealer,
    private readonly log: Log,
  ) {}

  /** A new map, so that what began to load before the change is not taken for what is there after it. */
  invalidate(): void {
    this.cache = new Map();
  }

  async get(id: string): Promise<ReadyEndpoint | null> {
    const at = performance.now();
    if (at - this.checkedAt > CHECK_EVERY_MS) {
      this.checkedAt = at;
      const version = await this.store.version();
      if (version !== this.version) this.invalidate();
      this.version = version;
    }
    return this.cache.get(id) ?? this.remember(id);
  }

  /** One look-up for all that ask meanwhile: in a burst each would ask for itself. An endpoint that is not there is not remembered. */
  private remember(id: string): Promise<ReadyEndpoint | null> {
    const { cache } = this;
    if (cache.size >= MAX_CACHED) cache.clear();
    const loading = this.load(id);
    const forget = () => {
      if (cache.get(id) === loading) cache.delete(id);
    };
    cache.set(id, loading);
    loading.then(live => live ?? forget(), forget);
    return loading;
  }

  /** Every endpoint of a provider: to name the one whose secret a refused delivery was signed with. */
  async ofProvider(providerId: string, limit: number): Promise<ReadyEndpoint[]> {
    const rows = await this.store.read(tx =>
      tx.select({ id: endpoints.id }).from(endpoints).where(eq(endpoints.provider, providerId)).limit(limit),
    );
    const lives = await Promise.all(rows.map(row => this.get(row.id)));
    return lives.filter(live => live !== null);
  }

  private async load(id: string): Promise<ReadyEndpoint | null> {
    return this.store.read(async tx => {
      const [row] = await tx.select().from(endpoints).where(eq(endpoints.id, id));
      if (!row) return null;
      const provider = findProvider(row.provider);
      if (!provider) return null;
      const sealed = await tx
        .select()
        .from(secrets)
        .where(eq(secrets.endpointId, id))
        .orderBy(desc(secrets.createdAt), desc(secrets.id));
      const apiKey = row.sealedApiKey
        ? { apiKey: this.open(row.sealedApiKey, makeApiKeyContext(id, provider, row.settings)) }
        : {};
      return {
        id,
        provider,
        paused: row.paused,
        settings: { ...(provider.settings.parse(row.settings) as ReadyEndpoint['settings']), ...apiKey },
        events: resolveEvents(provider, row.events),
        secrets: sealed.flatMap(s => {
          const value = this.open(s.sealed, makeSecretContext(s.id, id));
          return value === null ? [] : [{ id: s.id, value, expiresAt: s.expiresAt }];
        }),
      };
    });
  }

  private open(sealed: string, context: string): string | null {
    try {
      return this.sealer.open(sealed, context);
    } catch {
      this.log.error(
        { of: context },
        'A stored secret can not be opened: it was sealed with another INLET_SECRET_KEY or for another endpoint; add it again',
      );
      return null;
    }
  }
}
