import type { Context } from '../context.ts';
import type { Arrival, Counted } from '../counters.ts';
import { execute, insertRows, query } from '../db/sets.ts';
import { type Store, StoreUnavailable } from '../db/store.ts';
import { DAY_MS, HOUR_MS, MINUTE_MS, yieldTurn } from '../time.ts';

const FLUSH_MS = 5000; // what a kill may lose
const MINUTE_DAYS = 2;
const HOUR_DAYS = 400;
const WINDOW = 4000; // contacts counted in one go
const COLUMNS = ['resolution', 'at', 'kind', 'name', 'amount', 'total'];
const ADD =
  'on conflict (resolution, at, kind, name) do update set amount = stats.amount + excluded.amount, total = stats.total + excluded.total';

const ARRIVAL = ['endpoint_id', 'type', 'outcome', 'amount', 'last_at', 'last_id', 'message'];
const NEWER = 'excluded.last_id > arrivals.last_id';
const ADD_ARRIVAL = `on conflict (endpoint_id, type, outcome) do update set amount = arrivals.amount + excluded.amount, last_at = case when ${NEWER} then excluded.last_at else arrivals.last_at end, last_id = case when ${NEWER} then excluded.last_id else arrivals.last_id end, message = case when ${NEWER} then excluded.message else arrivals.message end`;
const describeArrival = (each: Arrival) => [
  ...[each.endpointId, each.type, each.outcome, each.amount, each.lastAt, each.lastId, each.message],
];

/** How long a webhook took to be answered: the upper ends of the buckets, ms; beyond the last: `more`. */
const ANSWER_BUCKETS = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000, 2500, 5000];
const LONGEST = 'more';

type Outcome = 'accepted' | 'duplicate' | 'ignored' | 'rejected' | 'refused';
export type Resolution = 'minute' | 'hour';

/** Counts a webhook in memory; it is written down later. `ms`: how long the answer took from when the body was there; null: it was not read. */
export function countWebhook(
  { counters, now }: Pick<Context, 'counters' | 'now'>,
  outcome: Outcome,
  ms: number | null,
): void {
  const at = now();
  counters.note(at, 'webhook', outcome);
  if (ms !== null) counters.note(at, 'answer', String(ANSWER_BUCKETS.find(end => ms <= end) ?? LONGEST), ms);
}

/** Writes down what was counted, by minute and by hour. Sorted, so that instances do not wait for each other crosswise. */
export async function flushCounters({
  counters,
  store,
  log,
}: Pick<Context, 'counters' | 'store' | 'log'>): Promise<void> {
  const taken = counters.take();
  const arrived = counters.takeArrivals();
  if (!taken.length && !arrived.length) return;
  const hours = new Map<string, Counted>();
  for (const row of taken) {
    const at = Math.floor(row.at / HOUR_MS) * HOUR_MS;
    const key = `${at} ${row.kind} ${row.name}`;
    const known = hours.get(key);
    hours.set(key, {
      ...row,
      at,
      amount: row.amount + (known?.amount ?? 0),
      total: row.total + (known?.total ?? 0),
    });
  }
  const rowOf = (resolution: Resolution) => (row: Counted) => [
    ...[resolution, row.at, row.kind, row.name, row.amount, row.total],
  ];
  const rows = [...taken.map(rowOf('minute')), ...[...hours.values()].map(rowOf('hour'))];
  rows.sort((a, b) => (a.join(' ') < b.join(' ') ? -1 : 1));
  try {
    await store.write(async tx => {
      await insertRows(tx, 'stats', COLUMNS, rows, ADD);
      await insertRows(tx, 'arrivals', ARRIVAL, arrived.map(describeArrival).sort(), ADD_ARRIVAL);
    });
  } catch (error) {
    counters.restore(taken);
    for (const each of arrived) counters.noteArrival(each, each.amount);
    if (!(error instanceof StoreUnavailable)) log.error({ err: error }, 'could not write down the statistics');
  }
}

/** Writes down what was counted every few seconds. Gives what ends it, which writes the rest. */
export function startFlushing(ctx: Pick<Context, 'counters' | 'store' | 'log'>): () => Promise<void> {
  const timer = setInterval(() => void flushCounters(ctx), FLUSH_MS);
  return async () => {
    clearInterval(timer);
    await flushCounters(ctx);
  };
}

/** Once an hour: how many contacts there are, counted some thousands at a time. The first instance that comes writes it down. */
export async function countContacts({ store, now }: Pick<Context, 'store' | 'now'>): Promise<void> {
  const at = Math.floor(now() / HOUR_MS) * HOUR_MS;
  const known = "select 1 from stats where resolution = 'hour' and at = ? and kind = 'contacts' limit 1";
  if ((await store.read(tx => query(tx, known, [at]))).length) return;
  const text = `select max(id), count(*), coalesce(sum(subscribed), 0) from (select id, subscribed from contacts where id > ? order by id limit ${WINDOW}) as part`;
  let all = 0;
  let subscribed = 0;
  for (let after = ''; ; ) {
    const [row] = await store.read(tx => query(tx, text, [after]));
    const [last, n, yes] = row ?? [];
    all += Number(n ?? 0);
    subscribed += Number(yes ?? 0);
    if (Number(n ?? 0) < WINDOW) break;
    after = last as string;
    await yieldTurn(); // webhooks first
  }
  const rows = [
    ['hour', at, 'contacts', 'all', all, 0],
    ['hour', at, 'contacts', 'subscribed', subscribed, 0],
  ];
  await store.write(tx => insertRows(tx, 'stats', COLUMNS, rows, 'on conflict do nothing'));
}

/** Minutes stay two days, hours 400. */
export async function pruneStats(store: Store, now: number): Promise<void> {
  await store.write(async tx => {
    const text = 'delete from stats where resolution = ? and at < ?';
    await execute(tx, text, ['minute', now - MINUTE_DAYS * DAY_MS]);
    await execute(tx, text, ['hour', now - HOUR_DAYS * DAY_MS]);
    await execute(tx, 'delete from arrivals where last_at < ?', [now - HOUR_DAYS * DAY_MS]);
  });
}

/** What happened in one slot. Times of the answer in ms; null: nothing was answered, or nobody was counted. */
interface Slot extends Record<Outcome, number> {
  at: number;
  meanMs: number | null;
  p50Ms: number | null;
  p99Ms: number | null;
  mailsSent: number;
  mailsFailed: number;
  contacts: number | null;
  subscribed: number | null;
}

/** Counts as they are stored, by kind and name. */
type Counts = Map<string, { amount: number; total: number }>;

/** Every slot from `since` until before `until` (ms), those without anything included, and the whole of them. */
export async function readSlots(store: Store, resolution: Resolution, since: number, until: number) {
  const size = resolution === 'minute' ? MINUTE_MS : HOUR_MS;
  const from = Math.floor(since / size) * size;
  const text = 'select at, kind, name, amount, total from stats where resolution = ? and at >= ? and at < ?';
  const rows = await store.read(tx => query(tx, text, [resolution, from, until]));
  const bySlot = new Map<number, Counts>();
  const whole: Counts = new Map();
  for (const [at, kind, name, amount, total] of rows) {
    const slot = bySlot.get(Number(at)) ?? new Map();
    bySlot.set(Number(at), slot);
    for (const counts of kind === 'contacts' ? [slot] : [slot, whole]) {
      const had = counts.get(`${kind} ${name}`);
      const sum = { amount: Number(amount) + (had?.amount ?? 0), total: Number(total) + (had?.total ?? 0) };
      counts.set(`${kind} ${name}`, sum);
    }
  }
  const slots: Slot[] = [];
  for (let at = from; at < until; at += size) slots.push(describeSlot(at, bySlot.get(at) ?? new Map()));
  return { slots, whole: describeSlot(from, whole) };
}

function describeSlot(at: number, counts: Counts): Slot {
  const amountOf = (key: string) => counts.get(key)?.amount ?? 0;
  const round = (ms: number | null) => (ms === null ? null : Math.round(ms * 100) / 100);
  const ends = [...ANSWER_BUCKETS.map(String), LONGEST];
  const answered = ends.reduce((sum, end) => sum + amountOf(`answer ${end}`), 0);
  const total = ends.reduce((sum, end) => sum + (counts.get(`answer ${end}`)?.total ?? 0), 0);
  return {
    at,
    accepted: amountOf('webhook accepted'),
    duplicate: amountOf('webhook duplicate'),
    ignored: amountOf('webhook ignored'),
    rejected: amountOf('webhook rejected'),
    refused: amountOf('webhook refused'),
    meanMs: round(answered ? total / answered / 1000 : null),
    p50Ms: round(findPercentile(counts, answered, 0.5)),
    p99Ms: round(findPercentile(counts, answered, 0.99)),
    mailsSent: amountOf('mail sent'),
    mailsFailed: amountOf('mail failed') + amountOf('mail bounced'),
    contacts: counts.get('contacts all')?.amount ?? null,
    subscribed: counts.get('contacts subscribed')?.amount ?? null,
  };
}

/** A percentile from the buckets, by even spread within the one that holds it. */
function findPercentile(counts: Counts, answered: number, share: number): number | null {
  if (!answered) return null;
  let left = share * answered;
  let begin = 0;
  for (const end of ANSWER_BUCKETS) {
    const amount = counts.get(`answer ${end}`)?.amount ?? 0;
    if (amount >= left) return begin + (end - begin) * (left / amount);
    left -= amount;
    begin = end;
  }
  return begin; // at least that long
}

/** The last count of all contacts. Null: none yet. */
export async function readLastContacts(store: Store): Promise<{ at: number; all: number; subscribed: number } | null> {
  const text =
    "select at, name, amount from stats where resolution = 'hour' and kind = 'contacts' and at > ? order by at desc limit 2";
  const since = 0;
  const rows = await store.read(tx => query(tx, text, [since]));
  const amountOf = (name: string) => Number(rows.find(row => row[1] === name)?.[2] ?? 0);
  return rows[0] ? { at: Number(rows[0][0]), all: amountOf('all'), subscribed: amountOf('subscribed') } : null;
}
