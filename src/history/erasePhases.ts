import { and, eq, inArray } from 'drizzle-orm';
import { normalizeEmail } from '../audience/emails.ts';
import {
  contactChanges,
  deliveries,
  events,
  importFailures,
  jobs,
  mails,
  type Needles,
  payloads,
  payments,
  runs,
  steps,
  webhookCalls,
} from '../db/schema.ts';
import { encodeAmong, query, writeAmong } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { isAtLeast, type Look, lookAt, Matcher, type Searched, type Verdict } from './eraseSearch.ts';

const ROWS = 200; // of the person's own, removed per write
const RUNS = 20; // with their steps
const OWN_BYTES = 1024 * 1024; // of payloads, removed per write
const FAILURES = 30; // rows of import reports, at most 8000 characters each
const MESSAGE = 'The person of this delivery was erased.';

/** An erasure under way. */
export interface Erasure extends Needles {
  id: string;
  /** What came later is of somebody new. */
  createdAt: number;
}

/** The delivery's row stays as what tells a duplicate; nothing in it says of whom it was. */
async function wipe(tx: Tx, ids: string[]): Promise<void> {
  if (!ids.length) return;
  await tx.delete(payloads).where(inArray(payloads.deliveryId, ids));
  const mine = inArray(deliveries.id, ids);
  const nothing = { message: MESSAGE, effects: [], error: null, contactId: null, identityId: null };
  await tx.update(deliveries).set(nothing).where(mine);
  const open = inArray(deliveries.status, ['queued', 'waiting', 'failed']);
  await tx.update(deliveries).set({ status: 'ignored' }).where(and(mine, open));
}

/** One look of a phase, with the short write that follows from it: where to go on, null when it is done. */
type Phase = (store: Store, erasure: Erasure, after: string) => Promise<string | null>;

const write = async (store: Store, ids: string[], change: (tx: Tx) => Promise<unknown>) => {
  if (ids.length) await store.write(async tx => void (await change(tx)));
};

/** Rows that an index names as the person's own, some at a time: no more than OWN_BYTES by their `size`. */
function makeOwnPhase(
  from: string,
  column: string,
  of: (erasure: Erasure) => string[],
  remove: (tx: Tx, ids: string[]) => Promise<unknown>,
  { key = 'id', rows = ROWS, size = '0', rest = '' } = {},
): Phase {
  return async (store, erasure) => {
    const values = of(erasure);
    if (!values.length) return null;
    const found = await store.read(tx =>
      query(tx, `select ${key}, ${size} from ${from} where ${column} ${writeAmong(tx)}${rest} limit ${rows}`, [
        encodeAmong(tx, values),
      ]),
    );
    const ids: string[] = [];
    let bytes = 0;
    for (const [id, more] of found) {
      bytes += Number(more);
      if (ids.length && bytes > OWN_BYTES) break;
      ids.push(id as string);
    }
    await write(store, ids, tx => remove(tx, ids));
    return ids.length ? '' : null;
  };
}

const getContacts = (erasure: Erasure) => erasure.contacts;
const getIdentities = (erasure: Erasure) => erasure.identities;

/** Rows of a table in the order of its key, by their columns and texts. */
function makeSearchPhase(
  table: Searched,
  judge: (erasure: Erasure, columns: unknown[]) => Verdict,
  apply: (tx: Tx, look: Look, erasure: Erasure) => Promise<unknown>,
  matcherOf: (erasure: Erasure) => Matcher = each => new Matcher(each),
): Phase {
  return async (store, erasure, after) => {
    const look = await lookAt(store, table, after, columns => judge(erasure, columns), matcherOf(erasure));
    await write(store, [...look.theirs, ...look.named], tx => apply(tx, look, erasure));
    return look.after;
  };
}

export const DELIVERIES: Searched = {
  from: 'deliveries d left join payloads p on p.delivery_id = d.id',
  key: 'd.id',
  columns: ['d.contact_id', 'd.identity_id', 'd.received_at'],
  texts: ['d.message', 'd.effects', 'p.body'],
};

/** One that is applied to somebody else keeps its contents unless it holds what is this person's alone. */
export function judgeDelivery(erasure: Erasure, [contact, identity, at]: unknown[]): Verdict {
  if (erasure.contacts.includes(contact as string) || erasure.identities.includes(identity as string)) return 'theirs';
  if (Number(at) > erasure.createdAt) return 'passed';
  if (contact !== null) return 'strong';
  if (erasure.spared.includes(identity as string)) return 'passed';
  return identity === null || (identity as string).includes(':#') ? 'weak' : 'strong';
}

const isLater = (erasure: Erasure, at: unknown) => Number(at) > erasure.createdAt;
const matchWithContacts = (erasure: Erasure) => new Matcher(erasure, erasure.contacts);

/** Where copies may be, one after the other. */
export const PHASES: Phase[] = [
  makeOwnPhase('deliveries', 'contact_id', getContacts, wipe, {
    size: '(select octet_length(p.body) from payloads p where p.delivery_id = deliveries.id)',
  }),
  makeOwnPhase('deliveries', 'identity_id', getIdentities, wipe, {
    size: '(select octet_length(p.body) from payloads p where p.delivery_id = deliveries.id)',
    rest: " and status = 'waiting'", // as in the index
  }),
  makeOwnPhase('events', 'contact_id', getContacts, (tx, ids) => tx.delete(events).where(inArray(events.id, ids))),
  makeOwnPhase(
    'runs',
    'contact_id',
    getContacts,
    async (tx, ids) => {
      await tx.delete(steps).where(inArray(steps.runId, ids));
      await tx.delete(runs).where(inArray(runs.id, ids));
    },
    { rows: RUNS },
  ),
  makeOwnPhase('mails', 'contact_id', getContacts, (tx, ids) => tx.delete(mails).where(inArray(mails.id, ids))),
  makeOwnPhase('contact_changes', 'contact_id', getContacts, (tx, ids) =>
    tx.delete(contactChanges).where(inArray(contactChanges.id, ids)),
  ),
  makeOwnPhase(
    'payments',
    'identity_id',
    getIdentities,
    (tx, ids) => tx.delete(payments).where(inArray(payments.value, ids)),
    {
      key: 'value',
    },
  ),
  makeSearchPhase(DELIVERIES, judgeDelivery, (tx, { theirs, named }) => wipe(tx, [...theirs, ...named])),
  makeSearchPhase(
    {
      from: 'events',
      key: 'id',
      columns: ['contact_id', 'email', 'created_at'],
      texts: ['event_properties'],
    },
    (erasure, [contact, email, at]) => {
      if (erasure.contacts.includes(contact as string)) return 'theirs';
      if (isLater(erasure, at)) return 'passed';
      return erasure.emails.includes(normalizeEmail(email as string)) ? 'theirs' : 'strong';
    },
    async (tx, { theirs, named }) => {
      if (theirs.length) await tx.delete(events).where(inArray(events.id, theirs));
      if (named.length) await tx.update(events).set({ eventProperties: {} }).where(inArray(events.id, named));
    },
  ),
  makeSearchPhase(
    { from: 'mails', key: 'id', columns: ['contact_id', 'recipient', 'created_at'], texts: [] },
    (erasure, [contact, recipient, at]) => {
      if (erasure.contacts.includes(contact as string)) return 'theirs';
      return !isLater(erasure, at) && erasure.emails.includes(normalizeEmail(recipient as string))
        ? 'theirs'
        : 'passed';
    },
    (tx, { theirs }) => tx.delete(mails).where(inArray(mails.id, theirs)),
  ),
  makeSearchPhase(
    { from: 'webhook_calls', key: 'id', columns: ['created_at'], texts: ['body', 'history'] },
    (erasure, [at]) => (isLater(erasure, at) ? 'passed' : 'strong'),
    (tx, { named }) => tx.delete(webhookCalls).where(inArray(webhookCalls.id, named)),
    matchWithContacts,
  ),
  searchImportFailures,
  makeSearchPhase(
    { from: 'jobs', key: 'id', columns: ['unique_key'], texts: ['payload'] },
    (_, [key]) => ((key as string | null)?.startsWith('erase:') ? 'passed' : 'strong'),
    removeJobs,
    matchWithContacts,
  ),
  searchBackfills,
];

async function searchImportFailures(store: Store, erasure: Erasure, after: string): Promise<string | null> {
  const [file = '', line = '0'] = after.split(' ');
  const rows = await store.read(tx =>
    query(
      tx,
      `select import_id, line, cells from import_failures where (import_id, line) > (?, ?) and import_id in (select id from imports where created_at <= ?) order by import_id, line limit ${FAILURES}`,
      [file, Number(line), erasure.createdAt],
    ),
  );
  const matcher = new Matcher(erasure);
  const named = rows.filter(row => isAtLeast(matcher.find(row[2] as string), 'weak'));
  await write(
    store,
    named.map(row => row[0] as string),
    async tx => {
      for (const [importId, at] of named)
        await tx
          .update(importFailures)
          .set({ cells: [] })
          .where(and(eq(importFailures.importId, importId as string), eq(importFailures.line, Number(at))));
    },
  );
  const last = rows.at(-1);
  return last && rows.length === FAILURES ? `${last[0]} ${last[1]}` : null;
}

/** A job that lets others' deliveries go as well goes on without the person. */
async function removeJobs(tx: Tx, { named }: Look, { identities }: Erasure): Promise<void> {
  for (const job of await tx.select().from(jobs).where(inArray(jobs.id, named))) {
    const { identityIds } = job.payload as { identityIds?: string[] };
    const left = identityIds?.filter(each => !identities.includes(each)) ?? [];
    if (job.status === 'queued' && left.length)
      await tx
        .update(jobs)
        .set({ payload: { identityIds: left } })
        .where(eq(jobs.id, job.id));
    else await tx.delete(jobs).where(eq(jobs.id, job.id));
  }
}

/** Where a back-fill stood is a person's id; of one that ended nobody asks. */
async function searchBackfills(store: Store, erasure: Erasure): Promise<null> {
  const rows = await store.read(tx =>
    query(
      tx,
      `select id, coalesce(cursor, ''), coalesce(page_done, '') from backfills where state in ('done', 'failed', 'cancelled') and (cursor is not null or page_done is not null)`,
      [],
    ),
  );
  const matcher = new Matcher(erasure);
  const named = rows.filter(row => isAtLeast(matcher.find(`${row[1]}\n${row[2]}`), 'strong'));
  const ids = named.map(row => row[0] as string);
  await write(store, ids, tx =>
    query(tx, `update backfills set cursor = null, page_done = null where id ${writeAmong(tx)} returning id`, [
      encodeAmong(tx, ids),
    ]),
  );
  return null;
}
