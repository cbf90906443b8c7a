import { Database } from 'bun:sqlite';
import { afterAll, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { query } from '../../src/db/sets.ts';
import { openSqlite } from '../../src/db/sqlite/store.ts';

setDefaultTimeout(30_000);
const folder = mkdtempSync(join(tmpdir(), 'inlet-checkpoint-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Pages in the log, and those of them that are in the file too. */
function readLog(file: string): [number, number] {
  using db = new Database(file);
  const [[, inLog = 0, copied = 0] = []] = db.query('pragma wal_checkpoint(noop)').values() as number[][];
  return [inLog, copied];
}

async function writePages(store: ReturnType<typeof openSqlite>, commits: number): Promise<void> {
  const name = 'x'.repeat(200_000); // some 50 pages
  for (let i = 0; i < commits; i++)
    await store.write(tx =>
      query(tx, "insert or replace into meta (key, value) values ('filler', ?) returning key", [name + i]),
    );
}

test('a burst of writes is copied into the file beside the writer, before its own checkpoint is due', async () => {
  const file = join(folder, 'burst.db');
  const store = openSqlite(file);
  await writePages(store, 110); // 5,500 of the 8,000 pages at which the writer would
  const end = Date.now() + 15_000;
  while (readLog(file)[1] < 4000 && Date.now() < end) await Bun.sleep(20);
  const [inLog, copied] = readLog(file);
  expect(inLog).toBeLessThan(8000);
  expect(copied).toBeGreaterThanOrEqual(4000);
  await store.close();
});

test('the log does not grow while writes go on', async () => {
  const file = join(folder, 'steady.db');
  const store = openSqlite(file);
  let most = 0;
  for (let i = 0; i < 20; i++) {
    await writePages(store, 40);
    most = Math.max(most, readLog(file)[0]);
  }
  expect(most).toBeLessThan(12_000); // of 40,000 that were written
  await store.close();
});

test('a checkpoint that fails in the thread is told like a failed commit', async () => {
  const file = join(folder, 'gone.db');
  const failures: string[] = [];
  const store = openSqlite(file, { onCommit: error => error && failures.push(error.message) });
  await writePages(store, 10);
  const moved = `${file}.moved`;
  for (const end of ['', '-wal', '-shm']) await Bun.$`mv ${file + end} ${moved + end}`.quiet();
  await writePages(store, 110);
  const end = Date.now() + 15_000;
  while (!failures.length && Date.now() < end) await Bun.sleep(20);
  expect(failures[0]).toContain('unable to open database file');
  await store.close();
});
