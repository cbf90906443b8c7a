import { inArray } from 'drizzle-orm';
import { makeKeyAfter } from '../audience/apiWrite.ts';
import { collectAllTies, makeEmailTie, type People } from '../audience/people.ts';
import { callPeople, makeOutcome, type PersonCall } from '../audience/personCall.ts';
import { findGroups, reconcile } from '../audience/reconcile.ts';
import { hashSuppressions } from '../audience/suppressions.ts';
import { addTombstones } from '../audience/tombstones.ts';
import { type Identity, readAddress, viewOf } from '../audience/views.ts';
import type { Context } from '../context.ts';
import { erasures, type Needles, payments } from '../db/schema.ts';
import { selectAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { notFound } from '../errors.ts';
import { makeId } from '../id.ts';
import { enqueue } from '../jobs/queue.ts';
import { yieldTurn } from '../time.ts';
import { ERASE_JOB, makeJobKey } from './eraseJob.ts';
import { DELIVERIES, type Erasure, judgeDelivery } from './erasePhases.ts';
import { lookAt, Matcher } from './eraseSearch.ts';
import { type Found, findPerson, MIN_USER_ID, type Whom } from './findPerson.ts';

const MOST_PAYMENTS = 200; // that are looked for in contents
const SEARCH_MS = 2000; // for copies of somebody nobody knows

/** Whether a delivery names somebody of whom nothing else is known. Where that takes long it may be, and the job finds out. */
async function isNamedAnywhere({ store }: Context, { asked }: Found, now: number): Promise<boolean> {
  const matcher = new Matcher(asked);
  const erasure = { id: '', createdAt: now, contacts: [], identities: [], spared: [], ...asked } satisfies Erasure;
  const until = performance.now() + SEARCH_MS;
  for (let after: string | null = ''; after !== null; ) {
    const look = await lookAt(store, DELIVERIES, after, columns => judgeDelivery(erasure, columns), matcher);
    if (look.named.length || performance.now() > until) return true;
    after = look.after;
    await yieldTurn(); // webhooks first
  }
  return false;
}

/**
 * Erases a person: at once from the audience, with a tombstone for everything that named them; a job wipes every copy in the log,
 * events, runs, mails and calls. What belongs to another contact too (an address two users had) stays theirs. What was said about
 * mail stays as a keyed hash. @throws AppError notFound when nothing at all is known of them; invalid for a bad address
 */
export async function erasePerson(ctx: Context, whom: Whom): Promise<void> {
  const now = ctx.now();
  const found = await ctx.store.read(tx => findPerson(tx, whom));
  const { asked } = found;
  const canSearch = asked.emails.length + asked.persons.length + asked.weak.length > 0;
  if (!found.known && canSearch) found.known = await isNamedAnywhere(ctx, found, now);
  if (!found.known) throw notFound('id' in whom ? 'Contact' : 'Person');
  const call = buildEraseCall(found, makeId('req', now));
  await callPeople(ctx.people, {
    ...call,
    async after(tx, gone, at) {
      await call.after?.(tx, gone, at);
      await ctx.noteChange?.(tx);
    },
  });
  ctx.wake();
}

/** What is left to do after the audience forgot the person. */
interface Gone {
  needles: Needles;
  tombstones: string[];
}

function buildEraseCall(found: Found, key: string): PersonCall<Gone> {
  const { emails } = found.asked;
  return {
    keys: { contacts: found.contacts, ids: found.identities, ties: emails.map(makeEmailTie) },
    apply(people, now) {
      const { gone, changes, known } = forget(people, found, key, now);
      return { ...makeOutcome(gone, null, { key, deliveryId: null }), changes, known };
    },
    async after(tx, { needles, tombstones: dead }, now) {
      await addTombstones(tx, dead, now);
      await hashSuppressions(tx, needles.emails);
      const whole = await addRows(tx, needles);
      const id = makeId('era', now);
      await tx.insert(erasures).values({ id, needles: whole, createdAt: now });
      await enqueue(tx, ERASE_JOB, { id, phase: 0, after: '' }, now, makeJobKey(id));
    },
  };
}

/** Adds contacts that the identities formerly were, those merged into any of them, and payments. */
async function addRows(tx: Tx, needles: Needles): Promise<Needles> {
  const former = await selectAmong(tx, 'select contact_id from former_contacts where identity_id', needles.identities);
  const all = new Set([...needles.contacts, ...former.map(row => row[0] as string)]);
  for (const [from] of await selectAmong(tx, 'select from_id from merged_contacts where to_id', [...all]))
    all.add(from as string);
  const paid = await tx
    .select({ value: payments.value })
    .from(payments)
    .where(inArray(payments.identityId, [...needles.identities, '']))
    .limit(MOST_PAYMENTS);
  const ids = paid.map(({ value }) => value.slice(value.indexOf(':') + 1));
  return { ...needles, contacts: [...all], weak: [...needles.weak, ...ids] };
}

/** Takes a person out of the audience, in memory. */
function forget(people: People, found: Found, key: string, now: number) {
  const contactIds = new Set(found.contacts);
  for (const id of found.identities) {
    const contactId = people.identities.get(id)?.contactId;
    if (contactId) contactIds.add(contactId);
  }
  const seeds = [...people.identities.values()].filter(
    each => found.identities.includes(each.id) || contactIds.has(each.contactId ?? ''),
  );
  const { all } = people.around(seeds.map(each => each.id));
  const { gone, shown } = chooseGone(all, seeds, contactIds, people);
  const theirs = new Set(gone.map(each => each.id));
  const others = all.filter(each => !theirs.has(each.id));
  const k = makeKeyAfter(all, key, now);
  const spared: string[] = [];
  for (const identity of others) {
    if (identity.contactId !== null || !collectAllTies(identity).some(value => shown.has(value))) continue;
    spared.push(identity.id); // they claimed what was the person's: nothing of that comes forward now
    people.changeRegisters(identity.id, { ...identity.registers, forgot: k });
  }
  const values = new Set(gone.flatMap(collectAllTies));
  const emails = new Set(found.asked.emails);
  for (const id of contactIds) {
    const row = people.contacts.get(id);
    if (!row) continue;
    emails.add(row.email);
    people.set(people.contacts, id, null);
  }
  for (const identity of gone) people.removeIdentity(identity.id);
  const [next] = others;
  const left = next ? reconcile(people, next.id, now, [], [...values]) : null;
  for (const value of values) if (value.startsWith('email:')) emails.add(value.slice(6));
  const isOthers = (value: string) =>
    [...(people.ties.get(value) ?? [])].some(id => people.identities.get(id)?.contactId);
  const own = [...new Set([...values, ...[...emails].map(makeEmailTie), ...found.subjects])].filter(
    value => !isOthers(value) && people.identities.get(value) === undefined,
  );
  const needles = collectNeedles(gone, own, found);
  const isAnybody =
    gone.length + contactIds.size + needles.emails.length + needles.persons.length + needles.weak.length;
  if (!isAnybody) throw notFound('Person'); // an address that somebody else had formerly
  const persons = gone.filter(
    ({ id, provider }) => provider !== 'api' && readAddress(id) === null && !id.includes(':#'),
  );
  const dead = [...persons.map(each => each.id), ...own];
  for (const value of dead) people.set(people.tombstones, value, now);
  return {
    gone: { needles: { ...needles, contacts: [...contactIds], spared }, tombstones: dead } satisfies Gone,
    changes: left?.changes ?? [],
    known: left?.known ?? [],
  };
}

const findLastAddress = ({ id, registers }: Identity): string | undefined =>
  readAddress(id) ?? registers.facts.findLast(each => each.e !== undefined)?.e;

/** The members of the person's groups, and whoever died at an address that they show. `shown`: those addresses, as ties. */
function chooseGone(all: Identity[], seeds: Identity[], contactIds: Set<string>, people: People) {
  const gone = new Map(seeds.map(each => [each.id, each]));
  const shown = new Set<string>();
  for (const id of contactIds) {
    const row = people.contacts.get(id);
    if (row) shown.add(makeEmailTie(row.email));
  }
  for (const identity of seeds) {
    const email = findLastAddress(identity);
    if (identity.contactId === null && email !== undefined) shown.add(makeEmailTie(email));
  }
  for (const { views } of findGroups(all).groups) {
    if (!views.some(view => gone.has(view.id))) continue;
    for (const view of views) {
      const { identity } = view;
      if (identity.contactId !== null && !contactIds.has(identity.contactId)) continue;
      gone.set(identity.id, identity);
      if (view.now) shown.add(makeEmailTie(view.now.email));
    }
  }
  for (const identity of all) {
    if (gone.has(identity.id) || identity.contactId !== null) continue;
    const view = viewOf(identity, null, '');
    const address = findLastAddress(identity);
    const lives = view?.live && (view.kind === 'user' || view.kind === 'payer');
    if (!lives && address !== undefined && shown.has(makeEmailTie(address))) gone.set(identity.id, identity);
  }
  return { gone: [...gone.values()], shown };
}

/** What to look for: `own` are the ties that are nobody else's. */
function collectNeedles(gone: Identity[], own: string[], found: Found) {
  const { asked } = found;
  const ofKind = (prefix: RegExp) => own.flatMap(value => (prefix.test(value) ? value.replace(prefix, '') : []));
  const persons = gone.flatMap(({ registers: r }) =>
    (r.class === 'auth' || r.class === 'payment') && r.personId !== null ? [r.personId] : [],
  );
  const aliases = ofKind(/^id:[^:]*:/);
  const userIds = ofKind(/^user(@[^:]*)?:/).filter(id => id.length >= MIN_USER_ID && !persons.includes(id));
  const unique = (values: string[]) => [...new Set(values)];
  return {
    identities: unique([...gone.map(each => each.id), ...found.subjects]),
    emails: ofKind(/^email:/),
    persons: unique([...asked.persons, ...persons, ...aliases]),
    weak: unique([...asked.weak, ...userIds]),
  };
}
