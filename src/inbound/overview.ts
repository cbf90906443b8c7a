import { eq } from 'drizzle-orm';
import type { Context } from '../context.ts';
import { contacts, endpoints, mails, secrets, workflows } from '../db/schema.ts';
import { countMatches } from '../db/search.ts';
import { query } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { type Resolution, readLastContacts, readSlots } from '../history/stats.ts';
import { searchMails } from '../mail/mails.ts';
import { formatTime } from '../time.ts';
import { viewEndpoint } from './endpointView.ts';

const MAX_ENDPOINTS = 50; // that are looked at
const KEEP_MS = 1000; // one look serves all who ask meanwhile

type Parts = Pick<Context, 'store' | 'config' | 'now' | 'health'>;

export interface Span {
  since: number;
  until: number;
  resolution: Resolution;
}

/** What goes on and what wants attention, in the shape of the API. Nothing in it counts a large table. */
export async function describeOverview(parts: Parts, { since, until, resolution }: Span) {
  const { slots, whole } = await readSlots(parts.store, resolution, since, until);
  const { at: _, contacts: __, subscribed: ___, ...totals } = whole;
  return {
    ...{ since: formatTime(since), until: formatTime(until), resolution },
    slots: slots.map(({ at, ...slot }) => ({ at: formatTime(at), ...slot })),
    totals,
    ...(await lookOnce(parts)),
  };
}

type Look = Awaited<ReturnType<typeof look>>;
const looks = new WeakMap<Store, { at: number; look: Promise<Look> }>();

/** What is now, as of a second ago at most. */
function lookOnce(parts: Parts): Promise<Look> {
  const known = looks.get(parts.store);
  const at = performance.now();
  if (known && at - known.at < KEEP_MS) return known.look;
  const fresh = look(parts);
  looks.set(parts.store, { at, look: fresh });
  fresh.catch(() => looks.delete(parts.store));
  return fresh;
}

async function look(parts: Parts) {
  const { store, health } = parts;
  const people = await describeContacts(store);
  const states: Record<string, { count: number; isCapped: boolean }> = {};
  for (const state of ['queued', 'held', 'sending', 'failed', 'bounced', 'suppressed'] as const) {
    const { total, capped } = await countMatches(store, mails, await store.read(tx => searchMails(tx, { state })));
    states[state] = { count: total, isCapped: capped };
  }
  const backlog = await health.backlog();
  const found = await store.read(async tx => ({
    oldest: await findOldest(tx),
    ...(await describeEndpoints(tx, parts)),
    checklist: await describeSetup(tx, parts),
  }));
  return {
    waiting: { backlog, ...found.oldest },
    contacts: people,
    mails: states,
    ...{ attention: found.attention, endpoints: found.endpoints },
    setup: { done: found.checklist.every(step => step.done), steps: found.checklist },
  };
}

/** Exact up to 10,000; beyond as of the last hour. */
async function describeContacts(store: Store) {
  const { total, capped } = await countMatches(store, contacts, {});
  if (!capped) {
    const yes = eq(contacts.subscribed, true);
    const { total: subscribed } = await countMatches(store, contacts, { where: yes });
    return { total, subscribed, isExact: true, asOf: null };
  }
  const last = await readLastContacts(store);
  if (!last) return { total, subscribed: null, isExact: false, asOf: null };
  return { total: Math.max(last.all, total), subscribed: last.subscribed, isExact: false, asOf: formatTime(last.at) };
}

/** The deliveries that wait longest: for their turn, and for a person to become known. Each is the first of an index. */
async function findOldest(tx: Tx) {
  const text =
    "select id, received_at from deliveries where status <> 'processed' and status = ? order by due_at, id limit 1";
  const first = async (status: string) => {
    const [row] = await query(tx, text, [status]);
    return row ? { id: row[0] as string, receivedAt: formatTime(Number(row[1])) } : null;
  };
  return {
    oldestQueued: await first('queued'),
    oldestFailed: await first('failed'),
    oldestWaiting: await first('waiting'),
  };
}

async function describeEndpoints(tx: Tx, { config, now }: Parts) {
  const rows = await tx
    .select()
    .from(endpoints)
    .limit(MAX_ENDPOINTS + 1);
  const attention = [];
  for (const row of rows.slice(0, MAX_ENDPOINTS)) {
    const { id, name, provider, state, nextStep } = await viewEndpoint(
      tx,
      { publicUrl: config.publicUrl, now: now() },
      row,
    );
    if (nextStep !== null) attention.push({ id, name, provider, state, nextStep });
  }
  return { attention, endpoints: { looked: Math.min(rows.length, MAX_ENDPOINTS), more: rows.length > MAX_ENDPOINTS } };
}

/** What is left to do until everything works, in its order. */
async function describeSetup(tx: Tx, { config }: Parts) {
  const any = (rows: unknown[]) => rows.length > 0;
  const endpoint = any(await tx.select({ id: endpoints.id }).from(endpoints).limit(1));
  const secret = any(await tx.select({ id: secrets.id }).from(secrets).limit(1));
  const received = any(await query(tx, 'select 1 from endpoints where last_received_at is not null limit 1', []));
  const workflow = any(await tx.select({ id: workflows.id }).from(workflows).limit(1));
  const step = (name: string, done: boolean, sentence: string) => ({ name, done, sentence });
  return [
    step('endpoint', endpoint, 'Make an endpoint for a provider.'),
    step('secret', secret, "Paste the provider's signing secret into the endpoint."),
    step('webhook', received, 'Have the provider send a first webhook.'),
    step('mail', config.smtp !== null, 'Name a mail server: INLET_SMTP_URL and INLET_MAIL_FROM.'),
    step('workflow', workflow, 'Make a first workflow.'),
  ];
}
