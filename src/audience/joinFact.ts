import type { Scalar } from '../db/schema.ts';
import type { Fact } from '../providers/provider.ts';
import { putContribution } from './boundRegisters.ts';
import {
  type Contribution,
  compareTexts,
  type Death,
  type IdentityClass,
  type K,
  type OnDelete,
  type Registers,
} from './registers.ts';

/** What one fact brings, settings applied: names only when synced, properties already picked. */
export interface Joining {
  fact: Fact;
  k: K;
  /** When it happened, as a key. */
  h: K;
  class: IdentityClass;
  source: string;
  userGroup: string | null;
  syncNames: boolean;
  lists: string[];
  properties: Record<string, Scalar>;
  /** The same paths in the document as it was before, where the event says so. */
  formerProperties: Record<string, Scalar | null>;
  onDelete: OnDelete;
  mapped: Record<string, Scalar | null> | null;
  /** `id:…` ties. */
  aliases: string[];
}

const MAX_DEATHS = 8;
const MAX_ALIASES = 8;

/** Joins one fact into the registers of its identity (or of its address); the same key again replaces. Returns new registers. */
export function joinFact(before: Registers, j: Joining): Registers {
  const r = { ...before };
  const { fact, k } = j;
  for (const alias of j.aliases)
    if (!r.aliases.includes(alias) && r.aliases.length < MAX_ALIASES) r.aliases = [...r.aliases, alias].sort();
  if (fact.deletion) {
    joinDeath(r, { k, h: j.h, onDelete: j.onDelete });
    return r;
  }
  if (k < r.first) r.first = k;
  const one: Contribution = { k };
  if (fact.authority === 'person') one.a = 1;
  if (fact.sentAt) one.s = fact.sentAt;
  if (fact.email !== null) {
    one.e = fact.email;
    if (fact.proven) one.p = 1;
    one.source = j.source;
  }
  if (j.syncNames && fact.firstName !== null) one.f = fact.firstName;
  if (j.syncNames && fact.lastName !== null) one.l = fact.lastName;
  if (fact.userId !== null && fact.userId !== r.personId) one.userId = fact.userId;
  if (Object.keys(j.properties).length) one.c = j.properties;
  if (j.lists.length) one.lists = Object.fromEntries(j.lists.map(id => [id, true]));
  if (j.userGroup !== null) one.group = j.userGroup;
  const was = collectFormer(j, one);
  if (was) one.was = was;
  const replayed = r.facts.find(each => each.k === k);
  // A replay adds lists that today's settings name and takes none away.
  if (replayed?.lists) one.lists = { ...replayed.lists, ...one.lists };
  putContribution(r, one);
  if (j.mapped && (!r.mapped || k >= r.mapped.k)) r.mapped = { k, values: j.mapped };
  return r;
}

/** Former values of the fields that this fact carries; they order facts of one time. */
function collectFormer({ fact, formerProperties }: Joining, one: Contribution): Contribution['was'] {
  const { former } = fact;
  const was: NonNullable<Contribution['was']> = {};
  if (one.e !== undefined && former?.email !== undefined) was.e = former.email;
  if (one.f !== undefined && former?.firstName !== undefined) was.f = former.firstName;
  if (one.l !== undefined && former?.lastName !== undefined) was.l = former.lastName;
  const keys = Object.keys(one.c ?? {}).filter(key => Object.hasOwn(formerProperties, key));
  if (keys.length) was.c = Object.fromEntries(keys.map(key => [key, formerProperties[key] ?? null]));
  return Object.keys(was).length ? was : undefined;
}

/** A deletion replayed with other settings counts as they are now, but a removal is never taken back. */
function joinDeath(r: Registers, death: Death): void {
  const before = r.deaths.find(each => each.k === death.k);
  const onDelete = before?.onDelete === 'delete' ? 'delete' : death.onDelete;
  const h = before && before.h < death.h ? before.h : death.h;
  const others = r.deaths.filter(each => each.k !== death.k);
  r.deaths = [...others, { k: death.k, h, onDelete }].sort((x, y) => compareTexts(x.k, y.k));
  while (r.deaths.length > MAX_DEATHS) r.deaths.splice(1, 1);
}
