import { compareSince, type Group, isAlive } from './groups.ts';
import { type Claim, compareKeys, groupRuns, type Key, orderClaims, type Run } from './order.ts';
import { claimsOf, type Entry, type Person, pickScalarFormer, type WriteAct } from './people.ts';
import type { ModelContact, Scalar } from './steps.ts';

const SOURCES: Record<string, string> = {
  stripe: 'Stripe webhook',
  clerk: 'Clerk webhook',
  supabase: 'Supabase webhook',
  polar: 'Polar webhook',
};

type NameField = 'firstName' | 'lastName';

export function isUser(person: Person): boolean {
  return person.kind === 'user' && !person.demoted;
}

/** API and proven user, payer, unproven user, address-only. */
function classOf(person: Person): number {
  if (person.demoted || person.kind === 'guest') return 0;
  if (person.kind === 'api' || person.kind === 'note') return 3;
  if (person.kind === 'payer') return 2;
  return person.current?.proof ? 3 : 1;
}

function laterKey(a: Key, b: Key | null): Key {
  return b !== null && compareKeys(a, b) < 0 ? b : a;
}

/** A sign-up that was withheld counts from the moment of proof. */
function countKey(person: Person, key: Key): Key {
  return laterKey(key, person.countsFrom);
}

function presentRun<V>(claims: (Claim<V> & { entry: Entry })[]): Run<V, Claim<V> & { entry: Entry }> | null {
  return groupRuns<V, Claim<V> & { entry: Entry }>(orderClaims<V, Claim<V> & { entry: Entry }>(claims)).at(-1) ?? null;
}

/** A name that is an address is no name. */
function readName(entry: Entry, field: NameField): string | null {
  const name = entry.step.settings.syncNames ? entry.step.fact[field] : null;
  return name === null || /^\S+@\S+$/.test(name.trim()) ? null : name;
}

interface NameClaim {
  rank: number;
  authority: number;
  key: Key;
  value: string | null;
}

function listNameClaims(person: Person, field: NameField): NameClaim[] {
  return [1, 0].flatMap(authority => {
    const entries = person.entries.filter(e => Number(e.step.fact.authority === 'person') === authority);
    const run = presentRun<string>(
      claimsOf(
        entries,
        e => readName(e, field),
        e => e.step.fact.former?.[field],
      ),
    );
    return run ? [{ rank: classOf(person), authority, key: countKey(person, run.key), value: run.value }] : [];
  });
}

function compareNames(a: NameClaim, b: NameClaim): number {
  return b.rank - a.rank || b.authority - a.authority || compareKeys(b.key, a.key);
}

/** Per field the highest class, then authority, then the newest; among payers tied by address the longest known first. */
function chooseName(group: Group, acts: WriteAct[], field: NameField): string | null {
  const said = acts
    .filter(act => act.step[field] !== undefined)
    .map(act => ({ rank: 3, authority: 1, key: act.key, value: act.step[field]! }));
  const payers = group.people.filter(p => classOf(p) === 2).toSorted(compareSince);
  const spokesman = payers.find(p => listNameClaims(p, field).length > 0);
  const isSamePerson = (p: Person) => p === spokesman || (p.unit !== null && p.unit === spokesman?.unit);
  const speakers = group.people.filter(p => classOf(p) !== 2 || isSamePerson(p));
  const claims = [...said, ...speakers.flatMap(p => listNameClaims(p, field))];
  return claims.toSorted(compareNames)[0]?.value ?? null;
}

/** Per key the newest claim; null of the API takes it away. */
function chooseProperties(group: Group, acts: WriteAct[]): Record<string, Scalar> {
  const claims: { name: string; key: Key; value: Scalar | null }[] = acts.flatMap(act =>
    Object.entries(act.step.properties ?? {}).map(([name, value]) => ({ name, key: act.key, value })),
  );
  for (const person of group.people) {
    const names = new Set(person.entries.flatMap(e => Object.keys(e.step.settings.properties)));
    for (const name of names) {
      const run = presentRun<Scalar>(
        claimsOf(
          person.entries,
          e => e.step.settings.properties[name],
          e => pickScalarFormer(e, name),
        ),
      );
      if (run) claims.push({ name, key: countKey(person, run.key), value: run.value });
    }
  }
  const newest = new Map<string, Scalar | null>();
  for (const claim of claims.toSorted((a, b) => compareKeys(a.key, b.key))) newest.set(claim.name, claim.value);
  const kept = [...newest].flatMap(([name, value]) => (value === null ? [] : [[name, value] as const]));
  return Object.fromEntries(kept);
}

function findEarliest(group: Group, matches: (e: Entry) => boolean): { entry: Entry; key: Key } | null {
  const found = group.people.flatMap(person =>
    person.entries.filter(matches).map(entry => ({ entry, key: countKey(person, entry.key) })),
  );
  found.sort((a, b) => compareKeys(a.key, b.key) || compareKeys(a.entry.key, b.entry.key));
  return found[0] ?? null;
}

/** What the API set stays; else of the earliest fact that carried an address, or made the contact. */
function chooseSource(group: Group, acts: WriteAct[]): string {
  const said = acts.findLast(act => act.step.source !== undefined);
  if (said) return said.step.source!;
  const made = acts.find(act => act.made);
  const first = findEarliest(group, e => e.step.fact.email !== null);
  if (made && (!first || compareKeys(made.key, first.key) < 0))
    return made.step.how === 'import' ? 'CSV import' : 'API';
  return first ? SOURCES[first.entry.step.endpoint.provider]! : '';
}

function chooseUserGroup(group: Group, acts: WriteAct[]): string {
  const said = acts.findLast(act => act.step.userGroup !== undefined);
  if (said) return said.step.userGroup!;
  return findEarliest(group, e => Boolean(e.step.settings.userGroup))?.entry.step.settings.userGroup ?? '';
}

/** Set by the API, else the earliest auth id, else Polar's external id; of who is gone only when nobody is left. */
export function chooseUserId(group: Group): string | null {
  const said = listActs(group).findLast(act => act.setsUserId !== null);
  if (said) return said.setsUserId;
  const known = group.people.filter(p => !p.demoted).toSorted(compareSince);
  const users = known.filter(isUser);
  const gone = users.filter(p => !isAlive(p)).flatMap(p => p.userIds);
  const isLeft = known.some(p => p.kind !== 'guest' && p.kind !== 'note' && isAlive(p));
  const living = users.filter(isAlive).flatMap(p => p.userIds);
  const external = known
    .filter(p => p.kind === 'payer' && (isAlive(p) || !isLeft))
    .flatMap(p => p.userIds.filter(id => !isLeft || !gone.includes(id)));
  return living[0] ?? (isLeft ? undefined : gone[0]) ?? external[0] ?? null;
}

type MaySend = (instant: number, joiner: Person) => boolean;

/** The API's word on a list is the last one; webhooks only join. Nothing is added while unsubscribed. */
function chooseLists(group: Group, maySend: MaySend): string[] {
  const lists = new Map<string, boolean>();
  for (const person of group.people)
    for (const entry of person.entries)
      for (const list of entry.lists)
        if (!lists.has(list) && maySend(countKey(person, entry.key).instant, person)) lists.set(list, true);
  for (const act of listActs(group))
    for (const [list, isOn] of Object.entries(act.step.lists ?? {}))
      if (!isOn || maySend(act.key.instant, group.people.find(p => p.acts.includes(act))!)) lists.set(list, isOn);
  return [...lists].flatMap(([list, isOn]) => (isOn ? [list] : [])).toSorted();
}

/** The API's writes to a group, oldest first. */
export function listActs(group: Group): WriteAct[] {
  return group.people.flatMap(p => (p.isAsleep ? [] : p.acts)).toSorted((a, b) => compareKeys(a.key, b.key));
}

/** The contact of a group that shows an address. `maySend`: by what its address and people said of mail, at a time. */
export function showContact(group: Group & { email: string }, subscribed: boolean, maySend: MaySend): ModelContact {
  const acts = listActs(group);
  return {
    email: group.email,
    userId: chooseUserId(group),
    firstName: chooseName(group, acts, 'firstName'),
    lastName: chooseName(group, acts, 'lastName'),
    source: chooseSource(group, acts),
    userGroup: chooseUserGroup(group, acts),
    subscribed,
    properties: chooseProperties(group, acts),
    lists: chooseLists(group, maySend),
  };
}
