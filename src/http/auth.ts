import { eq } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { keys } from '../db/schema.ts';
import { AppError } from '../errors.ts';
import { findKey, hashKey } from '../keys.ts';
import { sameText } from '../providers/signatures.ts';
import type { Sealer } from '../sealing.ts';

const FAILURES_PER_MINUTE = 20;
const MAX_ADDRESSES = 10_000;
const MINUTE_MS = 60_000;
const RECHECK_MS = 500;

interface Known {
  id: string;
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

/** Whose valid key it was. */
export interface Caller {
  /** The key's id; `INLET_API_KEY` for the one of the environment. */
  keyId: string;
  hash: string;
}

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
      const keyId = await this.idOf(key, hash);
      if (keyId !== null) return { keyId, hash };
    }
    this.countFailure(peer ?? 'unknown');
    throw new AppError('unauthorized', 'Invalid API key');
  }

  /**
   * Who may read the details of `/health`: the id of an API key, or of the key that seals secrets, which `inlet doctor` has; '' for
   * a stranger, who shows none. @throws AppError as `check` does
   */
  async identify(header: string | null, peer: string | null): Promise<string> {
    if (header === null) return '';
    if (isSealedBy(this.ctx.sealer, header)) return 'INLET_SECRET_KEY';
    return (await this.check(header, peer)).keyId;
  }

  /** Null: no valid key. */
  private async idOf(key: string, hash: string): Promise<string | null> {
    if (this.ownHash !== null && sameText(this.ownHash, hash)) return 'INLET_API_KEY';
    const now = performance.now();
    const cached = this.known.get(hash);
    if (cached && now - cached.checkedAt < RECHECK_MS) return cached.id;
    const row = await this.ctx.store.read(tx => findKey(tx, key));
    if (!row) {
      this.known.delete(hash);
      return null;
    }
    if (this.known.size > 1000) this.known.clear();
    this.known.set(hash, { id: row.id, checkedAt: now });
    this.touch(row.id, now);
    return row.id;
  }

  /** A revoked key is gone at once in this process. */
  forget(): void {
    this.known.clear();
  }

  private touch(id: string, now: number): void {
    if (now - (this.touched.get(id) ?? -MINUTE_MS) < MINUTE_MS) return;
    this.touched.set(id, now);
    const at = this.ctx.now();
    this.ctx.store
      .write(async tx => {
        await tx.update(keys).set({ lastUsedAt: at }).where(eq(keys.id, id));
      })
      .catch(error => this.ctx.log.warn({ err: error }, 'could not note when a key was used'));
  }

  private countFailure(address: string): void {
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
