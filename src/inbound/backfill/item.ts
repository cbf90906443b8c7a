import type { People } from '../../audience/people.ts';
import { type Contribution, findDeath, type Registers } from '../../audience/registers.ts';
import { buildSteps, findLastStep } from '../../audience/timeline.ts';
import type { Scalar } from '../../db/schema.ts';
import type { Fact, Listed } from '../../providers/provider.ts';
import { decide } from '../decide.ts';
import type { ReadyEndpoint } from '../endpointCache.ts';
import { type Applied, applyFact, identifyFact, type Origin } from '../ingest.ts';
import { buildOrigin } from '../origin.ts';
import type { BackfillRow } from './backfills.ts';

/** What can be said of one listed person without the database: why it is skipped, or the fact to apply. */
export type Planned = { id: string | null } & ({ skip: string } | { skip: null; fact: Fact; origin: Origin });

/** What became of one. */
interface ItemOutcome {
  kind: 'created' | 'updated' | 'known' | 'waiting';
}

/**
 * Reads a listed person as the body of the back-fill's event type. Its rank is an update's: of the same instant as the event that
 * made it, what is listed now is the newer. No event fires unless the back-fill is to; then however long ago it was.
 */
export function planItem(live: ReadyEndpoint, row: BackfillRow, item: Listed): Planned {
  const { id, at } = item;
  const type = live.provider.backfill?.type ?? '';
  if (id === null) return { id, skip: 'It has no id.' };
  const body = live.provider.redact(item.body);
  const decided = decide(live, body, { type, at, externalId: id });
  if (decided.status !== 'queued') return { id, skip: decided.message };
  const fact: Fact = { ...decided.fact, rank: 1 };
  const source = { id: row.id, type, externalId: id, occurredAt: at, receivedAt: at, replays: 0 };
  const origin = buildOrigin(live, source, body, fact);
  const settings = {
    ...origin.settings,
    triggerEvent: row.triggerEvents ? origin.settings.triggerEvent : null,
    triggerMaxAgeHours: Number.POSITIVE_INFINITY,
  };
  const own = { source: `${live.provider.name} back-fill`, deliveryId: null, key: `${row.id}:${id}`, settings };
  return { id, skip: null, fact, origin: { ...origin, ...own } };
}

/** Whether the newest word of a field is another one than this. Null says nothing. */
const differs = (last: Scalar | null | undefined, value: Scalar | null) => value !== null && last !== value;

function isOutdated(r: Registers, fact: Fact, { settings, contactProperties }: Origin): boolean {
  if (findDeath(r) !== null) return false;
  const last = <T>(pick: (one: Contribution) => T | undefined) =>
    findLastStep(buildSteps(r.facts, pick, () => undefined))?.v;
  if (
    differs(
      last(one => one.e),
      fact.email,
    )
  )
    return true;
  if (
    fact.userId !== r.personId &&
    differs(
      last(one => one.userId),
      fact.userId,
    )
  )
    return true;
  if (
    settings.syncNames &&
    (differs(
      last(one => one.f),
      fact.firstName,
    ) ||
      differs(
        last(one => one.l),
        fact.lastName,
      ))
  )
    return true;
  return Object.entries(contactProperties).some(([key, value]) => {
    const known = last(one => (one.c && Object.hasOwn(one.c, key) ? one.c[key] : undefined));
    return known !== undefined && differs(known, value);
  });
}

const CHANGES = /^(contact\.(?!kept)|list\.)/;

function classifyItem(all: Applied[]): ItemOutcome['kind'] {
  const kinds = all.flatMap(applied => applied.effects.map(effect => effect.kind)).filter(kind => CHANGES.test(kind));
  if (all.every(applied => applied.status === 'waiting')) return 'waiting';
  return kinds.includes('contact.created') ? 'created' : kinds.length ? 'updated' : 'known';
}

/**
 * Applies one person through the webhooks' path. Where the provider says when the object changed, its time orders it among the
 * webhooks. Where it does not (Stripe), it counts as of its creation, and once more as of the reading (`readAt`, whole seconds like
 * the webhooks') if something else is known: then an update was missed.
 * Events see it only when they are to, and only when the provider has never told of this person before.
 */
export function applyListed(
  people: People,
  live: ReadyEndpoint,
  { fact, origin }: { fact: Fact; origin: Origin },
  readAt: number,
  now: number,
): { kind: ItemOutcome['kind']; all: Applied[] } {
  const id = identifyFact(people, origin.provider, fact) ?? '';
  const before = people.identities.get(id)?.registers;
  const silent = before?.mapped ? () => true : null;
  const all = [applyFact(people, fact, { ...origin, silent }, now)];
  if (before && live.provider.backfill?.undated) {
    const after = people.identities.get(id)?.registers;
    if (after && isOutdated(after, fact, origin)) {
      const asRead = { ...fact, at: Math.floor(readAt / 1000) * 1000 };
      all.push(applyFact(people, asRead, { ...origin, key: `${origin.key}:now`, silent: () => true }, now));
    }
  }
  return { kind: classifyItem(all), all };
}
