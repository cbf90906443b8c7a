import { createHmac } from 'node:crypto';
import type { Answer } from './app.ts';
import { emptyFolder, freePort, type Running, start } from './binary.ts';
import { seeded } from './crash.ts';
import type { Postgres } from './postgres.ts';

export const SECRET = 'whsec_cluster_0123456789abcdef0123456';
const KEY = 'cluster-key-0123456789abcdefghij';
const CLIENTS = 12;
const SHARED = 12; // persons of whom several facts come from different sides
const OLDEST_S = 40_000; // of the facts' own times, before now
const DEADLINE_MS = 60_000; // for one event to be acknowledged

export interface StripeEvent {
  id: string;
  type: string;
  created: number;
  data: { object: Record<string, unknown> };
}

type Reply = Pick<Answer, 'status' | 'body'>;

/** What the senders know: every event was acknowledged at least once, these are all. */
export interface Sent {
  events: StripeEvent[];
  /** By event id: how often an answer said `accepted`. */
  accepted: Map<string, number>;
  /** Answers that would not make a provider send it again, and should not have been given. */
  odd: string[];
}

export const SETTINGS = {
  'customer.created': { triggerEvent: 'signup', userGroup: 'Customers' },
  'customer.deleted': { onDelete: 'delete' },
  'customer.subscription.created': { triggerEvent: 'subscribed' },
  'invoice.paid': { triggerEvent: 'paid' },
};

/** Three instances of the built binary on one PostgreSQL database, and senders that use them all. */
export class Cluster {
  readonly sent: Sent = { events: [], accepted: new Map(), odd: [] };
  private running = true;
  private n = 0;
  private readonly random: () => number;
  private readonly began = Math.floor(Date.now() / 1000);
  private constructor(
    readonly instances: Running[],
    private readonly env: Record<string, string>,
    seed: number,
  ) {
    this.random = seeded(seed);
  }

  static async start(postgres: Postgres, database: string, seed: number): Promise<Cluster> {
    const env = {
      INLET_DATABASE_URL: `${postgres.url(database)}?pool=6`,
      INLET_SECRET_KEY: Buffer.alloc(32, 9).toString('base64'),
      INLET_API_KEY: KEY,
      INLET_RATE_LIMIT: '0',
      INLET_LOG_LEVEL: 'error',
      INLET_LOG_FORMAT: 'json',
    };
    const instances = await Promise.all([0, 1, 2].map(() => start({ cwd: emptyFolder(), env })));
    return new Cluster(instances, env, seed);
  }

  /** A request to the management API of one instance. */
  async api(at: number, method: string, path: string, body?: unknown): Promise<Reply> {
    const answer = await fetch(`${this.instances[at]?.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${KEY}` },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: await answer.json() };
  }

  /** `kill -9`, and the same again at the same port. */
  async replace(at: number): Promise<void> {
    const old = this.instances[at];
    if (!old) throw new Error(`no instance ${at}`);
    await old.kill9();
    await this.begin(at, old.port);
  }

  private async begin(at: number, port: number): Promise<void> {
    this.instances[at] = await start({ cwd: emptyFolder(), env: this.env, port });
  }

  /** A fourth one, with more variables. */
  async another(env: Record<string, string>): Promise<Running> {
    return start({ cwd: emptyFolder(), env: { ...this.env, ...env }, port: await freePort() });
  }

  /** Sends until `stop`, which waits until every event begun is acknowledged. */
  load(endpointId: string): { stop(): Promise<void> } {
    const clients = Array.from({ length: CLIENTS }, async () => {
      while (this.running) await Promise.all(this.group().map(event => this.deliver(endpointId, event)));
    });
    return {
      stop: async () => {
        this.running = false;
        await Promise.all(clients);
      },
    };
  }

  private pick = (n: number) => Math.floor(this.random() * n);

  private event(type: string, object: Record<string, unknown>, created: number): StripeEvent {
    const event = { id: `evt_${this.n++}`, object: 'event', type, created, livemode: false, data: { object } };
    this.sent.events.push(event);
    return event;
  }

  /** Events that are sent side by side, so that their order of arrival is anyone's guess. */
  private group(): StripeEvent[] {
    const n = this.n;
    const at = this.began - OLDEST_S + n; // no two facts at the same time
    const customer = { id: `cus_${n}`, object: 'customer', email: `c${n}@example.com`, name: `N${n} Cluster` };
    const created = this.event('customer.created', customer, at);
    const kind = this.pick(6);
    if (kind < 2) return [created];
    if (kind === 2) {
      // The subscription names no address: it waits until the person is known.
      const subscription = { id: `sub_${n}`, object: 'subscription', customer: customer.id, status: 'active' };
      return [this.event('customer.subscription.created', subscription, at + 1), created];
    }
    if (kind === 3) {
      const gone = { ...customer, id: `cus_gone${n}`, email: `gone${n}@example.com` };
      return [
        created,
        this.event('customer.updated', gone, at + 1),
        this.event('customer.deleted', gone, at + OLDEST_S / 2),
      ];
    }
    const who = this.pick(SHARED);
    const shared = { id: `cus_s${who}`, object: 'customer', email: `s${who}@example.com` };
    const paid = { id: `in_${n}`, object: 'invoice', customer: shared.id, customer_email: shared.email };
    return [
      created,
      this.event('customer.updated', { ...shared, name: `Now${n} Shared` }, at + 1),
      this.event('customer.updated', { ...shared, name: `Then${n} Shared` }, at + 2 - this.pick(3) * 20_000),
      this.event('invoice.paid', paid, at + 3),
    ];
  }

  /** As a provider does: again until it is acknowledged; now and then several copies at once. */
  private async deliver(endpointId: string, event: StripeEvent): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    const copies = this.pick(4) === 0 ? 3 : 1;
    const first = this.pick(this.instances.length);
    for (let tries = 0; ; tries++) {
      const answers = await Promise.all(
        Array.from({ length: copies }, (_, i) => this.post(first + tries + i, endpointId, event)),
      );
      if (answers.includes(true)) return;
      if (performance.now() > deadline) throw new Error(`${event.id} was never acknowledged`);
      await Bun.sleep(10 + this.random() * 30);
    }
  }

  private async post(at: number, endpointId: string, event: StripeEvent): Promise<boolean> {
    let answer: Reply;
    try {
      answer = await this.signed(at, endpointId, event);
    } catch {
      return false; // killed meanwhile: nothing was promised
    }
    const { status, body } = answer;
    const { accepted, odd } = this.sent;
    if (status === 200 && body.result === 'accepted') accepted.set(event.id, (accepted.get(event.id) ?? 0) + 1);
    else if (status !== 503 && body.result !== 'duplicate') odd.push(`${status} ${JSON.stringify(body)}`);
    return status === 200;
  }

  private async signed(at: number, endpointId: string, event: StripeEvent): Promise<Reply> {
    const url = `${this.instances[at % this.instances.length]?.url}/webhooks/${endpointId}`;
    const body = JSON.stringify(event);
    const t = Math.floor(Date.now() / 1000);
    const v1 = createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex');
    const answer = await fetch(url, { method: 'POST', body, headers: { 'stripe-signature': `t=${t},v1=${v1}` } });
    return { status: answer.status, body: await answer.json() };
  }

  /** One event to one instance, the first unless another is named. */
  send(endpointId: string, type: string, object: Record<string, unknown>, at = 0) {
    return this.signed(at, endpointId, this.event(type, { object: 'thing', ...object }, Math.floor(Date.now() / 1000)));
  }
}
