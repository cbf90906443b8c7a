import { selectAmong } from '../db/sets.ts';
import type { Hold, Tx } from '../db/store.ts';
import type { ConsentChange } from './consent.ts';
import {
  listKeySubjects,
  listPeopleSubjects,
  loadConsents,
  loadEffectKeys,
  loadTombstones,
  loadWaiting,
  noteTombstones,
} from './loadBeside.ts';
import { type Contact, collectActiveTies, collectAllTies, isDecisive, isFollowed, People } from './people.ts';
import type { Definitions } from './project.ts';
import type { Registers } from './registers.ts';
import type { Identity } from './views.ts';

/** What a write needs to have in memory. Everything is optional. */
export interface Keys {
  /** Identities, and with them everything that may be one contact. */
  ids?: string[];
  /** Ties: `email:…`, `user:…`, `id:…`. */
  ties?: string[];
  /** Contact ids. */
  contacts?: string[];
  /** Payments, as `provider:pi_…`. */
  payments?: string[];
  /** Keys of events that may have been recorded before. */
  effects?: string[];
}

const MAX_WAVES = 12; // two for each step from person to person
const IDENTITY = 'id, provider, contact_id, registers';

export interface Loaded {
  identities: Map<string, Identity>;
  ties: Map<string, Set<string>>;
  contacts: Map<string, Contact>;
  consents: Map<string, ConsentChange[]>;
  payments: Map<string, string>;
  merged: Map<string, string>;
}

/** The people of a batch, with what they were when they were loaded. */
export interface WorkingSet {
  people: People;
  loaded: Loaded;
  salt: string;
  waiting: Waiting;
}

/** Which of the ids that were asked about have deliveries that wait for them. */
export interface Waiting {
  asked: Set<string>;
  found: Set<string>;
}

const readIdentity = (row: unknown[]): Identity => ({
  id: row[0] as string,
  provider: row[1] as string,
  contactId: row[2] as string | null,
  registers: JSON.parse(row[3] as string) as Registers,
});

/** An identity from a row that the schema decoded. */
export const decodeIdentity = (row: {
  id: string;
  provider: string;
  contactId: string | null;
  registers: unknown;
}): Identity => ({
  ...row,
  registers: row.registers as Registers,
});

/** The keys under which nodes of people are held while they are read and written. */
const makeIdKey = (id: string) => `id:${id}`;
const makeTieKey = (value: string) => `tie:${value}`;
const free: Hold = async () => {};

/**
 * Reads everything these keys lead to, in a fixed number of statements and few round trips. Each node is held before it is read.
 * @throws Held
 */
export async function loadPeople(
  tx: Tx,
  keys: Keys[],
  definitions: Definitions & { propertyCount: number },
  salt: string,
  hold: Hold = free,
): Promise<WorkingSet> {
  const people = new People(definitions);
  const all = (kind: keyof Keys) => [...new Set(keys.flatMap(each => each[kind] ?? []))];
  const ids = all('ids');
  const subjects = new Map<string, string>(); // hash → subject
  // All that the keys name goes out at once; only what it leads to has to wait for it.
  const [, , erased, waiting] = await Promise.all([
    loadConnected(tx, people, ids, all('ties'), loadLeads(tx, people, all('payments'), all('contacts'), hold), hold),
    loadConsents(tx, people, listKeySubjects(keys), subjects, salt),
    loadTombstones(tx, keys, salt),
    loadWaiting(tx, ids),
    loadEffectKeys(tx, people, all('effects')),
  ]);
  noteTombstones(people, keys, erased);
  const contactIds = new Set([...people.identities.values()].flatMap(each => each.contactId ?? []));
  await Promise.all([
    loadContacts(tx, people, [...contactIds]),
    loadConsents(tx, people, listPeopleSubjects(people), subjects, salt),
  ]);
  return {
    people,
    salt,
    waiting,
    loaded: {
      identities: new Map(people.identities),
      ties: new Map(people.ties),
      contacts: new Map(people.contacts),
      consents: new Map(people.consents),
      payments: new Map(people.payments),
      merged: new Map(people.merged),
    },
  };
}

/** The identities that payments and contacts lead to. */
async function loadLeads(tx: Tx, people: People, payments: string[], contacts: string[], hold: Hold) {
  const [, rows, members] = await Promise.all([
    hold(payments.map(value => `pay:${value}`)),
    selectAmong(tx, 'select value, identity_id from payments where value', payments),
    loadContactMembers(tx, people, contacts),
  ]);
  for (const [value, id] of rows) people.payments.set(value as string, id as string);
  return [...members, ...rows.map(([, id]) => id as string)];
}

async function loadContactMembers(tx: Tx, people: People, contacts: string[]): Promise<string[]> {
  if (!contacts.length) return [];
  const merged = await selectAmong(tx, 'select from_id, to_id from merged_contacts where from_id', contacts);
  for (const [from, to] of merged) people.merged.set(from as string, to as string);
  const ids = [...new Set([...contacts, ...people.merged.values()])];
  return (await selectAmong(tx, 'select id from identities where contact_id', ids)).map(([id]) => id as string);
}

/** Identities and ties in waves: those asked for, those they lead to, and so on until nothing new is named. */
async function loadConnected(
  tx: Tx,
  people: People,
  ids: string[],
  values: string[],
  leads: Promise<string[]>,
  hold: Hold,
): Promise<void> {
  const wanted = new Set(ids);
  const asked = { ids: new Set<string>(), ties: new Set<string>() };
  const namedBy = new Map<string, string[]>(); // identity → the values that led to it
  let open = { ids: takeUnasked(asked.ids, ids), ties: takeUnasked(asked.ties, values) };
  for (let wave = 0; wave === 0 || ((open.ids.length || open.ties.length) && wave < MAX_WAVES); wave++) {
    for (const value of open.ties) people.ties.set(value, new Set());
    const [led, , rows, tied] = await Promise.all([
      wave === 0 ? leads : [],
      hold([...open.ids.map(makeIdKey), ...open.ties.map(makeTieKey)]),
      selectAmong(tx, `select ${IDENTITY} from identities where id`, open.ids),
      selectAmong(tx, 'select value, identity_id from ties where value', open.ties),
    ]);
    const found = rows.map(readIdentity);
    for (const identity of found) people.identities.set(identity.id, identity);
    for (const id of led) wanted.add(id);
    const next = [...led];
    for (const [value, id] of tied as [string, string][]) {
      people.ties.get(value)?.add(id);
      namedBy.set(id, [...(namedBy.get(id) ?? []), value]);
      const known = people.identities.get(id);
      if (!known) next.push(id);
      else if (!found.includes(known)) found.push(known);
    }
    const judged = found.filter(isDecisive).flatMap(identity => namedBy.get(identity.id) ?? []);
    const again = judged.flatMap(value => listTied(people, value)).flatMap(id => people.identities.get(id) ?? []);
    const more = [...new Set([...found, ...again])].flatMap(identity => {
      return leadsOn(people, identity, wanted.has(identity.id), namedBy.get(identity.id));
    });
    open = { ids: takeUnasked(asked.ids, next), ties: takeUnasked(asked.ties, more) };
  }
}

/** Those that were not asked for before. */
function takeUnasked(asked: Set<string>, values: string[]): string[] {
  const out = values.filter(value => !asked.has(value));
  for (const value of out) asked.add(value);
  return [...new Set(out)];
}

const listTied = (people: People, value: string): string[] => [...(people.ties.get(value) ?? [])];

/** The ties to follow from an identity, by the same rule as `People.around`. */
function leadsOn(people: People, identity: Identity, wanted: boolean, named: string[] | undefined): string[] {
  if (wanted) return collectAllTies(identity); // former ones too: a deletion concerns whoever is there
  const isWitness = named?.every(value => {
    const ids = listTied(people, value);
    const isJudged = ids.some(id => {
      const known = people.identities.get(id);
      return known !== undefined && isDecisive(known);
    });
    return !isFollowed(identity, { value, count: ids.length, isJudged });
  });
  return isWitness ? [] : collectActiveTies(identity);
}

export const CONTACT_COLUMNS =
  'id, email, user_id, first_name, last_name, source, user_group, subscribed, properties, created_at, updated_at';

function readContact(row: unknown[]): Contact {
  return {
    id: row[0] as string,
    email: row[1] as string,
    userId: row[2] as string | null,
    firstName: row[3] as string | null,
    lastName: row[4] as string | null,
    source: row[5] as string,
    userGroup: row[6] as string,
    subscribed: Number(row[7]) === 1,
    properties: JSON.parse(row[8] as string),
    createdAt: Number(row[9]),
    updatedAt: Number(row[10]),
    lists: [],
    parked: false,
  };
}

async function loadContacts(tx: Tx, people: People, ids: string[]): Promise<void> {
  if (!ids.length) return;
  const [rows, members, parked] = await Promise.all([
    selectAmong(tx, `select ${CONTACT_COLUMNS} from contacts where id`, ids),
    selectAmong(tx, 'select contact_id, list_id from memberships where contact_id', ids),
    selectAmong(tx, `select ${CONTACT_COLUMNS} from parked_contacts where id`, ids),
  ]);
  for (const row of rows) people.contacts.set(row[0] as string, readContact(row));
  for (const row of parked) people.contacts.set(row[0] as string, { ...readContact(row), parked: true });
  for (const [id, list] of members) people.contacts.get(id as string)?.lists.push(list as string);
  for (const contact of people.contacts.values()) contact.lists.sort();
}
