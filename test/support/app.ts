import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { type App, createApp, type Seams } from '../../src/app.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { findProvider } from '../../src/providers/index.ts';
import { dropDatabase, postgresDatabase } from './backends.ts';

export const API_KEY = 'test-key-0123456789abcdefghij';
export const SECRETS: Record<string, string> = {
  stripe: 'whsec_stripe0123456789abcdef0123456789',
  clerk: `whsec_${Buffer.from('clerk-key-of-24-bytes-ok').toString('base64')}`,
  supabase: 'supabase-header-secret-0123456789',
  polar: 'polar_whs_0123456789abcdef0123456789',
  resend: `whsec_${Buffer.from('resend-key-of-32-bytes-or-so-ok!').toString('base64')}`,
  postmark: 'postmark-header-secret-0123456789',
};

export interface Answer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked at field by field in assertions
  body: any;
}

/** `TEST_BACKEND=postgres`: the same tests on PostgreSQL. */
export const onPostgres = process.env.TEST_BACKEND === 'postgres';
const databases = new Map<string, string>();

/** One database for each folder, so that opening it again finds what was there. */
async function databaseOf(folder: string): Promise<Partial<Config>> {
  const databaseUrl = databases.get(folder) ?? (await postgresDatabase());
  databases.set(folder, databaseUrl);
  return { databaseUrl, secretKey: new Uint8Array(32).fill(7) };
}

/** The real app in a folder of its own, with a settable clock and its log lines kept. */
export class TestApp {
  readonly lines: string[] = [];
  /** ms; null: the real clock. */
  time: number | null = null;

  private constructor(
    readonly folder: string,
    readonly app: App,
    lines: string[],
  ) {
    this.lines = lines;
  }

  static async open(
    seams: Seams = {},
    overrides: Partial<Config> = {},
    folder = mkdtempSync(join(tmpdir(), 'inlet-app-')),
  ): Promise<TestApp> {
    const lines: string[] = [];
    const database = onPostgres && !overrides.dataDir ? await databaseOf(folder) : {};
    const { config } = readConfig(
      { INLET_API_KEY: API_KEY, INLET_DATA_DIR: join(folder, 'data'), INLET_LOG_LEVEL: 'trace' },
      {},
    );
    const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
    let self: TestApp | undefined;
    const now = () => self?.time ?? Date.now();
    const app = await createApp(
      { ...config, ...database, rateLimit: 0, ...overrides },
      { log, now, onFatal: () => {}, ...seams },
    );
    self = new TestApp(folder, app, lines);
    return self;
  }

  now(): number {
    return this.time ?? Date.now();
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Answer> {
    const response = await this.app.fetch(new Request(`http://localhost${path}`, init));
    const text = isStream(response) ? await readFirst(response) : await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text,
    };
  }

  api(method: string, path: string, body?: unknown, key = API_KEY): Promise<Answer> {
    const headers = { authorization: `Bearer ${key}` };
    return this.fetch(`/api/v1${path}`, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  }

  /** `/health` as somebody with a key sees it. */
  health(): Promise<Answer> {
    return this.fetch('/health', { headers: { authorization: `Bearer ${API_KEY}` } });
  }

  /** Sends a file to a route that takes CSV. */
  upload(path: string, file: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Answer> {
    const all = { authorization: `Bearer ${API_KEY}`, 'content-type': 'text/csv', ...headers };
    return this.fetch(`/api/v1${path}`, { method: 'POST', headers: all, body: file });
  }

  /** Makes an endpoint with the provider's usual test secret and returns its id. */
  async endpoint(provider: string, more: Record<string, unknown> = {}): Promise<string> {
    const made = await this.api('POST', '/endpoints', { provider, secret: SECRETS[provider], ...more });
    if (made.status !== 201) throw new Error(JSON.stringify(made.body));
    return made.body.id;
  }

  /** Posts a body (signed over its exact text) as the provider would. */
  post(
    endpointId: string,
    provider: string,
    body: unknown,
    options: { secret?: string; id?: string; headers?: Record<string, string>; at?: number } = {},
  ): Promise<Answer> {
    const known = findProvider(provider);
    if (!known) throw new Error(`no provider ${provider}`);
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const secret = options.secret ?? SECRETS[provider] ?? '';
    const signed = known.sign(text, secret, known.settings.parse({}), options.at ?? this.now());
    return this.fetch(`/webhooks/${endpointId}`, {
      method: 'POST',
      body: text,
      headers: { ...signed, ...options.headers },
    });
  }

  drain(): Promise<void> {
    return this.app.worker.drain();
  }

  /** The newest delivery of the log. */
  async latest() {
    return (await this.api('GET', '/deliveries?perPage=1')).body.data[0];
  }

  async contacts() {
    return (await this.api('GET', '/contacts?perPage=100')).body.data as Record<string, unknown>[];
  }

  async stop(keepFolder = false): Promise<void> {
    await this.app.stop();
    if (keepFolder) return;
    rmSync(this.folder, { recursive: true, force: true });
    const database = databases.get(this.folder);
    if (database) await dropDatabase(database);
    databases.delete(this.folder);
  }
}

const isStream = ({ headers }: Response) => headers.get('content-type')?.startsWith('text/event-stream') ?? false;

/** The beginning of what never ends by itself. */
async function readFirst(response: Response): Promise<string> {
  const reader = response.body!.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value);
}

let counter = 0;
/** A Stripe event about a customer; `object` overrides its fields. */
export function stripeEvent(type: string, object: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  const n = ++counter;
  const customer = {
    id: `cus_${n}`,
    object: 'customer',
    email: `user${n}@example.com`,
    name: 'Ada Lovelace',
    metadata: {},
    ...object,
  };
  return {
    id: `evt_${n}_${process.pid}`,
    object: 'event',
    type,
    created: Math.floor(Date.now() / 1000),
    livemode: false,
    data: { object: customer },
    ...more,
  };
}
