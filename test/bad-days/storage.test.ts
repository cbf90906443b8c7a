// databases: sqlite
import { Database } from 'bun:sqlite';
import { expect, test } from 'bun:test';
import { existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { MIGRATIONS, migrateSqlite } from '../../src/db/migrate.ts';
import { lists } from '../../src/db/schema.ts';
import { openSqlite } from '../../src/db/sqlite/store.ts';
import { StoreUnavailable } from '../../src/db/store.ts';
import { stripeEvent, TestApp } from '../support/app.ts';
import { sqliteFile } from '../support/backends.ts';
import { emptyFolder, start } from '../support/binary.ts';

const list = (id: string, size: number) => ({
  id,
  name: 'x'.repeat(size),
  description: null,
  isPublic: true,
  createdAt: 1,
});

test('a full database in the middle of a group commit: nobody is told a lie', async () => {
  const store = openSqlite(await sqliteFile());
  const pages = await store.write(async tx => (await tx.all<[number]>(sql`pragma page_count`))[0]);
  await store.write(tx => tx.run(sql.raw(`pragma max_page_count = ${Number(Object.values(pages ?? {})[0]) + 12}`)));
  const outcomes = await Promise.allSettled(
    Array.from({ length: 60 }, (_, i) =>
      store.write(tx => tx.insert(lists).values(list(`l${i}`, i % 7 === 3 ? 30_000 : 100))),
    ),
  );
  const kept = new Set((await store.read(tx => tx.select({ id: lists.id }).from(lists))).map(row => row.id));
  const refused = outcomes.filter(o => o.status === 'rejected');
  expect(refused.length).toBeGreaterThan(0);
  for (const [i, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') expect(kept.has(`l${i}`)).toBe(true);
    else expect(outcome.reason).toBeInstanceOf(StoreUnavailable);
  }
  await store.write(tx => tx.run(sql.raw('pragma max_page_count = 1000000')));
  await store.write(tx => tx.insert(lists).values(list('later', 30_000)));
  await store.close();
});

test('a full database: 503 with Retry-After, reads go on, recovery by itself, nothing acknowledged is lost', async () => {
  const app = await TestApp.open();
  const id = await app.endpoint('stripe');
  const { store } = app.app.ctx;
  const limit = (pages: number) => store.write(tx => tx.run(sql.raw(`pragma max_page_count = ${pages}`)));
  const [row] = await store.read(tx => tx.all<Record<string, number>>(sql`pragma page_count`));
  await limit(Number(Object.values(row ?? {})[0]) + 30);
  const acknowledged: string[] = [];
  let refused = 0;
  for (let i = 0; i < 200 && refused < 5; i++) {
    const event = stripeEvent('customer.created', { metadata: { note: 'x'.repeat(4000) } });
    const answer = await app.post(id, 'stripe', event);
    if (answer.status === 200) acknowledged.push(event.id);
    else {
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toBe('30');
      refused++;
    }
  }
  expect(refused).toBe(5);
  expect((await app.api('GET', '/deliveries')).status).toBe(200);
  expect((await app.fetch('/health')).status).toBe(503);
  await limit(1_000_000);
  expect((await app.post(id, 'stripe', stripeEvent('customer.created'))).status).toBe(200);
  expect((await app.fetch('/health')).status).toBe(200);
  await app.drain();
  for (let cursor = ''; ; ) {
    const page = (await app.api('GET', `/deliveries?perPage=100&cursor=${cursor}`)).body;
    for (const each of page.data) {
      expect(each.status).toBe('processed');
      const at = acknowledged.indexOf(each.externalId);
      if (at >= 0) acknowledged.splice(at, 1);
    }
    cursor = page.pagination.nextCursor;
    if (!cursor) break;
  }
  expect(acknowledged).toEqual([]);
  await app.stop();
});

const root = process.getuid?.() === 0;
const canMount =
  root &&
  Bun.spawnSync(['sh', '-c', 'd=$(mktemp -d) && mount -t tmpfs -o size=1m none "$d" && umount "$d"']).exitCode === 0;
if (!canMount) console.log('storage: no small tmpfs can be mounted here, so a really full disk is not tested');

test.skipIf(!canMount)('a really full disk: 503, reads go on, recovery by itself when space returns', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'inlet-full-'));
  Bun.spawnSync(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'none', folder]);
  try {
    const app = await TestApp.open({}, {}, folder);
    const id = await app.endpoint('stripe');
    const ballast = join(folder, 'ballast');
    Bun.spawnSync(['sh', '-c', `dd if=/dev/zero of=${ballast} bs=64k 2>/dev/null`]);
    const event = () => stripeEvent('customer.created', { metadata: { note: 'y'.repeat(20_000) } });
    const kept: string[] = [];
    let refused = 0;
    for (let i = 0; i < 400 && refused < 3; i++) {
      const each = event();
      const { status } = await app.post(id, 'stripe', each);
      if (status === 200) kept.push(each.id);
      else refused++;
    }
    expect(refused).toBe(3);
    expect((await app.api('GET', '/contacts')).status).toBe(200);
    rmSync(ballast);
    const after = event();
    expect((await app.post(id, 'stripe', after)).status).toBe(200);
    await app.drain();
    const log = await app.api('GET', '/deliveries?perPage=100&status=processed');
    expect(log.body.pagination.totalResults).toBe(kept.length + 1);
    await app.stop(true);
  } finally {
    Bun.spawnSync(['umount', '-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  }
});

const gcc = existsSync('/usr/bin/gcc');
if (!gcc) console.log('storage: no C compiler here, so a failing fsync is not tested');

test.skipIf(!gcc)(
  'a failing fsync: 503, then the process stops with an error',
  async () => {
    const cwd = emptyFolder();
    const trigger = join(cwd, 'fail-now');
    writeFileSync(
      join(cwd, 'bad.c'),
      `#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
static int bad(void) { if (access("${trigger}", F_OK) != 0) return 0; errno = EIO; return 1; }
int fsync(int fd) { if (bad()) return -1; return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd); }
int fdatasync(int fd) { if (bad()) return -1; return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd); }
`,
    );
    expect(
      Bun.spawnSync(['gcc', '-shared', '-fPIC', '-o', join(cwd, 'bad.so'), join(cwd, 'bad.c'), '-ldl']).exitCode,
    ).toBe(0);
    const KEY = 'storage-key-0123456789abcdef';
    const server = await start({ cwd, env: { LD_PRELOAD: join(cwd, 'bad.so'), INLET_API_KEY: KEY } });
    const make = (name: string) =>
      fetch(`${server.url}/api/v1/lists`, {
        method: 'POST',
        body: JSON.stringify({ name }),
        headers: { authorization: `Bearer ${KEY}` },
      });
    expect((await make('before')).status).toBe(201);
    writeFileSync(trigger, '');
    expect((await make('during')).status).toBe(503);
    const ended = await Promise.race([server.exited, Bun.sleep(5000).then(() => 'still running')]);
    expect(ended).toBe(74);
    rmSync(trigger);
    const again = await start({ cwd, env: { INLET_API_KEY: KEY }, args: ['--data', join(cwd, 'inlet-data')] });
    expect(again.url).toContain('http');
    await again.stop();
  },
  30_000,
);

test('the database file is moved away while running: Inlet stops', async () => {
  const cwd = emptyFolder();
  const server = await start({ cwd });
  renameSync(join(cwd, 'inlet-data/inlet.db'), join(cwd, 'elsewhere.db'));
  const ended = await Promise.race([server.exited, Bun.sleep(6000).then(() => 'still running')]);
  expect(ended).toBe(74);
}, 30_000);

test('a migration that fails leaves the old schema, with a copy made before', async () => {
  const file = await sqliteFile();
  MIGRATIONS.push('create table half (id text primary key); insert into nowhere values (1);');
  try {
    const db = new Database(file);
    expect(() => migrateSqlite(db, file)).toThrow();
    expect(db.query("select name from sqlite_master where name = 'half'").all()).toEqual([]);
    expect(db.query<{ user_version: number }, []>('pragma user_version').get()?.user_version).toBe(
      MIGRATIONS.length - 1,
    );
    db.close();
    expect(existsSync(`${file}.before-v${MIGRATIONS.length}`)).toBe(true);
  } finally {
    MIGRATIONS.pop();
  }
  await openSqlite(file).close();
});
