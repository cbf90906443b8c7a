import type { Context } from '../context.ts';
import { query, selectAmong } from '../db/sets.ts';
import { makeIdAt } from '../id.ts';
import { formatTime } from '../time.ts';

const OVERLAP_MS = 10_000; // ids are given on arrival, and in a burst some commit seconds after newer ones
const MOST_IDS = 5000; // looked at per round
const MOST_SHOWN = 100; // of one round
const MOST_OPEN = 1000; // deliveries whose state is watched
const MOST_RESUMED = 500;
const COLUMNS =
  'id, endpoint_id, provider, type, status, message, contact_id, received_at, processed_at, attempts, duplicates';

/** One delivery as the live log shows it. */
interface FeedRow {
  id: string;
  endpointId: string;
  provider: string;
  type: string;
  status: string;
  message: string;
  contactId: string | null;
  receivedAt: string;
  processedAt: string | null;
  attempts: number;
  duplicates: number;
}

/** What one round found. `more`: how many new ones there are beside those shown, newest kept. */
export interface FeedRound {
  added: FeedRow[];
  changed: FeedRow[];
  more: number;
}

const viewFeedRow = (row: unknown[]): FeedRow => ({
  ...{ id: row[0] as string, endpointId: row[1] as string, provider: row[2] as string, type: row[3] as string },
  ...{ status: row[4] as string, message: row[5] as string, contactId: row[6] as string | null },
  ...{ receivedAt: formatTime(Number(row[7])), processedAt: row[8] === null ? null : formatTime(Number(row[8])) },
  ...{ attempts: Number(row[9]), duplicates: Number(row[10]) },
});

const OPEN = new Set(['queued', 'failed', 'waiting']);
const describeState = ({ status, message, attempts }: FeedRow) => `${status} ${attempts} ${message}`;

/** Reads what is new in the log, and what became of deliveries that were open. Looks only while somebody asks it to. */
export class DeliveryFeed {
  private seen = new Set<string>();
  private readonly open = new Map<string, string>(); // id → state as it was last told
  private readSince: number;

  private constructor(private readonly ctx: Pick<Context, 'store' | 'now'>) {
    this.readSince = ctx.now() - OVERLAP_MS;
  }

  /** Begins now: what is in the log already is not new. */
  static async begin(ctx: Pick<Context, 'store' | 'now'>): Promise<DeliveryFeed> {
    const feed = new DeliveryFeed(ctx);
    for (const id of await feed.listIds()) feed.seen.add(id);
    return feed;
  }

  /** One look at the log. `watch`: also at what was open before, and at what is queued again. */
  async read(watch: boolean): Promise<FeedRound> {
    const ids = await this.listIds();
    const fresh = ids.filter(id => !this.seen.has(id));
    this.seen = new Set(ids);
    this.readSince = this.ctx.now() - OVERLAP_MS;
    const shown = fresh.slice(-MOST_SHOWN);
    const changed = watch ? await this.readOpen(new Set(fresh)) : [];
    const added = await this.load(shown);
    for (const row of added) this.follow(row);
    return { added, changed, more: fresh.length - shown.length };
  }

  private listIds(): Promise<string[]> {
    const text = `select id from deliveries where id > ? order by id desc limit ${MOST_IDS}`;
    const from = makeIdAt('dlv', this.readSince);
    return this.ctx.store.read(async tx => (await query(tx, text, [from])).map(row => row[0] as string).reverse());
  }

  private async load(ids: string[]): Promise<FeedRow[]> {
    const rows = await this.ctx.store.read(tx => selectAmong(tx, `select ${COLUMNS} from deliveries where id`, ids));
    return rows.map(viewFeedRow).sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Those that changed since they were last told; a replay of an old one begins to be followed here. */
  private async readOpen(fresh: Set<string>): Promise<FeedRow[]> {
    const text = `select ${COLUMNS} from deliveries where status <> 'processed' and status = ? order by due_at, id limit ${MOST_SHOWN}`;
    const waiting = await this.ctx.store.read(async tx =>
      (await Promise.all(['queued', 'failed'].map(status => query(tx, text, [status])))).flat().map(viewFeedRow),
    );
    const known = await this.load([...this.open.keys()]);
    const byId = new Map([...known, ...waiting].map(row => [row.id, row]));
    const changed: FeedRow[] = [];
    for (const row of byId.values()) {
      if (fresh.has(row.id) || this.open.get(row.id) === describeState(row)) continue;
      changed.push(row);
      this.follow(row);
    }
    for (const id of this.open.keys()) if (!byId.has(id)) this.open.delete(id); // past its retention
    return changed.slice(0, MOST_SHOWN);
  }

  private follow(row: FeedRow): void {
    if (!OPEN.has(row.status)) {
      this.open.delete(row.id);
      return;
    }
    this.open.set(row.id, describeState(row));
    const [oldest] = this.open.keys();
    if (this.open.size > MOST_OPEN && oldest !== undefined) this.open.delete(oldest);
  }
}

/** What came after a delivery: for who was away for a while. `more` where it is too much to tell. */
export async function readAfter({ store }: Pick<Context, 'store'>, lastId: string): Promise<FeedRound> {
  const text = `select ${COLUMNS} from deliveries where id > ? order by id desc limit ${MOST_RESUMED + 1}`;
  const rows = (await store.read(tx => query(tx, text, [lastId]))).map(viewFeedRow);
  return { added: rows.slice(0, MOST_RESUMED).reverse(), changed: [], more: rows.length > MOST_RESUMED ? 1 : 0 };
}
