import { coerce, inferType } from '../audience/coerce.ts';
import { type Joining, joinFact } from '../audience/joinFact.ts';
import { collectActiveTies, collectAllTies, makeEmailTie, type People } from '../audience/people.ts';
import { reconcile } from '../audience/reconcile.ts';
import { findLatest, type IdentityClass, type K, makeFactKey, makeRegisters } from '../audience/registers.ts';
import type { Identity } from '../audience/views.ts';
import type { ContactChange } from '../changes.ts';
import type { Effect, Scalar } from '../db/schema.ts';
import type { NewEvent } from '../events/events.ts';
import type { Fact } from '../providers/provider.ts';
import { describeFact, describeWaiting, explainDeletion, triggerEvent } from './describeFact.ts';
import type { EventSettings } from './eventSettings.ts';
import { isErased, tieIdentity } from './tieIdentity.ts';

/** Where a fact comes from and what its settings make of it. Picked values come from the redacted payload. */
export interface Origin {
  /** With its namespace: `stripe`, `stripe@staging`. */
  provider: string;
  endpointId: string;
  class: Exclude<IdentityClass, 'address'>;
  source: string;
  /** Null: from no delivery, such as a back-fill. */
  deliveryId: string | null;
  /** What the keys of its effects begin with: the delivery's id, or what else tells it from others. */
  key: string;
  externalId: string;
  /** When it arrived, ms: what a deletion without a time of its own counts from. */
  receivedAt: number;
  /** How often the delivery was replayed with `repeatEffects`. */
  replays: number;
  settings: EventSettings;
  contactProperties: Record<string, Scalar>;
  /** The same paths in the document as it was before, where the event says so. */
  formerProperties: Record<string, Scalar | null>;
  eventProperties: Record<string, Scalar>;
  /** What is mapped of this person, to tell a later update that changes nothing. */
  mapped: Record<string, Scalar | null> | null;
  /** An update: its trigger stays silent where nothing changed that we map. Null: always fires. */
  silent: ((before: Record<string, Scalar | null> | undefined) => boolean) | null;
  /** Effects known before, such as a mapping on a key that is never stored. */
  notes: Effect[];
}

export interface Applied {
  /** `waiting`: the person behind the id is not known yet. */
  status: 'processed' | 'waiting';
  contactId: string | null;
  identityId: string;
  message: string;
  effects: Effect[];
  /** Identities (and payments) whose waiting deliveries are due now. */
  known: string[];
  changes: ContactChange[];
  event: NewEvent | null;
  /** The person was erased: nothing that names them may be stored. */
  erased?: true;
}

/** Whom a fact is about: the provider's person, else the address, else who paid. Null: nobody. */
export function identifyFact(people: People | null, provider: string, fact: Fact): string | null {
  if (fact.personId !== null) return `${provider}:${fact.personId}`;
  if (fact.email !== null) return `${provider}:@${fact.email}`;
  const [payment] = fact.payments;
  if (payment === undefined) return null;
  const payers = fact.payments.flatMap(each => people?.payments.get(`${provider}:${each}`) ?? []);
  return payers.find(each => !isNobody(each)) ?? payers[0] ?? `${provider}:#${payment}`;
}

/** What waits for who paid: `stripe:#pi_…`. It finds deliveries, and is no person. */
const isNobody = (id: string) => id.includes(':#');

/** Ids that are to be looked up with a fact: payments by `provider:pi_…`. */
export const collectPayments = (provider: string, fact: Fact) => fact.payments.map(each => `${provider}:${each}`);

const reportErased = (identityId: string): Applied => ({
  status: 'processed',
  contactId: null,
  identityId,
  message: 'Nothing applied: this person was erased. Who signs up anew is somebody new.',
  effects: [{ kind: 'person.erased' }],
  known: [],
  changes: [],
  event: null,
  erased: true,
});

/** Applies one fact to the people in memory. Pure but for `people` and ids of new rows. @throws when the fact is about nobody */
export function applyFact(people: People, fact: Fact, origin: Origin, now: number): Applied {
  const first = identifyFact(people, origin.provider, fact);
  if (first === null) throw new Error('a fact about nobody');
  const aliases = fact.aliases.map(each => `id:${origin.provider}:${each}`);
  if (!people.identities.has(first) && isErased(people, first, origin.provider, fact, aliases))
    return reportErased(first);
  const effects: Effect[] = [...origin.notes];
  const k = makeFactKey(fact.at, fact.micros, fact.rank, origin.externalId, origin.endpointId);
  const target = tieIdentity(people, first, origin, fact, k, effects);
  const before = people.identities.get(target);
  const isSilent = origin.silent?.(before?.registers.mapped?.values) ?? false;
  const joining = prepareJoining(people, fact, origin, { k, isOwn: target === first, aliases, effects });
  const personId = joining.class === 'address' ? null : fact.personId;
  const registers = joinFact(before?.registers ?? makeRegisters(joining.class, personId), joining);
  if (!isNobody(target))
    people.putIdentity({ id: target, provider: origin.provider, contactId: before?.contactId ?? null, registers });
  const known = notePayments(people, origin.provider, fact, target);
  const reconciled = reconcile(people, target, now, [], listTiesBefore(before, fact, k));
  effects.push(...reconciled.effects);
  if (reconciled.withheld)
    effects.push({ kind: 'link.withheld', reason: 'an unproven sign-up with an address that somebody else has' });
  known.push(...reconciled.known);
  const contactId = reconciled.contactId ?? reconciled.removedId;
  const outcome = { contactId, identityId: target, effects, known, changes: reconciled.changes };
  const unknownDeletion = fact.deletion && contactId === null && reconciled.why !== 'shown';
  if (!unknownDeletion && contactId === null && reconciled.why !== 'deleted')
    return { ...outcome, status: 'waiting', message: describeWaiting(fact), event: null };
  if (fact.deletion) effects.push(...explainDeletion(joining, reconciled, before, unknownDeletion));
  const event = isSilent ? null : triggerEvent(fact, origin, reconciled, now, effects, people);
  return { ...outcome, status: 'processed', message: describeFact(fact, reconciled, effects, unknownDeletion), event };
}

/** How a fact counts; `isOwn`: for the person it is about, and not for the address alone. */
function prepareJoining(
  people: People,
  fact: Fact,
  origin: Origin,
  { k, isOwn, aliases, effects }: { k: K; isOwn: boolean; aliases: string[]; effects: Effect[] },
): Joining {
  const happened =
    fact.happenedAt === undefined
      ? k
      : makeFactKey(fact.happenedAt, 0, fact.rank, origin.externalId, origin.endpointId);
  return {
    fact: isOwn ? fact : { ...fact, authority: 'copy', userId: null },
    k,
    h: happened,
    class: isOwn && fact.personId !== null ? origin.class : 'address',
    source: origin.source,
    userGroup: origin.settings.userGroup,
    syncNames: origin.settings.syncNames,
    lists: fact.deletion ? [] : origin.settings.mailingLists,
    properties: fact.deletion ? {} : fitProperties(people, origin, effects),
    formerProperties: origin.formerProperties,
    onDelete: origin.settings.onDelete ?? 'unsubscribe',
    mapped: origin.mapped,
    aliases: isOwn ? aliases : [],
  };
}

/**
 * The ties by which others are to be looked at anew. Whom a deletion makes forgotten no longer stands in the way of others at its
 * former addresses; what comes late may tell who was there when somebody else was deleted.
 */
function listTiesBefore(before: Identity | undefined, fact: Fact, k: K): string[] {
  const isLate = before !== undefined && k < findLatest(before.registers);
  const values = before ? (fact.deletion || isLate ? collectAllTies(before) : collectActiveTies(before)) : [];
  return isLate && fact.email !== null ? [...values, makeEmailTie(fact.email)] : values;
}

/**
 * Payments find who paid; who waited for one is due. Until somebody is known to have paid, all ids of one payment lead to the same
 * place to wait in, so that any of them ends it.
 */
function notePayments(people: People, provider: string, fact: Fact, payer: string): string[] {
  const known: string[] = [];
  for (const payment of fact.payments) {
    const value = `${provider}:${payment}`;
    const before = people.payments.get(value);
    if (before === payer || (before !== undefined && !isNobody(before))) continue;
    people.set(people.payments, value, payer);
    if (before !== undefined) known.push(before);
  }
  return known;
}

/** Keeps values as they came, where the property can hold them; the rest is named in `effects`. */
function fitProperties(
  people: People,
  { contactProperties, provider }: Origin,
  effects: Effect[],
): Record<string, Scalar> {
  const fitting: Record<string, Scalar> = {};
  for (const [key, value] of Object.entries(contactProperties)) {
    const known = people.definitions.typeOf(key);
    const type = known ?? people.defineProperty(key, inferType(value));
    if (type === null) {
      effects.push({ kind: 'property.dropped', property: key, reason: 'there are as many properties as there may be' });
      continue;
    }
    if (coerce(value, type, provider) === undefined)
      effects.push({
        kind: 'property.dropped',
        property: key,
        reason: `is a ${type}, the webhook holds ${describeValue(value)}`,
      });
    fitting[key] = value; // kept all the same: the property's type may change
  }
  return fitting;
}

const describeValue = (value: Scalar) => (typeof value === 'string' ? 'a text that is none' : `a ${typeof value}`);
