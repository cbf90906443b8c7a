import type { Scalar } from '../db/schema.ts';
import type { PropertyType } from './coerce.ts';
import type { ConsentChange } from './consent.ts';
import type { Definitions } from './project.ts';
import { findDeath, type Registers } from './registers.ts';
import { collectIdTies } from './ties.ts';
import { type Identity, readAddress, viewOf } from './views.ts';

/** A contact's row. Parked: its user lost the address to somebody else; kept with its history, not listed, not mailed. */
export interface Contact {
  id: string;
  email: string;
  userId: string | null;
  firstName: string | null;
  lastName: string | null;
  source: string;
  userGroup: string;
  subscribed: boolean;
  properties: Record<string, Scalar>;
  createdAt: number;
  updatedAt: number;
  lists: string[];
  parked: boolean;
}

/** How many of one provider and namespace are tied by one value. */
export const MAX_TIED = 50;
export const MAX_PROPERTIES = 1000;
const MAX_WALKED = 400; // identities around one; beyond, what is further away is left as it is

export const makeEmailTie = (email: string) => `email:${email}`;
const makeCarrierTie = (id: string) => `of:${id}`;

/** Every value by which an identity can be found. */
export function collectAllTies(identity: Identity): string[] {
  const ties = new Set(collectIdTies(identity));
  const r = identity.registers;
  const address = readAddress(identity.id);
  if (address !== null) ties.add(makeEmailTie(address));
  for (const one of r.facts) if (one.e !== undefined) ties.add(makeEmailTie(one.e));
  if (r.carrier !== undefined) ties.add(makeCarrierTie(r.carrier));
  if (r.carries) ties.add(makeCarrierTie(identity.id));
  return [...ties];
}

/** The values through which others may be one contact with it now: not those it only once showed. */
export const collectActiveTies = (identity: Identity): string[] => collectTies(identity, true);

function collectTies(identity: Identity, withFormer: boolean): string[] {
  const ties = new Set(collectIdTies(identity));
  const r = identity.registers;
  const address = readAddress(identity.id);
  if (address !== null) ties.add(makeEmailTie(address));
  const view = viewOf(identity, null, '');
  // A user may fall back to a former address.
  const isKept = withFormer && view?.kind !== 'payer';
  for (const run of view?.runs ?? []) if (run.to === null || isKept) ties.add(makeEmailTie(run.email));
  if (r.carrier !== undefined) ties.add(makeCarrierTie(r.carrier));
  if (r.carries) ties.add(makeCarrierTie(identity.id));
  return [...ties];
}

/** Whose removal decides what is forgotten: its whole company is needed to judge that. */
export const isDecisive = ({ registers }: Identity): boolean =>
  registers.deaths.some(each => each.onDelete === 'delete');

/** All that a value ties, as far as it is known. */
interface Tied {
  value: string;
  count: number;
  /** Somebody there was removed: who was there then, and with whom they are one, decides what is forgotten. */
  isJudged: boolean;
}

/**
 * Whether somebody found by a value is followed further; others only bear witness of an address that they once showed. Who is dead may
 * have been forgotten with the company that they were in then. Where as many
 * once were as may be tied, those who moved away are not followed: what a webhook costs must not grow with them.
 */
export function isFollowed(identity: Identity, { value, count, isJudged }: Tied): boolean {
  if (count >= MAX_TIED) return isDecisive(identity) || collectTies(identity, false).includes(value);
  return isJudged || findDeath(identity.registers) !== null || collectActiveTies(identity).includes(value);
}

/**
 * Everything that a batch of writes may touch, in memory: loaded before, saved after. Objects in it are replaced, never changed in
 * place, so that the journal can take back what a failed write did.
 */
export class People {
  readonly identities = new Map<string, Identity>();
  readonly ties = new Map<string, Set<string>>();
  readonly contacts = new Map<string, Contact>();
  readonly consents = new Map<string, ConsentChange[]>();
  /** Payment id → the identity that paid. */
  readonly payments = new Map<string, string>();
  /** Contact that became part of another → that one. */
  readonly merged = new Map<string, string>();
  /** Erased persons and ties → when, ms. */
  readonly tombstones = new Map<string, number>();
  /** Keys of events that were recorded before. */
  readonly effectKeys = new Set<string>();
  /** Custom properties made here. */
  readonly newProperties = new Map<string, PropertyType>();
  private journal: (() => void)[] = [];

  constructor(private readonly defined: Definitions & { propertyCount: number }) {}

  readonly definitions: Definitions = {
    hasList: id => this.defined.hasList(id),
    typeOf: key => this.newProperties.get(key) ?? this.defined.typeOf(key),
  };

  /** Makes a custom property. Null: there are as many as there may be. */
  defineProperty(key: string, type: PropertyType): PropertyType | null {
    if (this.defined.propertyCount + this.newProperties.size >= MAX_PROPERTIES) return null;
    this.set(this.newProperties, key, type);
    return type;
  }

  /** Sets an entry of one of the maps; `null` removes. The journal takes it back. */
  set<V>(map: Map<string, V>, key: string, value: V | null): void {
    const had = map.get(key);
    this.journal.push(() => {
      if (had === undefined) map.delete(key);
      else map.set(key, had);
    });
    if (value === null) map.delete(key);
    else map.set(key, value);
  }

  /** From here on changes can be taken back together. */
  begin(): void {
    this.journal = [];
  }

  /** Where the journal stands, for `undoTo`. */
  mark(): number {
    return this.journal.length;
  }

  undoTo(mark: number): void {
    for (const step of this.journal.splice(mark).reverse()) step();
  }

  undo(): void {
    this.undoTo(0);
  }

  /** Puts an identity and its ties; to be called with every change of registers. */
  putIdentity(identity: Identity): void {
    const before = this.identities.get(identity.id);
    this.set(this.identities, identity.id, identity);
    if (before && before.registers === identity.registers) return;
    const old = before ? collectAllTies(before) : [];
    const now = collectAllTies(identity);
    for (const value of now) if (!old.includes(value)) this.tie(value, identity.id, true);
    for (const value of old) if (!now.includes(value)) this.tie(value, identity.id, false);
  }

  removeIdentity(id: string): void {
    const before = this.identities.get(id);
    if (!before) return;
    for (const value of collectAllTies(before)) this.tie(value, id, false);
    this.set(this.identities, id, null);
  }

  changeRegisters(id: string, registers: Registers): void {
    const before = this.identities.get(id);
    if (before) this.putIdentity({ ...before, registers });
  }

  private tie(value: string, id: string, on: boolean): void {
    const next = new Set(this.ties.get(value));
    if (on) next.add(id);
    else next.delete(id);
    this.set(this.ties, value, next);
  }

  /** The identities of one provider and namespace that a value ties. */
  tiedBy(value: string, provider: string): Identity[] {
    return [...(this.ties.get(value) ?? [])].flatMap(id => {
      const identity = this.identities.get(id);
      return identity && identity.provider === provider ? [identity] : [];
    });
  }

  /**
   * All that may be one contact with these, or decides about it. `whole`: identities whose own ties were followed too; the others only
   * bear witness of an address that they once showed.
   */
  around(ids: Iterable<string>, values: Iterable<string> = []): { all: Identity[]; whole: Set<string> } {
    const all = new Map<string, Identity>();
    const whole = new Set<string>();
    const seen = new Set<string>();
    const open: string[] = [...values];
    const expand = (identity: Identity) => {
      if (whole.has(identity.id) || whole.size >= MAX_WALKED) return;
      whole.add(identity.id);
      all.set(identity.id, identity);
      for (const tie of collectActiveTies(identity)) if (!seen.has(tie)) open.push(tie);
    };
    for (const id of ids) {
      const identity = this.identities.get(id);
      if (identity) expand(identity);
    }
    for (let value = open.pop(); value !== undefined; value = open.pop()) {
      if (seen.has(value)) continue;
      seen.add(value);
      const here = [...(this.ties.get(value) ?? [])].flatMap(id => this.identities.get(id) ?? []);
      const tied = { value, count: here.length, isJudged: here.some(isDecisive) };
      for (const identity of here) {
        all.set(identity.id, identity);
        if (!whole.has(identity.id) && isFollowed(identity, tied)) expand(identity);
      }
    }
    return { all: [...all.values()].sort((a, b) => (a.id < b.id ? -1 : 1)), whole };
  }
}
