import type { Context } from '../context.ts';
import { AppError } from '../errors.ts';
import { DeliveryFeed, type FeedRound, readAfter } from '../inbound/feed.ts';

const MOST_STREAMS = 200;
const ROUND_MS = 250; // four a second at most
const WATCH_EVERY = 4; // rounds: what was open before
const CHECK_EVERY = 8; // rounds: whether keys and sessions still hold
const HEALTH_EVERY = 20;
const BEAT_MS = 15_000;
const MOST_UNREAD = 1_048_576; // bytes: who reads no more is let go
const LAST_ID = /^dlv_[0-9a-z]{9,40}$/;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no',
};

const FULL = `${MOST_STREAMS} live streams are open already. Close a page that shows the live log, or try again later.`;

interface Listener {
  controller: ReadableStreamDefaultController<Uint8Array>;
  request: Request;
  /** Whose key or session it is: one question for all streams of one. */
  caller: string;
}

const encoder = new TextEncoder();
const formatFrame = (event: string, data: unknown, id?: string): Uint8Array =>
  encoder.encode(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
const describeRound = ({ added, changed, more }: FeedRound) =>
  formatFrame('deliveries', { added, changed, more }, added.at(-1)?.id);

/** Everybody who listens to the live log. One reader looks at the database for all of them, and none while nobody listens. */
export class Streams {
  private readonly listeners = new Set<Listener>();
  private isReading = false;
  private toldHealth = '';

  /** `isValid`: whether the caller of a request may still read. */
  constructor(
    private readonly ctx: Context,
    private readonly isValid: (request: Request) => Promise<boolean>,
  ) {}

  /** Opens a stream. Where the caller says which delivery it saw last, what came since is told first. @throws AppError unavailable */
  async open(request: Request, caller: string): Promise<Response> {
    if (this.listeners.size >= MOST_STREAMS) throw new AppError('unavailable', FULL);
    const lastId = request.headers.get('last-event-id') ?? '';
    let listener: Listener | undefined;
    const body = new ReadableStream<Uint8Array>(
      {
        start: controller => {
          listener = { controller, request, caller };
          this.listeners.add(listener);
          controller.enqueue(encoder.encode('retry: 2000\n\n'));
        },
        cancel: () => {
          if (listener) this.listeners.delete(listener);
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }),
    );
    if (listener) await this.greet(listener, LAST_ID.test(lastId) ? lastId : null);
    return new Response(body, { headers: HEADERS });
  }

  private async greet(listener: Listener, lastId: string | null): Promise<void> {
    try {
      this.tell(formatFrame('health', await this.describeHealth()), [listener]);
      if (lastId !== null) this.tell(describeRound(await readAfter(this.ctx, lastId)), [listener]);
      if (!this.isReading) await this.startReading();
    } catch (error) {
      this.end(listener);
      throw error;
    }
  }

  /** The rounds begin with the first listener and end with the last. */
  private async startReading(): Promise<void> {
    this.isReading = true;
    try {
      const feed = await DeliveryFeed.begin(this.ctx);
      void this.readOn(feed);
    } catch (error) {
      this.isReading = false;
      throw error;
    }
  }

  private async readOn(feed: DeliveryFeed): Promise<void> {
    let beatAt = performance.now();
    for (let round = 1; this.listeners.size > 0; round++) {
      await Bun.sleep(ROUND_MS);
      try {
        if (round % CHECK_EVERY === 0) await this.dropRevoked();
        const found = await feed.read(round % WATCH_EVERY === 0);
        if (found.added.length || found.changed.length) this.tell(describeRound(found));
        if (round % HEALTH_EVERY === 0) await this.tellHealth();
      } catch (error) {
        this.ctx.log.warn({ err: error }, 'the live log could not be read; it is tried again');
      }
      if (performance.now() - beatAt < BEAT_MS) continue;
      beatAt = performance.now();
      this.tell(encoder.encode(': still here\n\n'));
    }
    this.isReading = false;
  }

  private async describeHealth() {
    const { storeTrouble, mailTrouble, clockSkewSeconds } = this.ctx.health;
    return { storeTrouble, mailTrouble, clockSkewSeconds, backlog: await this.ctx.health.backlog() };
  }

  private async tellHealth(): Promise<void> {
    const health = await this.describeHealth();
    const text = JSON.stringify(health);
    if (text === this.toldHealth) return;
    this.toldHealth = text;
    this.tell(formatFrame('health', health));
  }

  /** A key or session was revoked here: its streams end at once. */
  async dropRevoked(): Promise<void> {
    const byCaller = Map.groupBy(this.listeners, each => each.caller);
    for (const of of byCaller.values()) {
      const [first] = of;
      if (first && !(await this.isValid(first.request))) for (const each of of) this.end(each);
    }
  }

  private tell(bytes: Uint8Array, to: Iterable<Listener> = [...this.listeners]): void {
    for (const each of to) {
      if ((each.controller.desiredSize ?? 0) < -MOST_UNREAD) this.end(each);
      else
        try {
          each.controller.enqueue(bytes);
        } catch {
          this.listeners.delete(each); // gone meanwhile
        }
    }
  }

  private end(listener: Listener): void {
    this.listeners.delete(listener);
    try {
      listener.controller.close();
    } catch {
      // It was closed from the other side already.
    }
  }

  /** The server stops. */
  endAll(): void {
    for (const each of [...this.listeners]) this.end(each);
  }
}
