import { and, asc, eq, gt, inArray, isNull, or } from 'drizzle-orm';
import type { z } from 'zod';
import { arrivals, type EventOverrides, endpoints, lists, secrets } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { invalid, notFound } from '../errors.ts';
import { makeEndpointId, makeId, makeRandomText } from '../id.ts';
import { enqueue } from '../jobs/queue.ts';
import { parseName } from '../plainName.ts';
import { allProviders, findProvider } from '../providers/index.ts';
import type { Provider } from '../providers/provider.ts';
import type { Sealer } from '../sealing.ts';
import { eventSettings } from './eventSettings.ts';
import { HOLD_QUEUED_JOB, holdQueued, RELEASE_HELD_JOB, releaseHeld } from './pause.ts';
import { makeApiKeyContext, makeSecretContext } from './sealContexts.ts';

export type EndpointRow = typeof endpoints.$inferSelect;
export type SecretRow = typeof secrets.$inferSelect;

/** What the functions here need besides the transaction. */
export interface Deps {
  sealer: Sealer;
  now: number;
  publicUrl: string;
}

/** Settings of some event types; null restores a key's default. */
type EventPatch = Record<string, Record<string, unknown> | null>;

const MAX_SECRET = 500;

/** A pasted signing secret, outer white space trimmed. @throws AppError invalid: says which kind is wanted, without repeating it */
function cleanSecret(provider: Provider, pasted: string): string {
  const secret = pasted.trim();
  if (/\s/.test(secret)) throw invalid('secret: has white space inside. Copy it again, whole and alone.');
  if (secret.length > MAX_SECRET)
    throw invalid(`secret: is longer than ${MAX_SECRET} characters. Copy only the signing secret.`);
  const problem = provider.secretProblem(secret);
  if (problem !== null) throw invalid(`secret: ${problem}`);
  return secret;
}

const makeHint = (secret: string) => {
  const prefix = /^([a-z]+_(?:[a-z]+_)?)/.exec(secret)?.[1] ?? '';
  return `${prefix.slice(0, 12)}…${secret.slice(-4)}`;
};

export function requireProvider(id: string): Provider {
  const provider = findProvider(id);
  if (provider) return provider;
  throw invalid(`provider: must be one of ${allProviders.map(each => each.id).join(', ')}.`);
}

/** The key that a problem is about, shortened: it is the caller's own text. */
function describeField(issue: z.core.$ZodIssue | undefined): string {
  const unknown = issue?.code === 'unrecognized_keys';
  const parts = (unknown ? issue.keys : (issue?.path ?? [])).slice(0, 5);
  return parts.map(part => String(part).slice(0, 60)).join(unknown ? ', ' : '.');
}

/** A record's key has its reason one level down. */
const explainIssue = (issue: z.core.$ZodIssue | undefined) =>
  (issue?.code === 'invalid_key' ? issue.issues[0]?.message : issue?.message) ?? 'is not valid';

/** Parsed settings without the API key, and the key apart. @throws AppError naming the field */
function parseSettings(provider: Provider, given: Record<string, unknown>) {
  const { apiKeySet: _, ...rest } = given; // shown among the settings, so it may come back with them
  const parsed = provider.settings.safeParse(provider.backfill ? rest : given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(
      `settings.${describeField(issue)}: ${issue?.code === 'unrecognized_keys' ? `is not a setting of ${provider.name}` : issue?.message}`,
    );
  }
  const { apiKey, ...settings } = parsed.data as Record<string, unknown>;
  if (typeof apiKey === 'string' && !/^[\x21-\x7e]{8,300}$/.test(apiKey))
    throw invalid('settings.apiKey: does not look like an API key.');
  return { settings, apiKey: typeof apiKey === 'string' ? apiKey : undefined };
}

/** Stored overrides after a patch. @throws AppError naming the unknown type, key or list */
async function patchEvents(
  tx: Tx,
  provider: Provider,
  stored: EventOverrides,
  patch: EventPatch,
): Promise<EventOverrides> {
  const out: EventOverrides = { ...stored };
  for (const [type, given] of Object.entries(patch)) {
    const known = provider.types.find(each => each.type === type);
    if (!known) throw invalid(`events.${type}: is not an event type of ${provider.name}.`);
    if (given === null) {
      delete out[type];
      continue;
    }
    const values = Object.entries(given).filter(([, value]) => value !== null);
    const parsed = eventSettings.partial().safeParse(Object.fromEntries(values));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw invalid(`events.${type}.${describeField(issue)}: ${explainIssue(issue)}`);
    }
    const foreign = provider.class === 'mail' && Object.keys(given).find(each => each !== 'enabled');
    if (foreign)
      throw invalid(`events.${type}.${foreign}: is for events about people. A mail's can only be enabled or not.`);
    if (parsed.data.onDelete !== undefined && !known.deletion)
      throw invalid(`events.${type}.onDelete: is for deletion types only.`);
    await requireLists(tx, type, parsed.data.mailingLists ?? []);
    const restored = Object.keys(given).filter(key => given[key] === null);
    for (const key of restored)
      if (!Object.hasOwn(eventSettings.shape, key)) throw invalid(`events.${type}.${key}: is not a setting.`);
    const kept = Object.entries({ ...out[type], ...parsed.data }).filter(([key]) => !restored.includes(key));
    out[type] = Object.fromEntries(kept);
  }
  return out;
}

async function requireLists(tx: Tx, type: string, ids: string[]): Promise<void> {
  if (!ids.length) return;
  const known = await tx.select({ id: lists.id }).from(lists).where(inArray(lists.id, ids));
  const missing = ids.find(id => !known.some(list => list.id === id));
  if (missing) throw invalid(`events.${type}.mailingLists: there is no list ${missing}. GET /api/v1/lists shows them.`);
}

interface NewEndpoint {
  provider: string;
  name?: string | undefined;
  secret?: string | undefined;
  settings?: Record<string, unknown> | undefined;
  events?: EventPatch | undefined;
}

/** Makes an endpoint. `made` is the secret Inlet chose itself (Supabase), to be shown this once. */
export async function createEndpoint(
  tx: Tx,
  deps: Deps,
  input: NewEndpoint,
): Promise<{ row: EndpointRow; made: string | null }> {
  const provider = requireProvider(input.provider);
  const { settings, apiKey } = parseSettings(provider, input.settings ?? {});
  const id = makeEndpointId();
  const row: EndpointRow = {
    id,
    provider: provider.id,
    name: parseName(input.name ?? '') || provider.name,
    paused: false,
    settings,
    sealedApiKey: apiKey ? deps.sealer.seal(apiKey, makeApiKeyContext(id, provider, settings)) : null,
    events: await patchEvents(tx, provider, {}, input.events ?? {}),
    createdAt: deps.now,
    updatedAt: deps.now,
    lastReceivedAt: null,
    lastRejectedAt: null,
    lastRejectedCause: null,
  };
  await tx.insert(endpoints).values(row);
  const made = provider.secretMadeBy === 'inlet' && input.secret === undefined ? `inlet_${makeRandomText(40)}` : null;
  const secret = made ?? input.secret;
  if (secret !== undefined) await addSecret(tx, deps, id, secret, null);
  return { row, made };
}

/** @throws AppError notFound */
export async function getEndpoint(tx: Tx, id: string): Promise<EndpointRow> {
  const [row] = await tx.select().from(endpoints).where(eq(endpoints.id, id));
  if (!row) throw notFound('Endpoint');
  return row;
}

/** Oldest first. */
export const listEndpoints = (tx: Tx): Promise<EndpointRow[]> =>
  tx.select().from(endpoints).orderBy(asc(endpoints.createdAt), asc(endpoints.id));

interface EndpointPatch {
  name?: string | undefined;
  paused?: boolean | undefined;
  settings?: Record<string, unknown> | undefined;
  events?: EventPatch | undefined;
}

/** A key is for one place: whoever changes where it would be sent must bring it along. */
const doesMoveApi = (provider: Provider, was: Record<string, unknown>, is: Record<string, unknown>) =>
  provider.movesWith.some(key => was[key] !== is[key]);

/** What a patch makes of an endpoint's settings and event settings, null where it names none; writes nothing. @throws AppError invalid */
export async function mergePatch(tx: Tx, row: EndpointRow, patch: Pick<EndpointPatch, 'settings' | 'events'>) {
  const provider = requireProvider(row.provider);
  const given = Object.entries({ ...row.settings, ...patch.settings }).filter(([, value]) => value !== null);
  return {
    merged: patch.settings ? parseSettings(provider, Object.fromEntries(given)) : null,
    events: patch.events ? await patchEvents(tx, provider, row.events, patch.events) : null,
  };
}

/** Changes the named parts. Settings: named keys only, null restores the default. Resuming makes what waited due. */
export async function patchEndpoint(tx: Tx, deps: Deps, id: string, patch: EndpointPatch): Promise<EndpointRow> {
  const row = await getEndpoint(tx, id);
  const provider = requireProvider(row.provider);
  const set: Partial<EndpointRow> = { updatedAt: deps.now };
  if (patch.name !== undefined) set.name = parseName(patch.name) || provider.name;
  const { merged, events } = await mergePatch(tx, row, patch);
  if (merged && patch.settings) {
    const { settings, apiKey } = merged;
    set.settings = settings;
    if (apiKey) set.sealedApiKey = deps.sealer.seal(apiKey, makeApiKeyContext(id, provider, settings));
    else if (patch.settings.apiKey === null || doesMoveApi(provider, row.settings, settings)) set.sealedApiKey = null;
  }
  if (events) set.events = events;
  if (patch.paused !== undefined) set.paused = patch.paused;
  await tx.update(endpoints).set(set).where(eq(endpoints.id, id));
  if (patch.paused === true && !row.paused && (await holdQueued(tx, id)))
    await enqueue(tx, HOLD_QUEUED_JOB, { endpointId: id }, deps.now);
  if (patch.paused === false && row.paused) {
    await releaseHeld(tx, id);
    await enqueue(tx, RELEASE_HELD_JOB, { endpointId: id }, deps.now);
  }
  return { ...row, ...set };
}

/** Removes the endpoint and its secrets; its deliveries stay in the log. */
export async function deleteEndpoint(tx: Tx, id: string): Promise<void> {
  await getEndpoint(tx, id);
  await tx.delete(secrets).where(eq(secrets.endpointId, id));
  await tx.delete(arrivals).where(eq(arrivals.endpointId, id));
  await tx.delete(endpoints).where(eq(endpoints.id, id));
}

/** Adds a secret beside the others, which end after `expireOthersInHours` when that is given (0: at once). */
export async function addSecret(
  tx: Tx,
  deps: Deps,
  endpointId: string,
  pasted: string,
  expireOthersInHours: number | null,
): Promise<SecretRow> {
  const { provider } = await getEndpoint(tx, endpointId);
  const secret = cleanSecret(requireProvider(provider), pasted);
  if (expireOthersInHours !== null) {
    const ends = deps.now + expireOthersInHours * 3_600_000;
    const later = or(isNull(secrets.expiresAt), gt(secrets.expiresAt, ends));
    await tx
      .update(secrets)
      .set({ expiresAt: ends })
      .where(and(eq(secrets.endpointId, endpointId), later));
  }
  const id = makeId('sec', deps.now);
  const row = {
    id,
    endpointId,
    sealed: deps.sealer.seal(secret, makeSecretContext(id, endpointId)),
    hint: makeHint(secret),
    createdAt: deps.now,
    expiresAt: null,
    lastUsedAt: null,
  };
  await tx.insert(secrets).values(row);
  return row;
}

export async function deleteSecret(tx: Tx, endpointId: string, secretId: string): Promise<void> {
  const where = and(eq(secrets.id, secretId), eq(secrets.endpointId, endpointId));
  const gone = await tx.delete(secrets).where(where).returning({ id: secrets.id });
  if (!gone.length) throw notFound('Secret');
}

/** Removes every sealed secret and API key, after the sealing key was lost. Returns how many secrets went. */
export async function resetSecrets(tx: Tx): Promise<number> {
  const gone = await tx.delete(secrets).returning({ id: secrets.id });
  await tx.update(endpoints).set({ sealedApiKey: null });
  return gone.length;
}
