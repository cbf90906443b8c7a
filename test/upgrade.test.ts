import { Database } from 'bun:sqlite';
import { afterEach, describe, expect, test } from 'bun:test';
import { dirname, join } from 'node:path';
import { makeFormer } from '../bench/former.ts';
import { upgradePeople } from '../src/audience/upgrade.ts';
import { APPLICATION_ID, MIGRATIONS } from '../src/db/migrate.ts';
import { keys, sessions } from '../src/db/schema.ts';
import { openSqlite } from '../src/db/sqlite/store.ts';
import type { Store, Tx } from '../src/db/store.ts';
import { sqliteFile } from './support/backends.ts';
import { audience, NOW, tell } from './support/facts.ts';

const opened: Store[] = [];
let files = 0;
const newFile = async () => join(dirname(await sqliteFile()), `former${++files}-${process.pid}.db`);
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});
const open = (file: string) => {
  const store = openSqlite(file);
  opened.push(store);
  return store;
};
const upgrade = (store: Store, report: (message: string) => void = () => {}) =>
  upgradePeople(store, NOW, report, async () => false);

/** What the former release showed, read past our own code. */
function shownIn(file: string) {
  const db = new Database(file, { readonly: true });
  const rows = db
    .query(
      'select email, user_id as userId, first_name as firstName, source, subscribed, properties from contacts order by email',
    )
    .all();
  db.close();
  return (rows as { subscribed: number; properties: string }[]).map(row => ({
    ...row,
    subscribed: row.subscribed === 1,
    properties: JSON.parse(row.properties),
  }));
}

describe('an installation of release 0.1', () => {
  test('shows the same contacts after the upgrade, and its registers, ties and payments find them', async () => {
    const file = await newFile();
    makeFormer(file, 400);
    const before = shownIn(file);
    const store = open(file);
    const said: string[] = [];
    await upgrade(store, message => said.push(message));
    expect(said[0]).toContain('Upgrading');
    expect(await audience(store)).toMatchObject(before);
    const applied = await tell(store, {
      provider: 'stripe',
      id: 'late',
      fact: { personId: 'cus_6', email: 'former6@example.com', firstName: 'Eva', at: NOW, rank: 1 },
    });
    expect(applied.effects.map(each => each.kind)).toEqual(['contact.updated']);
    const paid = await tell(store, {
      provider: 'stripe',
      id: 'dispute',
      fact: { payments: ['pi_4'], authority: 'copy', at: NOW },
    });
    expect(paid.status).toBe('processed');
  });

  test('who unsubscribed stays so, with a new account at the same address too', async () => {
    const file = await newFile();
    makeFormer(file, 20);
    const store = open(file);
    await upgrade(store);
    await tell(store, {
      provider: 'clerk',
      id: 'anew',
      fact: { personId: 'user_new', userId: 'user_new', email: 'former10@example.com', at: NOW, rank: 0 },
    });
    const all = await audience(store);
    expect(all.find(each => each.email === 'former10@example.com')).toMatchObject({
      subscribed: false,
      userId: 'user_new',
    });
  });

  test('stopped anywhere, it goes on where it stopped and gives the same', async () => {
    const whole = await newFile();
    makeFormer(whole, 1300);
    const first = open(whole);
    await upgrade(first);
    const file = await newFile();
    makeFormer(file, 1300);
    const store = open(file);
    for (let writes = 1; ; writes++) {
      let left = writes;
      const mortal = new Proxy(store, {
        get(target, name) {
          if (name === 'write')
            return (fn: (tx: Tx) => Promise<unknown>) => {
              if (left-- <= 0) throw new Error('killed');
              return target.write(fn);
            };
          const value = Reflect.get(target, name);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }) as Store;
      const done = await upgrade(mortal).then(
        () => true,
        error => {
          if (error.message !== 'killed') throw error;
          return false;
        },
      );
      if (done) break;
      if (writes > 60) throw new Error('it never ends');
    }
    expect(await audience(store)).toEqual(await audience(first));
  });

  test('is refused while somebody serves it', async () => {
    const file = await newFile();
    makeFormer(file, 10);
    const store = open(file);
    expect(
      upgradePeople(
        store,
        NOW,
        () => {},
        async () => true,
      ),
    ).rejects.toThrow('Stop all instances');
  });
});

test('a key that may do everything is called so after the upgrade, one that reads stays one', async () => {
  const file = await newFile();
  const db = new Database(file);
  for (const migration of MIGRATIONS.slice(0, 15)) db.run(migration);
  db.run(`pragma application_id = ${APPLICATION_ID}`);
  db.run('pragma user_version = 15');
  for (const scope of ['full', 'read']) {
    db.run("insert into keys (id, name, hash, hint, created_at, scope) values (?1, 'k', ?1, '', 1, ?1)", [scope]);
    db.run(
      "insert into sessions (id, hash, state, scope, created_at, expires_at) values (?1, ?1, 'active', ?1, 1, 2)",
      [scope],
    );
  }
  db.close();
  const store = open(file);
  const scopes = await store.read(async tx => [await tx.select().from(keys), await tx.select().from(sessions)]);
  for (const rows of scopes)
    expect(rows.map(row => [row.id, row.scope]).sort()).toEqual([
      ['full', 'all'],
      ['read', 'read'],
    ]);
});
