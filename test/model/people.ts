import {
  type Claim,
  compareKeys,
  earlierKey,
  FOREVER,
  groupRuns,
  isAfter,
  type Key,
  keyOfFact,
  orderClaims,
} from './order.ts';
import type { FactStep, Scalar, WriteStep } from './steps.ts';

/** Bounded: so many persons of one provider and namespace are tied by one address or user id. */
const MOST_TIED = 50;
const MINUTE = 60_000_000;

/** A delivery as it stands after its replays. */
export interface Entry {
  key: Key;
  step: FactStep;
  /** Lists are only added by a replay. */
  lists: Set<string>;
  /** A removal is never taken back, by a replay neither. */
  onDelete: 'unsubscribe' | 'delete' | 'ignore';
}

/** What the API, a link or an import did, with whom it found. */
export type Act =
  | {
      kind: 'write';
      key: Key;
      step: WriteStep;
      /** Of whom it speaks: "api user 42", "api user@st 42" or "api @ada@example.com". */
      speaker: string;
      /** Set, and not merely what somebody was found by. */
      setsEmail: string | null;
      setsUserId: string | null;
      made: boolean;
      /** Of an address: the payer who is followed when nobody is left there. */
      carrier: string | null;
    }
  | { kind: 'consent'; key: Key; subscribed: boolean; emails: string[]; people: string[] }
  | { kind: 'removal'; key: Key; people: string[]; withheld: string[] };
export type WriteAct = Extract<Act, { kind: 'write' }>;
export type ConsentAct = Extract<Act, { kind: 'consent' }>;

/** A time during which a person showed an address, and since when it was proven theirs. */
export interface Stay {
  email: string;
  key: Key;
  proof: Key | null;
  /** What ended it; `FOREVER`: nothing. */
  until: Key;
}

/** `api`: a contact that the API made, or set an address of; `note`: what it said of somebody it merely found. */
export type Kind = 'user' | 'payer' | 'guest' | 'api' | 'note';

export interface Person {
  id: string;
  kind: Kind;
  provider: string;
  namespace: string;
  /** What of it may still be shown: nothing from before a removal, nothing after its death. */
  entries: Entry[];
  /** When the first of these happened. */
  since: Key | null;
  /** The first of all that is known of it. */
  first: Key | null;
  /** Every address that it said. */
  claimed: string[];
  /** Equal for those who are one by id. */
  unit: object | null;
  /** When its deletion happened. */
  death: Key | null;
  stays: Stay[];
  /** What it shows now by itself. */
  current: Stay | null;
  /** An unproven sign-up that holds no address counts for nothing. */
  withheld: boolean;
  /** Facts before count from here (the moment of proof). */
  countsFrom: Key | null;
  userIds: string[];
  /** One more than are tied: counts as address-only. */
  demoted: boolean;
  /** What makes it one with others for good: namespace and user id. */
  ties: string[];
  /** Of the API: what it said, oldest first. */
  acts: WriteAct[];
  made: boolean;
  /** Of the API, but of somebody whose contact this is not. */
  isAsleep: boolean;
  /** Since when an API contact has a user id. */
  hasIdSince: number;
}

export interface Cuts {
  /** Removed contacts: nothing up to this instant is shown again. */
  removed: Map<string, Key>;
  /** Withheld from the addresses of a removed contact. */
  forgotten: Map<string, Key>;
  /** Of contacts removed through the API: dead for good. */
  dead: Map<string, Key>;
}

export function guestId(email: string): string {
  return `guest ${email}`;
}

/** Ids that mean one person. Payment ids find a person and tie nothing. */
export function identifyPeople(steps: FactStep[]): { ofStep(step: FactStep): string | null; ofId(id: string): string } {
  const parents = new Map<string, string>();
  const find = (id: string): string => {
    const parent = parents.get(id);
    return parent === undefined || parent === id ? id : find(parent);
  };
  const scope = (step: FactStep) => `${step.endpoint.provider} ${step.endpoint.namespace} `;
  const isPayment = (id: string) => /^(pi|ch|py|in|cs|du|dp|re)_/.test(id);
  const payments = new Map<string, string>();
  for (const step of steps.toSorted((a, b) => compareKeys(keyOfFact(a), keyOfFact(b)))) {
    if (step.fact.personId === null) continue;
    const own = scope(step) + step.fact.personId;
    for (const alias of step.fact.aliases) {
      const other = scope(step) + alias;
      if (isPayment(alias)) {
        if (!payments.has(other)) payments.set(other, own);
      } else {
        const [a, b] = [find(own), find(other)].toSorted();
        if (a !== b) parents.set(b!, a!);
      }
    }
  }
  const ofStep = (step: FactStep) => {
    const { personId, aliases, email } = step.fact;
    if (personId !== null) return find(payments.get(scope(step) + personId) ?? scope(step) + personId);
    const byPayment = aliases.map(alias => payments.get(scope(step) + alias)).find(id => id !== undefined);
    if (byPayment !== undefined) return find(byPayment);
    return email === null ? null : guestId(email);
  };
  return { ofStep, ofId: find };
}

export function claimsOf<V>(
  entries: Entry[],
  readValue: (e: Entry) => V | null | undefined,
  readFormer: (e: Entry) => V | null | undefined,
): (Claim<V> & { entry: Entry })[] {
  return entries.flatMap(entry => {
    const value = readValue(entry);
    if (value === null || value === undefined) return [];
    return [{ key: entry.key, sentAt: entry.step.fact.sentAt, value, former: readFormer(entry), entry }];
  });
}

function isPersonObject(entry: Entry): boolean {
  return entry.step.fact.authority === 'person';
}

/** The runs of its address: those of the person object; copies count before it, and where there is none. */
function listAddressRuns(entries: Entry[]) {
  const email = (e: Entry) => e.step.fact.email;
  const former = (e: Entry) => e.step.fact.former?.email;
  const own = orderClaims<string, Claim<string> & { entry: Entry }>(
    claimsOf(entries.filter(isPersonObject), email, former),
  );
  const copies = orderClaims<string, Claim<string> & { entry: Entry }>(
    claimsOf(
      entries.filter(e => !isPersonObject(e)),
      email,
      former,
    ),
  );
  const before = copies.filter(c => own.length === 0 || compareKeys(c.key, own[0]!.key) < 0);
  return groupRuns<string, Claim<string> & { entry: Entry }>([...before, ...own]);
}

function closeStays(stays: Omit<Stay, 'until'>[]): Stay[] {
  return stays.map((stay, i) => ({ ...stay, until: stays[i + 1]?.key ?? FOREVER }));
}

/** The deletion that ends it, as far as it has happened by then; `key` is its place among the facts of the row. */
export function findDeath(entries: Entry[], asOf: number): { key: Key; happened: Key } | null {
  const deaths = entries
    .filter(e => e.step.fact.deletion && e.onDelete !== 'ignore' && happenedKey(e).instant <= asOf)
    .toSorted((a, b) => compareKeys(a.key, b.key));
  if (deaths.length === 0) return null;
  return { key: deaths[0]!.key, happened: deaths.map(happenedKey).toSorted(compareKeys)[0]! };
}

function earlierDeath(a: { key: Key; happened: Key } | null, dead: Key | null) {
  const b = dead && { key: dead, happened: dead };
  if (a === null || b === null) return a ?? b;
  return { key: earlierKey(a.key, b.key), happened: earlierKey(a.happened, b.happened) };
}

export function happenedKey(entry: Entry): Key {
  const { happenedAt } = entry.step.fact;
  return happenedAt === undefined ? entry.key : { ...entry.key, instant: happenedAt * 1000 };
}

function kindOf(entry: Entry, id: string): Kind {
  if (id.startsWith('guest ')) return 'guest';
  return ['clerk', 'supabase'].includes(entry.step.endpoint.provider) ? 'user' : 'payer';
}

/** Everybody known as of a time, with the addresses that each shows by itself. */
export function gatherPeople(byPerson: Map<string, Entry[]>, acts: WriteAct[], cuts: Cuts, asOf: number): Person[] {
  const people: Person[] = [];
  const runsOfUsers = new Map<Person, ReturnType<typeof listAddressRuns>>();
  for (const [id, all] of byPerson) {
    const known = all.filter(e => e.key.instant <= asOf || (e.step.fact.deletion && happenedKey(e).instant <= asOf));
    if (known.length === 0) continue;
    const death = earlierDeath(findDeath(known, asOf), cuts.dead.get(id) ?? null);
    const spoken = known.filter(e => !e.step.fact.deletion && e.key.instant <= asOf);
    const alive = spoken.filter(e => death === null || compareKeys(e.key, death.key) < 0);
    const uncut = alive.filter(e => isAfter(e.key, cuts.removed.get(id)));
    const entries = uncut.filter(e => isAfter(e.key, cuts.forgotten.get(id)));
    const { provider, namespace } = all[0]!.step.endpoint;
    const userIds = new Set(spoken.flatMap(e => (e.step.fact.userId === null ? [] : [e.step.fact.userId])));
    const person: Person = {
      id,
      kind: kindOf(all[0]!, id),
      provider,
      namespace,
      entries,
      since: entries.map(e => e.key).toSorted(compareKeys)[0] ?? null,
      first: spoken.map(e => e.key).toSorted(compareKeys)[0] ?? null,
      claimed: [],
      unit: null,
      death: death?.happened ?? null,
      stays: [],
      current: null,
      withheld: false,
      countsFrom: null,
      userIds: [...userIds],
      demoted: false,
      ties: [...userIds].map(userId => `${namespace} ${userId}`),
      acts: [],
      made: false,
      isAsleep: false,
      hasIdSince: 0,
    };
    people.push(person);
    const runs = listAddressRuns(uncut);
    person.claimed = runs.map(run => run.value);
    if (person.kind === 'user') runsOfUsers.set(person, runs);
    else person.stays = closeStays(runs.map(r => ({ email: r.value, key: r.key, proof: null })));
  }
  people.push(...gatherSpeakers(acts.filter(act => isAfter(act.key, cuts.removed.get(act.speaker)))));
  admitUsers(people, runsOfUsers, cuts);
  for (const person of people) person.current = person.stays.at(-1) ?? null;
  demoteFurther(people);
  return people;
}

function gatherSpeakers(acts: WriteAct[]): Person[] {
  return [...Map.groupBy(acts, act => act.speaker)].map(([id, own]) => {
    const ofUser = /^api user(?:@(\S+))? (.*)$/.exec(id);
    const spoken = ofUser ? [`${ofUser[1] ?? ''} ${ofUser[2]}`] : [];
    const set = own.find(act => act.setsUserId !== null);
    // The newest is shown; the former ones find the contact still.
    const userIds = [...new Set(own.flatMap(act => act.setsUserId ?? []).toReversed())];
    const moves = own.filter(act => act.setsEmail !== null);
    const claims = moves.filter((act, i) => !moves.slice(i + 1).some(later => later.setsEmail === act.setsEmail));
    const isContact = own.some(act => act.made || act.setsEmail !== null);
    const hasIdSince = ofUser ? 0 : (set?.key.instant ?? Number.POSITIVE_INFINITY);
    return {
      id,
      kind: isContact ? ('api' as const) : ('note' as const),
      provider: hasIdSince === Number.POSITIVE_INFINITY ? id : 'api',
      namespace: '',
      entries: [],
      since: own[0]!.key,
      first: { ...own[0]!.key, instant: Math.floor(own[0]!.key.instant / 1_000_000) * 1_000_000 },
      claimed: claims.map(act => act.setsEmail!),
      unit: null,
      death: null,
      stays: closeStays(claims.map(act => ({ email: act.setsEmail!, key: act.key, proof: act.key }))),
      current: null,
      withheld: false,
      countsFrom: null,
      userIds,
      demoted: false,
      ties: [...spoken, ...userIds.map(userId => ` ${userId}`)],
      acts: own,
      made: own.some(act => act.made),
      isAsleep: false,
      hasIdSince,
    };
  });
}

/** Proven addresses are the user's. An unproven one only if nobody ever proved it, and no contact showed it a minute before. */
function admitUsers(people: Person[], runsOfUsers: Map<Person, ReturnType<typeof listAddressRuns>>, cuts: Cuts) {
  const runs = [...runsOfUsers].flatMap(([person, own]) =>
    own.map((run, place) => ({
      person,
      run,
      place,
      proof: run.claims.find(c => c.entry.step.fact.proven)?.key ?? null,
    })),
  );
  const parties = new Map(people.map(p => [p, new Set([p])]));
  for (const same of Map.groupBy(
    people.flatMap(person => person.ties.map(tie => ({ person, tie }))),
    t => t.tie,
  ).values()) {
    const party = new Set(same.flatMap(({ person }) => [...parties.get(person)!]));
    for (const person of party) parties.set(person, party);
  }
  const isSame = (other: Person, person: Person) => parties.get(person)!.has(other);
  const isGone = (person: Person, key: Key) => person.death !== null && !isAfter(key, cuts.forgotten.get(person.id));
  const isProvenByAnother = (person: Person, email: string) =>
    runs.some(
      r => !isSame(r.person, person) && r.proof !== null && r.run.value === email && !isGone(r.person, r.proof),
    ) || people.some(p => p.kind === 'api' && !isSame(p, person) && p.stays.some(stay => stay.email === email));
  const shown = people
    .filter(p => p.kind !== 'user')
    .flatMap(person => person.stays.map(stay => ({ person, email: stay.email, instant: stay.key.instant })));

  for (const { person, run, proof } of runs.toSorted((a, b) =>
    a.person === b.person ? a.place - b.place : compareKeys(a.run.key, b.run.key),
  )) {
    const start = run.key.instant;
    const mayHold =
      !isProvenByAnother(person, run.value) &&
      !shown.some(s => !isSame(s.person, person) && s.email === run.value && s.instant < start - MINUTE) &&
      isAfter(run.key, cuts.forgotten.get(person.id));
    if (mayHold) shown.push({ person, email: run.value, instant: start });
    if (mayHold) person.stays.push({ email: run.value, key: run.key, proof, until: FOREVER });
    else if (proof !== null && isAfter(proof, cuts.forgotten.get(person.id)))
      person.stays.push({ email: run.value, key: proof, proof, until: FOREVER });
  }
  for (const [person, own] of runsOfUsers) {
    person.stays = closeStays(person.stays);
    person.withheld = person.stays.length === 0 && own.some(run => !isGone(person, run.key));
    if (person.stays.length > 0 && own[0]!.key !== person.stays[0]!.key) person.countsFrom = person.stays[0]!.key;
  }
}

/** Of the persons of one provider and namespace with one address or user id, those beyond the earliest 50 tie nothing. */
function demoteFurther(people: Person[]) {
  const living = people.filter(p => p.kind === 'user' || p.kind === 'payer');
  const claims = living.flatMap(person => [
    ...(person.current ? [{ person, value: `@ ${person.current.email}`, key: person.current.key }] : []),
    ...(person.since ? person.userIds.map(value => ({ person, value: `id ${value}`, key: person.since! })) : []),
  ]);
  for (const same of Map.groupBy(claims, c => `${c.person.provider} ${c.person.namespace} ${c.value}`).values()) {
    for (const { person } of same.toSorted((a, b) => compareKeys(a.key, b.key)).slice(MOST_TIED)) person.demoted = true;
  }
}

export function pickScalarFormer(entry: Entry, property: string): Scalar | null | undefined {
  const former = entry.step.settings.formerProperties;
  return Object.hasOwn(former, property) ? former[property] : undefined;
}
