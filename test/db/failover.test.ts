// databases: sqlite
import { afterAll, describe, expect, test } from 'bun:test';
import { openPostgres } from '../../src/db/postgres/connect.ts';
import { splitHosts } from '../../src/db/postgres/hosts.ts';
import { query } from '../../src/db/sets.ts';
import { AppError } from '../../src/errors.ts';
import { stripeEvent, TestApp } from '../support/app.ts';
import { withPostgres } from '../support/backends.ts';
import { Postgres } from '../support/postgres.ts';

test.each([
  ['postgres://u:p%40@one/x?pool=5', ['postgres://u:p%40@one/x?pool=5']],
  ['postgres://u:p@one:1,two:2/x?a=b,c', ['postgres://u:p@one:1/x?a=b,c', 'postgres://u:p@two:2/x?a=b,c']],
  ['postgresql://[::1]:1,[fd00::1]/x', ['postgresql://[::1]:1/x', 'postgresql://[fd00::1]/x']],
  ['nonsense', ['nonsense']],
])('the hosts of %s', (url, urls) => expect(splitHosts(url)).toEqual(urls));

describe.skipIf(!withPostgres)('a primary with a synchronous standby', () => {
  let app: TestApp | undefined;
  afterAll(async () => {
    await app?.stop();
  });

  test('when the primary dies and the standby is promoted, the instance finds it, and nothing acknowledged is lost', async () => {
    const primary = await Postgres.start(['wal_level=replica', 'max_connections=60', 'wal_receiver_timeout=5s']);
    await primary.query('postgres', 'create database inlet');
    const standby = await primary.addStandby();
    const [one, two] = [primary, standby].map(server => new URL(server.url('inlet')).host);
    const databaseUrl = `postgres://inlet@${two},${one}/inlet`; // the one that only reads first
    app = await TestApp.open({}, { databaseUrl, secretKey: new Uint8Array(32).fill(7) });
    const id = await app.endpoint('stripe');

    const acknowledged: string[] = [];
    let refused = 0;
    let over = false;
    const send = async () => {
      while (!over) {
        const answer = await app?.post(id, 'stripe', stripeEvent('customer.created'));
        if (answer?.status === 200) acknowledged.push(answer.body.deliveryId);
        else {
          expect(answer?.status).toBe(503);
          refused++;
          await Bun.sleep(50);
        }
      }
    };
    const senders = Array.from({ length: 4 }, send);
    await Bun.sleep(1500);
    const before = acknowledged.length;
    expect(before).toBeGreaterThan(0);
    await primary.stop('QUIT');
    await Bun.sleep(500);
    await standby.query('postgres', 'select pg_promote()');
    const promoted = acknowledged.length;
    for (let i = 0; i < 400 && acknowledged.length < promoted + 20; i++) await Bun.sleep(50);
    over = true;
    await Promise.all(senders);

    expect(refused).toBeGreaterThan(0);
    expect(acknowledged.length).toBeGreaterThanOrEqual(promoted + 20);
    const kept = (await standby.query('inlet', 'select id from deliveries')) as { id: string }[];
    const ids = new Set(kept.map(row => row.id));
    expect(acknowledged.filter(each => !ids.has(each))).toEqual([]);
    expect((await app.health()).body).toMatchObject({ status: 'ok', storeTrouble: null });

    // An old primary that comes back is no standby of its own accord: the newer timeline counts.
    await primary.run();
    const store = await openPostgres(`postgres://inlet@${one},${two}/inlet`, undefined, false);
    const [row] = await store.read(tx => query(tx, 'select max(id) from deliveries', []));
    await store.close();
    expect(row).toEqual([acknowledged.toSorted().at(-1)]);

    await standby.stop();
    await primary.stop();
    const error = await openPostgres(databaseUrl).catch(caught => caught);
    expect(error).toBeInstanceOf(AppError);
    expect(error.message).toContain('takes writes now');
  }, 120_000);
});
