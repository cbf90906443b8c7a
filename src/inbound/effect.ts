import { identityId, registersOf } from '../audience/identities.ts';
import type { Scalar } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import type { Listener } from '../happenings.ts';
import { type Origin, type Taken, take } from '../pipeline.ts';
import { pick } from '../providers/pick.ts';
import type { Fact } from '../providers/provider.ts';
import { isIgnored } from './decide.ts';
import type { Live } from './live.ts';

/** The part of a delivery's row that its effect depends on. */
export interface Source {
  id: string;
  type: string;
  externalId: string | null;
  occurredAt: number | null;
  receivedAt: number;
  replays: number;
}

/** Run it in a transaction: what it did, for the delivery's row. @throws what the database throws */
export type Effect = (tx: Tx, now: number) => Promise<Taken>;

/** What a delivery says of itself beside its body. */
export const seenOf = (row: Source) => ({
  type: row.type,
  at: row.occurredAt ?? row.receivedAt,
  externalId: (row.externalId ?? '').split(' ')[0] ?? '',
});

/**
 * What a verified delivery does, ready to run in a transaction: with the fact as `read` from its redacted body, or as `known`
 * after a look-up. The same whether it is applied as it arrives, later or again.
 */
export function effectOf(tell: Listener, live: Live, row: Source, body: unknown, read: Fact, known = read): Effect {
  const { origin, watched } = originOf(live, row, body, read);
  return async (tx, now) => {
    const unchanged = await isUnchanged(tx, live, body, read, origin, watched, seenOf(row));
    return take(tx, known, { ...origin, unchanged }, now, tell);
  };
}

/** Where a fact comes from, and the paths of a person that its type's update watches. */
export function originOf(live: Live, row: Source, body: unknown, fact: Fact) {
  const { provider } = live;
  const settings = live.events[fact.settingsType ?? row.type]!;
  const update = provider.types.find(t => t.silentWhenUnchanged)?.type;
  const watching = fact.authority === 'person' && update ? live.events[update] : undefined;
  const watched = watching
    ? [...Object.values(watching.contactProperties), ...Object.values(watching.eventProperties)]
    : [];
  const origin: Origin = {
    provider: provider.id,
    class: provider.class,
    source: `${provider.name} webhook`,
    deliveryId: row.id,
    key: row.id,
    externalId: seenOf(row).externalId,
    replays: row.replays,
    settings,
    contactProperties: pickAll(body, settings.contactProperties),
    eventProperties: pickAll(body, settings.eventProperties),
    mapped: watching ? mapped(body, fact, watched) : null,
    unchanged: false,
  };
  return { origin, watched };
}

function pickAll(body: unknown, paths: Record<string, string>): Record<string, Scalar> {
  const out: Record<string, Scalar> = {};
  for (const [key, path] of Object.entries(paths)) {
    const value = pick(body, path);
    if (value !== undefined) out[key] = value;
  }
  return out;
}

/** What we map of a person, path values included: an update that leaves all of it alone is silent. */
function mapped(body: unknown, fact: Fact, paths: string[]): Record<string, Scalar | null> {
  const out: Record<string, Scalar | null> = {
    ' email': fact.email,
    ' firstName': fact.firstName,
    ' lastName': fact.lastName,
    ' userId': fact.userId,
    ' deleted': fact.deletion,
  };
  for (const path of paths) out[path] = pick(body, path) ?? null;
  return out;
}

/** Compares with the document's own former state, else with what is stored. Unknown counts as changed. */
async function isUnchanged(
  tx: Tx,
  { provider, settings }: Live,
  body: unknown,
  fact: Fact,
  origin: Origin,
  watched: string[],
  seen: ReturnType<typeof seenOf>,
): Promise<boolean> {
  if (!origin.mapped || !provider.types.some(t => t.type === seen.type && t.silentWhenUnchanged)) return false;
  const before = provider.previous(body);
  let was: Record<string, Scalar | null> | undefined;
  if (before !== null) {
    const read = provider.read(before, settings, seen);
    if (isIgnored(read)) return false;
    was = mapped(before, read, watched);
  } else {
    const id = identityId(provider.id, fact);
    was = (id === null ? null : await registersOf(tx, id))?.mapped?.values;
  }
  if (!was) return false;
  const previous = was;
  return Object.entries(origin.mapped).every(
    ([key, value]) =>
      (!origin.settings.syncNames && key.endsWith('Name') && key.startsWith(' ')) || previous[key] === value,
  );
}
