import type { Database, SQLQueryBindings, Statement } from 'bun:sqlite';
import { AsyncLocalStorage } from 'node:async_hooks';
import { statSync } from 'node:fs';
import { drizzle } from 'drizzle-orm/sqlite-proxy';
import { yieldTurn } from '../../time.ts';
import { migrateSqlite } from '../migrate.ts';
import * as schema from '../schema.ts';
import { dialects, direct, type Hold, type Store, StoreUnavailable, type Tx } from '../store.ts';
import { Checkpointer } from './checkpointer.ts';
import { connectTo } from './connection.ts';

const MAX_WAITING = 4000; // writes; beyond it the senders are asked to retry
const MAX_BATCH = 512; // writes; the time below ends a batch sooner, unless syncing is what takes long
const MAX_STATEMENTS = 500;
const MAX_BATCH_MS = 25;

export interface SqliteOptions {
  /** Called once when going on would be dishonest: a failed fsync, a corrupt file. The caller stops the process. */
  onFatal?(error: Error): void;
  /** Told the outcome of every commit, for health. */
  onCommit?(error: Error | null): void;
}

interface Waiting {
  fn(tx: Tx): Promise<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface Ran {
  job: Waiting;
  value: unknown;
}

/** The SQLite result code anywhere in the chain of causes, e.g. `SQLITE_FULL`; '' when there is none. */
function findSqliteCode(error: unknown): string {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('code' in e && typeof e.code === 'string' && e.code.startsWith('SQLITE_')) return e.code;
  }
  return '';
}

const CANNOT_WRITE = /^SQLITE_(FULL|IOERR|BUSY|LOCKED|NOMEM|CORRUPT|NOTADB|READONLY|CANTOPEN|PROTOCOL)/;
const FATAL = /^SQLITE_(IOERR_(FSYNC|DIR_FSYNC)|CORRUPT|NOTADB)/;

/** Drizzle over one bun:sqlite connection. Statements are kept by their text; the map is bounded. */
function wrapInDrizzle(db: Database): Tx {
  const statements = new Map<string, Statement>();
  const statement = (text: string) => {
    let found = statements.get(text);
    if (!found) {
      if (statements.size >= MAX_STATEMENTS) {
        for (const old of statements.values()) old.finalize();
        statements.clear();
      }
      found = db.prepare(text);
      statements.set(text, found);
    }
    return found;
  };
  const run = (text: string, params: unknown[], rows: boolean): unknown[][] => {
    const found = statement(text);
    const bound = params as SQLQueryBindings[];
    if (rows) return found.values(...bound);
    found.run(...bound);
    return [];
  };
  const tx = drizzle(
    async (text, params, method) => {
      const rows = run(text, params, method !== 'run');
      return { rows: method === 'get' ? rows[0]! : rows };
    },
    { schema },
  );
  direct.set(tx, run);
  dialects.set(tx, 'sqlite');
  return tx;
}

/** A `Store` on one file: one connection that writes in group commits, one that reads. Migrates first. */
export class SqliteStore implements Store {
  readonly kind = 'sqlite';
  private readonly writer: Database;
  private readonly reader: Database;
  private readonly writeTx: Tx;
  private readonly readTx: Tx;
  private readonly inode: number;
  private readonly checkpointer: Checkpointer;
  private readonly inside = new AsyncLocalStorage<true>();
  private readonly begin: Statement;
  private readonly savepoint: Statement;
  private readonly release: Statement;
  private readonly commit: Statement;
  private readonly dataVersion: Statement;
  private waiting: Waiting[] = [];
  private pumping: Promise<void> | null = null;
  private closed = false;

  constructor(
    readonly file: string,
    private readonly options: SqliteOptions = {},
  ) {
    this.writer = connectTo(file, 'writer');
    migrateSqlite(this.writer, file);
    this.reader = connectTo(file, 'reader');
    this.writeTx = wrapInDrizzle(this.writer);
    this.begin = this.writer.prepare('begin immediate');
    this.savepoint = this.writer.prepare('savepoint job');
    this.release = this.writer.prepare('release job');
    this.commit = this.writer.prepare('commit');
    this.dataVersion = this.writer.prepare('pragma data_version');
    this.readTx = wrapInDrizzle(this.reader);
    this.checkpointer = new Checkpointer(this.writer, file, error => this.report(error));
    this.inode = file === ':memory:' ? 0 : statSync(file).ino;
  }

  async read<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    return fn(this.readTx);
  }

  write<T>(fn: (tx: Tx) => Promise<T>): Promise<T> {
    if (this.inside.getStore()) return Promise.reject(new Error('write inside write: pass the outer tx on instead'));
    if (this.closed) return Promise.reject(new StoreUnavailable('the database is closing'));
    if (this.waiting.length >= MAX_WAITING) return Promise.reject(new StoreUnavailable('too many writes are waiting'));
    return new Promise<T>((resolve, reject) => {
      this.waiting.push({ fn, resolve: value => resolve(value as T), reject });
      this.pumping ??= this.pump();
    });
  }

  readonly lanes = 1;

  /** One writer: whoever writes holds everything. */
  writePeople<T>(_lane: number, fn: (tx: Tx, hold: Hold) => Promise<T>): Promise<T> {
    return this.write(tx => fn(tx, async () => {}));
  }

  async version(): Promise<number> {
    return (this.dataVersion.get() as { data_version: number } | null)?.data_version ?? 0;
  }

  /** True once the file under us was renamed, deleted or replaced: writes would succeed into nowhere. */
  moved(): boolean {
    try {
      return statSync(this.file).ino !== this.inode;
    } catch {
      return true;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    while (this.pumping) await this.pumping;
    await this.checkpointer.stop();
    this.reader.close();
    this.writer.close();
  }

  /** Writes that came while a commit ran share the next one. The macrotask between lets requests in and answers out. */
  private async pump(): Promise<void> {
    while (this.waiting.length) {
      await yieldTurn();
      await this.inside.run(true, () => this.commitBatch());
    }
    this.pumping = null;
  }

  /**
   * Runs a batch in one transaction: together at first, since a savepoint for each would copy every page that they share. When one
   * throws, all is rolled back and they run again, each in a savepoint of its own.
   */
  private async commitBatch(): Promise<void> {
    const jobs = this.waiting.splice(0, MAX_BATCH);
    const all = [...jobs];
    let ran: Ran[] | null = null;
    try {
      this.begin.run();
      if (jobs.length > 1) ran = await this.together(jobs);
      if (!ran) {
        if (!this.writer.inTransaction) this.begin.run();
        ran = await this.oneByOne(jobs);
      }
    } catch (error) {
      return this.lost(error, all);
    }
    if (!ran) return;
    try {
      this.commit.run();
    } catch (error) {
      if (this.writer.inTransaction) this.writer.run('rollback');
      return this.lost(
        error,
        ran.map(r => r.job),
      );
    }
    if (ran.length) this.options.onCommit?.(null);
    for (const { job, value } of ran) job.resolve(value);
    this.checkpointer.noteCommit();
  }

  /** As many jobs as there is time for, taken from `jobs`. Null when one threw: nothing of them is left. */
  private async together(jobs: Waiting[]): Promise<Ran[] | null> {
    const until = performance.now() + MAX_BATCH_MS;
    const ran: Ran[] = [];
    for (const job of jobs) {
      if (ran.length && performance.now() >= until) break;
      try {
        ran.push({ job, value: await job.fn(this.writeTx) });
      } catch (error) {
        if (FATAL.test(findSqliteCode(error))) this.report(error);
        if (this.writer.inTransaction) this.writer.run('rollback');
        return null;
      }
    }
    this.waiting.unshift(...jobs.slice(ran.length));
    return ran;
  }

  /** The same, each in a savepoint; who throws is refused. Null when SQLite rolled back everything. */
  private async oneByOne(jobs: Waiting[]): Promise<Ran[] | null> {
    const until = performance.now() + MAX_BATCH_MS;
    const ran: Ran[] = [];
    while (jobs.length && (ran.length === 0 || performance.now() < until)) {
      const job = jobs.shift()!;
      try {
        this.savepoint.run();
        const value = await job.fn(this.writeTx);
        this.release.run();
        ran.push({ job, value });
      } catch (error) {
        if (!this.writer.inTransaction) {
          // The earlier jobs of this batch included: none of them may be acknowledged.
          this.waiting.unshift(...jobs);
          this.lost(error, [job, ...ran.map(r => r.job)]);
          return null;
        }
        this.writer.run('rollback to job');
        this.writer.run('release job');
        const code = findSqliteCode(error);
        job.reject(CANNOT_WRITE.test(code) ? new StoreUnavailable('the database could not write', error) : error);
        if (code) this.report(error);
      }
    }
    this.waiting.unshift(...jobs);
    return ran;
  }

  /** Nobody knows of these jobs whether they are on disk. */
  private lost(error: unknown, jobs: Waiting[]): void {
    const failure = new StoreUnavailable('the database could not commit', error);
    for (const job of jobs) job.reject(failure);
    this.report(error);
  }

  private report(error: unknown): void {
    const failure = error instanceof Error ? error : new Error(String(error));
    this.options.onCommit?.(failure);
    if (FATAL.test(findSqliteCode(error))) this.options.onFatal?.(failure);
  }
}

/** Opens and migrates the file. @throws AppError when it is not ours or newer than this binary */
export const openSqlite = (file: string, options?: SqliteOptions) => new SqliteStore(file, options);
