import { eq } from 'drizzle-orm';
import { explainPeople, IDENTITY_STATES, judgeIdentity } from '../audience/explain.ts';
import type { People } from '../audience/people.ts';
import { type Contribution, type K, makeFactKey, parseKey } from '../audience/registers.ts';
import { type Identity, type View, viewOf } from '../audience/views.ts';
import type { Context } from '../context.ts';
import { deliveries, endpoints, payloads, secrets } from '../db/schema.ts';
import { notFound } from '../errors.ts';
import { CONTACT_STATES } from '../history/explainContact.ts';
import { collectKeys, describeField, describeIdentity, findSources, listFields } from '../history/factOrigins.ts';
import { traceDelivery } from '../history/trace.ts';
import type { Fact } from '../providers/provider.ts';
import { formatTime } from '../time.ts';
import { decide } from './decide.ts';
import { parseBody } from './deliveries.ts';
import type { ReadyEndpoint } from './endpointCache.ts';
import { identifyFact } from './ingest.ts';
import { describeSeen, qualifyProvider } from './origin.ts';

type Row = typeof deliveries.$inferSelect;
type Parts = Pick<Context, 'store' | 'people' | 'live'>;

const RANKS = ['created', 'updated', 'other', 'deletion'];

/** One delivery from its arrival to what came of it, in the shape of the API. @throws AppError notFound */
export async function explainDelivery(parts: Parts, id: string) {
  const { store, people } = parts;
  const found = await store.read(async tx => {
    const [row] = await tx.select().from(deliveries).where(eq(deliveries.id, id));
    if (!row) throw notFound('Delivery');
    const [endpoint] = await tx.select().from(endpoints).where(eq(endpoints.id, row.endpointId));
    const [secret] = await tx
      .select()
      .from(secrets)
      .where(eq(secrets.id, row.secretId ?? ''));
    const [payload] = await tx.select().from(payloads).where(eq(payloads.deliveryId, id));
    return { row, endpoint, secret, payload, chain: await traceDelivery(tx, row) };
  });
  const { row, endpoint, secret, payload, chain } = found;
  const read = readAgain(await parts.live.get(row.endpointId), row, payload?.body ?? null);
  const ids = [...new Set([read?.identityId, row.identityId].flatMap(each => each ?? []))];
  const isOwn = makeOwn(row);
  const told = await people.preview({
    keys: { ids, contacts: row.contactId === null ? [] : [row.contactId] },
    apply: (all, now) => {
      const explained = explainPeople(all, { contactId: row.contactId, ids }, now);
      return { result: { explained, fact: describeFact({ people: all, views: explained.views, isOwn }, ids, read) } };
    },
  });
  const fields = listFields(told.explained.fields);
  const sources = await store.read(tx => findSources(tx, collectKeys(fields)));
  const { state, contactId, nowContactId, email } = told.explained;
  const known = contactId !== null || told.explained.views.length > 0;
  return {
    ...{ id: row.id, type: row.type, status: row.status, message: row.message },
    received: {
      ...{
        at: formatTime(row.receivedAt),
        occurredAt: formatTime(row.occurredAt),
        processedAt: formatTime(row.processedAt),
      },
      ...{ endpointId: row.endpointId, endpointName: endpoint?.name ?? null, provider: row.provider },
      ...{ externalId: row.externalId?.split(' ')[0] ?? null, duplicates: row.duplicates, attempts: row.attempts },
    },
    verified: describeProof(row, secret),
    fact: told.fact,
    contact: known
      ? {
          ...{ contactId: contactId ?? row.contactId, nowContactId, state, sentence: CONTACT_STATES[state], email },
          fields: fields.map(each => describeField(each, sources, isOwn)),
        }
      : null,
    effects: row.effects,
    ...chain,
  };
}

/** Whether a fact came by this delivery. */
function makeOwn(row: Row): (k: K) => boolean {
  const { externalId } = describeSeen(row);
  return k => {
    const key = parseKey(k);
    return key.endpointId === row.endpointId && key.externalId === externalId;
  };
}

/** With which secret a delivery was verified, or why it was not. */
function describeProof(row: Row, secret: typeof secrets.$inferSelect | undefined) {
  if (row.status === 'rejected')
    return { verified: false, secretId: null, secretHint: null, sentence: `Refused: ${row.message}` };
  const sentence = secret
    ? `Verified with the secret ${secret.hint}.`
    : row.secretId === null
      ? 'Verified; which secret it was is not known.'
      : 'Verified with a secret that was removed since.';
  return { verified: true, secretId: row.secretId, secretHint: secret?.hint ?? null, sentence };
}

interface Read {
  fact: Fact;
  identityId: string | null;
}

/** The fact in a stored payload as it is read today; null: pruned, not applied, or its endpoint is gone. */
function readAgain(live: ReadyEndpoint | null, row: Row, body: string | null): Read | null {
  if (!live || body === null || row.status === 'rejected') return null;
  const decided = decide(live, parseBody(body), describeSeen(row));
  if (decided.status !== 'queued') return null;
  return { fact: decided.fact, identityId: identifyFact(null, qualifyProvider(live), decided.fact) };
}

interface Around {
  people: People;
  /** Those of the contact, as they count. */
  views: View[];
  isOwn(k: K): boolean;
}

/** What the delivery says of whom, and as of when: as it is kept, else as its payload is read. */
function describeFact({ people, views, isOwn }: Around, ids: string[], read: Read | null) {
  const meant = people.identities.get(read?.identityId ?? '');
  for (const id of ids) {
    const identity = people.identities.get(id);
    if (!identity) continue;
    const one = identity.registers.facts.find(each => isOwn(each.k));
    const death = identity.registers.deaths.find(each => isOwn(each.k));
    const k = one?.k ?? death?.k;
    const whose = meant?.registers.loose === undefined ? identity : meant;
    if (k !== undefined) return viewFact(whose, views, k, one ? listSaid(one) : { deleted: true }, one?.a === 1);
  }
  if (!read) return null;
  const { fact, identityId } = read;
  const k = makeFactKey(fact.at, fact.micros, fact.rank, '', '');
  if (meant) return viewFact(meant, views, k, listRead(fact), fact.authority === 'person');
  return {
    ...{ identityId, provider: null, namespace: '', personId: fact.personId, kind: null, state: null, sentence: null },
    ...describeKey(k),
    ...{ authority: fact.authority, says: listRead(fact) },
  };
}

const describeKey = (k: K) => {
  const { at, micros, rank } = parseKey(k);
  return { at: formatTime(at), micros, rank, rankName: RANKS[rank] ?? 'other' };
};

function viewFact(identity: Identity, views: View[], k: K, says: Record<string, unknown>, isPerson: boolean) {
  const view = views.find(each => each.id === identity.id) ?? viewOf(identity, null, '');
  const state = view && judgeIdentity(view);
  return {
    ...(view
      ? describeIdentity(view)
      : {
          ...{ identityId: identity.id, provider: identity.provider, namespace: '' },
          ...{ personId: identity.registers.personId, kind: null },
        }),
    ...{ state, sentence: state && IDENTITY_STATES[state] },
    ...describeKey(k),
    ...{ authority: isPerson ? ('person' as const) : ('copy' as const), says },
  };
}

function listSaid(one: Contribution): Record<string, unknown> {
  return {
    ...(one.e !== undefined && { email: one.e, proven: one.p === 1 }),
    ...(one.f !== undefined && { firstName: one.f }),
    ...(one.l !== undefined && { lastName: one.l }),
    ...(one.userId !== undefined && { userId: one.userId }),
    ...(one.group !== undefined && { userGroup: one.group }),
    ...(one.c && { properties: one.c }),
    ...(one.lists && { mailingLists: Object.keys(one.lists) }),
  };
}

function listRead(fact: Fact): Record<string, unknown> {
  if (fact.deletion) return { deleted: true };
  const { email, proven, firstName, lastName, userId } = fact;
  return {
    ...(email !== null && { email, proven }),
    ...(firstName !== null && { firstName }),
    ...(lastName !== null && { lastName }),
    ...(userId !== null && { userId }),
  };
}
