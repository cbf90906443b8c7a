import type { Database, Statement } from 'bun:sqlite';
import type { Answer } from './checkpointThread.ts';

// In the executable the thread is a further entry point of the build, found by its place below src/.
const isCompiled = Bun.main.startsWith('/$bunfs/');
const THREAD = isCompiled ? './db/sqlite/checkpointThread.ts' : new URL('./checkpointThread.ts', import.meta.url).href;

const LOOK_EVERY = 8; // commits
const BACKLOG = 1000; // pages of 4 KiB that are in the log only: small enough to be copied while the next ones come
const START_BACKLOG = 4000; // pages: a thread is started for them,
const START_MS = 10_000; // but only where they came as quickly as this
const IDLE_MS = 30_000; // then the thread ends

/**
 * Copies the log into the database file in a thread of its own while much is written: done by the writer itself, a checkpoint of 8,000
 * pages holds everybody up for 30 to 60 ms. The writer's own (`wal_autocheckpoint`) then finds little left to do, and begins the log anew;
 * without the thread it does all of it, as before.
 */
export class Checkpointer {
  private readonly look: Statement;
  private commits = 0;
  private askedAt = performance.now(); // also when a thread was not worth while
  private thread: Worker | null = null;
  private isBusy = false;
  private idle: Timer | undefined;

  /** `onFailure`: a checkpoint that failed, with SQLite's code. */
  constructor(
    writer: Database,
    private readonly file: string,
    private readonly onFailure: (error: Error) => void,
  ) {
    this.look = writer.prepare('pragma wal_checkpoint(noop)');
  }

  /** After each commit, outside of a transaction. */
  noteCommit(): void {
    if (++this.commits % LOOK_EVERY || this.isBusy) return;
    const backlog = this.readBacklog();
    if (backlog < (this.thread ? BACKLOG : START_BACKLOG)) return;
    const now = performance.now();
    const isSlow = now - this.askedAt > START_MS;
    this.askedAt = now;
    if (isSlow && !this.thread) return;
    this.isBusy = true;
    clearTimeout(this.idle);
    this.thread ??= this.startThread();
    this.thread.postMessage(this.file);
  }

  /** Pages that are in the log only. It costs 2 µs. */
  private readBacklog(): number {
    const [[, inLog = 0, copied = 0] = []] = this.look.values() as number[][];
    return inLog - copied;
  }

  /** Ends the thread once it has let go of the file; the writer's own checkpoints go on. */
  async stop(): Promise<void> {
    clearTimeout(this.idle);
    const { thread } = this;
    if (!thread) return;
    this.thread = null;
    await new Promise<void>(resolve => {
      thread.onmessage = ({ data }: MessageEvent<Answer>) => {
        if (data === 'closed') resolve();
      };
      thread.onerror = () => resolve();
      thread.postMessage(null);
    });
    thread.terminate();
    this.isBusy = false;
  }

  private startThread(): Worker {
    const thread = new Worker(THREAD, { smol: true });
    thread.unref();
    thread.onmessage = ({ data }: MessageEvent<Answer>) => {
      if (data === 'closed') return;
      this.isBusy = false;
      this.idle = setTimeout(() => void this.stop(), IDLE_MS);
      this.idle.unref();
      const { failure } = data;
      if (failure) this.onFailure(Object.assign(new Error(failure.message), { code: failure.code }));
    };
    thread.onerror = event => {
      this.thread = null;
      this.isBusy = false;
      this.onFailure(new Error(`The thread that copies the log failed: ${event.message}`));
    };
    return thread;
  }
}
