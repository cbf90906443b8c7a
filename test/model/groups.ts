import { compareKeys, earlierKey, FOREVER, type Key } from './order.ts';
import type { Person, Stay } from './people.ts';

/** One contact, or a group that is parked: `email` null. */
export interface Group {
  email: string | null;
  people: Person[];
}

/** People who are one by id. */
interface Party {
  people: Person[];
  /** Payers who stay with a user that moved on. */
  stayers: Person[];
  hasOwner: boolean;
}

/** 4: proven or set by the API; 3: unproven sign-up; 2: its payer's; 1: of a user who is gone. */
interface Proposal {
  party: Party;
  email: string;
  level: 1 | 2 | 3 | 4;
  key: Key;
  namespace: string;
}

export function compareSince(a: Person, b: Person): number {
  if (a.since === null || b.since === null) return Number(a.since === null) - Number(b.since === null);
  return compareKeys(a.since, b.since);
}

export function isAlive(person: Person): boolean {
  return person.death === null;
}

function unitePeople(people: Person[]): Party[] {
  const parties = new Map(people.map(p => [p, new Set([p])]));
  const unite = (a: Person, b: Person) => {
    const all = new Set([...parties.get(a)!, ...parties.get(b)!]);
    for (const p of all) parties.set(p, all);
  };
  const byTie = new Map<string, Person>();
  for (const person of people)
    for (const tie of person.ties) {
      const first = byTie.get(tie);
      if (first) unite(first, person);
      else byTie.set(tie, person);
    }
  // An API contact without a user id and the first user who proves its address are one, for good.
  for (const contact of people.filter(p => p.kind === 'api' && p.hasIdSince > 0)) {
    const proofs = people
      .filter(p => p.kind === 'user')
      .flatMap(user => user.stays.map(stay => ({ user, stay })))
      .filter(({ user, stay }) => contact.stays.some(own => meets(own, stay) && !isGoneBy(user, own.key)))
      .filter(({ stay }) => stay.proof !== null && stay.proof.instant < contact.hasIdSince)
      .toSorted((a, b) => compareKeys(a.stay.proof!, b.stay.proof!));
    if (proofs.length > 0) unite(contact, proofs[0]!.user);
  }
  const listParties = () => [...new Set(parties.values())];
  for (const set of listParties()) endSupersededClaims([...set]);
  uniteProvers(people, person => [...parties.get(person)!], unite);
  for (const set of listParties()) endSupersededClaims([...set]);
  return listParties().map(set => describeParty([...set]));
}

/** Who shows one address with a proof is one; never two users of one provider, and one who is gone only with whom he was together. */
function uniteProvers(people: Person[], listParty: (p: Person) => Person[], unite: (a: Person, b: Person) => void) {
  const isOwner = (p: Person) => p.kind === 'user' || p.kind === 'api';
  const provers = people.filter(p => isOwner(p) && p.current?.proof);
  const shows = (p: Person) => isAlive(p) && p.current !== null;
  const tiedSince = (same: Person[]) => same.map(p => p.current!.proof!).toSorted(compareKeys)[1] ?? FOREVER;
  // Of two ties that exclude one another the one that came about first counts.
  const shared = [...Map.groupBy(provers, p => p.current!.email).values()];
  for (const same of shared.toSorted((a, b) => compareKeys(tiedSince(a), tiedSince(b)))) {
    const together: Person[] = [];
    const present = same
      .filter(p => isAlive(p) || !listParty(p).some(other => other !== p && shows(other)))
      .toSorted((a, b) => Number(isAlive(b)) - Number(isAlive(a)) || compareClaims(a, b));
    for (const person of present) {
      const mayJoin = (other: Person) =>
        listParty(other).includes(person) ||
        (hasDifferentProviders(listParty(person).filter(isOwner), listParty(other).filter(isOwner)) &&
          wereTogether(person, other));
      if (!together.every(mayJoin)) continue;
      if (together[0]) unite(together[0], person);
      together.push(person);
    }
  }
}

/** The newest claim of an address first; only namespace "" takes one from another user. */
function compareClaims(a: Person, b: Person): number {
  const named = (p: Person) => Number(p.namespace !== '');
  const [x, y] = [a.current!.proof!, b.current!.proof!];
  return named(a) - named(b) || (named(a) ? compareKeys(x, y) : compareKeys(y, x));
}

/** Whether the address that a living user shows is another's by a newer proof, wherever that one's contact is. */
export function hasLostAddress(person: Person, people: Person[]): boolean {
  if (person.kind !== 'user' || !isAlive(person)) return false;
  const [holder] = people
    .filter(p => (p.kind === 'user' || p.kind === 'api') && isAlive(p) && !p.demoted && p.current?.proof)
    .filter(p => p.current!.email === person.current?.email)
    .toSorted(compareClaims);
  return holder !== undefined && holder.unit !== person.unit;
}

/** Whether both had the address proven at one time. */
function wereTogether(a: Person, b: Person): boolean {
  const isIn = (p: Person, other: Person) => p.death === null || compareKeys(other.current!.proof!, p.death) < 0;
  return isIn(a, b) && isIn(b, a);
}

function isGoneBy(user: Person, key: Key): boolean {
  return user.death !== null && compareKeys(user.death, key) < 0;
}

/** Both show one address at one time. */
function meets(a: Stay, b: Stay): boolean {
  const isBefore = (x: Stay, y: Stay) => compareKeys(x.proof ?? x.key, y.until) < 0;
  return a.email === b.email && isBefore(a, b) && isBefore(b, a);
}

function describeParty(people: Person[]): Party {
  return {
    people: people.toSorted(compareSince),
    stayers: [],
    // Who is gone and forgotten keeps no payer from the contact of others.
    hasOwner: people.some(p => (p.kind === 'user' && (isAlive(p) || p.current !== null)) || p.kind === 'api'),
  };
}

/** An address that the API set stands until a user of the contact proves another, or the API sets one. */
function endSupersededClaims(people: Person[]) {
  const rivals = people.filter(p => p.kind === 'api' || (p.kind === 'user' && isAlive(p) && p.current?.proof));
  const claims = rivals.flatMap(p =>
    p.current === null ? [] : [{ ...p.current, key: p.current.proof ?? p.current.key }],
  );
  const proofs = people.flatMap(p => (p.kind === 'user' ? p.stays.filter(stay => stay.proof !== null) : []));
  for (const stay of people.flatMap(p => (p.kind === 'api' ? p.stays.slice(0, -1) : [])))
    for (const { email, proof } of proofs)
      if (email !== stay.email && compareKeys(proof!, stay.key) > 0) stay.until = earlierKey(stay.until, proof!);
  for (const contact of people.filter(p => p.kind === 'api' && p.current !== null)) {
    const { current } = contact;
    const newer = claims.filter(c => c.email !== current!.email && compareKeys(c.key, current!.key) > 0);
    if (newer.length === 0) continue;
    current!.until = newer.map(c => c.key).reduce(earlierKey);
    contact.current = null;
  }
}

/** The addresses at which a party may be, most wanted first. */
function listProposals(party: Party): Proposal[] {
  const propose = (level: Proposal['level'], namespace: string) => (stay: Stay) => ({
    party,
    email: stay.email,
    level,
    key: stay.proof ?? stay.key,
    namespace,
  });
  const users = party.people.filter(p => p.kind === 'user' && p.current !== null);
  const proven = users.filter(p => isAlive(p) && p.current!.proof !== null);
  const [first, ...others] = proven.map(p => propose(4, p.namespace)(p.current!));
  const api = party.people
    .flatMap(p => (p.kind === 'api' && p.current !== null ? [propose(4, '')(p.current)] : []))
    .toSorted((a, b) => compareKeys(b.key, a.key));
  // The API and the auth provider compete by time.
  const top = [...api, ...(first ? [first] : [])].toSorted((a, b) => compareKeys(b.key, a.key));
  const unproven = users
    .filter(p => isAlive(p) && p.current!.proof === null)
    .map(p => propose(3, p.namespace)(p.current!));
  const payers = [...party.people, ...party.stayers].filter(p => p.kind === 'payer' && p.current !== null);
  const paid = payers.filter(isAlive).map(p => propose(2, p.namespace)(p.current!));
  const gone = users.filter(p => !isAlive(p)).map(p => propose(1, p.namespace)(p.current!));
  const paidOnce = payers.filter(p => !isAlive(p)).map(p => propose(1, p.namespace)(p.current!));
  const own = paid.filter(p =>
    party.people.some(person => person.kind === 'payer' && person.current?.email === p.email),
  );
  const stayed = paid.filter(p => !own.includes(p));
  return [...top, ...others, ...own, ...unproven, ...stayed, ...gone, ...paidOnce];
}

/** Who has the address: the newest claim; only namespace "" takes one from another user. */
function compareProposals(a: Proposal, b: Proposal): number {
  if (a.level !== b.level) return b.level - a.level;
  if (a.level === 2) return compareKeys(a.key, b.key);
  if (a.level === 1) return compareKeys(b.key, a.key);
  const named = (p: Proposal) => Number(p.namespace !== '');
  if (named(a) !== named(b)) return named(a) - named(b);
  return named(a) ? compareKeys(a.key, b.key) : compareKeys(b.key, a.key);
}

/** Users of different providers who both proved the address are one; one who is gone only with whom he was together. */
function mayShare(rival: Proposal, together: Proposal[]): boolean {
  const own = listUsersAt(rival, rival.email);
  return (
    together.every(other => areProven(own) && hasDifferentProviders(listOwners(other), listOwners(rival))) &&
    (together.length === 0 || together.some(other => metAt(rival, other)))
  );
}

function listUsersAt(proposal: Proposal, email: string): Person[] {
  return proposal.party.people.filter(p => (p.kind === 'user' || p.kind === 'api') && p.current?.email === email);
}

function listOwners({ party }: Proposal): Person[] {
  return party.people.filter(p => p.kind === 'user' || p.kind === 'api');
}

function areProven(users: Person[]): boolean {
  return users.length > 0 && users.every(p => p.current!.proof !== null);
}

function metAt(a: Proposal, b: Proposal): boolean {
  const [left, right] = [listUsersAt(a, a.email), listUsersAt(b, a.email)];
  return areProven(left) && areProven(right) && left.some(l => right.some(r => wereTogether(l, r)));
}

function hasDifferentProviders(left: Person[], right: Person[]): boolean {
  return !left.some(l => right.some(r => l.provider === r.provider && l.namespace === r.namespace));
}

/** Gives each party its most wanted address that nobody with a better claim has. */
function placeOwners(parties: Party[]): Map<string, Party[]> {
  const wishes = new Map(parties.map(party => [party, listProposals(party)]));
  // A proven address is its newest prover's, wherever their contact is.
  const proven = [...wishes.values()].flat().filter(p => p.level === 4);
  const holders = new Map<string, Party>();
  for (const [email, claims] of Map.groupBy(proven, p => p.email)) {
    const holder = claims.toSorted(compareProposals)[0]!;
    holders.set(email, holder.party);
    for (const [party, list] of wishes)
      wishes.set(
        party,
        list.filter(p => p.email !== email || party === holder.party || (p.level === 1 && mayShare(p, [holder]))),
      );
  }
  for (;;) {
    const present = [...wishes.values()].flatMap(list => list.slice(0, 1));
    const placed = new Map<string, Party[]>();
    let isStable = true;
    for (const [email, rivals] of Map.groupBy(present, p => p.email)) {
      const together: Proposal[] = [];
      for (const rival of rivals.toSorted(compareProposals)) {
        if (mayShare(rival, together)) together.push(rival);
        else {
          wishes.get(rival.party)!.shift();
          isStable = false;
        }
      }
      placed.set(
        email,
        together.map(p => p.party),
      );
    }
    if (isStable) return followHolders(placed, holders);
  }
}

/** Who is gone is with whom they shared the address, wherever that contact is now. */
function followHolders(placed: Map<string, Party[]>, holders: Map<string, Party>): Map<string, Party[]> {
  for (const [email, parties] of [...placed]) {
    const holder = holders.get(email);
    if (holder === undefined || parties.includes(holder)) continue;
    const home = [...placed.values()].find(each => each.includes(holder));
    if (!home) continue;
    home.push(...parties);
    placed.delete(email);
  }
  return placed;
}

/** Proofs of an address, by whom, newest first. */
function listProvers(parties: Party[], email: string): { party: Party; stay: Stay }[] {
  return parties
    .flatMap(party => {
      const stays = party.people.filter(p => p.kind === 'user' || p.kind === 'api').flatMap(p => p.stays);
      return stays.map(stay => ({ party, stay }));
    })
    .filter(({ stay }) => stay.email === email && stay.proof !== null)
    .toSorted((a, b) => compareKeys(b.stay.proof!, a.stay.proof!));
}

/** A payer stays with a user who moves on, if it showed the address while it was proven theirs, until another proves it. */
function findMover(payers: Party, owners: Party[]): Party | null {
  const current = findPayerAddress(payers);
  if (current === null) return null;
  const holder = findHolder(owners, current.email);
  if (holder) return listProposals(holder)[0]?.email === current.email ? null : holder;
  return listProvers(owners, current.email).find(p => meets(p.stay, current))?.party ?? null;
}

/** Whose proven address it is now, wherever their contact is. */
function findHolder(owners: Party[], email: string): Party | null {
  const claims = owners.flatMap(listProposals).filter(p => p.level === 4 && p.email === email);
  return claims.toSorted(compareProposals)[0]?.party ?? null;
}

function findPayerAddress(payers: Party): Stay | null {
  const showing = payers.people.filter(p => p.current !== null);
  return (showing.find(isAlive) ?? showing[0])?.current ?? null;
}

/** Who is one contact with whom, and where it is. */
export function groupPeople(everybody: Person[]): Group[] {
  const isOfAddress = (p: Person) => p.kind === 'note' && p.ties.length === 0;
  const counted = everybody.filter(p => !p.withheld && !p.demoted && p.kind !== 'guest' && !isOfAddress(p));
  const parties = unitePeople(counted);
  for (const party of parties) for (const person of party.people) person.unit = party;
  const owners = parties.filter(p => p.hasOwner);
  const payers = parties.filter(p => !p.hasOwner);
  const byAddress: Party[] = [];
  for (const party of payers) {
    const mover = findMover(party, owners);
    if (mover) mover.stayers = [...mover.stayers, ...party.people].toSorted(compareSince);
    else byAddress.push(party);
  }
  const groups = new Map<string, Group>();
  const groupOf = (email: string) => {
    if (!groups.has(email)) groups.set(email, { email, people: [] });
    return groups.get(email)!;
  };
  const placed = placeOwners(owners);
  for (const [email, together] of placed)
    for (const party of together) groupOf(email).people.push(...party.people, ...party.stayers);
  const parked = owners
    .filter(party => ![...placed.values()].some(together => together.includes(party)))
    .map(party => ({ email: null, people: [...party.people, ...party.stayers] }));
  for (const party of byAddress) {
    const address = findPayerAddress(party);
    if (address) groupOf(address.email).people.push(...party.people);
    else parked.push({ email: null, people: party.people });
  }
  const whole = [...groups.values(), ...parked];
  const findHome = (party?: Party | null) => whole.find(g => party?.people.some(p => g.people.includes(p)));
  const addressOnly = everybody.filter(p => p.kind === 'guest' || (p.demoted && !p.withheld));
  for (const [email, guests] of Map.groupBy(addressOnly, p => p.current?.email)) {
    if (email === undefined) continue;
    const prover = listProvers(owners, email)[0]?.party;
    const home =
      groups.get(email) ??
      findHome(findHolder(owners, email)) ??
      whole.find(g => g.people.some(p => p.kind === 'payer' && p.current?.email === email && isStayer(p, owners))) ??
      findHome(prover);
    if (home) home.people.push(...guests);
    else whole.push({ email, people: [...guests] });
  }
  const partyOf = (id: string) => parties.find(party => party.people.some(p => p.id === id));
  for (const note of everybody.filter(isOfAddress)) {
    const email = note.id.slice('api @'.length);
    const { carrier } = note.acts.at(-1)!;
    const [follows] = carrier === null ? listProvers(owners, email).map(p => p.party) : [partyOf(carrier)];
    const home = whole.find(g => g.email === email) ?? findHome(findHolder(owners, email)) ?? findHome(follows);
    note.isAsleep = carrier !== null && home !== undefined && home.email !== email && !speaksFor(follows!.people, home);
    home?.people.push(note);
  }
  // What the API said of a payer speaks only where nobody else was before.
  for (const party of parties) {
    const group = whole.find(g => g.people.includes(party.people[0]!));
    if (!group || speaksFor(party.people, group)) continue;
    for (const person of party.people) if (person.kind === 'note') person.isAsleep = true;
  }
  return whole;
}

/** Whether people are a contact's own: its users, its API contact, or its payers of longest standing. */
export function speaksFor(own: Person[], group: Group): boolean {
  if (own.some(p => p.kind === 'user' || p.kind === 'api')) return true;
  const eldest = own.filter(p => p.kind === 'payer').toSorted(compareSince)[0];
  if (!eldest) return true;
  const isForeign = (p: Person) => !own.includes(p) && p.kind !== 'guest' && p.kind !== 'note' && !p.demoted;
  return !group.people.some(p => isForeign(p) && (p.kind !== 'payer' || compareSince(p, eldest) < 0));
}

function isStayer(person: Person, owners: Party[]): boolean {
  return owners.some(o => o.stayers.includes(person));
}

/** Whoever proved the address last, or is parked with it: who is found by it when no contact shows it. */
export function findKeeper(groups: Group[], email: string): Group | null {
  const people = groups.flatMap(g => g.people).filter(p => p.kind === 'user' || p.kind === 'api');
  const proofs = people
    .flatMap(person => person.stays.map(stay => ({ person, stay })))
    .filter(({ stay }) => stay.email === email && stay.proof !== null)
    .toSorted((a, b) => compareKeys(b.stay.proof!, a.stay.proof!));
  return groups.find(g => proofs[0] !== undefined && g.people.includes(proofs[0].person)) ?? null;
}
