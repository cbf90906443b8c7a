// `bun bench/search.ts [--contacts N]`: how long each filter of contacts takes over the real routes, and how long it holds the thread.
import { Database } from 'bun:sqlite';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { createLog } from '../src/log.ts';
import { machine } from './machine.ts';

const { values } = parseArgs({
  options: { contacts: { type: 'string', default: '1000000' }, rounds: { type: 'string', default: '60' } },
});
const MANY = Number(values.contacts);
const ROUNDS = Number(values.rounds);
const KEY = 'bench-key-0123456789abcdefghij';
const YEAR_MS = 365 * 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'inlet-search-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const FIRST = ['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Linus', 'Margaret', 'Dennis', 'Ken', 'Radia'];
const LAST = [
  'Lovelace',
  'Hopper',
  'Turing',
  'Dijkstra',
  'Liskov',
  'Torvalds',
  'Hamilton',
  'Ritchie',
  'Thompson',
  'Perlman',
];
const start = Date.now() - YEAR_MS;
const atOf = (i: number) => start + Math.floor((i / MANY) * YEAR_MS);
const idOf = (i: number) => `con_${atOf(i).toString(36).padStart(9, '0')}${i.toString(36).padStart(15, '0')}`;

/** Contacts over a year: names of ten, a twelfth with a rare last name, groups and sources from half of all to one in 100,000. */
function fill(file: string): void {
  const db = new Database(file);
  db.run('pragma synchronous = off');
  db.run('pragma cache_size = -200000');
  const contact =
    db.prepare(`insert into contacts (id, email, user_id, first_name, last_name, source, user_group, subscribed, properties, created_at, updated_at)
    values (?, ?, ?, ?, ?, ?, ?, ?, '{"plan":"pro"}', ?, ?)`);
  const member = db.prepare('insert into memberships (contact_id, list_id) values (?, ?)');
  const list = db.prepare(`insert into lists (id, name, is_public, created_at) values (?, ?, 0, 0)`);
  for (const id of ['list_half', 'list_old', 'list_rare']) list.run(id, id);
  db.run('begin');
  for (let i = 0; i < MANY; i++) {
    const id = idOf(i);
    const n = (i * 7919) % MANY;
    const source = i % 2 ? 'Stripe webhook' : i % 100_000 === 4 ? 'Polar webhook' : 'API';
    const group = i % 20 === 1 ? 'Customers' : i % 5000 === 7 ? 'Founders' : '';
    contact.run(
      id,
      `${(n * 31).toString(36)}.${n}@example.com`,
      i % 4 ? null : `user_${i}`,
      FIRST[n % 10] ?? null,
      n % 1000 ? (LAST[(n >> 4) % 10] ?? null) : `Rare${n / 1000}`,
      source,
      group,
      i % 50 ? 1 : 0,
      atOf(i),
      atOf(i),
    );
    if (i % 2) member.run(id, 'list_half');
    if (i < 30_000) member.run(id, 'list_old');
    if (i % 40_000 === 9) member.run(id, 'list_rare');
    if (i % 100_000 === 99_999) {
      db.run('commit');
      db.run('begin');
    }
  }
  db.run('commit');
  db.run(
    `insert into identities (id, provider, contact_id, registers, created_at) select 'api:user:' || user_id, 'api', id, '{}', 0 from contacts where user_id is not null`,
  );
  db.run(
    `insert into links (value, identity_id) select 'user:' || user_id, 'api:user:' || user_id from contacts where user_id is not null`,
  );
  db.run('pragma wal_checkpoint(truncate)');
  db.close();
}

const iso = (ms: number) => new Date(ms).toISOString();
const DAY = 86_400_000;
const cases: [string, () => string][] = [
  ['no filter', () => ''],
  [
    'q: whole address',
    () => {
      const n = Math.floor(Math.random() * MANY);
      return `q=${(n * 31).toString(36)}.${n}@`;
    },
  ],
  ['q: three letters', () => `q=${(46656 + Math.floor(Math.random() * 40_000)).toString(36).slice(0, 3)}`],
  ['q: one letter', () => `q=${'abcdefghij'[Math.floor(Math.random() * 10)]}`],
  ['name: rare', () => `name=rare${Math.floor((Math.random() * MANY) / 1000)}`],
  ['name: a tenth of all', () => 'name=ada'],
  ['name: one letter', () => 'name=l'],
  ['userId', () => `userId=user_${Math.floor(Math.random() * (MANY / 4)) * 4}`],
  ['listId: half', () => 'listId=list_half'],
  ['listId: the oldest 3 %', () => 'listId=list_old'],
  ['listId: rare', () => 'listId=list_rare'],
  ['userGroup: 5 %', () => 'userGroup=Customers'],
  ['userGroup: rare', () => 'userGroup=Founders'],
  ['source: half', () => 'source=Stripe%20webhook'],
  ['source: rare', () => 'source=Polar%20webhook'],
  ['subscribed=true', () => 'subscribed=true'],
  ['subscribed=false (2 %)', () => 'subscribed=false'],
  [
    'created: one day',
    () => {
      const at = start + Math.random() * (YEAR_MS - DAY);
      return `createdSince=${iso(at)}&createdUntil=${iso(at + DAY)}`;
    },
  ],
  ['created: the first half year', () => `createdUntil=${iso(start + YEAR_MS / 2)}`],
  ['rare + common (group, source)', () => 'userGroup=Founders&source=Stripe%20webhook'],
  ['rare + common (subscribed, list)', () => 'subscribed=false&listId=list_half'],
  ['rare + common (name, source)', () => 'name=rare1&source=API'],
  ['common + common (source, subscribed)', () => 'source=API&subscribed=true'],
  ['common + common, few in both (group, list)', () => 'userGroup=Customers&listId=list_old'],
  ['prefix + common (q one letter, list half)', () => 'q=b&listId=list_half'],
  ['common + common, nobody in both', () => 'source=Stripe%20webhook&subscribed=false'],
];

const { config } = readConfig(
  { INLET_API_KEY: KEY, INLET_DATA_DIR: join(folder, 'data'), INLET_LOG_LEVEL: 'error', INLET_RATE_LIMIT: '0' },
  {},
);
const seams = { log: createLog(config) };
await (await createApp(config, seams)).stop();
const filling = performance.now();
fill(join(folder, 'data/inlet.db'));
console.log(
  `${MANY} contacts filled in ${((performance.now() - filling) / 1000).toFixed(0)} s; ${await machine(null)}\n`,
);
const app = await createApp(config, seams);

let held = 0;
let last = performance.now();
const pulse = () => {
  const now = performance.now();
  held = Math.max(held, now - last);
  last = now;
  if (pulsing) setImmediate(pulse);
};
let pulsing = true;
setImmediate(pulse);

const ms = (value: number) => value.toFixed(1);
console.log('| filter | found | p50 ms | p99 ms | longest hold of the thread ms |\n|---|---:|---:|---:|---:|');
for (const [name, query] of cases) {
  const took: number[] = [];
  let found = '';
  for (let i = -3; i < ROUNDS; i++) {
    if (i === 0) {
      held = 0;
      last = performance.now();
    }
    const started = performance.now();
    const answer = await app.fetch(
      new Request(`http://localhost/api/v1/contacts?${query()}`, { headers: { authorization: `Bearer ${KEY}` } }),
    );
    const body = (await answer.json()) as {
      pagination?: { totalResults: number; totalIsCapped?: boolean };
      message?: string;
    };
    if (!body.pagination) throw new Error(`${name}: ${body.message}`);
    if (i >= 0) took.push(performance.now() - started);
    found = `${body.pagination.totalResults}${body.pagination.totalIsCapped ? '+' : ''}`;
    await Bun.sleep(0);
  }
  took.sort((a, b) => a - b);
  console.log(
    `| ${name} | ${found} | ${ms(took[Math.floor(ROUNDS / 2)] ?? 0)} | ${ms(took[Math.min(ROUNDS - 1, Math.floor(ROUNDS * 0.99))] ?? 0)} | ${ms(held)} |`,
  );
}
pulsing = false;
await app.stop();
