import { sql } from 'drizzle-orm';
import { changeAmong, insertRows, query, selectAmong } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { addChange, type ConsentChange, makeAddressSubject, makePersonSubject } from './consent.ts';
import { DefinitionsCache } from './definitions.ts';
import { convertRegisters, type FormerRegisters, isFormer } from './formerRegisters.ts';
import { collectAllTies } from './people.ts';
import { reconcile } from './reconcile.ts';
import type { Registers } from './registers.ts';
import { savePeople } from './savePeople.ts';
import { hashSubject, requireSalt } from './tombstones.ts';
import { type Identity, readAddress } from './views.ts';
import { loadPeople } from './workingSet.ts';

const PROGRESS = 'peopleUpgrade'; // in `meta`: phase and the last id done
const DONE = 'done';
const PER_STEP = 500; // identities
const PER_RECONCILE = 100;

type Report = (message: string) => void;

interface Progress {
  phase: 'convert' | 'reconcile' | typeof DONE;
  after: string;
  count: number;
}

async function loadProgress(tx: Tx): Promise<Progress> {
  const [row] = await query(tx, 'select value from meta where key = ?', [PROGRESS]);
  return row ? (JSON.parse(row[0] as string) as Progress) : { phase: 'convert', after: '', count: 0 };
}

const note = (tx: Tx, progress: Progress) =>
  insertRows(
    tx,
    'meta',
    ['key', 'value'],
    [[PROGRESS, JSON.stringify(progress)]],
    'on conflict (key) do update set value = excluded.value',
  );

/**
 * Brings the people of an installation that an older release made into today's shape: registers, ties, payments, consent, addresses in
 * their ASCII form; then every contact follows from them. In short steps with a cursor, so that a kill resumes it. Before listening.
 * @throws AppError conflict while an instance of an older release serves the same database
 */
export async function upgradePeople(
  store: Store,
  now: number,
  report: Report,
  isServed: () => Promise<boolean>,
): Promise<void> {
  const progress = await store.read(loadProgress);
  if (progress.phase === DONE) return;
  const [any] = await store.read(tx => query(tx, 'select id from identities limit 1', []));
  if (any && (await isServed()))
    throw new AppError(
      'conflict',
      'Another instance, of an older release, serves this database. Stop all instances, then start this one: it upgrades the contacts first.',
    );
  if (any)
    report('Upgrading the contacts to the rules of this release. It goes on where it stopped if it is interrupted.');
  const salt = await store.write(requireSalt);
  const definitions = new DefinitionsCache(store);
  for (let state = progress; state.phase !== DONE; ) {
    const step = state.phase === 'convert' ? convertStep : reconcileStep;
    const before = state;
    state = await store.write(tx => step(tx, before, { salt, now, definitions }));
    const isTold = Math.floor(state.count / 10_000) > Math.floor(before.count / 10_000);
    if (any && isTold)
      report(`${state.count} identities: ${before.phase === 'convert' ? 'registers' : 'contacts'} upgraded`);
  }
}

interface StepDeps {
  salt: string;
  now: number;
  definitions: DefinitionsCache;
}

async function convertStep(tx: Tx, { after, count }: Progress, { salt, now }: StepDeps): Promise<Progress> {
  const rows = await query(
    tx,
    'select id, provider, contact_id, registers, created_at from identities where id > ? order by id limit ?',
    [after, PER_STEP],
  );
  if (!rows.length) return end(tx, { phase: 'reconcile', after: '', count: 0 });
  const emails = await loadEmails(tx, rows);
  const changed: unknown[][] = [];
  const ties: string[][] = [];
  const payments: unknown[][] = [];
  const consents = new Map<string, ConsentChange[]>();
  const gone: string[] = [];
  for (const [id, provider, contactId, text, createdAt] of rows as [string, string, string | null, string, number][]) {
    const former = JSON.parse(text) as FormerRegisters | Registers;
    if (id.includes(':#') && contactId === null) {
      gone.push(id); // who paid was not known: its deliveries wait under this id still
      continue;
    }
    const converted = isFormer(former)
      ? convertRegisters(id, provider, former)
      : { registers: former, payments: [], consent: [] };
    const identity: Identity = { id: renameIdentity(id), provider, contactId, registers: converted.registers };
    if (identity.id !== id) gone.push(id);
    changed.push([identity.id, provider, contactId, JSON.stringify(identity.registers), createdAt]);
    for (const value of collectAllTies(identity)) ties.push([value, identity.id]);
    for (const value of converted.payments) payments.push([value, identity.id, now]);
    if (converted.consent.length) {
      const shown = emails.get(contactId ?? '');
      const own = readAddress(identity.id);
      const subjects = [
        makePersonSubject(identity.id),
        ...(shown ? [makeAddressSubject(shown)] : []),
        ...(own ? [makeAddressSubject(own)] : []),
      ];
      for (const subject of new Set(subjects))
        for (const change of converted.consent) consents.set(subject, addChange(consents.get(subject) ?? [], change));
    }
  }
  await changeAmong(tx, 'delete from identities where id', gone);
  const again = 'on conflict (id) do update set registers = excluded.registers';
  await insertRows(tx, 'identities', ['id', 'provider', 'contact_id', 'registers', 'created_at'], changed, again);
  await insertRows(tx, 'ties', ['value', 'identity_id'], ties, 'on conflict do nothing');
  await insertRows(tx, 'payments', ['value', 'identity_id', 'created_at'], payments, 'on conflict (value) do nothing');
  await mergeConsents(tx, salt, consents);
  return end(tx, { phase: 'convert', after: rows.at(-1)![0] as string, count: count + rows.length });
}

async function end(tx: Tx, progress: Progress): Promise<Progress> {
  await note(tx, progress);
  return progress;
}

/** The id of an address alone holds the address, whose domain is in ASCII now. */
function renameIdentity(id: string): string {
  const address = readAddress(id);
  const plain = address === null ? null : canonicalizeAddress(address);
  return plain === null || address === null ? id : id.slice(0, id.length - address.length) + plain;
}

function canonicalizeAddress(address: string): string {
  const at = address.lastIndexOf('@');
  try {
    const host = new URL(`http://${address.slice(at + 1)}`).hostname;
    return host && /^[\x21-\x7e]+$/.test(host) ? address.slice(0, at + 1) + host : address;
  } catch {
    return address;
  }
}

async function loadEmails(tx: Tx, rows: unknown[][]): Promise<Map<string, string>> {
  const ids = [...new Set(rows.flatMap(row => (row[2] as string | null) ?? []))];
  const found = await selectAmong(tx, 'select id, email from contacts where id', ids);
  return new Map(found.map(([id, email]) => [id as string, canonicalizeAddress(email as string)]));
}

/** An address may be of identities in several steps: what is there already stays. */
async function mergeConsents(tx: Tx, salt: string, consents: Map<string, ConsentChange[]>): Promise<void> {
  const hashes = new Map([...consents.keys()].map(subject => [hashSubject(salt, subject), subject]));
  const known = await selectAmong(tx, 'select subject, changes from consents where subject', [...hashes.keys()]);
  for (const [hash, text] of known) {
    const subject = hashes.get(hash as string) ?? '';
    let all = JSON.parse(text as string) as ConsentChange[];
    for (const change of consents.get(subject) ?? [])
      if (!all.some(each => each.at === change.at && each.subscribed === change.subscribed))
        all = addChange(all, change);
    consents.set(subject, all);
  }
  const rows = [...hashes].map(([hash, subject]) => [hash, JSON.stringify(consents.get(subject))]);
  await insertRows(
    tx,
    'consents',
    ['subject', 'changes'],
    rows,
    'on conflict (subject) do update set changes = excluded.changes',
  );
}

/** Contacts as they follow from what is known of their identities. Nobody is told: nothing happened to anybody. */
async function reconcileStep(
  tx: Tx,
  { after, count }: Progress,
  { salt, now, definitions }: StepDeps,
): Promise<Progress> {
  const rows = await query(tx, 'select id from identities where id > ? order by id limit ?', [after, PER_RECONCILE]);
  if (!rows.length) {
    await convertSuppressions(tx, salt);
    await tx.run(sql`drop table if exists links`);
    return end(tx, { phase: DONE, after: '', count });
  }
  const ids = rows.map(row => row[0] as string);
  const set = await loadPeople(tx, [{ ids }], await definitions.read(tx, []), salt);
  for (const id of ids) if (set.people.identities.has(id)) reconcile(set.people, id, now);
  await savePeople(tx, set, now);
  return end(tx, { phase: 'reconcile', after: ids.at(-1)!, count: count + ids.length });
}

/** Who complained opted out; a bounce is of the address alone. */
async function convertSuppressions(tx: Tx, salt: string): Promise<void> {
  const consents = new Map<string, ConsentChange[]>();
  for (const [email, reason, at] of await query(tx, 'select email, reason, created_at from suppressions', []))
    consents.set(makeAddressSubject(email as string), [
      { at: Number(at), subscribed: false, reason: reason === 'bounced' ? 'bounce' : 'complaint' },
    ]);
  await mergeConsents(tx, salt, consents);
}
