import { coerce, typeOfValue } from '../audience/coerce.ts';
import { userTie } from '../audience/partition.ts';
import { activeTiesOf, emailTie, MAX_TIED, type People, tiesOf } from '../audience/people.ts';
import { type Reconciled, reconcile } from '../audience/reconcile.ts';
import {
  deathOf,
  emptyRegisters,
  factKey,
  type IdentityClass,
  type Joining,
  joinFact,
  type K,
  type Registers,
} from '../audience/registers.ts';
import type { Identity } from '../audience/views.ts';
import type { ContactChange } from '../changes.ts';
import type { Effect, Scalar } from '../db/schema.ts';
import type { NewEvent } from '../events.ts';
import { newId } from '../id.ts';
import type { Fact } from '../providers/provider.ts';
import type { EventSettings } from './eventSettings.ts';

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
export function identityOf(people: People | null, provider: string, fact: Fact): string | null {
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
export const paymentsOf = (provider: string, fact: Fact) => fact.payments.map(each => `${provider}:${each}`);

const erased = (identityId: string): Applied => ({
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
  const first = identityOf(people, origin.provider, fact);
  if (first === null) throw new Error('a fact about nobody');
  const aliases = fact.aliases.map(each => `id:${origin.provider}:${each}`);
  if (!people.identities.has(first) && isErased(people, first, origin.provider, fact, aliases)) return erased(first);
  const effects: Effect[] = [...origin.notes];
  const k = factKey(fact.at, fact.micros, fact.rank, origin.externalId, origin.endpointId);
  const h =
    fact.happenedAt === undefined ? k : factKey(fact.happenedAt, 0, fact.rank, origin.externalId, origin.endpointId);
  const target = tiedIdentity(people, first, origin, fact, k, effects);
  const before = people.identities.get(target);
  const isSilent = origin.silent?.(before?.registers.mapped?.values) ?? false;
  const joining: Joining = {
    fact: target === first ? fact : { ...fact, authority: 'copy', userId: null },
    k,
    h,
    class: target === first && fact.personId !== null ? origin.class : 'address',
    source: origin.source,
    userGroup: origin.settings.userGroup,
    syncNames: origin.settings.syncNames,
    lists: fact.deletion ? [] : origin.settings.mailingLists,
    properties: fact.deletion ? {} : fitProperties(people, origin, effects),
    formerProperties: origin.formerProperties,
    onDelete: origin.settings.onDelete ?? 'unsubscribe',
    mapped: origin.mapped,
    aliases: target === first ? aliases : [],
  };
  const personId = joining.class === 'address' ? null : fact.personId;
  const registers = joinFact(before?.registers ?? emptyRegisters(joining.class, personId), joining);
  if (!isNobody(target))
    people.putIdentity({ id: target, provider: origin.provider, contactId: before?.contactId ?? null, registers });
  const known = notePayments(people, origin.provider, fact, target);
  // Whom a deletion makes forgotten no longer stands in the way of others at its former addresses; what comes late may tell who was
  // there when somebody else was deleted.
  const isLate = before !== undefined && k < (before.registers.facts.at(-1)?.k ?? '');
  const values = before ? (fact.deletion || isLate ? tiesOf(before) : activeTiesOf(before)) : [];
  if (isLate && fact.email !== null) values.push(emailTie(fact.email));
  const reconciled = reconcile(people, target, now, [], values);
  effects.push(...reconciled.effects);
  if (reconciled.withheld)
    effects.push({ kind: 'link.withheld', reason: 'an unproven sign-up with an address that somebody else has' });
  known.push(...reconciled.known);
  const contactId = reconciled.contactId ?? reconciled.removedId;
  const unknownDeletion = fact.deletion && contactId === null && reconciled.why !== 'shown';
  if (!unknownDeletion && contactId === null && reconciled.why !== 'deleted') {
    const message = waitingMessage(fact);
    return {
      status: 'waiting',
      contactId: null,
      identityId: target,
      message,
      effects,
      known,
      changes: reconciled.changes,
      event: null,
    };
  }
  if (fact.deletion) effects.push(...deletionEffects(joining, reconciled, before, unknownDeletion));
  const event = isSilent ? null : triggeredEvent(fact, origin, reconciled, now, effects, people);
  const message = describe(fact, reconciled, effects, unknownDeletion);
  return {
    status: 'processed',
    contactId,
    identityId: target,
    message,
    effects,
    known,
    changes: reconciled.changes,
    event,
  };
}

function isErased(people: People, id: string, provider: string, fact: Fact, aliases: string[]): boolean {
  const namespace = provider.slice(provider.indexOf('@') + 1 || provider.length);
  const persons = [...(fact.personId === null ? [] : [id]), ...aliases];
  if (persons.some(value => people.tombstones.has(value))) return true;
  const ties = [
    ...(fact.email === null ? [] : [emailTie(fact.email)]),
    ...(fact.userId === null ? [] : [userTie(namespace, fact.userId)]),
  ];
  return ties.some(value => (people.tombstones.get(value) ?? -1) >= fact.at);
}

/**
 * The identity that a fact counts for. Of the persons of one provider and namespace that show one address, those with the earliest
 * claims are tied; facts of any further one count as address-only ones there.
 */
function tiedIdentity(people: People, id: string, origin: Origin, fact: Fact, k: K, effects: Effect[]): string {
  const { provider } = origin;
  if (fact.personId === null) return id;
  const own = people.identities.get(id);
  const loose = own?.registers.loose;
  if (fact.deletion) return id;
  if (fact.email === null) return loose === undefined ? id : `${provider}:@${loose}`;
  const died = own ? deathOf(own.registers) : null;
  if (died !== null && k >= died) return id;
  const value = emailTie(fact.email);
  if (people.ties.get(value)?.has(id)) return id;
  const tied = people.tiedBy(value, provider).filter(each => each.registers.personId !== null);
  if (tied.length < MAX_TIED) {
    if (loose !== undefined && own) people.changeRegisters(id, { ...own.registers, loose: undefined });
    return id;
  }
  const newest = tied
    .map(each => ({ each, claim: claimIn(each, fact.email!) }))
    .sort((a, b) => (a.claim < b.claim ? 1 : -1))[0]!;
  if (k < newest.claim) {
    untie(people, newest.each, fact.email, provider);
    return id;
  }
  effects.push({
    kind: 'person.untied',
    reason: `${MAX_TIED} persons of this provider show this address already; this one counts as the address alone`,
  });
  const registers = { ...(own?.registers ?? emptyRegisters(origin.class, fact.personId)), loose: fact.email };
  people.putIdentity({ id, provider, contactId: null, registers });
  return `${provider}:@${fact.email}`;
}

const claimIn = ({ registers }: Identity, email: string): K => registers.facts.find(each => each.e === email)?.k ?? '~';

/** What a person said at an address counts as the address's own from now on. */
function untie(people: People, identity: Identity, email: string, provider: string): void {
  const r = identity.registers;
  const id = `${provider}:@${email}`;
  const here = people.identities.get(id);
  let registers: Registers = here?.registers ?? emptyRegisters('address', null);
  for (const one of r.facts.filter(each => each.e === email)) {
    const { a: _, p: __, userId: ___, ...kept } = one;
    const facts = [...registers.facts.filter(each => each.k !== one.k), kept].sort((x, y) => (x.k < y.k ? -1 : 1));
    registers = { ...registers, facts, first: one.k < registers.first ? one.k : registers.first };
  }
  people.putIdentity({ id, provider, contactId: here?.contactId ?? null, registers });
  const facts = r.facts.filter(each => each.e !== email);
  people.putIdentity({ ...identity, contactId: null, registers: { ...r, facts, loose: email } });
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
    const type = known ?? people.defineProperty(key, typeOfValue(value));
    if (type === null) {
      effects.push({ kind: 'property.dropped', property: key, reason: 'there are as many properties as there may be' });
      continue;
    }
    if (coerce(value, type, provider) === undefined)
      effects.push({
        kind: 'property.dropped',
        property: key,
        reason: `is a ${type}, the webhook holds ${saidAs(value)}`,
      });
    fitting[key] = value; // kept all the same: the property's type may change
  }
  return fitting;
}

const saidAs = (value: Scalar) => (typeof value === 'string' ? 'a text that is none' : `a ${typeof value}`);

function deletionEffects(
  joining: Joining,
  reconciled: Reconciled,
  before: Identity | undefined,
  nobody: boolean,
): Effect[] {
  if (nobody) return [];
  const kept = (reason: string): Effect[] => [{ kind: 'contact.kept', reason }];
  if (joining.onDelete === 'ignore') return kept('onDelete is "ignore" for this event type');
  if (reconciled.why !== 'shown') return [];
  if (reconciled.effects.some(effect => effect.kind === 'contact.unsubscribed')) return [];
  if (before && deathOf(before.registers) !== null) return kept('this person was deleted at the provider before');
  const others = reconciled.left;
  if (others !== null) return kept(others);
  return kept('it was unsubscribed before');
}

/** The event that a type's settings trigger. Its key (delivery, kind, target) lets it happen once. */
function triggeredEvent(
  fact: Fact,
  origin: Origin,
  { contactId, removedId, email, userId, why }: Reconciled,
  now: number,
  effects: Effect[],
  people: People,
): NewEvent | null {
  const eventName = origin.settings.triggerEvent;
  if (eventName === null) return null;
  const id = contactId ?? (why === 'deleted' ? removedId : null);
  if (id === null || email === null) {
    effects.push({
      kind: 'event.skipped',
      eventName,
      reason: why === 'deleted' ? 'the contact was deleted' : 'nobody is known here',
    });
    return null;
  }
  if (now - (fact.happenedAt ?? fact.at) > origin.settings.triggerMaxAgeHours * 3_600_000) {
    effects.push({ kind: 'event.tooOld', eventName, maxAgeHours: origin.settings.triggerMaxAgeHours });
    return null;
  }
  const effectKey = `${origin.key}:event:${eventName}${origin.replays ? `:${origin.replays}` : ''}`;
  if (people.effectKeys.has(effectKey)) {
    effects.push({ kind: 'event.repeated', eventName });
    return null;
  }
  const eventId = newId('evt', now);
  effects.push({ kind: 'event.triggered', eventName, eventId });
  return {
    id: eventId,
    effectKey,
    contact: { id, email, userId },
    eventName,
    eventProperties: origin.eventProperties,
    deliveryId: origin.deliveryId,
  };
}

function waitingMessage(fact: Fact): string {
  const who = fact.personId ?? fact.payments[0] ?? fact.email ?? 'this person';
  return `Waiting: nobody with an address is known behind ${who} yet. It is applied by itself as soon as that person is known.`;
}

/** What happened, in a sentence that names only what the event itself held: providers keep the answers they get. */
function describe(fact: Fact, reconciled: Reconciled, effects: Effect[], nobody: boolean): string {
  const who = fact.email ?? fact.personId ?? 'this person';
  if (nobody) return `Nobody here: ${who} was never known, nothing to apply`;
  const did = (kind: string) =>
    reconciled.effects.some(effect => effect.kind === kind && effect.contactId === undefined);
  if (did('contact.created')) return `Created contact ${who}`;
  if (
    reconciled.effects.some(
      e => e.kind === 'contact.deleted' && (e.contactId === undefined || e.contactId === reconciled.removedId),
    ) &&
    reconciled.why === 'deleted'
  )
    return `Deleted contact ${who}`;
  if (reconciled.why === 'deleted') return `${who} was deleted at the provider before; noted, nothing to apply`;
  if (did('contact.unsubscribed')) return `Unsubscribed contact ${who}`;
  if (fact.deletion)
    return `Kept contact ${who}: ${String(effects.find(each => each.kind === 'contact.kept')?.reason ?? 'nothing changed')}`;
  if (did('contact.split')) return `Split contact ${who} from another one`;
  if (reconciled.effects.length) return `Updated contact ${who}`;
  return `Contact ${who} was up to date`;
}
