// databases: sqlite
import { describe, expect, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { examine } from '../../src/cli/doctor.ts';
import { jobs } from '../../src/db/schema.ts';
import { enqueue } from '../../src/jobs/queue.ts';
import { TestApp } from '../support/app.ts';
import { postgresDatabase, withPostgres } from '../support/backends.ts';

const SECRET_KEY = { secretKey: new Uint8Array(32).fill(7) };

for (const kind of withPostgres ? ['sqlite', 'postgres'] : ['sqlite'])
  describe(`a job that was given up (${kind})`, () => {
    test('is shown by the API, health and doctor, and goes on where it stopped when it is retried', async () => {
      const overrides = kind === 'postgres' ? { ...SECRET_KEY, databaseUrl: await postgresDatabase() } : {};
      const app = await TestApp.open({}, overrides);
      const { store } = app.app.ctx;
      app.time = Date.now();
      await store.write(async tx => {
        await enqueue(tx, 'no.such.kind', { to: 'private@example.com' }, app.now());
        await enqueue(tx, 'workflows.release', { workflowId: 'wf' }, app.now());
      });
      expect((await app.api('GET', '/jobs?status=dead')).body.data).toEqual([]);
      for (let i = 0; i < 6; i++) {
        await app.drain();
        app.time += 60_000;
      }
      const dead = (await app.api('GET', '/jobs?status=dead')).body;
      expect(dead.pagination.totalResults).toBe(1);
      const [job] = dead.data;
      expect(job).toMatchObject({ kind: 'no.such.kind', status: 'dead', attempts: 5, dueAt: null });
      expect(JSON.stringify(dead)).not.toContain('private@');
      const all = (await app.api('GET', '/jobs')).body.data;
      expect(all.map((each: { status: string }) => each.status).sort()).toEqual(['dead', 'done']);
      expect((await app.api('GET', '/jobs?status=done')).body.data).toHaveLength(1);
      const ofKind = async (query: string) =>
        (await app.api('GET', `/jobs?kind=${query}`)).body.pagination.totalResults;
      expect(await ofKind('no.such.kind')).toBe(1);
      expect(await ofKind('no.such.kind&status=dead')).toBe(1);
      expect(await ofKind('no.such.kind&status=done')).toBe(0);
      expect(await ofKind('workflows.release&status=done')).toBe(1);
      expect((await app.health()).body).toMatchObject({ status: 'ok', deadJobs: 1 });
      const found = (await examine(app.app.ctx.config)).find(each => each.check === 'jobs');
      expect(found).toMatchObject({ status: 'warn', message: expect.stringContaining('1 given up (no.such.kind)') });

      const finished = all.find((each: { status: string }) => each.status === 'done');
      expect((await app.api('POST', `/jobs/${finished.id}/retry`)).status).toBe(409);
      expect((await app.api('POST', '/jobs/job_none/retry')).status).toBe(404);
      await store.write(async tx => {
        // The cause is mended.
        await tx
          .update(jobs)
          .set({ kind: 'workflows.release', payload: { workflowId: 'wf' } })
          .where(eq(jobs.id, job.id));
      });
      expect((await app.api('POST', `/jobs/${job.id}/retry`)).status).toBe(200);
      await app.drain();
      expect((await app.api('GET', '/jobs?status=dead')).body.data).toEqual([]);
      expect((await app.api('GET', '/jobs?status=done')).body.data).toHaveLength(2);
      expect((await app.health()).body.deadJobs).toBe(0);
      await app.stop();
    }, 30_000);
  });
