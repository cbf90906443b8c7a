import { eq } from 'drizzle-orm';
import { isSameOrigin, readCookie } from '../access/cookie.ts';
import { findKey, hashKey } from '../access/keys.ts';
import { extendSession, findSession } from '../access/sessions.ts';
import type { Context } from '../context.ts';
import { keys, type Scope } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { areTextsEqual } from '../providers/signatures.ts';
import type { Sealer } from '../sealing.ts';
import { MINUTE_MS } from '../time.ts';

const FAILURES_PER_MINUTE = 20;
const MAX_ADDRESSES = 10_000;
const RECHECK_MS = 500;

interface Known {
  caller: Caller;
  checkedAt: number;
}

const INSIDE = 'health';

/** An `Authorization` that shows to a server with the same sealing key that we have it. */
export const makeAuthorization = (sealer: Sealer): string => `Bearer ${sealer.seal(INSIDE, INSIDE)}`;

function isSealedBy(sealer: Sealer, header: string): boolean {
  try {
    return sealer.open(header.replace(/^Bearer /i, ''), INSIDE) === INSIDE;
  } catch {
    return false;
  }
}

/** Whose valid key or session it was. */
export interface Caller {
  /** The key's id, also where it signed in; `INLET_API_KEY` for the one of the environment, the session's id where it has no key. */
  keyId: string;
  hash: string;
  scope: Scope;
  sessionId: string | null;
}

const WRITES_NEED_ORIGIN =
  'A request that changes something by the cookie of a session has to come from the page itself (Sec-Fetch-Site: same-origin, or its Origin). In a script send an API key: Authorization: Bearer KEY.';
const ENDED = 'Your session has ended. Sign in again with an API key, or with a link from: inlet login';

/** Who calls: by key, with its rate, and with the failures of an address. Times by the monotonic clock. */
export class Auth {
  private readonly known = new Map<string, Known>(); // by hash
  private readonly failures = new Map<string, { since: number; count: number }>();
  private readonly spent = new Map<string, { tokens: number; at: number }>();
  private readonly touched = new Map<string, number>();
  private readonly ownHash: string | null;

  constructor(private readonly ctx: Context) {
    this.ownHash = ctx.config.apiKey === null ? null : hashKey(ctx.config.apiKey);
  }

  /** The caller by its valid key. @throws AppError unauthorized, or rateLimited after too many failures */
  async check(header: string | null, peer: string | null): Promise<Caller> {
    const key = /^Bearer ([\x21-\x7e]{1,300})$/i.exec(header ?? '')?.[1];
    if (key !== undefined) {
      const hash = hashKey(key);
      const caller = await this.callerOf(key, hash);
      if (caller) return caller;
    }
    this.countFailure(peer);
    throw new AppError('unauthorized', 'Invalid API key');
  }

  /**
   * The caller of the API: by key, else by the session's cookie. What a cookie changes has to come from a page of ours.
   * @throws AppError unauthorized, forbidden, or rateLimited after too many failures
   */
  async authenticate({ headers, method }: Request, peer: string | null): Promise<Caller> {
    const { publicUrl } = this.ctx.config;
    const header = headers.get('authorization');
    const token = header === null ? readCookie(headers, publicUrl) : null;
    if (token === null) return this.check(header, peer);
    if (!/^(GET|HEAD)$/.test(method) && !isSameOrigin(headers, publicUrl))
      throw new AppError('forbidden', WRITES_NEED_ORIGIN);
    const caller = await this.callerOfSession(hashKey(token));
    if (caller) return caller;
    this.countFailure(peer);
    throw new AppError('unauthorized', ENDED);
  }

  /** Whether the key or session of a request that was let in before still holds. Counts no failure and spends nothing. */
  async isStillValid({ headers }: Request): Promise<boolean> {
    const key = /^Bearer (.+)$/i.exec(headers.get('authorization') ?? '')?.[1];
    if (key !== undefined) return (await this.callerOf(key, hashKey(key))) !== null;
    const token = readCookie(headers, this.ctx.config.publicUrl);
    return token !== null && (await this.callerOfSession(hashKey(token))) !== null;
  }

  /**
   * Who may read the details of `/health`: the id of an API key, of a session, or of the key that seals secrets, which `inlet doctor`
   * has; '' for a stranger, who shows none. @throws AppError as `check` does
   */
  async identify({ headers }: Request, peer: string | null): Promise<string> {
    const header = headers.get('authorization');
    if (header === null) {
      const token = readCookie(headers, this.ctx.config.publicUrl);
      return (token === null ? null : await this.callerOfSession(hashKey(token)))?.keyId ?? '';
    }
    if (isSealedBy(this.ctx.sealer, header)) return 'INLET_SECRET_KEY';
    return (await this.check(header, peer)).keyId;
  }

  /** Null: no valid key. */
  private async callerOf(key: string, hash: string): Promise<Caller | null> {
    if (this.ownHash !== null && areTextsEqual(this.ownHash, hash))
      return { keyId: 'INLET_API_KEY', hash, scope: 'all', sessionId: null };
    return this.recall(hash, async () => {
      const row = await this.ctx.store.read(tx => findKey(tx, key));
      if (!row) return null;
      const { id, scope } = row;
      this.touch(id, tx => tx.update(keys).set({ lastUsedAt: this.ctx.now() }).where(eq(keys.id, id)));
      return { keyId: id, hash, scope, sessionId: null };
    });
  }

  /** Null: no session that goes on. */
  private callerOfSession(hash: string): Promise<Caller | null> {
    return this.recall(`session ${hash}`, async () => {
      const now = this.ctx.now();
      const row = await this.ctx.store.read(tx => findSession(tx, hash, this.ownHash, now));
      if (!row) return null;
      this.touch(row.id, tx => extendSession(tx, row.id, now));
      return { keyId: row.keyId ?? row.id, hash, scope: row.scope, sessionId: row.id };
    });
  }

  /** What `load` found a moment ago, or finds now. */
  private async recall(name: string, load: () => Promise<Caller | null>): Promise<Caller | null> {
    const now = performance.now();
    const cached = this.known.get(name);
    if (cached && now - cached.checkedAt < RECHECK_MS) return cached.caller;
    const caller = await load();
    if (caller === null) {
      this.known.delete(name);
      return null;
    }
    if (this.known.size > 1000) this.known.clear();
    this.known.set(name, { caller, checkedAt: now });
    return caller;
  }

  /** A revoked key or session is gone at once in this process. */
  forget(): void {
    this.known.clear();
  }

  /** Notes that a key or a session is used, once a minute. */
  private touch(id: string, note: (tx: Tx) => Promise<unknown>): void {
    const now = performance.now();
    if (now - (this.touched.get(id) ?? -MINUTE_MS) < MINUTE_MS) return;
    if (this.touched.size > 1000) this.touched.clear();
    this.touched.set(id, now);
    this.ctx.store
      .write(note)
      .catch(error => this.ctx.log.warn({ err: error }, 'could not note when a key or a session was used'));
  }

  /** One more failure of an address. @throws AppError rateLimited after too many */
  countFailure(peer: string | null): void {
    const address = peer ?? 'unknown';
    const now = performance.now();
    const entry = this.failures.get(address);
    if (!entry || now - entry.since > MINUTE_MS) {
      if (this.failures.size >= MAX_ADDRESSES) this.failures.clear();
      this.failures.set(address, { since: now, count: 1 });
      return;
    }
    if (++entry.count > FAILURES_PER_MINUTE) {
      throw new AppError(
        'rateLimited',
        'Too many requests with a wrong API key from your address. Wait a minute, then use the right key.',
      );
    }
  }

  /** Spends one request of a key. Gives what is left of this second; -1: too many. */
  spend(hash: string): number {
    const limit = this.ctx.config.rateLimit;
    const now = performance.now();
    const bucket = this.spent.get(hash) ?? { tokens: limit, at: now };
    bucket.tokens = Math.min(limit, bucket.tokens + ((now - bucket.at) / 1000) * limit);
    bucket.at = now;
    if (this.spent.size > 1000) this.spent.clear();
    this.spent.set(hash, bucket);
    if (bucket.tokens < 1) return -1;
    bucket.tokens -= 1;
    return Math.floor(bucket.tokens);
  }
}
