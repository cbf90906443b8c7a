import { and, desc, eq, gt } from 'drizzle-orm';
import { deliveries, secrets, unprocessed } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import type { Provider } from '../providers/provider.ts';
import { formatTime } from '../time.ts';
import { type Deps, type EndpointRow, requireProvider, type SecretRow } from './endpoints.ts';
import { type EventSettings, resolveEvents } from './eventSettings.ts';
import { judgeSignUps, type SignUps } from './unproven.ts';

type State = 'needsSecret' | 'waitingForFirst' | 'live' | 'failing' | 'paused';

const FAILING_AFTER = 3;
const WINDOW = 500; // deliveries that are looked through for sign-ups

function deriveState(row: EndpointRow, own: SecretRow[], refusedLately: boolean, now: number): State {
  if (row.paused) return 'paused';
  if (!own.some(secret => secret.expiresAt === null || secret.expiresAt > now)) return 'needsSecret';
  if (refusedLately) return 'failing';
  return row.lastReceivedAt === null ? 'waitingForFirst' : 'live';
}

function describeNextStep(
  row: EndpointRow,
  provider: Provider,
  state: State,
  url: string,
  signUps: SignUps,
): string | null {
  const header = row.settings.headerName ?? 'x-inlet-secret';
  switch (state) {
    case 'needsSecret':
      return provider.secretMadeBy === 'inlet'
        ? `Add a secret (inlet endpoints set-secret ${row.id}) and set it in ${provider.name} as the header ${header}.`
        : `Create a webhook in ${provider.name} with the URL ${url}, then bring back its signing secret: inlet endpoints set-secret ${row.id}`;
    case 'waitingForFirst':
      return `Send a first event from ${provider.name} to ${url}, or try: inlet send-test ${row.id} ${provider.types[0]?.type}`;
    case 'failing':
      return `The last deliveries were all refused: ${row.lastRejectedCause}. See GET /api/v1/deliveries?status=rejected&endpointId=${row.id}`;
    case 'paused':
      return 'Deliveries are stored and wait. Resume with PATCH {"paused":false} to apply them.';
    case 'live':
      return signUps.help;
  }
}

/** What a mail event does can't be set but for whether it is applied. */
function viewEvents(provider: Provider, events: Record<string, EventSettings>): Record<string, Partial<EventSettings>> {
  if (provider.class !== 'mail') return events;
  return Object.fromEntries(Object.entries(events).map(([type, { enabled }]) => [type, { enabled }]));
}

/** The endpoint as the API shows it; never a secret. */
export async function viewEndpoint(tx: Tx, deps: Omit<Deps, 'sealer'>, row: EndpointRow) {
  const provider = requireProvider(row.provider);
  const own = await tx
    .select()
    .from(secrets)
    .where(eq(secrets.endpointId, row.id))
    .orderBy(desc(secrets.createdAt), desc(secrets.id));
  const url = `${deps.publicUrl}/webhooks/${row.id}`;
  const state = deriveState(row, own, await wasRefusedLately(tx, row), deps.now);
  const signUps = await judgeSignUps(tx, row, WINDOW);
  const events = viewEvents(provider, resolveEvents(provider, row.events));
  return {
    id: row.id,
    provider: row.provider,
    name: row.name,
    url,
    paused: row.paused,
    secrets: own.map(each => ({
      id: each.id,
      hint: each.hint,
      createdAt: formatTime(each.createdAt),
      expiresAt: formatTime(each.expiresAt),
      lastUsedAt: formatTime(each.lastUsedAt),
    })),
    settings: { ...row.settings, ...(provider.backfill && { apiKeySet: row.sealedApiKey !== null }) },
    events,
    state,
    lastReceivedAt: formatTime(row.lastReceivedAt),
    lastRejected:
      row.lastRejectedAt === null ? null : { at: formatTime(row.lastRejectedAt), cause: row.lastRejectedCause },
    nextStep: describeNextStep(row, provider, state, url, signUps),
    notes: signUps.note === null ? [] : [signUps.note],
    createdAt: formatTime(row.createdAt),
    updatedAt: formatTime(row.updatedAt),
  };
}

/** The last deliveries were all refused, and something was refused since the last good one. */
async function wasRefusedLately(tx: Tx, row: EndpointRow): Promise<boolean> {
  if (row.lastRejectedAt === null || (row.lastReceivedAt !== null && row.lastReceivedAt > row.lastRejectedAt))
    return false;
  const refused = await tx
    .select({ duplicates: deliveries.duplicates })
    .from(deliveries)
    .where(
      and(unprocessed('rejected'), eq(deliveries.endpointId, row.id), gt(deliveries.dueAt, row.lastReceivedAt ?? 0)),
    )
    .limit(FAILING_AFTER);
  return refused.reduce((sum, { duplicates }) => sum + 1 + duplicates, 0) >= FAILING_AFTER;
}
