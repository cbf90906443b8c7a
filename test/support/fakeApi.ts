/** What one request is answered instead of the list; `pass` is the list. */
export type Mishap = (request: Request) => Response | 'pass' | Promise<Response | 'pass'>;

/** One person as every provider has it; `id` is the provider's. */
export interface Person {
  id: string;
  email: string | null;
  first: string;
  /** ms */
  created: number;
  changed: number;
  more?: Record<string, unknown>;
}

export const KEYS: Record<string, string> = {
  stripe: 'rk_test_backfill_0123456789',
  clerk: 'sk_test_backfill_0123456789',
  supabase: 'sb_secret_backfill_0123456789',
  polar: 'polar_oat_backfill_0123456789',
};

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  Response.json(body, { status, headers });
const iso = (ms: number) => new Date(ms).toISOString();
const byAge = (a: Person, b: Person) => a.created - b.created || (a.id < b.id ? -1 : 1);

const SHAPES: Record<string, (each: Person) => Record<string, unknown>> = {
  stripe: each => ({
    id: each.id,
    object: 'customer',
    created: Math.floor(each.created / 1000),
    email: each.email,
    name: `${each.first} Customer`,
    livemode: false,
    metadata: { plan: 'pro' },
    ...each.more,
  }),
  clerk: each => ({
    id: each.id,
    object: 'user',
    first_name: each.first,
    last_name: 'User',
    primary_email_address_id: each.email && `idn_${each.id}`,
    email_addresses: each.email
      ? [{ id: `idn_${each.id}`, email_address: each.email, verification: { status: 'verified' } }]
      : [],
    private_metadata: { hidden: 'canary-private' },
    created_at: each.created,
    updated_at: each.changed,
    ...each.more,
  }),
  supabase: each => ({
    id: each.id,
    aud: 'authenticated',
    role: 'authenticated',
    email: each.email ?? '',
    email_confirmed_at: iso(each.created),
    app_metadata: { provider: 'email', providers: ['email'] },
    user_metadata: { first_name: each.first, last_name: 'Row' },
    identities: [],
    created_at: iso(each.created),
    updated_at: iso(each.changed),
    is_anonymous: false,
    ...each.more,
  }),
  polar: each => ({
    id: each.id,
    type: 'individual',
    email: each.email,
    name: `${each.first} Buyer`,
    external_id: null,
    metadata: {},
    created_at: iso(each.created),
    modified_at: each.changed === each.created ? null : iso(each.changed),
    ...each.more,
  }),
};

/** A person as the provider's list shows it. */
export const shown = (provider: string, person: Person): Record<string, unknown> => SHAPES[provider]?.(person) ?? {};

/** Pages as docs.stripe.com/api/pagination: newest first, `starting_after`, `has_more`. */
function stripe(people: Person[], url: URL): Response {
  const sorted = people.toSorted(byAge).reverse();
  const after = url.searchParams.get('starting_after');
  const from = after === null ? 0 : sorted.findIndex(each => each.id === after) + 1;
  const limit = Number(url.searchParams.get('limit') ?? 10);
  if (after !== null && from === 0)
    return json(
      {
        error: {
          type: 'invalid_request_error',
          code: 'resource_missing',
          param: 'starting_after',
          message: 'No such customer',
        },
      },
      400,
    );
  const data = sorted.slice(from, from + limit).map(each => shown('stripe', each));
  return json({ object: 'list', url: '/v1/customers', has_more: from + limit < sorted.length, data });
}

/** An array by `limit` and `offset`; `order_by=+created_at`. */
function clerk(people: Person[], url: URL): Response {
  const order = url.searchParams.get('order_by') ?? '-created_at';
  const sorted = order === '+created_at' ? people.toSorted(byAge) : people.toSorted(byAge).reverse();
  const offset = Number(url.searchParams.get('offset') ?? 0);
  const limit = Number(url.searchParams.get('limit') ?? 10);
  return json(sorted.slice(offset, offset + limit).map(each => shown('clerk', each)));
}

/** `{users, aud}` by `page` and `per_page`; `sort=created_at asc`; the total in a header. */
function supabase(people: Person[], url: URL): Response {
  const sorted =
    url.searchParams.get('sort') === 'created_at asc' ? people.toSorted(byAge) : people.toSorted(byAge).reverse();
  const page = Number(url.searchParams.get('page') ?? 1);
  const size = Number(url.searchParams.get('per_page') ?? 50);
  const users = sorted.slice((page - 1) * size, page * size).map(each => shown('supabase', each));
  return json({ users, aud: 'authenticated' }, 200, { 'x-total-count': String(people.length) });
}

/** `{items, pagination}` by `page` and `limit`; `sorting=created_at`. */
function polar(people: Person[], url: URL): Response {
  const sorted =
    url.searchParams.get('sorting') === 'created_at' ? people.toSorted(byAge) : people.toSorted(byAge).reverse();
  const page = Number(url.searchParams.get('page') ?? 1);
  const limit = Math.min(100, Number(url.searchParams.get('limit') ?? 10));
  const items = sorted.slice((page - 1) * limit, page * limit).map(each => shown('polar', each));
  const pagination = { total_count: people.length, max_page: Math.ceil(people.length / limit) };
  return json({ items, pagination });
}

const LISTS: Record<string, { path: string; list(people: Person[], url: URL): Response }> = {
  stripe: { path: '/v1/customers', list: stripe },
  clerk: { path: '/v1/users', list: clerk },
  supabase: { path: '/auth/v1/admin/users', list: supabase },
  polar: { path: '/v1/customers/', list: polar },
};

/** A provider's list API on loopback, answering in the provider's shapes, with mishaps on request. */
export class FakeApi {
  people: Person[] = [];
  /** Taken one per request, in order; then the list again. */
  mishaps: Mishap[] = [];
  /** Of every request that came. */
  urls: string[] = [];
  /** After a page was made, before it is sent. */
  afterPage: () => void = () => {};
  key: string;
  private readonly server: ReturnType<typeof Bun.serve>;

  constructor(readonly provider: string) {
    this.key = KEYS[provider] ?? '';
    this.server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: request => this.answer(request) });
  }

  get url(): string {
    return `http://127.0.0.1:${this.server.port}`;
  }

  /** An endpoint's settings that lead here. */
  get settings(): Record<string, unknown> {
    return { apiKey: this.key, [this.provider === 'supabase' ? 'projectUrl' : 'apiBase']: this.url };
  }

  private async answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    this.urls.push(url.pathname + url.search);
    const known = LISTS[this.provider];
    const mishap = this.mishaps.shift();
    const instead = mishap ? await mishap(request) : 'pass';
    if (instead !== 'pass') return instead;
    if (request.headers.get('authorization') !== `Bearer ${this.key}`)
      return json({ error: { message: 'bad key' } }, 401);
    if (this.provider === 'supabase' && request.headers.get('apikey') !== this.key) return json({}, 401);
    if (!known || request.method !== 'GET' || url.pathname !== known.path) return json({ error: {} }, 404);
    const page = known.list(this.people, url);
    if (page.ok) this.afterPage();
    return page;
  }

  stop(): void {
    void this.server.stop(true);
  }
}

const PREFIX: Record<string, string> = { stripe: 'cus_', clerk: 'user_', supabase: '', polar: '' };
const BORN = Date.parse('2024-01-01T00:00:00Z');

/** `n` people with addresses, a minute of age apart; ids as the provider makes them. */
export function crowd(provider: string, n: number, from = 0): Person[] {
  return Array.from({ length: n }, (_, i) => {
    const number = String(from + i).padStart(6, '0');
    const uuid = `00000000-0000-4000-8000-000000${number}`;
    const id = PREFIX[provider] ? `${PREFIX[provider]}${number}` : uuid;
    const created = BORN + (from + i) * 60_000;
    return { id, email: `p${number}@example.com`, first: `N${number}`, created, changed: created };
  });
}
