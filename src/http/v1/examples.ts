// Answers as the documentation shows them; a test parses each by the schema of its route.
const at = '2026-11-01T12:00:00.000Z';
const ids = {
  endpoint: 'ep_k2n8x0q5v7c1m4z9b3j6h8d2f',
  secret: 'sec_0mwt0c8w00000a1b2c3d4e5f',
  delivery: 'dlv_0mwt0c8w00001f6g7h8j9k0l',
  contact: 'con_0mwt0c8w00002m1n2p3q4r5s',
  event: 'evt_0mwt0c8w00003t6u7v8w9x0y',
  list: 'list_0mwt0c8w00004z1a2b3c4d5e',
  key: 'key_0mwt0c8w00005f6g7h8j9k0m',
  backfill: 'bf_0mwt0c8w00006n7p8q9r0s1t',
};

export const done = { success: true };

/** One page that holds one row. */
export const makePage = (row: unknown) => ({
  pagination: { totalResults: 1, returnedResults: 1, perPage: 20, totalPages: 1, nextCursor: null, nextPage: null },
  data: [row],
});

const eventSettings = {
  enabled: true,
  syncNames: true,
  userGroup: 'Customers',
  mailingLists: [ids.list],
  triggerEvent: 'signup',
  triggerMaxAgeHours: 72,
  eventProperties: { plan: 'data.object.metadata.plan' },
  contactProperties: {},
};

export const endpoint = {
  id: ids.endpoint,
  provider: 'stripe',
  name: 'Production',
  url: `https://inlet.example.com/webhooks/${ids.endpoint}`,
  paused: false,
  secrets: [{ id: ids.secret, hint: 'whsec_…a1b2', createdAt: at, expiresAt: null, lastUsedAt: at }],
  settings: { mode: 'any', connect: false, maxBodyBytes: 1_048_576, apiKeySet: false },
  events: { 'customer.created': eventSettings },
  state: 'live',
  lastReceivedAt: at,
  lastRejected: null,
  nextStep: null,
  notes: [],
  createdAt: at,
  updatedAt: at,
};

export const fresh = {
  ...endpoint,
  secrets: [],
  state: 'needsSecret',
  lastReceivedAt: null,
  nextStep: `Create a webhook in Stripe with the URL ${endpoint.url}, then bring back its signing secret: inlet endpoints set-secret ${ids.endpoint}`,
};

export const tested = {
  status: 200,
  body: { success: true, result: 'accepted', message: 'Accepted; it is being applied.', deliveryId: ids.delivery },
};

export const provider = {
  id: 'stripe',
  name: 'Stripe',
  about: 'people' as const,
  eventTypes: [
    { type: 'customer.created', description: 'A customer was created', carriesEmail: 'usually', deletion: false },
  ],
  settings: { type: 'object', properties: { mode: { enum: ['any', 'live', 'test'], default: 'any' } } },
  setup: ['In the Stripe dashboard add an event destination with the URL {url}.'],
  backfill: {
    eventType: 'customer.created',
    apiKey: 'a restricted key (rk_…) with read access to Customers',
    needs: [],
  },
};

export const delivery = {
  id: ids.delivery,
  endpointId: ids.endpoint,
  provider: 'stripe',
  externalId: 'evt_1SOexample',
  type: 'customer.created',
  status: 'processed',
  message: 'Created contact ada@example.com',
  receivedAt: at,
  occurredAt: at,
  processedAt: at,
  attempts: 1,
  duplicates: 0,
  contactId: ids.contact,
  effects: [
    { kind: 'contact.created' },
    { kind: 'list.subscribed', listId: ids.list },
    { kind: 'event.triggered', eventName: 'signup' },
  ],
  secretId: ids.secret,
  response: { status: 200, result: 'accepted' },
  error: null,
  payload: { id: 'evt_1SOexample', type: 'customer.created', data: { object: { email: 'ada@example.com' } } },
  headers: { 'content-type': 'application/json' },
};

export const deliveryWhole = {
  ...delivery,
  chain: {
    events: [{ id: ids.event, eventName: 'signup', at }],
    runs: [
      {
        id: 'run_0mwt0c8w00009a1b2c3d4e5f',
        workflowId: 'wf_0mwt0c8w0000aa1b2c3d4e5f',
        eventId: ids.event,
        status: 'completed',
        at,
      },
    ],
    mails: [
      {
        id: 'mail_0mwt0c8w0000ba1b2c3d4e5f',
        runId: 'run_0mwt0c8w00009a1b2c3d4e5f',
        subject: 'Welcome, Ada',
        state: 'sent',
        at,
      },
    ],
    calls: [],
  },
};

/** In Loops' shape. */
export const found = {
  id: ids.contact,
  email: 'ada@example.com',
  firstName: 'Ada',
  lastName: 'Lovelace',
  source: 'Stripe webhook',
  subscribed: true,
  userGroup: 'Customers',
  userId: null,
  mailingLists: { [ids.list]: true },
  optInStatus: null,
  plan: 'pro',
};
export const contact = { ...found, createdAt: at, updatedAt: at };
export const person = {
  ...contact,
  emails: ['ada@example.com', 'ada@former.example'],
  userIds: [],
  identities: [{ provider: 'stripe', namespace: '', personId: 'cus_example', deleted: false, firstSeenAt: at }],
};

export const entry = {
  id: ids.event,
  at,
  kind: 'event',
  summary: 'Event signup',
  deliveryId: ids.delivery,
  detail: { eventName: 'signup', eventProperties: { plan: 'pro' } },
};

export const event = {
  id: ids.event,
  eventName: 'signup',
  contactId: ids.contact,
  email: 'ada@example.com',
  eventProperties: { plan: 'pro' },
  deliveryId: ids.delivery,
  createdAt: at,
};

export const list = {
  id: ids.list,
  name: 'Product updates',
  description: 'What is new, once a month',
  isPublic: false,
};
export const key = {
  id: ids.key,
  name: 'dashboard',
  hint: 'inlet_…x9y8',
  createdAt: at,
  lastUsedAt: null,
  scope: 'all',
};
export const session = {
  ...{ id: 'ses_0mwt0c8w00007q8r9s0t1u2v', keyId: ids.key, scope: 'all' },
  ...{ createdAt: at, lastSeenAt: at, expiresAt: '2026-12-01T12:00:00.000Z', current: true },
};
export const madeKey = { ...key, key: 'inlet_(shown this once)' };
export const health = {
  ...{ status: 'ok', version: '0.2.0', storeTrouble: null, clockSkewSeconds: null },
  ...{ mailTrouble: null, backlog: 0, deadJobs: 0 },
};

export const job = {
  id: 'job_0mwt0c8w00007q8r9s0t1v2w',
  kind: 'deliveries.replay',
  status: 'dead',
  attempts: 5,
  error: 'failed; the log has the cause',
  dueAt: null,
  createdAt: at,
};

export const backfill = {
  id: ids.backfill,
  endpointId: ids.endpoint,
  provider: 'stripe',
  state: 'done',
  dryRun: false,
  triggerEvents: false,
  requestsPerSecond: 5,
  pages: 13,
  total: null,
  read: 1204,
  created: 1130,
  updated: 11,
  known: 60,
  waiting: 1,
  skipped: 2,
  skippedBecause: {
    'Ignored: a test event, and this endpoint takes live events only (settings.mode).': 2,
  },
  released: 8,
  cursor: null,
  error: null,
  createdAt: at,
  startedAt: at,
  finishedAt: at,
};

export const subscription = {
  id: 'sub_0mwt0c8w00006a1b2c3d4e5f',
  name: 'example.com',
  url: 'https://example.com/webhooks/inlet',
  eventNames: ['contact.created', 'event.received'],
  state: 'active',
  paused: false,
  reason: null,
  secretHint: 'whsec_…k3Y=',
  oldSecretUntil: null,
  failingSince: null,
  queued: 0,
  createdAt: at,
  updatedAt: at,
};
export const madeSubscription = { ...subscription, secret: 'whsec_(shown this once)' };
export const webhookCallRow = {
  id: 'msg_0mwt0c8w00007g6h7i8j9k0l',
  subscriptionId: subscription.id,
  eventName: 'contact.unsubscribed',
  state: 'delivered',
  sending: false,
  attemptCount: 1,
  lastStatus: 200,
  error: null,
  nextAttemptAt: null,
  createdAt: at,
  finishedAt: at,
};
export const webhookCall = {
  ...webhookCallRow,
  payload: {
    eventName: 'contact.unsubscribed',
    eventTime: 1793534400,
    webhookSchemaVersion: '1.0.0',
    contactIdentity: { id: ids.contact, email: 'ada@example.com', userId: null },
  },
  attempts: [{ at, status: 200, ms: 84, answer: 'ok', error: null }],
};
export const saved = { success: true, id: ids.contact };
export const suppression = {
  contact: { id: ids.contact, email: 'ada@example.com', userId: null },
  isSuppressed: false,
  removalQuota: { limit: 100, remaining: 100 },
};
export const pattern = { id: 'evp_3a7bd3e2360a3d29eea436fc', eventName: 'planUpgraded', incomingWebhookPlatform: null };
export const wholePattern = { ...pattern, eventProperties: [{ name: 'plan', type: 'string' }] };
