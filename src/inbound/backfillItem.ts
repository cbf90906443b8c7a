import { identityId, registersOf } from '../audience/identities.ts';
import { best, type Registers, type Version } from '../audience/registers.ts';
import type { Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { type Listener, nobody } from '../happenings.ts';
import { type Origin, type Taken, take } from '../pipeline.ts';
import type { Fact, Listed } from '../providers/provider.ts';
import type { BackfillRow } from './backfills.ts';
import { decide } from './decide.ts';
import { originOf } from './effect.ts';
import type { Live } from './live.ts';

/** What can be said of one listed person without the database: why it is skipped, or the fact to apply. */
export type Planned = { id: string | null } & ({ skip: string } | { skip: null; fact: Fact; origin: Origin });

/** What became of one. */
export interface Outcome {
  kind: 'created' | 'updated' | 'known' | 'waiting';
  released: number;
}

/**
 * Reads a listed person as the body of the back-fill's event type. Its rank is an update's: of the same instant as the event that
 * made it, what is listed now is the newer. No event fires unless the back-fill is to; then however long ago it was.
 */
export function planned(live: Live, row: BackfillRow, item: Listed): Planned {
  const { id, at } = item;
  const type = live.provider.backfill?.type ?? '';
  if (id === null) return { id, skip: 'It has no id.' };
  const body = live.provider.redact(item.body);
  const decided = decide(live, body, { type, at, externalId: id });
  if (decided.status === 'ignored') return { id, skip: decided.message };
  const fact: Fact = { ...decided.fact, rank: 1 };
  const source = { id: row.id, type, externalId: id, occurredAt: at, receivedAt: at, replays: 0 };
  const { origin } = originOf(live, source, body, fact);
  const settings = {
    ...origin.settings,
    triggerEvent: row.triggerEvents ? origin.settings.triggerEvent : null,
    triggerMaxAgeHours: Number.POSITIVE_INFINITY,
  };
  const own = { source: `${live.provider.name} back-fill`, deliveryId: null, key: `${row.id}:${id}`, settings };
  return { id, skip: null, fact, origin: { ...origin, ...own } };
}

/** Whether the newest word of a field is another one than this. Null says nothing. */
const differs = (versions: Version<Scalar | null>[], value: Scalar | null) =>
  value !== null && best(versions, null)?.v !== value;

function outdated(r: Registers, fact: Fact, { settings, contactProperties }: Origin): boolean {
  if (r.died !== null) return false;
  if (differs(r.email, fact.email) || differs(r.userId, fact.userId)) return true;
  if (settings.syncNames && (differs(r.firstName, fact.firstName) || differs(r.lastName, fact.lastName))) return true;
  return Object.entries(contactProperties).some(
    ([key, value]) => Object.hasOwn(r.props, key) && differs(r.props[key] ?? [], value),
  );
}

const CHANGES = /^(contact\.(?!kept)|list\.)/;

function outcomeOf(all: Taken[]): Outcome {
  const kinds = all.flatMap(taken => taken.effects.map(effect => effect.kind)).filter(kind => CHANGES.test(kind));
  const released = all.reduce((sum, taken) => sum + taken.released, 0);
  if (all.every(taken => taken.status === 'waiting')) return { kind: 'waiting', released };
  return { kind: kinds.includes('contact.created') ? 'created' : kinds.length ? 'updated' : 'known', released };
}

/**
 * Applies one person through the webhooks' path. Where the provider says when the object changed, its time orders it among the
 * webhooks. Where it does not (Stripe), it counts as of its creation, and once more as of the reading (`readAt`, whole seconds like
 * the webhooks') if something else is known: then an update was missed.
 * Events and workflows see it only when they are to, and only when the provider has never told of this person before.
 */
export async function applyOne(
  tx: Tx,
  live: Live,
  { fact, origin }: { fact: Fact; origin: Origin },
  readAt: number,
  now: number,
  tell: Listener | null,
): Promise<Outcome> {
  const hear = tell ?? nobody;
  const id = identityId(origin.provider, fact) ?? '';
  const before = await registersOf(tx, id);
  const unchanged = Boolean(before?.mapped);
  const taken = [await take(tx, fact, { ...origin, unchanged }, now, hear)];
  if (before && live.provider.backfill?.undated) {
    const after = await registersOf(tx, id);
    if (after && outdated(after, fact, origin)) {
      const asRead = { ...fact, at: Math.floor(readAt / 1000) * 1000 };
      taken.push(await take(tx, asRead, { ...origin, key: `${origin.key}:now`, unchanged: true }, now, hear));
    }
  }
  return outcomeOf(taken);
}
