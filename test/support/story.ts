import { type Answer, TestApp } from './app.ts';

type Json = Record<string, unknown>;
export const MINUTE = 60_000;
export const DAY = 86_400_000;
const BEGIN = Date.parse('2026-11-01T12:00:00Z');
let n = 0;

/** Signed webhooks and API calls one after the other, ten seconds apart, on a clock that only they move. */
export class Story {
  private constructor(readonly app: TestApp) {}

  static async open(...given: Parameters<typeof TestApp.open>): Promise<Story> {
    const app = await TestApp.open(...given);
    app.time = BEGIN;
    return new Story(app);
  }

  get now(): number {
    return this.app.now();
  }

  pass(ms = 10_000): void {
    this.app.time = this.now + ms;
  }

  endpoint(provider: string, more: Json = {}): Promise<string> {
    return this.app.endpoint(provider, more);
  }

  /** Posts a webhook, waits until all that follows from it is done, and tells what the log says of it. */
  async hook(endpointId: string, provider: string, body: unknown) {
    const answer = await this.app.post(endpointId, provider, body);
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    await this.app.drain();
    const logged = (await this.app.api('GET', `/deliveries/${answer.body.deliveryId}`)).body;
    this.pass();
    return {
      ...(logged as { id: string; status: string; message: string; contactId: string | null; effects: Json[] }),
      payload: logged.payload as unknown,
      result: answer.body.result as string,
      answered: answer.body.message as string,
      kinds: (logged.effects as { kind: string }[]).map(each => each.kind),
    };
  }

  async api(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await this.app.api(method, path, body);
    await this.app.drain();
    this.pass();
    return answer;
  }

  async find(email: string): Promise<Json | undefined> {
    return (await this.app.api('GET', `/contacts/find?email=${encodeURIComponent(email)}`)).body[0];
  }

  /** All contacts, by address. */
  async contacts(): Promise<Json[]> {
    const all = await this.app.contacts();
    return all.sort((a, b) => (String(a.email) < String(b.email) ? -1 : 1));
  }

  async events(): Promise<string[]> {
    const { data } = (await this.app.api('GET', '/events?perPage=100')).body;
    return data.map((each: { eventName: string }) => each.eventName).sort();
  }

  stop(): Promise<void> {
    return this.app.stop();
  }
}

/** An event of Stripe; `at` in ms is cut to its second. */
export const stripe = (type: string, object: Json, at: number, more: { previous?: Json; id?: string } = {}) => ({
  id: more.id ?? `evt_story_${++n}`,
  object: 'event',
  type,
  created: Math.floor(at / 1000),
  livemode: true,
  data: { object, ...(more.previous && { previous_attributes: more.previous }) },
});

export const customer = (id: string, email: string | null, more: Json = {}) => ({
  id,
  object: 'customer',
  email,
  name: null,
  metadata: {},
  ...more,
});

/** A checkout without a customer. */
export const checkout = (email: string, more: Json = {}) => ({
  id: `cs_story_${++n}`,
  object: 'checkout.session',
  customer: null,
  customer_details: { email, name: null },
  ...more,
});

/** An event about a Clerk user with a verified address. */
export const clerk = (type: string, id: string, email: string | null, at: number, more: Json = {}) => ({
  type,
  object: 'event',
  timestamp: at,
  data: {
    id,
    updated_at: at,
    primary_email_address_id: 'idn_1',
    email_addresses:
      email === null ? [] : [{ id: 'idn_1', email_address: email, verification: { status: 'verified' } }],
    first_name: null,
    last_name: null,
    ...more,
  },
});

export const clerkDeleted = (id: string, at: number) => ({
  type: 'user.deleted',
  object: 'event',
  timestamp: at,
  data: { id, object: 'user', deleted: true },
});

const iso = (ms: number) => new Date(ms).toISOString().replace('Z', '000+00:00');

/** A row of auth.users whose address was confirmed by mail. */
export const row = (id: string, email: string | null, at: number, more: Json = {}) => ({
  id,
  aud: 'authenticated',
  role: 'authenticated',
  email,
  confirmation_sent_at: iso(at - 2 * MINUTE),
  email_confirmed_at: iso(at - MINUTE),
  created_at: iso(at - 2 * MINUTE),
  updated_at: iso(at),
  last_sign_in_at: iso(at),
  deleted_at: null,
  is_anonymous: false,
  raw_user_meta_data: {},
  raw_app_meta_data: { provider: 'email', providers: ['email'] },
  ...more,
});
export type Row = ReturnType<typeof row>;

/** The same row, changed later. */
export const changed = (before: Row, at: number, more: Json = {}): Row => ({
  ...before,
  updated_at: iso(at),
  last_sign_in_at: iso(at),
  ...more,
});

export const supabase = (type: 'INSERT' | 'UPDATE' | 'DELETE', record: Row | null, old: Row | null = null) => ({
  type,
  schema: 'auth',
  table: 'users',
  record,
  old_record: old,
});

export const polar = (type: string, data: Json, at: number) => ({ type, timestamp: new Date(at).toISOString(), data });

/** All orders of a few things. */
export function* orders<T>(all: T[]): Generator<T[]> {
  if (all.length < 2) return yield all;
  for (let i = 0; i < all.length; i++) for (const rest of orders(all.toSpliced(i, 1))) yield [all[i] as T, ...rest];
}
