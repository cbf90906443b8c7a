import { z } from 'zod';

export const time = z.string().describe('ISO 8601');
export const done = z.object({ success: z.literal(true) });
const scalar = z.union([z.string(), z.number(), z.boolean()]);

const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+ -]\d\d:\d\d)?)?$/;

/** ISO 8601 as ms, NaN for anything else. UTC where no zone is given; a `+` that a query turned into a space is one again. */
function parseTime(text: string): number {
  if (!ISO.test(text)) return Number.NaN;
  const zoned = /T.*(Z|[+ -]\d\d:\d\d)$/.test(text);
  return Date.parse(zoned ? text.replace(' ', '+') : text.includes('T') ? `${text}Z` : text);
}

/** A moment in a filter, as ms. */
export const moment = z
  .string()
  .max(40)
  .describe('ISO 8601; UTC where no zone is given')
  .transform((text, ctx) => {
    const ms = parseTime(text);
    if (!Number.isNaN(ms)) return ms;
    ctx.addIssue('must be a time such as 2026-11-01T00:00:00Z');
    return z.NEVER;
  });

export const eventView = z.object({
  id: z.string(),
  eventName: z.string(),
  contactId: z.string(),
  email: z.string(),
  eventProperties: z.record(z.string(), scalar),
  deliveryId: z.string().nullable(),
  createdAt: time,
});

/** Loops' contact; custom properties stand beside these keys. */
export const contactView = z.looseObject({
  id: z.string(),
  email: z.string(),
  firstName: z.string().nullable(),
  lastName: z.string().nullable(),
  source: z.string(),
  subscribed: z.boolean(),
  userGroup: z.string(),
  userId: z.string().nullable(),
  mailingLists: z.record(z.string(), z.literal(true)),
  optInStatus: z.enum(['pending', 'accepted', 'rejected']).nullable(),
});

export const effect = z.looseObject({ kind: z.string() });

export const deliveryView = z.object({
  id: z.string(),
  endpointId: z.string(),
  provider: z.string(),
  externalId: z.string().nullable(),
  type: z.string(),
  status: z.string(),
  message: z.string(),
  receivedAt: time,
  occurredAt: time.nullable(),
  processedAt: time.nullable(),
  attempts: z.number(),
  duplicates: z.number(),
  contactId: z.string().nullable(),
  effects: z.array(effect),
  secretId: z.string().nullable(),
  response: z.object({ status: z.number(), result: z.string().optional() }),
  error: z.string().nullable(),
  payload: z.unknown().describe('Redacted; null once pruned'),
  payloadOmitted: z
    .literal(true)
    .optional()
    .describe('Left out of a page that would be too large, and for who may only read'),
  headers: z.record(z.string(), z.string()),
});

/** What came of a delivery, up to 50 of each. */
export const deliveryDetail = deliveryView.extend({
  chain: z
    .object({
      events: z.array(z.object({ id: z.string(), eventName: z.string(), at: time })),
      runs: z.array(
        z.object({
          id: z.string(),
          workflowId: z.string(),
          eventId: z.string().nullable(),
          status: z.string(),
          at: time,
        }),
      ),
      mails: z.array(
        z.object({
          id: z.string(),
          runId: z.string().nullable(),
          subject: z.string().nullable().describe('Null until it is rendered'),
          state: z.string(),
          at: time,
        }),
      ),
      calls: z.array(
        z.object({ id: z.string(), subscriptionId: z.string(), eventName: z.string(), state: z.string(), at: time }),
      ),
    })
    .describe('Webhook → effects → events → workflow runs → mails and outgoing calls'),
});

const secretView = z.object({
  id: z.string(),
  hint: z.string(),
  createdAt: time,
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
});

export const endpointView = z.object({
  id: z.string(),
  provider: z.string(),
  name: z.string(),
  url: z.string(),
  paused: z.boolean(),
  secrets: z.array(secretView),
  settings: z.record(z.string(), z.unknown()),
  events: z.record(z.string(), z.record(z.string(), z.unknown())),
  state: z.enum(['needsSecret', 'waitingForFirst', 'live', 'failing', 'paused']),
  lastReceivedAt: time.nullable(),
  lastRejected: z.object({ at: time, cause: z.string() }).nullable(),
  nextStep: z.string().nullable().describe('What to do now; null: nothing'),
  notes: z.array(z.string()).describe('What follows from the settings and from what came lately, worth knowing'),
  createdAt: time,
  updatedAt: time,
  secretHeader: z
    .object({ name: z.string(), value: z.string() })
    .optional()
    .describe('Shown this once, for providers whose secret Inlet makes'),
});

const amount = z.number();
export const backfillView = z.object({
  id: z.string(),
  endpointId: z.string(),
  provider: z.string(),
  state: z.enum(['queued', 'running', 'done', 'failed', 'cancelled']),
  dryRun: z.boolean(),
  triggerEvents: z.boolean(),
  requestsPerSecond: z.number(),
  pages: amount.describe('Pages read so far'),
  total: amount.nullable().describe('How many people the provider has, where it says'),
  read: amount.describe('People read so far: created, updated, known, waiting and skipped together'),
  created: amount.describe('New contacts'),
  updated: amount.describe('Contacts that changed'),
  known: amount.describe('Contacts that were as they are'),
  waiting: amount.describe('Without an address so far'),
  skipped: amount,
  skippedBecause: z.record(z.string(), z.number()).describe('Reasons, and how many were skipped for each'),
  released: amount.describe('Deliveries that had waited for these people'),
  cursor: z.string().nullable().describe("The page under way, in the provider's words; null: the first, or none"),
  error: z.string().nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
});

export const importView = z.object({
  id: z.string(),
  state: z.enum(['queued', 'running', 'done', 'failed']),
  dryRun: z.boolean(),
  columns: z.record(z.string(), z.string().nullable()).describe('What each column means; null: passed over'),
  mailingLists: z.array(z.string()),
  rows: z.number().describe('Read so far: created, updated, unchanged and failed together'),
  created: z.number(),
  updated: z.number(),
  unchanged: z.number(),
  failed: z.number().describe('The report says why'),
  bytes: z.number(),
  bytesDone: z.number(),
  error: z.string().nullable().describe('Why the rest of the file was not read'),
  createdAt: time,
  finishedAt: time.nullable(),
});

export const subscriptionView = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  eventNames: z.array(z.string()),
  state: z.enum(['active', 'paused', 'disabled']).describe('disabled: the receiver answered 410; nothing is queued'),
  paused: z.boolean().describe('Not active'),
  reason: z.string().nullable().describe('Why it is not active, and what to do'),
  secretHint: z.string(),
  oldSecretUntil: time.nullable().describe('Until then calls are signed with the former secret, too'),
  failingSince: time.nullable().describe('First failure since the last success; after 5 days it is paused'),
  queued: z.number().describe('Calls to be made, counted up to 10,000'),
  createdAt: time,
  updatedAt: time,
});

export const callView = z.object({
  id: z.string().describe('The webhook-id of every attempt'),
  subscriptionId: z.string(),
  eventName: z.string(),
  state: z.enum(['queued', 'delivered', 'failed']),
  sending: z.boolean(),
  attemptCount: z.number(),
  lastStatus: z.number().nullable(),
  error: z.string().nullable().describe('Of the last attempt'),
  nextAttemptAt: time.nullable(),
  createdAt: time,
  finishedAt: time.nullable(),
});

export const callDetail = callView.extend({
  payload: z.unknown(),
  attempts: z.array(
    z.object({
      at: time,
      status: z.number().nullable().describe('Null: no answer'),
      ms: z.number(),
      answer: z.string().nullable().describe('First 500 characters, control characters escaped'),
      error: z.string().nullable(),
    }),
  ),
});
