import { compareTexts, type K, parseKey } from '../audience/registers.ts';
import { RULES } from '../audience/rules.ts';
import type { Claim, FieldTrace } from '../audience/trace.ts';
import { readNamespace, type View } from '../audience/views.ts';
import { encodeAmong, query, writeAmong } from '../db/sets.ts';
import type { Tx } from '../db/store.ts';
import { formatTime } from '../time.ts';

const MOST_LOST = 20; // of one field, newest first

/** The delivery that a fact came by, as far as the log still has it. */
interface Source {
  id: string;
  type: string;
}

/** What a fact's key leads to. */
type Sources = Map<string, Source>;

/** What made a fact, by the prefix of an API write's key. */
const VIA: Record<string, 'api' | 'import' | 'link' | 'backfill'> = {
  req: 'api',
  imp: 'import',
  link: 'link',
  bf: 'backfill',
};

const joinKey = (endpointId: string, externalId: string) => `${endpointId} ${externalId}`;

/** The deliveries that facts with these keys came by. Only webhooks have one. */
export async function findSources(tx: Tx, keys: Iterable<K>): Promise<Sources> {
  const wanted = new Map<string, Set<string>>();
  for (const k of keys) {
    const { endpointId, externalId } = parseKey(k);
    if (endpointId === '') continue;
    wanted.set(endpointId, (wanted.get(endpointId) ?? new Set()).add(externalId));
  }
  const found: Sources = new Map();
  for (const [endpointId, ids] of wanted) {
    const text = `select id, type, external_id from deliveries where endpoint_id = ? and external_id ${writeAmong(tx)}`;
    for (const [id, type, external] of await query(tx, text, [endpointId, encodeAmong(tx, [...ids])]))
      found.set(joinKey(endpointId, external as string), { id: id as string, type: type as string });
    // A row that was in the same state before has the delivery's id behind the external one.
    const again =
      'select id, type from deliveries where endpoint_id = ? and external_id > ? and external_id < ? limit 1';
    for (const external of ids) {
      if (found.has(joinKey(endpointId, external))) continue;
      const [row] = await query(tx, again, [endpointId, `${external} `, `${external}!`]);
      if (row) found.set(joinKey(endpointId, external), { id: row[0] as string, type: row[1] as string });
    }
  }
  return found;
}

/** An identity as answers name it. */
export function describeIdentity({ id, identity, kind }: View) {
  return {
    identityId: id,
    provider: identity.provider.split('@')[0] ?? '',
    namespace: identity.provider === 'api' ? '' : readNamespace(identity.provider),
    personId: identity.registers.personId,
    kind: kind === 'apiContact' || kind === 'apiAddress' ? ('api' as const) : kind,
  };
}

/** Who said something when, and by what. */
function describeClaim({ k, view, value, rule }: Claim, sources: Sources, isOwn: (k: K) => boolean) {
  const { at, endpointId, externalId } = parseKey(k);
  const source = sources.get(joinKey(endpointId, externalId));
  const via = endpointId === '' ? (VIA[externalId.slice(0, externalId.indexOf('_'))] ?? 'api') : 'webhook';
  return {
    ...{ value, at: formatTime(at), ...describeIdentity(view), via },
    ...{ deliveryId: source?.id ?? null, type: source?.type ?? null, endpointId: endpointId || null },
    ...{ rule, sentence: rule === null ? null : RULES[rule], own: isOwn(k) },
  };
}

const ORDER = ['email', 'firstName', 'lastName', 'userId', 'userGroup', 'source', 'subscribed'];

/** Fields in the order of a contact, each with its most important claims: the one that shows, and up to 20 that do not. */
export function listFields(fields: Map<string, FieldTrace>) {
  const place = (name: string) => ORDER.indexOf(name) + 1 || ORDER.length + 1;
  return [...fields]
    .sort(([a], [b]) => place(a) - place(b) || compareTexts(a, b))
    .map(([field, { value, rule, claims }]) => {
      const won = claims.find(each => each.rule === null) ?? null;
      const lost = claims.filter(each => each !== won).sort((a, b) => compareTexts(b.k, a.k));
      return { field, value, rule, won, lost: lost.slice(0, MOST_LOST), omitted: Math.max(0, lost.length - MOST_LOST) };
    });
}

type ListedField = ReturnType<typeof listFields>[number];

/** The keys of all claims that are shown. */
export const collectKeys = (fields: ListedField[]): Set<K> =>
  new Set(fields.flatMap(({ won, lost }) => [...(won ? [won] : []), ...lost].map(each => each.k)));

/** A field in the shape of the API. `isOwn`: whether a fact is the one that is being explained. */
export function describeField({ won, lost, rule, ...rest }: ListedField, sources: Sources, isOwn: (k: K) => boolean) {
  return {
    ...rest,
    rule,
    sentence: RULES[rule],
    won: won && describeClaim(won, sources, isOwn),
    lost: lost.map(each => describeClaim(each, sources, isOwn)),
  };
}
