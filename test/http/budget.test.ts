// databases: sqlite
import { afterEach, expect, test } from 'bun:test';
import { SQL } from 'bun';
import { countHeld } from '../../src/http/budget.ts';
import { type Answer, stripeEvent, TestApp } from '../support/app.ts';
import { dropDatabase, postgresDatabase, withPostgres } from '../support/backends.ts';

const MIB = 1024 * 1024;

let app: TestApp;
let databaseUrl: string | null = null;
afterEach(async () => {
  await app.stop();
  if (databaseUrl !== null) await dropDatabase(databaseUrl);
  databaseUrl = null;
});

/** Lets nobody write until the function that it gives is called. */
async function stallDatabase(): Promise<() => Promise<void>> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (databaseUrl === null) {
    const held = app.app.ctx.store.write(() => promise);
    return async () => {
      resolve();
      await held;
    };
  }
  const sql = new SQL(databaseUrl, { max: 1 });
  const begun = Promise.withResolvers<void>();
  const held = sql.begin(async tx => {
    await tx.unsafe('lock table deliveries in access exclusive mode');
    begun.resolve();
    await promise;
  });
  await begun.promise;
  return async () => {
    resolve();
    await held;
    await sql.close();
  };
}

const backends = withPostgres ? ['sqlite', 'postgres'] : ['sqlite'];
for (const backend of backends) {
  test(`while the database stands still, what waits for it keeps its share: memory is bounded (${backend})`, async () => {
    if (backend === 'postgres') databaseUrl = await postgresDatabase();
    app = await TestApp.open({}, databaseUrl === null ? {} : { databaseUrl, secretKey: new Uint8Array(32).fill(7) });
    const [first, second, third] = [
      await app.endpoint('stripe'),
      await app.endpoint('stripe'),
      await app.endpoint('stripe'),
    ];
    const release = await stallDatabase();
    const large = JSON.stringify(stripeEvent('customer.created', { metadata: { note: 'x'.repeat(900_000) } }));
    const answers: Answer[] = [];
    const send = async (endpoint: string) => void answers.push(await app.post(endpoint, 'stripe', large));
    const sent = Array.from({ length: 60 }, () => [send(first), send(second)]).flat();
    for (let i = 0; i < 400 && answers.length < 60; i++) await Bun.sleep(10);
    const small = app.post(third, 'stripe', stripeEvent('customer.created'));
    expect(countHeld()).toBeLessThanOrEqual(64 * MIB);
    expect(countHeld()).toBeGreaterThan(30 * MIB);
    expect(answers.length).toBeGreaterThanOrEqual(60);
    for (const { status, headers } of answers) {
      expect(status).toBe(503);
      expect(headers.get('retry-after')).toMatch(/^\d+$/);
    }
    await release();
    await Promise.all(sent);
    expect((await small).status).toBe(200);
    expect(countHeld()).toBe(0);
    expect(new Set(answers.map(each => each.status))).toEqual(new Set([200, 503]));
  }, 60_000);
}
