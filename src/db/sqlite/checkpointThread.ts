import { Database } from 'bun:sqlite';

/* Runs in a thread of its own, a further entry point of the build. Copies what the log holds into the database file. */

interface Checkpointed {
  /** Null: it is done. */
  failure: { message: string; code: string } | null;
}
export type Answer = Checkpointed | 'closed';

declare const self: Worker;
let db: Database | null = null;

/** Beside a writer: a passive checkpoint waits for nobody and lets nobody wait. */
function writeCheckpoint(file: string): Checkpointed {
  try {
    if (!db) {
      db = new Database(file, { readwrite: true, create: false, strict: true });
      for (const each of ['cache_size = -2000', 'synchronous = full', 'checkpoint_fullfsync = on'])
        db.run(`pragma ${each}`);
    }
    db.run('pragma wal_checkpoint(passive)');
    return { failure: null };
  } catch (error) {
    const { message, code } = error as Error & { code?: unknown };
    return { failure: { message: String(message), code: typeof code === 'string' ? code : '' } };
  }
}

/** A file to copy the log of, or null: to let go of it. */
self.onmessage = ({ data: file }: MessageEvent<string | null>) => {
  if (file !== null) return postMessage(writeCheckpoint(file));
  db?.close();
  db = null;
  postMessage('closed');
};
