// Makes a SQLite file as release 0.1 left it, with so many contacts, to try the upgrade on: bun bench/former.ts FILE [CONTACTS = 100000]
import { Database } from 'bun:sqlite';
import { APPLICATION_ID, MIGRATIONS } from '../src/db/migrate.ts';
import { makeId } from '../src/id.ts';

const FORMER = 9; // migrations that release had

/** Of ten contacts one is unsubscribed by the API, one has two customers, one an auth user, one a guest, one is on a list. */
export function makeFormer(file: string, contacts: number): void {
  const db = new Database(file);
  db.run('pragma page_size = 4096');
  db.run('pragma auto_vacuum = incremental');
  for (const migration of MIGRATIONS.slice(0, FORMER)) db.run(migration);
  db.run(`pragma application_id = ${APPLICATION_ID}`);
  db.run(`pragma user_version = ${FORMER}`);
  db.run('pragma journal_mode = wal');
  const start = 1_760_000_000_000;
  const keyOf = (i: number, n: number) => `${String(start + i * 1000).padStart(16, '0')}.${n}.evt_${i}_${n}`;
  const contact = db.prepare(
    `insert into contacts (id, email, user_id, first_name, source, user_group, subscribed, properties, created_at, updated_at) values (?, ?, ?, 'Ada', ?, '', ?, '{"plan":"pro"}', ?, ?)`,
  );
  const identity = db.prepare(
    'insert into identities (id, provider, contact_id, registers, created_at) values (?, ?, ?, ?, ?)',
  );
  const link = db.prepare('insert into links (value, identity_id) values (?, ?)');
  const member = db.prepare('insert into memberships (contact_id, list_id) values (?, ?)');
  db.run("insert into lists (id, name, is_public, created_at) values ('list_news', 'News', 0, 0)");
  db.run("insert into properties (key, type, created_at) values ('plan', 'string', 0)");
  const said = { source: [], userGroup: [], subscribed: [] as object[], lists: {}, claims: [], erased: null };
  db.run('begin');
  for (let i = 0; i < contacts; i++) {
    const kind = i % 10;
    const id = makeId('con', start + i);
    const email = `former${i}@example.com`;
    const isUser = kind === 2;
    const of = isUser ? 'auth' : kind === 3 ? 'address' : 'payment';
    const provider = isUser ? 'clerk' : 'stripe';
    const personId = of === 'address' ? null : isUser ? `user_${i}` : `cus_${i}`;
    const source = isUser ? 'Clerk webhook' : 'Stripe webhook';
    contact.run(id, email, isUser ? personId : null, source, kind === 0 ? 0 : 1, start, start);
    const registersOf = (n: number, who: string | null) => {
      const k = keyOf(i, n);
      const version = <T>(v: T) => [{ a: of === 'address' ? 0 : 1, k, v }];
      return JSON.stringify({
        class: of,
        personId: who,
        first: k,
        last: k,
        links: {
          [`email:${email}`]: k,
          ...(isUser && { [`user:${who}`]: k }),
          ...(kind === 4 && { [`id:stripe:pi_${i}`]: k }),
        },
        email: version(email),
        firstName: version('Ada'),
        lastName: [],
        userId: isUser ? version(who) : [],
        props: { plan: [{ a: 1, k, v: 'pro' }] },
        lists: kind === 5 ? { list_news: k } : {},
        origin: { k, source, userGroup: '' },
        died: null,
        buried: null,
        mapped: null,
      });
    };
    const first = personId === null ? `stripe:@${email}` : `${provider}:${personId}`;
    identity.run(first, provider, id, registersOf(0, personId), start);
    link.run(`email:${email}`, first);
    if (isUser) link.run(`user:${personId}`, first);
    if (kind === 1) {
      identity.run(`stripe:cus_${i}b`, 'stripe', id, registersOf(1, `cus_${i}b`), start);
      link.run(`email:${email}`, `stripe:cus_${i}b`);
    }
    if (kind === 5) member.run(id, 'list_news');
    if (kind === 0) {
      const k = keyOf(i, 2);
      const words = { ...said, subscribed: [{ a: 1, k, v: false }] };
      const registers = {
        class: 'api',
        personId: null,
        first: k,
        last: k,
        links: { [`email:${email}`]: k },
        email: [],
        firstName: [],
        lastName: [],
        userId: [],
        props: {},
        lists: {},
        origin: null,
        died: null,
        buried: null,
        mapped: null,
        said: words,
      };
      identity.run(`api:@${email}`, 'api', id, JSON.stringify(registers), start);
      link.run(`email:${email}`, `api:@${email}`);
    }
  }
  db.run('commit');
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
}

if (import.meta.main) {
  const [file = '', contacts = '100000'] = process.argv.slice(2);
  makeFormer(file, Number(contacts));
}
