import type { Effect, Scalar } from '../db/schema.ts';
import { isCut, MAX_TEXT, pick } from '../providers/pick.ts';
import type { Fact } from '../providers/provider.ts';
import { isFact } from './decide.ts';
import type { ReadyEndpoint } from './endpointCache.ts';
import type { Origin } from './ingest.ts';

/** The part of a delivery's row that its effect depends on. */
interface Source {
  id: string;
  type: string;
  externalId: string | null;
  occurredAt: number | null;
  receivedAt: number;
  replays: number;
}

/** What a delivery says of itself beside its body. */
export const describeSeen = (row: Source) => ({
  type: row.type,
  at: row.occurredAt ?? row.receivedAt,
  externalId: (row.externalId ?? '').split(' ')[0] ?? '',
});

/** A provider within its namespace: `stripe`, `stripe@staging`. */
export const qualifyProvider = ({ provider, settings }: ReadyEndpoint): string =>
  settings.namespace ? `${provider.id}@${settings.namespace}` : provider.id;

/** Where a fact of a redacted body comes from, and what today's settings make of it. */
export function buildOrigin(live: ReadyEndpoint, row: Source, body: unknown, fact: Fact): Origin {
  const { provider } = live;
  if (provider.class === 'mail') throw new Error('an event of a mail provider is about no person');
  const settings = live.events[fact.settingsType ?? row.type]!;
  const update = provider.types.find(type => type.silentWhenUnchanged)?.type;
  const watching = fact.authority === 'person' && update ? live.events[update] : undefined;
  const paths = watching
    ? [...Object.values(watching.contactProperties), ...Object.values(watching.eventProperties)]
    : [];
  const mapped = watching ? readMapped(body, fact, paths) : null;
  const before = provider.previous(body);
  const contactProperties = pickAll(body, settings.contactProperties);
  const eventProperties = pickAll(body, settings.eventProperties);
  const notes = noteWithheld(live, settings.contactProperties, settings.eventProperties);
  if (!fact.deletion) notes.push(...cutNotes(body, contactProperties, settings.contactProperties));
  if (settings.triggerEvent !== null) notes.push(...cutNotes(body, eventProperties, settings.eventProperties));
  return {
    provider: qualifyProvider(live),
    endpointId: live.id,
    class: provider.class,
    source: `${provider.name} webhook`,
    deliveryId: row.id,
    key: row.id,
    externalId: describeSeen(row).externalId,
    receivedAt: row.receivedAt,
    replays: row.replays,
    settings,
    contactProperties,
    formerProperties: before === null ? {} : readFormer(before, settings.contactProperties),
    eventProperties,
    mapped,
    silent: judgeSilence(live, row, before, paths, mapped, settings.syncNames),
    notes,
  };
}

function pickAll(body: unknown, paths: Record<string, string>): Record<string, Scalar> {
  const out: Record<string, Scalar> = {};
  for (const [key, path] of Object.entries(paths)) {
    const value = pick(body, path);
    if (value !== undefined) out[key] = value;
  }
  return out;
}

function readFormer(before: unknown, paths: Record<string, string>): Record<string, Scalar | null> {
  const out: Record<string, Scalar | null> = {};
  for (const [key, path] of Object.entries(paths)) out[key] = pick(before, path) ?? null;
  return out;
}

/** A mapping on a key that redaction withholds says so. */
function noteWithheld({ provider }: ReadyEndpoint, ...mappings: Record<string, string>[]): Effect[] {
  const notes: Effect[] = [];
  for (const mapping of mappings)
    for (const [property, path] of Object.entries(mapping))
      if (provider.withholds?.(path))
        notes.push({
          kind: 'property.withheld',
          property,
          path,
          reason: 'the name of this key says that it holds a secret; it is never stored',
        });
  return notes;
}

/** A text that is kept in part says so. */
function cutNotes(body: unknown, picked: Record<string, Scalar>, paths: Record<string, string>): Effect[] {
  return Object.entries(picked).flatMap(([property, value]) => {
    const path = paths[property] ?? '';
    if (typeof value !== 'string' || value.length < MAX_TEXT || !isCut(body, path)) return [];
    return [{ kind: 'property.cut', property, path, reason: `only its first ${MAX_TEXT} characters are kept` }];
  });
}

/** What we map of a person, path values included: an update that leaves all of it alone is silent. */
function readMapped(body: unknown, fact: Fact, paths: string[]): Record<string, Scalar | null> {
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

/** Compares an update with the document's own former state, else with what was seen last. Unknown counts as changed. */
function judgeSilence(
  { provider, settings }: ReadyEndpoint,
  row: Source,
  before: unknown,
  paths: string[],
  mapped: Record<string, Scalar | null> | null,
  syncNames: boolean,
): Origin['silent'] {
  const isUpdate = provider.types.some(type => type.type === row.type && type.silentWhenUnchanged);
  if (!isUpdate || !mapped) return null;
  const read = before === null ? null : provider.read(before, settings, describeSeen(row));
  const former = read && isFact(read) ? readMapped(before, read, paths) : undefined;
  return seen => {
    const was = before === null ? seen : former;
    if (!was) return false;
    if (was[' deleted'] && mapped[' deleted']) return true; // gone before and after: nothing of it is anybody's news
    return Object.entries(mapped).every(
      ([key, value]) => (!syncNames && key.startsWith(' ') && key.endsWith('Name')) || was[key] === value,
    );
  };
}
