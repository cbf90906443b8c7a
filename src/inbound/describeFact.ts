import type { Joining } from '../audience/joinFact.ts';
import type { People } from '../audience/people.ts';
import type { Reconciled } from '../audience/reconcile.ts';
import { findDeath } from '../audience/registers.ts';
import type { Identity } from '../audience/views.ts';
import type { Effect } from '../db/schema.ts';
import type { NewEvent } from '../events/events.ts';
import { makeId } from '../id.ts';
import type { Fact } from '../providers/provider.ts';
import type { Origin } from './ingest.ts';

/** Why the contact of somebody who was deleted is still there. */
export function explainDeletion(
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
  if (before && findDeath(before.registers) !== null) return kept('this person was deleted at the provider before');
  const others = reconciled.left;
  if (others !== null) return kept(others);
  return kept('it was unsubscribed before');
}

/** The event that a type's settings trigger. Its key (delivery, kind, target) lets it happen once. */
export function triggerEvent(
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
  const eventId = makeId('evt', now);
  effects.push({ kind: 'event.triggered', eventName, eventId });
  return {
    id: eventId,
    effectKey,
    contact: { id, email, userId },
    eventName,
    eventProperties: origin.eventProperties,
    deliveryId: origin.deliveryId,
    occurredAt: fact.happenedAt ?? fact.at,
  };
}

export function describeWaiting(fact: Fact): string {
  const who = fact.personId ?? fact.payments[0] ?? fact.email ?? 'this person';
  return `Waiting: nobody with an address is known behind ${who} yet. It is applied by itself as soon as that person is known.`;
}

/** What happened, in a sentence that names only what the event itself held: providers keep the answers they get. */
export function describeFact(fact: Fact, reconciled: Reconciled, effects: Effect[], nobody: boolean): string {
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
