// databases: sqlite
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { importChunks, importFailures, imports, jobs } from '../../src/db/schema.ts';
import { claimJob, enqueue, freeJobs, pruneJobs } from '../../src/jobs/queue.ts';
import { TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

const DAY = 86_400_000;
const upload = async (file: string) => (await app.upload('/contacts/import', file)).body.id as string;
const rowsOf = <T extends typeof imports | typeof importChunks | typeof importFailures | typeof jobs>(table: T) =>
  app.app.ctx.store.read(tx => tx.select().from(table));

test('a job under way in five crashes is buried: its import fails with a sentence, its file goes, others go on', async () => {
  const { store } = app.app.ctx;
  const id = await upload('email\na@x.co\n');
  app.time = Date.now();
  const waits: number[] = [];
  for (let crash = 1; crash <= 5; crash++) {
    expect(await store.write(tx => claimJob(tx, app.now()))).toMatchObject({ attempts: crash });
    await app.app.worker.recoverAll(); // the process died and began again
    const [job] = await store.read(tx => tx.select().from(jobs));
    waits.push((job?.dueAt ?? 0) - app.now());
    expect((await app.api('GET', `/imports/${id}`)).body.state).toBe('queued');
    app.time += 60_000;
  }
  expect(waits[0]).toBe(0);
  for (const wait of waits.slice(1)) expect(wait >= 5000 && wait <= 10_000).toBe(true);
  const other = await upload('email\nb@x.co\n');
  await app.drain();
  const failed = (await app.api('GET', `/imports/${id}`)).body;
  expect(failed).toMatchObject({
    state: 'failed',
    rows: 0,
    error: expect.stringContaining('again and again after row 1;'),
  });
  expect(failed.finishedAt).not.toBe(null);
  expect((await app.api('GET', `/imports/${other}`)).body).toMatchObject({ state: 'done', created: 1 });
  expect(await rowsOf(importChunks)).toEqual([]);
  expect((await rowsOf(jobs)).map(job => job.status).sort()).toEqual(['dead', 'done', 'done']);
  expect(app.lines.join('')).toContain('was given up');
});

test('a job that fails five times is buried, too', async () => {
  const { store } = app.app.ctx;
  const id = await upload('email\na@x.co\n');
  const broken = { plan: {} as never };
  await store.write(tx => tx.update(imports).set(broken).where(eq(imports.id, id)));
  app.time = Date.now();
  for (let i = 0; i < 5; i++) {
    await app.drain();
    app.time += 60_000;
  }
  expect((await rowsOf(imports))[0]).toMatchObject({
    state: 'failed',
    error: expect.stringContaining('again and again'),
  });
});

test('what is due stays due after a start, and what failed once is tried at once', async () => {
  const { store } = app.app.ctx;
  await store.write(tx => enqueue(tx, 'workflows.end', {}, 1000));
  await store.write(tx => freeJobs(tx, 5000));
  expect((await rowsOf(jobs))[0]).toMatchObject({ dueAt: 1000 });
});

test('the minute’s round removes uploads that were cut off, old imports with their reports, and old jobs', async () => {
  const { store, config } = app.app.ctx;
  const old = await upload('email,firstName\nnone,Private\na@x.co,A\n');
  const cut = await upload('email\nb@x.co\n');
  await store.write(tx => tx.update(imports).set({ state: 'uploading' }).where(eq(imports.id, cut)));
  await app.drain();
  // Ids never step back: in a process whose clock was ahead before, they are of then.
  const made = (await rowsOf(jobs)).map(({ id }) => Number.parseInt(id.slice(4, 13).toLowerCase(), 36));
  const later = Math.max(Date.now(), ...made) + (config.retentionDays + 1) * DAY;
  expect((await rowsOf(importFailures)).length).toBe(1);
  await app.app.worker.start();
  await app.app.worker.stop();
  expect((await rowsOf(imports)).length).toBe(2); // neither is old yet
  await app.stop(true);
  app = await TestApp.open({}, {}, app.folder);
  app.time = later;
  await app.app.worker.start();
  await app.app.worker.stop();
  expect(await rowsOf(imports)).toEqual([]);
  expect(await rowsOf(importFailures)).toEqual([]);
  expect(await rowsOf(importChunks)).toEqual([]);
  expect(await rowsOf(jobs)).toEqual([]);
  await app.app.ctx.store.write(tx => enqueue(tx, 'contacts.import', { id: old }, later));
  expect(await app.app.ctx.store.write(tx => pruneJobs(tx, later + DAY, 500))).toBe(0); // not done yet
});
