// databases: sqlite
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import type { Context } from '../../src/context.ts';
import { backfills, jobs, mails, runs, webhookCalls } from '../../src/db/schema.ts';
import type { Store } from '../../src/db/store.ts';
import { makeBackfillLoop } from '../../src/inbound/backfill/run.ts';
import { enqueue } from '../../src/jobs/queue.ts';
import { Worker } from '../../src/jobs/worker.ts';
import { makeGuardedFetch } from '../../src/net/fetch.ts';
import { Engine } from '../../src/workflows/engine.ts';
import { closeAll, smtp } from '../mail/support.ts';
import { call, calls, closeReceivers, receiver, subscribe } from '../outgoing/receiver.ts';
import { TestApp } from '../support/app.ts';
import { withPostgres } from '../support/backends.ts';
import { crowd, FakeApi } from '../support/fakeApi.ts';
import { Postgres } from '../support/postgres.ts';
import { smtpSink } from '../support/smtp.ts';

let postgres: Postgres;
let databases = 0;
let app: TestApp | null = null;

async function opened(more = {}, seams = {}): Promise<TestApp> {
  const name = `o${databases++}`;
  await postgres.query('postgres', `create database ${name}`);
  const databaseUrl = postgres.url(name);
  app = await TestApp.open(seams, { secretKey: new Uint8Array(32).fill(7), databaseUrl, ...more });
  return app;
}

/** The same context, whose database goes away in an instant: before the `nth` write from now on. */
function awayBefore(nth: number, ctx: Context): Context {
  let writes = 0;
  const { store } = ctx;
  const write: Store['write'] = async fn => {
    if (++writes === nth) await postgres.stop('QUIT');
    return store.write(fn);
  };
  return { ...ctx, store: Object.create(store, { write: { value: write } }) as Store };
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 15_000; !(await what().catch(() => false)); ) {
    if (performance.now() > end) throw new Error('it did not come to that');
    await Bun.sleep(30);
  }
}

describe.skipIf(!withPostgres)('while the database is away', () => {
  beforeAll(async () => {
    postgres = await Postgres.start(['max_connections=60']);
  }, 120_000);
  afterEach(async () => {
    await postgres.run();
    await app?.stop();
    await closeAll();
    app = null;
  });
  afterAll(async () => {
    closeReceivers();
    await postgres?.remove();
  });

  test('a run keeps its starts and goes on at once when it is back, not when its lease ends', async () => {
    const { ctx } = (await opened()).app;
    const trigger = { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['w'] };
    const timer = { typeName: 'TimerAction', amount: 1, unit: 'm', nextNodeIds: ['x'] };
    const nodes = { t: trigger, w: timer, x: { typeName: 'ExitAction', nextNodeIds: [] } };
    const { id } = (await app!.api('POST', '/workflows', { name: 'w' })).body;
    await app!.api('PUT', `/workflows/${id}/graph`, { rootNodeId: 't', nodes });
    await app!.api('POST', `/workflows/${id}/start`);
    for (const email of ['a@x.co', 'b@x.co']) await app!.api('POST', '/events/send', { email, eventName: 'paid' });
    const engine = new Engine(awayBefore(2, ctx));
    const later = app!.now() + 61_000;
    await engine.duty(later);
    await postgres.run();
    await until(async () => (await engine.duty(later)) === 2);
    const rows = await ctx.store.read(tx => tx.select().from(runs));
    expect(rows.map(row => row.status)).toEqual(['completed', 'completed']);
  }, 60_000);
  test('a job keeps its starts and goes on at once when it is back', async () => {
    const { ctx } = (await opened()).app;
    await ctx.store.write(tx => enqueue(tx, 'workflows.release', { workflowId: 'none' }, 1));
    const worker = new Worker(awayBefore(2, ctx));
    await worker.drain().catch(() => {});
    await postgres.run();
    await until(async () => {
      await worker.drain();
      return (await ctx.store.read(tx => tx.select().from(jobs)))[0]?.status === 'done';
    });
    expect((await ctx.store.read(tx => tx.select().from(jobs)))[0]).toMatchObject({ attempts: 1, error: null });
  }, 60_000);
  test('a back-fill goes on at once when it is back, and the try does not count', async () => {
    const api = new FakeApi('stripe');
    api.people = crowd('stripe', 3);
    const { ctx } = (await opened({}, { fetch: makeGuardedFetch({ anywhere: true, deadlineMs: 2000 }) })).app;
    const endpoint = await app!.endpoint('stripe', { settings: api.settings });
    const { id } = (await app!.api('POST', `/endpoints/${endpoint}/backfill`, {})).body;
    const duty = makeBackfillLoop(awayBefore(2, ctx), new AbortController().signal);
    await duty(app!.now()).catch(() => {});
    await postgres.run();
    await until(async () => (await duty(app!.now())) === 1);
    api.stop();
    expect((await app!.api('GET', `/backfills/${id}`)).body).toMatchObject({ state: 'done', error: null, read: 3 });
    expect(await ctx.store.read(tx => tx.select({ tries: backfills.tries }).from(backfills))).toEqual([{ tries: 0 }]);
  }, 60_000);
  test('a call that was answered and a mail that was taken are noted when it is back, not made again', async () => {
    // Both are asked; then the database goes away; then both say yes.
    const { promise: away, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    const leave = () => {
      if (++asked === 2) postgres.stop('QUIT').then(resolve);
      return away;
    };
    const there = await receiver();
    there.answer = (_, response) => void leave().then(() => response.end('ok'));
    const server = await smtpSink({ onMailFrom: (_, __, done) => void leave().then(() => done()) });
    const { ctx } = (await opened({ allowPrivateTargets: true, ...smtp(server.port) })).app;
    const { id } = await subscribe(app!, there.url, ['contact.created']);
    await app!.api('POST', '/contacts/create', { email: 'ada@x.co' });
    const body = { transactionalId: 'example', email: 'b@x.co', dataVariables: {} };
    expect((await app!.api('POST', '/transactional', body)).status).toBe(200);
    await ctx.store.read(tx => tx.select().from(mails)); // a connection that breaks
    await app!.app.worker.start();
    await until(async () => there.got.length > 0 && server.mails.length > 0);
    await Bun.sleep(1500); // nothing can be written
    await postgres.run();
    await until(async () => {
      const [sent] = await ctx.store.read(tx => tx.select().from(mails));
      const [made] = await ctx.store.read(tx => tx.select().from(webhookCalls));
      return sent?.state === 'sent' && made?.state === 'delivered';
    });
    await Bun.sleep(500);
    expect([there.got.length, server.mails.length]).toEqual([1, 1]);
    const [made] = await calls(app!, id);
    expect(await call(app!, made.id)).toMatchObject({ state: 'delivered', attemptCount: 1 });
    await server.close();
  }, 60_000);
});
