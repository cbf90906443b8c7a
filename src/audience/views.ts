import { type Contribution, findDeath, type K, type Registers } from './registers.ts';
import { buildRuns, filterFacts, type Run } from './timeline.ts';

/** One identity, as loaded. */
export interface Identity {
  /** `stripe:cus_…`, in a namespace `stripe@ns:cus_…`; of an address alone `stripe:@ada@example.com`; of API writes `api:user:…`, `api:@…`. */
  id: string;
  /** With its namespace: `stripe`, `stripe@ns`, `api`. */
  provider: string;
  contactId: string | null;
  registers: Registers;
}

/** `apiContact`: what the API made, or set an address of; `apiAddress`: what it said of an address or a user id that it merely found. */
type Kind = 'user' | 'payer' | 'apiContact' | 'apiAddress' | 'address';

/** What an identity says, as of now or of a moment in the past. */
export interface View {
  identity: Identity;
  id: string;
  kind: Kind;
  /** What counts of it: after whatever was forgotten, before its death. */
  facts: Contribution[];
  live: boolean;
  /** The earliest of all facts, forgotten ones too. */
  first: K;
  runs: Run[];
  /** The same before the partition takes away what is not theirs to hold. */
  claims: Run[];
  /** Its own last address that is theirs to hold. */
  own: Run | null;
  /** The address it shows, or showed last when it died: its own, unless somebody else has it now. */
  now: Run | null;
  /** Nothing of it counts: an unproven sign-up with somebody else's address. */
  withheld: boolean;
  /** Whatever it said by then is forgotten. */
  since: K;
  /** Who is one with it by id for good; set by the partition. */
  unit: string;
  /** What an unproven sign-up said while it was withheld counts from the moment of proof. Empty: it always counted. */
  countsFrom: K;
}

export const readNamespace = (provider: string) => provider.slice(provider.indexOf('@') + 1 || provider.length);
export const isPerson = ({ registers }: Identity) => registers.class === 'auth' || registers.class === 'payment';

/** The address of an address-only identity: `stripe:@ada@example.com`, `api:@ada@example.com`. */
export const readAddress = (id: string): string | null => {
  const at = id.indexOf(':@');
  return at < 0 ? null : id.slice(at + 2);
};

function classifyIdentity({ registers }: Identity, facts: Contribution[]): Kind {
  if (registers.class === 'auth') return 'user';
  if (registers.class === 'payment') return 'payer';
  if (registers.class === 'address') return 'address';
  return facts.some(each => each.made || (each.a && each.e !== undefined)) ? 'apiContact' : 'apiAddress';
}

/** Whether the API made the contact, and did not only write to it. */
export const isMade = (view: View): boolean => view.facts.some(each => each.made);
/** Whether a user's or API contact's present address is proven theirs. */
export const isProven = (view: View): boolean => view.own?.proven != null;
/** The time that a fact counts with. */
export const clampKey = (view: View, k: K): K => (view.countsFrom > k ? view.countsFrom : k);
/** The moment since when a claim of an address counts: that of its proof, where there is one. */
export const claimOf = (run: Run): K => run.proven ?? run.from;

/** The moment of death of a person, null while it lives; by `until` where the past is asked for. */
export function findDeathBy(r: Registers, until: K | null): K | null {
  const happened = until === null ? r : { ...r, deaths: r.deaths.filter(each => each.h <= until) };
  const died = findDeath(happened);
  const erased = r.erased !== '' && r.first <= r.erased && (until === null || r.erased <= until) ? r.erased : null;
  if (died === null || erased === null) return died ?? erased;
  return died < erased ? died : erased;
}

/** Runs that began before something was forgotten do not count. */
const filterRuns = (runs: Run[], since: K): Run[] => runs.filter(run => run.from > since);

/** Of each address that the API set the last time counts. */
function keepLastSet(facts: Contribution[]): Contribution[] {
  const set = facts.filter(each => each.a === 1);
  return set.filter((one, i) => !set.slice(i + 1).some(later => later.e === one.e));
}

/** `forgotten`: whatever was said by then is not shown again. `until`: the past as it was then. Null: nothing was known of it. */
export function viewOf(identity: Identity, until: K | null, forgotten: K): View | null {
  const { registers: r } = identity;
  if (until !== null && r.first > until && r.facts.every(each => each.k > until)) return null;
  const marks = [forgotten, r.erased, r.forgot ?? ''].filter(each => until === null || each <= until);
  const since = marks.sort().at(-1) ?? '';
  const died = isPerson(identity) ? findDeathBy(r, until) : null;
  const known = filterFacts(r, died, until);
  const facts = since === '' ? known : known.filter(each => each.k > since);
  const kind = classifyIdentity(identity, facts);
  const address = readAddress(identity.id);
  let runs: Run[];
  if (kind === 'apiContact') runs = buildRuns(keepLastSet(facts));
  else if (kind === 'apiAddress') runs = [];
  else if (kind === 'address') {
    const [oldest] = facts;
    runs = oldest && address !== null ? [{ email: address, from: oldest.k, proven: null, to: null }] : [];
  } else runs = buildRuns(known);
  if (kind === 'payer' && since !== '') runs = filterRuns(runs, since);
  return {
    identity,
    id: identity.id,
    kind,
    facts,
    live: died === null,
    first: r.first,
    runs,
    claims: runs,
    own: runs.at(-1) ?? null,
    now: runs.at(-1) ?? null,
    withheld: false,
    since,
    unit: identity.id,
    countsFrom: '',
  };
}
