import { and, eq, gte, inArray, lte } from 'drizzle-orm';
import { hashSubject, requireSalt } from '../audience/tombstones.ts';
import { audits } from '../db/schema.ts';
import type { Search } from '../db/search.ts';
import { query } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { makeId, makeIdAt } from '../id.ts';
import { formatTime } from '../time.ts';
import { type AuditSubject, readSubject } from './auditSubjects.ts';

/** Who changes something. On the command line nobody has an id. */
export interface Actor {
  kind: 'key' | 'session' | 'cli';
  id: string | null;
}

/** A change that is about to happen. */
export interface Change {
  actor: Actor;
  /** `endpoint.update` */
  action: string;
  /** What kind of thing it is about, to tell before from after. Null: nothing that has a state. */
  subject: AuditSubject | null;
  /** Its id; null: it is what the change makes, or nothing. */
  target: string | null;
  /** A person that it is about, as a tie (`email:…`): kept as a keyed hash. */
  person: string | null;
  /** What else tells of it. No secrets, no addresses. */
  detail: Record<string, unknown> | null;
}

const MAX_TEXT = 500; // characters of one value, as JSON

/**
 * Runs a change and notes it in its transaction. Not noted is a change of what is not there, which is refused a moment later, and a
 * write that does not yet make the thing.
 */
export async function recordChange<T>(
  tx: Tx,
  change: Change,
  now: number,
  run: () => Promise<T>,
): Promise<{ result: T; isNoted: boolean }> {
  const { subject } = change;
  const before = subject && change.target !== null ? await readSubject(tx, subject, change.target) : null;
  const result = await run();
  const target = change.target ?? findId(result);
  if (subject && (target === null || (change.target !== null && before === null))) return { result, isNoted: false };
  const after = subject && target !== null ? await readSubject(tx, subject, target) : null;
  await noteChange(tx, { ...change, target }, now, before, after);
  return { result, isNoted: true };
}

/** Notes a change in the transaction that makes it. `before` and `after` are what a subject showed; only what differs is kept. */
export async function noteChange(
  tx: Tx,
  { actor, action, target, person, detail }: Change,
  now: number,
  before: Record<string, unknown> | null = null,
  after: Record<string, unknown> | null = null,
): Promise<void> {
  const differing = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter(
    key => JSON.stringify(before?.[key]) !== JSON.stringify(after?.[key]),
  );
  await tx.insert(audits).values({
    ...{
      id: makeId('aud', now),
      at: now,
      actorKind: actor.kind,
      actorId: actor.id,
      actorName: await findActorName(tx, actor),
    },
    ...{ action, target: person === null ? target : `hash:${hashSubject(await requireSalt(tx), person)}` },
    ...{ before: pickFields(before, differing), after: pickFields(after, differing), detail },
  });
}

/** What made something is the row it made, or holds it. */
function findId(result: unknown): string | null {
  if (typeof result !== 'object' || result === null) return null;
  if ('id' in result && typeof result.id === 'string') return result.id;
  for (const key of ['row', 'subscription']) if (key in result) return findId((result as Record<string, unknown>)[key]);
  return null;
}

function pickFields(from: Record<string, unknown> | null, keys: string[]): Record<string, unknown> | null {
  if (from === null) return null;
  return Object.fromEntries(keys.map(key => [key, cutValue(from[key])]));
}

function cutValue(value: unknown): unknown {
  const text = JSON.stringify(value) ?? '';
  return text.length <= MAX_TEXT ? (value ?? null) : `${text.slice(0, MAX_TEXT)}…`;
}

async function findActorName(tx: Tx, { kind, id }: Actor): Promise<string | null> {
  if (kind === 'cli') return 'command line';
  if (id === 'INLET_API_KEY') return id;
  const [row] = await query(tx, 'select name from keys where id = ?', [id ?? '']);
  return (row?.[0] as string | undefined) ?? null;
}

interface AuditFilter {
  actor?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  since?: number | undefined;
  until?: number | undefined;
}

/** The filter as a search. `since` and `until` in ms. */
export function searchAudits({ actor, action, target, since, until }: AuditFilter): Search {
  const ofActor = actor === undefined ? undefined : eq(audits.actorId, actor);
  const ofAction = action === undefined ? undefined : eq(audits.action, action);
  const ofTarget = target === undefined ? undefined : eq(audits.target, target);
  return {
    where: and(
      ...[ofActor, ofAction, ofTarget],
      since === undefined ? undefined : gte(audits.at, since),
      until === undefined ? undefined : lte(audits.at, until),
    ),
    narrow: ofTarget ?? ofActor ?? ofAction,
    floor: since === undefined ? undefined : makeIdAt('aud', since),
  };
}

/** Rows in the order of `ids`, in the shape of the API. */
export async function viewAudits(tx: Tx, ids: string[]) {
  const rows = ids.length ? await tx.select().from(audits).where(inArray(audits.id, ids)) : [];
  const byId = new Map(rows.map(row => [row.id, row]));
  return ids.flatMap(id => {
    const row = byId.get(id);
    if (!row) return [];
    const { at, actorKind, actorId, actorName, action, target, before, after, detail } = row;
    const actor = { kind: actorKind, id: actorId, name: actorName };
    return [{ ...{ id, at: formatTime(at), actor }, ...{ action, target, before, after, detail } }];
  });
}
