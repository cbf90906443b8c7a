import { claims, identityId, learn, releaseWaiting } from './audience/identities.ts';
import { fitProperties } from './audience/properties.ts';
import { factKey, type IdentityClass, type Joining } from './audience/registers.ts';
import { type Settled, settle } from './audience/settle.ts';
import type { Effect, Scalar } from './db/schema.ts';
import type { Tx } from './db/store.ts';
import { recordEvent } from './events.ts';
import { type Happening, type Listener, nobody } from './happenings.ts';
import type { EventSettings } from './inbound/eventSettings.ts';
import type { Fact } from './providers/provider.ts';

/** Where a fact comes from and what its settings make of it. Picked values come from the redacted payload. */
export interface Origin {
  provider: string;
  class: Exclude<IdentityClass, 'address'>;
  source: string;
  /** Null: from no delivery, such as a back-fill. */
  deliveryId: string | null;
  /** What the keys of its effects begin with: the delivery's id, or what else tells it from others. */
  key: string;
  externalId: string;
  /** How often the delivery was replayed with `repeatEffects`. */
  replays: number;
  settings: EventSettings;
  contactProperties: Record<string, Scalar>;
  eventProperties: Record<string, Scalar>;
  /** What is mapped of this person, to tell a later update that changes nothing. */
  mapped: Record<string, Scalar | null> | null;
  /** An update that changed nothing we map: its trigger stays silent. */
  unchanged: boolean;
}

export interface Taken {
  /** `waiting`: the person behind the id is not known yet. */
  status: 'processed' | 'waiting';
  contactId: string | null;
  identityId: string;
  message: string;
  effects: Effect[];
  /** How many deliveries waited for this person and are due now. */
  released: number;
}

/**
 * Applies one fact to the audience, fires what it triggers and tells `tell` what happened, in the caller's transaction.
 * @throws when the fact is about nobody
 */
export async function take(tx: Tx, fact: Fact, origin: Origin, now: number, tell: Listener = nobody): Promise<Taken> {
  const id = identityId(origin.provider, fact);
  if (id === null) throw new Error('a fact about nobody');
  const effects: Effect[] = [];
  const k = factKey(fact.at, fact.rank, origin.externalId);
  const joining: Joining = {
    fact,
    k,
    links: claims(origin.provider, fact, k),
    class: fact.personId === null ? 'address' : origin.class,
    source: origin.source,
    userGroup: origin.settings.userGroup,
    syncNames: origin.settings.syncNames,
    lists: fact.deletion ? [] : origin.settings.mailingLists,
    properties: fact.deletion ? {} : await fitProperties(tx, origin.contactProperties, now, effects),
    onDelete: origin.settings.onDelete ?? 'unsubscribe',
    mapped: origin.mapped,
  };
  const connected = await learn(tx, id, origin.provider, joining);
  const settled = await settle(tx, connected, id, now);
  effects.unshift(...settled.effects);
  if (fact.deletion && settled.why === 'shown') effects.push(...deletionEffects(joining, settled));
  const released = settled.why === 'deleted' ? connected.map(i => i.id) : settled.known;
  let woken = 0;
  for (const each of released) woken += await releaseWaiting(tx, each);
  const contactId = settled.contactId ?? settled.removedId;
  if (settled.why === 'unknown' && contactId === null) {
    return {
      status: 'waiting',
      contactId: null,
      identityId: id,
      message: waitingMessage(fact),
      effects,
      released: 0,
    };
  }
  const { happenings } = settled;
  const event = await trigger(tx, fact, origin, contactId, settled, now, effects);
  if (event) happenings.push(event);
  const message = sentence(fact, settled, effects);
  const cause = { key: `${origin.key}:${origin.replays}`, deliveryId: origin.deliveryId };
  effects.push(...(await tell(tx, happenings, cause, now)));
  return { status: 'processed', contactId, identityId: id, message, effects, released: woken };
}

function deletionEffects(joining: Joining, settled: Settled): Effect[] {
  if (joining.onDelete === 'ignore')
    return [{ kind: 'contact.kept', reason: 'onDelete is "ignore" for this event type' }];
  const done = settled.effects.some(effect => effect.kind === 'contact.unsubscribed');
  return done
    ? []
    : [
        {
          kind: 'contact.kept',
          reason: 'another identity of this person is live, the API made the contact, or it was unsubscribed before',
        },
      ];
}

/** Records the event that a type's settings trigger. Its key (delivery, kind, target) lets it happen once. */
async function trigger(
  tx: Tx,
  fact: Fact,
  origin: Origin,
  contactId: string | null,
  { email, userId }: Settled,
  now: number,
  effects: Effect[],
): Promise<Happening | null> {
  const eventName = origin.settings.triggerEvent;
  if (eventName === null || origin.unchanged) return null;
  if (contactId === null || email === null) {
    effects.push({ kind: 'event.skipped', eventName, reason: 'the contact was deleted' });
    return null;
  }
  if (now - fact.at > origin.settings.triggerMaxAgeHours * 3_600_000) {
    effects.push({ kind: 'event.tooOld', eventName, maxAgeHours: origin.settings.triggerMaxAgeHours });
    return null;
  }
  const event = await recordEvent(
    tx,
    {
      effectKey: `${origin.key}:event:${eventName}${origin.replays ? `:${origin.replays}` : ''}`,
      contact: { id: contactId, email, userId },
      eventName,
      eventProperties: origin.eventProperties,
      deliveryId: origin.deliveryId,
    },
    now,
  );
  const eventId = event?.kind === 'event' ? event.eventId : null;
  effects.push(
    eventId === null ? { kind: 'event.repeated', eventName } : { kind: 'event.triggered', eventName, eventId },
  );
  return event;
}

function waitingMessage(fact: Fact): string {
  const who = fact.personId ?? fact.aliases[0] ?? 'this person';
  return `Waiting: nobody with an address is known behind ${who} yet. It is applied by itself as soon as that person is known.`;
}

function sentence(fact: Fact, settled: Settled, effects: Effect[]): string {
  const who = settled.email ?? fact.email ?? fact.personId ?? 'this person';
  const did = (kind: string) => settled.effects.some(effect => effect.kind === kind);
  if (did('contact.created')) return `Created contact ${who}`;
  if (did('contact.deleted')) return `Deleted contact ${who}`;
  if (settled.why === 'deleted') return `${who} was deleted at the provider before; noted, nothing to apply`;
  if (did('contact.unsubscribed')) return `Unsubscribed contact ${who}`;
  if (fact.deletion)
    return `Kept contact ${who}: ${String(effects.find(each => each.kind === 'contact.kept')?.reason ?? 'nothing changed')}`;
  if (settled.effects.length) return `Updated contact ${who}`;
  return `Contact ${who} was up to date`;
}
