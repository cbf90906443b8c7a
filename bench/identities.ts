// One person with many identities: how long a webhook of theirs takes, and how long somebody else waits meanwhile.
import type { Postgres } from '../test/support/postgres.ts';
import { checkoutEvent, customerEvent, SUPABASE_SECRET, stripeSignature, supabaseEvent } from './events.ts';
import { rss } from './machine.ts';
import { count, type Load, median, ms, startLoad, table } from './measure.ts';
import { type Inlet, startInlet, supabaseEndpoint } from './servers.ts';

const SIZES = [1, 100, 1_000, 10_000];
const LAST = 30; // webhooks around n whose median is reported
const AT_ONCE = 8; // while it grows to the next n
const BUSY = 4; // webhooks of the person under way while the neighbour is measured
const WINDOW_MS = 3_000;
const NEIGHBOUR_RATE = 200; // each 5 ms
const NOTE = 'Lorem ipsum dolor sit amet. '.repeat(20);

/** A way to have many identities. Each function sends one webhook. */
interface Way {
  name: string;
  /** Adds the i-th identity to a person; the slower webhook where it takes two. */
  add(person: string, i: number): Promise<number>;
  /** Tells again of an identity that is there. */
  touch(person: string, i: number): Promise<number>;
}

class Capped extends Error {}

/** ms until the answer. @throws Capped when the time is up, or Error when the answer is not 200 */
type Post = (path: string, body: string, headers: Record<string, string>) => Promise<number>;

const poster =
  (inlet: Inlet, signal: () => AbortSignal): Post =>
  async (path, body, headers) => {
    const at = performance.now();
    try {
      const response = await fetch(`http://127.0.0.1:${inlet.ports[0]}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        signal: signal(),
      });
      await response.arrayBuffer();
      if (response.status !== 200) throw new Error(`${response.status}`);
    } catch (error) {
      throw signal().aborted ? new Capped() : error;
    }
    return performance.now() - at;
  };

let events = 0;
const newEvent = () => ({ id: `evt_one${events++}`, now: Date.now(), note: NOTE });

function customers(inlet: Inlet, post: Post): Way {
  const tell = (person: string, i: number, type: string) => {
    const about = { customer: `cus_${person}x${i}`, email: `${person}@example.com`, type };
    return stripe(inlet, post, customerEvent({ ...newEvent(), ...about }));
  };
  return {
    name: 'Stripe customers of one address',
    add: (person, i) => tell(person, i, 'customer.created'),
    touch: (person, i) => tell(person, i, 'customer.updated'),
  };
}

function guests(inlet: Inlet, post: Post): Way {
  const add = (person: string, i: number) => {
    const { id, ...rest } = newEvent();
    const about = { customer: null, email: `${person}@example.com`, object: id, payment: `pi_${person}x${i}` };
    return stripe(inlet, post, checkoutEvent({ id, ...rest, ...about }));
  };
  return { name: 'guest payments of one address', add, touch: add };
}

function stripe(inlet: Inlet, post: Post, body: string): Promise<number> {
  return post(inlet.path, body, { 'stripe-signature': stripeSignature(body, Date.now()) });
}

async function users(inlet: Inlet, post: Post): Promise<Way> {
  const path = await supabaseEndpoint(inlet);
  let time = Date.now() - 100_000_000; // of the rows: each later than the one before
  const tell = (parts: { user: string; email: string; was?: string; name?: string }) => {
    time += 2_000;
    const body = supabaseEvent({ ...parts, now: time });
    return post(path, body, { 'x-inlet-secret': SUPABASE_SECRET });
  };
  const user = (person: string, i: number) => `${person}x${i}`;
  const own = (person: string, i: number) => `${person}.${i}@example.com`;
  return {
    name: 'users who shared an address',
    add: async (person, i) => {
      const shared = `${person}@example.com`;
      const created = await tell({ user: user(person, i), email: shared });
      return Math.max(created, await tell({ user: user(person, i), email: own(person, i), was: shared }));
    },
    touch: (person, i) => {
      const email = own(person, i);
      return tell({ user: user(person, i), email, was: email, name: `Ada ${events++}` });
    },
  };
}

interface Options {
  server: Postgres | null;
  max: number;
  /** How long one row may take. */
  capMs: number;
}

/** Calls `send` for each number from `from` on and below `to`, so many at once; the time of each. */
async function each(from: number, to: number, atOnce: number, send: (i: number) => Promise<number>): Promise<number[]> {
  let next = from;
  const took: number[] = [];
  const sender = async () => {
    while (next < to) took.push(await send(next++));
  };
  await Promise.all(Array.from({ length: atOnce }, sender));
  return took;
}

/** What somebody else waits while webhooks of a person with `n` identities come. */
async function neighbour(inlet: Inlet, way: Way, person: string, n: number): Promise<Load> {
  const [port = 0] = inlet.ports;
  const other = startLoad(port, inlet.path, {
    count: (WINDOW_MS / 1000) * NEIGHBOUR_RATE,
    warmup: 20,
    rate: NEIGHBOUR_RATE,
  });
  await other.warm;
  let on = true;
  let i = 0;
  const busy = Promise.all(
    Array.from({ length: BUSY }, async () => {
      while (on) await way.touch(person, i++ % n);
    }),
  );
  const ended = other.done.finally(() => {
    on = false;
  });
  try {
    const [load] = await Promise.all([ended, busy]);
    return load;
  } catch (error) {
    other.kill();
    throw error;
  }
}

/** The rows of one way, each with its own time; no more rows after one that took too long. */
async function rowsOf(make: (inlet: Inlet, post: Post) => Way | Promise<Way>, options: Options): Promise<string[][]> {
  const inlet = await startInlet({ server: options.server });
  let signal = AbortSignal.timeout(options.capMs);
  const way = await make(
    inlet,
    poster(inlet, () => signal),
  );
  const lines: string[][] = [];
  let have = 0;
  try {
    for (let i = 0; i < 100; i++) await way.add(`warm${i}`, 0);
    for (const n of SIZES.filter(size => size <= options.max)) {
      signal = AbortSignal.timeout(options.capMs);
      const cells = [way.name, count(n)];
      lines.push(cells);
      const person = n === 1 ? 'alone' : 'many';
      if (n === 1) {
        cells.push(ms(median(await each(0, LAST, 1, i => way.add(`first${i}`, 0)))));
        await way.add(person, 0);
      } else {
        await each(have, n - LAST, AT_ONCE, i => way.add(person, i));
        cells.push(ms(median(await each(n - LAST, n, 1, i => way.add(person, i)))));
        have = n;
      }
      cells.push(ms((await neighbour(inlet, way, person, n)).p99), `${Math.round(rss(inlet.pid, 'VmRSS'))} MB`);
      console.error(`  ${cells.join(', ')}`);
    }
  } catch (error) {
    const why = error instanceof Capped ? `> cap (${options.capMs / 1000} s)` : `failed: ${(error as Error).message}`;
    const cells = lines.at(-1) ?? [way.name, ''];
    while (cells.length < 4) cells.push(why);
    cells.push(`${Math.round(rss(inlet.pid, 'VmRSS'))} MB`);
    console.error(`  ${cells.join(', ')}`);
    const rest = SIZES.filter(size => size <= options.max).slice(lines.length);
    lines.push(...rest.map(size => [way.name, count(size), 'not tried', '', '']));
  }
  await inlet.servers[0]?.kill9();
  return lines;
}

export async function identities(options: Options): Promise<string> {
  const lines: string[][] = [];
  for (const way of [customers, guests, users]) lines.push(...(await rowsOf(way, options)));
  const head = ['one person with', 'n', 'the n-th webhook', "a neighbour's p99 meanwhile", 'memory'];
  const how = `The n-th webhook: median of the ${LAST} before it, one at a time. Meanwhile: ${BUSY} webhooks of the person under way, the neighbour's come each ${1000 / NEIGHBOUR_RATE} ms.`;
  return `${table(head, lines)}\n\n${how}`;
}
