import { Database } from 'bun:sqlite';
import { afterAll, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { createKey, listKeys } from '../../src/access/keys.ts';
import { MIGRATIONS } from '../../src/db/migrate.ts';
import { workflows } from '../../src/db/schema.ts';
import { backupSqlite, restoreSqlite, verifyCopy } from '../../src/db/sqlite/backup.ts';
import { openSqlite, type SqliteStore } from '../../src/db/sqlite/store.ts';
import { loadMailSettings, setMailSettings } from '../../src/mail/settings.ts';

const root = mkdtempSync(join(tmpdir(), 'inlet-backup-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const NOW = new Date('2026-11-01T12:00:00Z');
let count = 0;
let folder = '';
let file = '';
let copy = '';
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
  file = join(folder, 'inlet.db');
  copy = join(folder, 'copy.db');
});

async function withNames<T>(path: string, fn: (store: SqliteStore) => Promise<T>): Promise<T> {
  const store = openSqlite(path);
  try {
    return await fn(store);
  } finally {
    await store.close();
  }
}
const names = (store: SqliteStore) => store.read(async tx => (await listKeys(tx)).map(k => k.name).sort());
const add = (store: SqliteStore, name: string) => store.write(tx => createKey(tx, name, 1));

test('a copy made while the database is in use holds what was committed before, and comes back', async () => {
  await withNames(file, async store => {
    await add(store, 'before');
    expect(backupSqlite(file, copy)).toMatchObject({
      schemaVersion: MIGRATIONS.length,
      endpoints: 0,
      contacts: 0,
      deliveries: 0,
      fingerprint: null,
    });
    await add(store, 'after');
  });
  expect((statSync(copy).mode & 0o777).toString(8)).toBe('600');
  const { kept } = restoreSqlite(copy, file, NOW);
  expect(kept).toBe(`${file}.before-restore-20261101T120000Z`);
  expect((statSync(file).mode & 0o777).toString(8)).toBe('600');
  expect(await withNames(file, names)).toEqual(['before']);
  expect(await withNames(kept ?? '', names)).toEqual(['after', 'before']);
  expect(readdirSync(folder).filter(name => /part|restoring/.test(name))).toEqual([]);
});

test('what a killed server left in its log stays with the replaced database', async () => {
  const store = openSqlite(file);
  await add(store, 'only in the log');
  backupSqlite(file, copy);
  await add(store, 'later');
  const { kept } = restoreSqlite(copy, file, NOW); // the store is still open, as after kill -9: its log was not folded in by a close
  expect(await withNames(kept ?? '', names)).toEqual(['later', 'only in the log']);
  expect(await withNames(file, names)).toEqual(['only in the log']);
});

test('what comes back sends nothing by itself: mail and running workflows are paused, and say why', async () => {
  await withNames(file, store =>
    store.write(async tx => {
      await setMailSettings(tx, { maxPerHour: 7 });
      for (const state of ['running', 'draft'])
        await tx.run(sql`insert into workflows (id, name, state, graph, root_node, created_at, updated_at)
          values (${`wf_${state}`}, 'w', ${state}, '{}', '{}', 1, 1)`);
    }),
  );
  backupSqlite(file, copy);
  expect(restoreSqlite(copy, file, NOW).paused).toBe(1);
  await withNames(file, async store => {
    const settings = await store.read(loadMailSettings);
    expect(settings).toMatchObject({ paused: true, maxPerHour: 7, pauseReason: expect.stringContaining('restored') });
    const states = await store.read(tx =>
      tx.select({ state: workflows.state, at: workflows.pausedAt }).from(workflows).orderBy(workflows.id),
    );
    expect(states).toEqual([
      { state: 'draft', at: null },
      { state: 'paused', at: NOW.getTime() },
    ]);
    await store.write(tx => setMailSettings(tx, { paused: false }));
    expect(await store.read(loadMailSettings)).toMatchObject({ paused: false, pauseReason: null });
  });
});

test('it works where nothing was before', async () => {
  await withNames(file, store => add(store, 'moved'));
  backupSqlite(file, copy);
  const elsewhere = join(folder, 'new.db');
  expect(restoreSqlite(copy, elsewhere, NOW).kept).toBeNull();
  expect(await withNames(elsewhere, names)).toEqual(['moved']);
});

test('a backup never overwrites and leaves nothing behind when it fails', async () => {
  await withNames(file, store => add(store, 'x'));
  writeFileSync(copy, 'mine');
  expect(() => backupSqlite(file, copy)).toThrow('exists already');
  expect(() => backupSqlite(file, join(folder, 'nowhere/copy.db'))).toThrow("Can't write the backup");
  expect(readdirSync(folder).filter(name => name.includes('part'))).toEqual([]);
});

test('what is damaged, foreign or newer is not restored, and the database stays', async () => {
  await withNames(file, store => add(store, 'x'));
  const bad = join(folder, 'bad.db');
  const refused = (why: string) => {
    expect(() => restoreSqlite(bad, file, NOW)).toThrow(why);
    expect(existsSync(`${file}.restoring`)).toBe(false);
  };
  refused("can't be read");
  writeFileSync(bad, 'not a database at all'.repeat(100));
  refused("can't be read");
  rmSync(bad);
  new Database(bad, { create: true }).run('create table t (a)');
  refused('not a backup made by Inlet');
  rmSync(bad);
  backupSqlite(file, bad);
  const db = new Database(bad);
  db.run('pragma user_version = 99');
  db.close();
  refused('newer Inlet');
  expect(await withNames(file, names)).toEqual(['x']);
  expect(verifyCopy(file).schemaVersion).toBe(MIGRATIONS.length);
});

test.each([
  'create trigger t after insert on contacts begin delete from keys; end',
  'create view v as select * from keys',
])('a backup that somebody added to is refused, and what is there stays: %s', async added => {
  await withNames(file, async store => {
    await add(store, 'before');
    backupSqlite(file, copy);
  });
  const db = new Database(copy);
  db.run(added);
  db.close();
  expect(() => restoreSqlite(copy, file, NOW)).toThrow('holds triggers or views');
  expect(await withNames(file, names)).toEqual(['before']);
});
