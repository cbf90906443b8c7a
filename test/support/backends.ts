import { afterAll, describe } from 'bun:test';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/db/sqlite.ts';
import type { Store } from '../../src/db/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'inlet-test-'));
let template: string | null = null;
let files = 0;

/** A migrated, empty SQLite file of its own: a copy of a template, which is faster than migrating. */
export async function sqliteFile(): Promise<string> {
  if (!template) {
    const path = join(folder, 'template.db');
    await openSqlite(path).close();
    template = path;
  }
  const file = join(folder, `${process.pid}-${files++}.db`);
  copyFileSync(template, file);
  return file;
}

/** Runs the same tests on every database: SQLite always. `open` gives a new, empty, migrated store. */
export function eachBackend(name: string, tests: (open: () => Promise<Store>) => void): void {
  describe(`${name} (sqlite)`, () => {
    const opened: Store[] = [];
    afterAll(async () => {
      for (const store of opened) await store.close();
    });
    tests(async () => {
      const store = openSqlite(await sqliteFile());
      opened.push(store);
      return store;
    });
  });
}

process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
