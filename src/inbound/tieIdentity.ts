import { MAX_TIED, makeEmailTie, type People } from '../audience/people.ts';
import { findDeath, type K, makeRegisters, type Registers } from '../audience/registers.ts';
import { makeUserTie } from '../audience/ties.ts';
import type { Identity } from '../audience/views.ts';
import type { Effect } from '../db/schema.ts';
import type { Fact } from '../providers/provider.ts';
import type { Origin } from './ingest.ts';

/** Whether a fact is about somebody who was erased: by an id for good, by an address or user id only what was said by then. */
export function isErased(people: People, id: string, provider: string, fact: Fact, aliases: string[]): boolean {
  const namespace = provider.slice(provider.indexOf('@') + 1 || provider.length);
  const persons = [...(fact.personId === null ? [] : [id]), ...aliases];
  if (persons.some(value => people.tombstones.has(value))) return true;
  const ties = [
    ...(fact.email === null ? [] : [makeEmailTie(fact.email)]),
    ...(fact.userId === null ? [] : [makeUserTie(namespace, fact.userId)]),
  ];
  return ties.some(value => (people.tombstones.get(value) ?? -1) >= fact.at);
}

/**
 * The identity that a fact counts for. Of the persons of one provider and namespace that show one address, those with the earliest
 * claims are tied; facts of any further one count as address-only ones there.
 */
export function tieIdentity(people: People, id: string, origin: Origin, fact: Fact, k: K, effects: Effect[]): string {
  const { provider } = origin;
  if (fact.personId === null) return id;
  const own = people.identities.get(id);
  const loose = own?.registers.loose;
  if (fact.deletion) return id;
  if (fact.email === null) return loose === undefined ? id : `${provider}:@${loose}`;
  const died = own ? findDeath(own.registers) : null;
  if (died !== null && k >= died) return id;
  const value = makeEmailTie(fact.email);
  if (people.ties.get(value)?.has(id)) return id;
  const tied = people.tiedBy(value, provider).filter(each => each.registers.personId !== null);
  if (tied.length < MAX_TIED) {
    if (loose !== undefined && own) people.changeRegisters(id, { ...own.registers, loose: undefined });
    return id;
  }
  const newest = tied
    .map(each => ({ each, claim: findClaim(each, fact.email!) }))
    .sort((a, b) => (a.claim < b.claim ? 1 : -1))[0]!;
  if (k < newest.claim) {
    untie(people, newest.each, fact.email, provider);
    return id;
  }
  effects.push({
    kind: 'person.untied',
    reason: `${MAX_TIED} persons of this provider show this address already; this one counts as the address alone`,
  });
  const registers = { ...(own?.registers ?? makeRegisters(origin.class, fact.personId)), loose: fact.email };
  people.putIdentity({ id, provider, contactId: null, registers });
  return `${provider}:@${fact.email}`;
}

const findClaim = ({ registers }: Identity, email: string): K =>
  registers.facts.find(each => each.e === email)?.k ?? '~';

/** What a person said at an address counts as the address's own from now on. */
function untie(people: People, identity: Identity, email: string, provider: string): void {
  const r = identity.registers;
  const id = `${provider}:@${email}`;
  const here = people.identities.get(id);
  let registers: Registers = here?.registers ?? makeRegisters('address', null);
  for (const one of r.facts.filter(each => each.e === email)) {
    const { a: _, p: __, userId: ___, ...kept } = one;
    const facts = [...registers.facts.filter(each => each.k !== one.k), kept].sort((x, y) => (x.k < y.k ? -1 : 1));
    registers = { ...registers, facts, first: one.k < registers.first ? one.k : registers.first };
  }
  people.putIdentity({ id, provider, contactId: here?.contactId ?? null, registers });
  const facts = r.facts.filter(each => each.e !== email);
  people.putIdentity({ ...identity, contactId: null, registers: { ...r, facts, loose: email } });
}
