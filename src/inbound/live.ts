import { desc, eq } from 'drizzle-orm';
import { endpoints, secrets } from '../db/schema.ts';
import type { Store } from '../db/store.ts';
import type { Log } from '../log.ts';
import { providerById } from '../providers/index.ts';
import type { Provider, Secret } from '../providers/provider.ts';
import type { Sealer } from '../sealing.ts';
import { type EventSettings, resolveEvents } from './eventSettings.ts';
import { apiKeyContext, secretContext } from './sealContexts.ts';

/** An endpoint ready for use: settings resolved, secrets opened. Lives in memory only. */
export interface Live {
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
export class LiveEndpoints {
  private cache = new Map<string, Live>();
  private version = -1;
  private checkedAt = -Infinity;

  constructor(
    private readonly store: Store,
    private readonly sealer: Sealer,
    private readonly log: Log,
  ) {}

  /** A new map, so that a load that began before the change can't store what it read. */
  invalidate(): void {
    this.cache = new Map();
  }

  async get(id: string): Promise<Live | null> {
    const at = performance.now();
    if (at - this.checkedAt > CHECK_EVERY_MS) {
      this.checkedAt = at;
      const version = await this.store.version();
      if (version !== this.version) this.invalidate();
      this.version = version;
    }
    const cached = this.cache.get(id);
    if (cached) return cached;
    const generation = this.cache;
    const live = await this.load(id);
    if (live && generation === this.cache) {
      if (this.cache.size >= MAX_CACHED) this.cache.clear();
      this.cache.set(id, live);
    }
    return live;
  }

  /** Every endpoint of a provider: to name the one whose secret a refused delivery was signed with. */
  async ofProvider(providerId: string, limit: number): Promise<Live[]> {
    const rows = await this.store.read(tx =>
      tx.select({ id: endpoints.id }).from(endpoints).where(eq(endpoints.provider, providerId)).limit(limit),
    );
    const lives = await Promise.all(rows.map(row => this.get(row.id)));
    return lives.filter(live => live !== null);
  }

  private async load(id: string): Promise<Live | null> {
    return this.store.read(async tx => {
      const [row] = await tx.select().from(endpoints).where(eq(endpoints.id, id));
      if (!row) return null;
      const provider = providerById(row.provider);
      if (!provider) return null;
      const sealed = await tx
        .select()
        .from(secrets)
        .where(eq(secrets.endpointId, id))
        .orderBy(desc(secrets.createdAt), desc(secrets.id));
      const apiKey = row.sealedApiKey
        ? { apiKey: this.open(row.sealedApiKey, apiKeyContext(id, provider, row.settings)) }
        : {};
      return {
        id,
        provider,
        paused: row.paused,
        settings: { ...(provider.settings.parse(row.settings) as Live['settings']), ...apiKey },
        events: resolveEvents(provider, row.events),
        secrets: sealed.flatMap(s => {
          const value = this.open(s.sealed, secretContext(s.id, id));
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
