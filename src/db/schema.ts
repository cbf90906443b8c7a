import { sql } from 'drizzle-orm';
import { customType, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';

const json = <T>(name: string) =>
  customType<{ data: T; driverData: string }>({
    dataType: () => 'text',
    toDriver: value => JSON.stringify(value),
    fromDriver: value => JSON.parse(value) as T,
  })(name);
/** ms since 1970. A driver may give a 64-bit integer as text. */
const time = (name: string) =>
  customType<{ data: number; driverData: number }>({ dataType: () => 'bigint', fromDriver: Number })(name);

/** What one delivery did, shown in the log. `kind` is `contact.created`, `list.subscribed`, `event.triggered`, … */
export interface Effect {
  kind: string;
  [detail: string]: unknown;
}
/** Settings of one event type as stored: only what differs from the defaults. */
export type EventOverrides = Record<string, Record<string, unknown>>;
export type Scalar = string | number | boolean;
/** What a key or a session may do: everything, or read (and then sees no bodies). */
export type Scope = 'full' | 'read';
export type DeliveryStatus = 'queued' | 'processed' | 'ignored' | 'waiting' | 'failed' | 'dead' | 'rejected';

export const meta = sqliteTable('meta', { key: text('key').primaryKey(), value: text('value').notNull() });

export const keys = sqliteTable('keys', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  hash: text('hash').notNull().unique(), // SHA-256 of the key, hex
  hint: text('hint').notNull(),
  createdAt: time('created_at').notNull(),
  lastUsedAt: time('last_used_at'),
  scope: text('scope').$type<Scope>().notNull().default('full'),
});

/** Who is signed in on the page (`active`), and links that sign in once (`link`). */
export const sessions = sqliteTable(
  'sessions',
  {
    id: text('id').primaryKey(),
    hash: text('hash').notNull().unique(), // SHA-256 of what the cookie or the link holds, hex
    state: text('state').$type<'link' | 'active'>().notNull(),
    keyHash: text('key_hash'), // of the key that signed in: it ends with it; null: by a link
    scope: text('scope').$type<Scope>().notNull(),
    createdAt: time('created_at').notNull(),
    lastSeenAt: time('last_seen_at'),
    expiresAt: time('expires_at').notNull(),
  },
  t => [index('sessions_expires').on(t.expiresAt)],
);

export const endpoints = sqliteTable('endpoints', {
  id: text('id').primaryKey(),
  provider: text('provider').notNull(),
  name: text('name').notNull(),
  paused: integer('paused', { mode: 'boolean' }).notNull(),
  settings: json<Record<string, unknown>>('settings').notNull(), // without apiKey
  sealedApiKey: text('sealed_api_key'),
  events: json<EventOverrides>('events').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
  lastReceivedAt: time('last_received_at'), // verified
  lastRejectedAt: time('last_rejected_at'),
  lastRejectedCause: text('last_rejected_cause'),
});

export const secrets = sqliteTable(
  'secrets',
  {
    id: text('id').primaryKey(),
    endpointId: text('endpoint_id').notNull(),
    sealed: text('sealed').notNull(), // AES-GCM, see secrets.ts
    hint: text('hint').notNull(),
    createdAt: time('created_at').notNull(),
    expiresAt: time('expires_at'),
    lastUsedAt: time('last_used_at'),
  },
  t => [index('secrets_endpoint').on(t.endpointId)],
);

export const deliveries = sqliteTable(
  'deliveries',
  {
    id: text('id').primaryKey(),
    endpointId: text('endpoint_id').notNull(),
    provider: text('provider').notNull(),
    externalId: text('external_id'), // null: rejected
    type: text('type').notNull(),
    status: text('status').$type<DeliveryStatus>().notNull(),
    message: text('message').notNull(),
    receivedAt: time('received_at').notNull(),
    occurredAt: time('occurred_at'),
    processedAt: time('processed_at'),
    dueAt: time('due_at').notNull(), // not before this (0: at once; NEVER: endpoint paused); while leased: the lease's end
    leased: integer('leased', { mode: 'boolean' }).notNull(),
    attempts: integer('attempts').notNull(), // counted before each start
    fence: integer('fence').notNull().default(0), // raised with each lease, never back: who holds an older one changes nothing
    crashes: integer('crashes').notNull(), // starts that ended with the process
    duplicates: integer('duplicates').notNull(),
    contactId: text('contact_id'),
    identityId: text('identity_id'), // whom a waiting delivery waits for
    secretId: text('secret_id'),
    response: json<{ status: number; result?: string }>('response').notNull(),
    effects: json<Effect[]>('effects').notNull(),
    replays: integer('replays').notNull(), // how often with repeatEffects: part of the effects' keys
    dedupeGroup: text('dedupe_group'),
    error: text('error'),
  },
  t => [
    uniqueIndex('deliveries_external').on(t.endpointId, t.externalId),
    index('deliveries_open').on(t.status, t.dueAt, t.id).where(sql`status <> 'processed'`),
    index('deliveries_contact').on(t.contactId, t.id).where(sql`contact_id is not null`),
    index('deliveries_identity').on(t.identityId).where(sql`status = 'waiting'`),
    index('deliveries_group').on(t.endpointId, t.dedupeGroup, t.id).where(sql`dedupe_group is not null`),
  ],
);

/** Deliveries of one status other than `processed`. The first half lets a database use the partial index: a bound value proves nothing to it. */
export const unprocessed = (status: Exclude<DeliveryStatus, 'processed'>) =>
  sql`(${deliveries.status} <> 'processed' and ${deliveries.status} = ${status})`;

/** Beside `deliveries`, so that a change of status does not rewrite the body; pruning removes these rows only. */
export const payloads = sqliteTable('payloads', {
  deliveryId: text('delivery_id').primaryKey(),
  body: text('body'), // redacted JSON text; null: was not JSON
  headers: json<Record<string, string>>('headers').notNull(),
});

/** One person at one provider, or one address seen without a person there. `registers` only ever join (audience/registers.ts). */
export const identities = sqliteTable(
  'identities',
  {
    id: text('id').primaryKey(), // `stripe:cus_…`, address-only `stripe:@ada@example.com`
    provider: text('provider').notNull(),
    contactId: text('contact_id'),
    registers: json<unknown>('registers').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('identities_contact').on(t.contactId)],
);

/** By what an identity is found: `email:…`, `user:…`, `id:stripe:acct_…`. Made of its registers. */
export const ties = sqliteTable(
  'ties',
  { value: text('value').notNull(), identityId: text('identity_id').notNull() },
  t => [primaryKey({ columns: [t.value, t.identityId] }), index('ties_identity').on(t.identityId)],
);

/** Who paid: finds an identity, ties nobody. */
export const payments = sqliteTable(
  'payments',
  {
    value: text('value').primaryKey(), // `stripe:pi_…`
    identityId: text('identity_id').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('payments_identity').on(t.identityId), index('payments_created').on(t.createdAt)],
);

/** Changes of mind about mail (audience/consent.ts), under a keyed hash: they outlive contact, account and erasure. */
export const consents = sqliteTable('consents', {
  subject: text('subject').primaryKey(),
  changes: json<unknown>('changes').notNull(),
});

/** Contacts that became one with another. */
export const mergedContacts = sqliteTable(
  'merged_contacts',
  { fromId: text('from_id').primaryKey(), toId: text('to_id').notNull(), createdAt: time('created_at').notNull() },
  t => [index('merged_contacts_to').on(t.toId)],
);

/** Contacts whose user lost the address to somebody else: kept with their history, not listed, not mailed. */
export const parkedContacts = sqliteTable('parked_contacts', {
  id: text('id').primaryKey(),
  email: text('email').notNull(),
  userId: text('user_id'),
  firstName: text('first_name'),
  lastName: text('last_name'),
  source: text('source').notNull(),
  userGroup: text('user_group').notNull(),
  subscribed: integer('subscribed', { mode: 'boolean' }).notNull(),
  properties: json<Record<string, Scalar>>('properties').notNull(),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

export const contacts = sqliteTable(
  'contacts',
  {
    id: text('id').primaryKey(),
    email: text('email').notNull().unique(),
    userId: text('user_id'),
    firstName: text('first_name'),
    lastName: text('last_name'),
    source: text('source').notNull(),
    userGroup: text('user_group').notNull(),
    subscribed: integer('subscribed', { mode: 'boolean' }).notNull(),
    properties: json<Record<string, Scalar>>('properties').notNull(),
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  t => [
    index('contacts_user').on(t.userId).where(sql`user_id is not null`),
    index('contacts_source').on(t.source, t.id),
    index('contacts_group').on(t.userGroup, t.id),
    index('contacts_subscribed').on(t.subscribed, t.id),
    index('contacts_first_name').on(sql`lower(first_name)`, t.id).where(sql`first_name is not null`),
    index('contacts_last_name').on(sql`lower(last_name)`, t.id).where(sql`last_name is not null`),
  ],
);

export const lists = sqliteTable('lists', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  description: text('description'),
  isPublic: integer('is_public', { mode: 'boolean' }).notNull(),
  createdAt: time('created_at').notNull(),
});

export const memberships = sqliteTable(
  'memberships',
  { contactId: text('contact_id').notNull(), listId: text('list_id').notNull() },
  t => [primaryKey({ columns: [t.contactId, t.listId] }), index('memberships_list').on(t.listId, t.contactId)],
);

/** Custom contact properties; a key's type is that of its first value. */
export const properties = sqliteTable('properties', {
  key: text('key').primaryKey(),
  type: text('type').$type<'string' | 'number' | 'boolean' | 'date'>().notNull(),
  createdAt: time('created_at').notNull(),
});

export const events = sqliteTable(
  'events',
  {
    id: text('id').primaryKey(),
    effectKey: text('effect_key').notNull().unique(), // delivery, kind, target: once
    eventName: text('event_name').notNull(),
    contactId: text('contact_id').notNull(),
    email: text('email').notNull(),
    eventProperties: json<Record<string, Scalar>>('event_properties').notNull(),
    deliveryId: text('delivery_id'),
    createdAt: time('created_at').notNull(),
  },
  t => [index('events_contact').on(t.contactId, t.id), index('events_name').on(t.eventName, t.id)],
);

/** Work that outlives a request (bulk replay, pruning). Deliveries are a queue of their own. */
export const jobs = sqliteTable(
  'jobs',
  {
    id: text('id').primaryKey(),
    kind: text('kind').notNull(),
    uniqueKey: text('unique_key').unique(),
    payload: json<unknown>('payload').notNull(),
    status: text('status').$type<'queued' | 'done' | 'dead'>().notNull(),
    dueAt: time('due_at').notNull(), // while leased: when the lease runs out
    attempts: integer('attempts').notNull(), // starts since the last step that worked
    fence: integer('fence').notNull().default(0), // raised with each lease, never back: who holds an older one changes nothing
    error: text('error'),
    createdAt: time('created_at').notNull(),
  },
  t => [
    index('jobs_open').on(t.dueAt).where(sql`status = 'queued'`),
    index('jobs_status').on(t.status, t.id).where(sql`status <> 'done'`),
  ],
);

export interface BackfillCounts {
  read: number;
  created: number;
  updated: number;
  known: number;
  /** Without an address so far. */
  waiting: number;
  skipped: number;
  /** Waiting deliveries that became due. */
  released: number;
}

/** Reading everybody from a provider, page by page; the rows are their own queue. */
export const backfills = sqliteTable(
  'backfills',
  {
    id: text('id').primaryKey(),
    endpointId: text('endpoint_id').notNull(),
    provider: text('provider').notNull(),
    state: text('state').$type<'queued' | 'running' | 'done' | 'failed' | 'cancelled'>().notNull(),
    dryRun: integer('dry_run', { mode: 'boolean' }).notNull(),
    triggerEvents: integer('trigger_events', { mode: 'boolean' }).notNull(),
    requestsPerSecond: integer('requests_per_second').notNull(),
    cursor: text('cursor'), // the page under way, in the provider's words; null: the first
    pageDone: text('page_done'), // the last one applied of that page
    pages: integer('pages').notNull(),
    total: integer('total'), // as the provider says, where it does
    counts: json<BackfillCounts>('counts').notNull(),
    reasons: json<Record<string, number>>('reasons').notNull(), // why skipped → how many
    tries: integer('tries').notNull(), // starts since it last got on
    error: text('error'),
    dueAt: time('due_at').notNull(), // while leased: when the lease runs out
    lease: text('lease'),
    createdAt: time('created_at').notNull(),
    startedAt: time('started_at'),
    finishedAt: time('finished_at'),
  },
  t => [
    uniqueIndex('backfills_open').on(t.endpointId).where(sql`state in ('queued', 'running')`),
    index('backfills_endpoint').on(t.endpointId, t.id),
  ],
);

/** Addresses that bounced or complained: no mail goes there, whether a contact has them or not. */
export const suppressions = sqliteTable('suppressions', {
  email: text('email').primaryKey(), // of an erased person `hash:…`, see audience/suppressions.ts
  reason: text('reason').$type<'bounced' | 'complaint' | 'manual'>().notNull(),
  createdAt: time('created_at').notNull(),
});

export const suppressionRemovals = sqliteTable(
  'suppression_removals',
  { id: text('id').primaryKey(), createdAt: time('created_at').notNull() },
  t => [index('suppression_removals_created').on(t.createdAt)],
);

export const idempotencyKeys = sqliteTable(
  'idempotency_keys',
  {
    hash: text('hash').primaryKey(), // SHA-256 of scope and key, hex
    scope: text('scope').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('idempotency_keys_created').on(t.createdAt)],
);

/** Where happenings are sent. `state` other than `active` has a `reason`, a sentence. */
export const webhookSubscriptions = sqliteTable('webhook_subscriptions', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  url: text('url').notNull(),
  eventNames: json<string[]>('event_names').notNull(),
  state: text('state').$type<'active' | 'paused' | 'disabled'>().notNull(),
  reason: text('reason'),
  sealedSecret: text('sealed_secret').notNull(), // empty: lost with the sealing key
  secretHint: text('secret_hint').notNull(),
  sealedOldSecret: text('sealed_old_secret'), // signs too, until…
  oldSecretUntil: time('old_secret_until'),
  failingSince: time('failing_since'), // the first failure after the last success
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

/** One try to deliver a call. `status` and `answer` (first 500 characters) are the receiver's; null when none came. */
export interface Attempt {
  at: number;
  status: number | null;
  ms: number;
  answer: string | null;
  error: string | null;
}

/** One happening for one subscription; its id is the `webhook-id` of every attempt. */
export const webhookCalls = sqliteTable(
  'webhook_calls',
  {
    id: text('id').primaryKey(),
    uniqueKey: text('unique_key').notNull().unique(), // cause, happening, subscription: once
    subscriptionId: text('subscription_id').notNull(),
    eventName: text('event_name').notNull(),
    body: text('body').notNull(), // the exact JSON text that is signed
    state: text('state').$type<'queued' | 'delivered' | 'failed'>().notNull(),
    dueAt: time('due_at').notNull(), // while leased: when the lease runs out
    leased: integer('leased', { mode: 'boolean' }).notNull(),
    attempts: integer('attempts').notNull(), // counted before each start, never back: fences the outcome
    failures: integer('failures').notNull(), // attempts that failed since it was queued or replayed
    crashes: integer('crashes').notNull(), // attempts in a row that ended with the process
    history: json<Attempt[]>('history').notNull(),
    createdAt: time('created_at').notNull(),
    finishedAt: time('finished_at'),
  },
  t => [
    index('webhook_calls_open').on(t.subscriptionId, t.dueAt, t.id).where(sql`state = 'queued'`),
    index('webhook_calls_leased').on(t.id).where(sql`leased = 1`),
    index('webhook_calls_finished').on(t.finishedAt).where(sql`finished_at is not null`),
    index('webhook_calls_subscription').on(t.subscriptionId, t.state, t.id),
  ],
);

/** What a mail says, before its variables are filled in. */
export interface MailContent {
  subject: string;
  previewText: string;
  fromName: string;
  /** The part before the @; the domain is that of INLET_MAIL_FROM. */
  fromEmail: string;
  replyToEmail: string;
  /** `plain`: goes out as text only. */
  emailFormat: 'styled' | 'plain';
  html: string;
  /** Empty: made from the HTML. */
  text: string;
  /** Kept for Loops' clients and shown again, not sent. */
  lmx: string;
  /** Values for variables that have none, by name. */
  contactPropertiesFallbacks: Record<string, string>;
  eventPropertiesFallbacks: Record<string, string>;
  dataVariablesFallbacks: Record<string, string>;
}

export const emailMessages = sqliteTable('email_messages', {
  id: text('id').primaryKey(),
  content: json<MailContent>('content').notNull(),
  variables: json<string[]>('variables'), // null: not found out yet
  revisionId: text('revision_id').notNull(),
  transactionalId: text('transactional_id'),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

export const transactionals = sqliteTable('transactionals', {
  id: text('id').primaryKey(),
  name: text('name').notNull(),
  draftId: text('draft_id'), // email messages
  publishedId: text('published_id'),
  createdAt: time('created_at').notNull(),
  updatedAt: time('updated_at').notNull(),
});

export type MailState = 'queued' | 'held' | 'sending' | 'sent' | 'failed' | 'bounced' | 'suppressed';
/** What fills a mail's variables; `contact` only of a test mail, which has none. */
export interface MailData {
  event?: Record<string, unknown>;
  data?: Record<string, unknown>;
  contact?: Record<string, unknown>;
}

/** One message to one recipient; a queue of its own. */
export const mails = sqliteTable(
  'mails',
  {
    id: text('id').primaryKey(),
    mailKey: text('mail_key').notNull().unique(), // what caused it: once
    contactId: text('contact_id'),
    recipient: text('recipient').notNull(),
    emailMessageId: text('email_message_id').notNull(),
    data: json<MailData>('data').notNull(),
    transactional: integer('transactional', { mode: 'boolean' }).notNull(),
    workflowRunId: text('workflow_run_id'),
    transactionalId: text('transactional_id'),
    state: text('state').$type<MailState>().notNull(),
    heldFor: text('held_for').$type<'smtp' | 'contactCap' | 'hourCap' | 'workflow' | 'publicUrl'>(),
    forced: integer('forced', { mode: 'boolean' }).notNull(), // somebody wants it sent whatever the caps say
    messageId: text('message_id').notNull(), // RFC 5322, the same at every attempt
    subject: text('subject'), // rendered, with the two below
    html: text('html'),
    plain: text('plain'),
    dueAt: time('due_at').notNull(), // while sending: when the lease runs out
    attempts: integer('attempts').notNull(), // counted before each start, never back: fences the outcome
    failures: integer('failures').notNull(), // attempts that failed by the mail's own fault
    crashes: integer('crashes').notNull(), // attempts in a row that ended with the process
    error: text('error'),
    createdAt: time('created_at').notNull(),
    sentAt: time('sent_at'),
    workflowId: text('workflow_id'),
    workflowEpoch: integer('workflow_epoch'), // the workflow's, when it was queued
    pruned: integer('pruned', { mode: 'boolean' }).notNull().default(false), // what it was filled in with is forgotten
    unsubscribedAt: time('unsubscribed_at'), // when the link in it unsubscribed its address
  },
  t => [
    index('mails_urgent').on(t.dueAt, t.id).where(sql`state = 'queued' and transactional = 1`),
    index('mails_queued').on(t.dueAt, t.id).where(sql`state = 'queued'`),
    index('mails_sending').on(t.dueAt).where(sql`state = 'sending'`),
    index('mails_held').on(t.heldFor, t.id).where(sql`state = 'held'`),
    index('mails_state').on(t.state, t.id).where(sql`state <> 'sent'`),
    index('mails_sent').on(t.sentAt).where(sql`sent_at is not null and transactional = 0`),
    index('mails_contact').on(t.contactId, t.id).where(sql`contact_id is not null`),
    index('mails_recipient').on(t.recipient, t.id),
    index('mails_kept')
      .on(t.id)
      .where(sql`(html is not null or data <> '{}') and state not in ('queued', 'held', 'sending')`),
  ],
);

export type WorkflowState = 'draft' | 'running' | 'paused' | 'stopped';

export const workflows = sqliteTable(
  'workflows',
  {
    id: text('id').primaryKey(),
    name: text('name').notNull(),
    description: text('description'),
    mailingListId: text('mailing_list_id'),
    state: text('state').$type<WorkflowState>().notNull(),
    revisionId: text('revision_id'), // null: as it was made
    graph: json<unknown>('graph').notNull(), // workflows/graph.ts
    rootNode: json<unknown>('root_node').notNull(), // the graph's trigger, read alone by those who match
    exitOn: json<unknown>('exit_on').notNull().default([]), // workflows/expected.ts
    listens: json<string[]>('listens').notNull().default([]), // names of events beside the trigger's
    pausedAt: time('paused_at'),
    epoch: integer('epoch').notNull().default(0), // how often it was stopped
    createdAt: time('created_at').notNull(),
    updatedAt: time('updated_at').notNull(),
  },
  t => [index('workflows_listening').on(t.state, t.id).where(sql`state in ('running', 'paused')`)],
);

/** `held`: came due while its workflow was paused. `cut`: not started, its contact had started too many. */
export type RunStatus = 'active' | 'held' | 'completed' | 'exited' | 'failed' | 'cut';

/** One contact's way through a workflow. */
export const runs = sqliteTable(
  'runs',
  {
    id: text('id').primaryKey(),
    workflowId: text('workflow_id').notNull(),
    contactId: text('contact_id').notNull(),
    entry: text('entry').notNull(), // '' where a contact enters once, else what started it: a trigger starts one run
    status: text('status').$type<RunStatus>().notNull(),
    nodeId: text('node_id').notNull(), // where it stands
    waiting: integer('waiting', { mode: 'boolean' }).notNull(), // in the timer it stands at; else it is about to enter
    visits: integer('visits').notNull(), // steps so far
    guards: json<string[]>('guards').notNull(), // filters behind it that are checked at all following nodes
    dueAt: time('due_at').notNull(), // while leased: the lease's end
    since: time('since').notNull(), // when the wait for dueAt began
    attempts: integer('attempts').notNull(), // starts since the last step that worked
    fence: integer('fence').notNull().default(0), // raised with each lease, never back: who holds an older one changes nothing
    eventId: text('event_id'),
    deliveryId: text('delivery_id'),
    reason: text('reason'),
    createdAt: time('created_at').notNull(),
    endedAt: time('ended_at'),
    hour: integer('hour').notNull().default(-1), // of its start, since 1970; -1: counts towards no limit
    pruned: integer('pruned').notNull().default(0), // 1: ended long ago, kept only to tell that the contact entered once
  },
  t => [
    uniqueIndex('runs_entry').on(t.workflowId, t.contactId, t.entry),
    index('runs_due').on(t.dueAt, t.id).where(sql`status = 'active'`),
    index('runs_open').on(t.workflowId, t.nodeId).where(sql`ended_at is null`),
    index('runs_held').on(t.workflowId, t.dueAt).where(sql`status = 'held'`),
    index('runs_contact').on(t.contactId, t.id),
    index('runs_hour').on(t.contactId, t.hour),
    index('runs_since').on(t.since).where(sql`status = 'active'`),
    index('runs_status').on(t.workflowId, t.status, t.id).where(sql`status <> ''`), // see `inStatus`
    index('runs_ended').on(t.endedAt).where(sql`ended_at is not null and pruned = 0`),
  ],
);

export const steps = sqliteTable(
  'steps',
  {
    runId: text('run_id').notNull(),
    visit: integer('visit').notNull(),
    workflowId: text('workflow_id').notNull(),
    nodeId: text('node_id').notNull(),
    typeName: text('type_name').notNull(),
    outcome: text('outcome').notNull(),
    detail: json<Record<string, unknown>>('detail').notNull(),
    at: time('at').notNull(),
    doneAt: time('done_at'), // null: a timer still runs
  },
  t => [
    primaryKey({ columns: [t.runId, t.visit] }),
    index('steps_node').on(t.workflowId, t.nodeId, t.outcome, t.runId, t.visit),
  ],
);

/** What a column of an imported file means. `property`: a custom one, with its type. */
export type ImportTarget =
  | { kind: 'field'; field: 'email' | 'firstName' | 'lastName' | 'userId' | 'source' | 'userGroup' }
  | { kind: 'subscribed' | 'mailingLists' | 'providerIds' }
  | { kind: 'provider'; provider: string }
  | { kind: 'property'; key: string; type: (typeof properties.$inferSelect)['type'] };

/** How a file is read: settled when it is uploaded. */
export interface ImportPlan {
  delimiter: string;
  /** Bytes before the first row: byte order mark and header. */
  start: number;
  header: string[];
  /** One for each column; null: passed over. */
  targets: (ImportTarget | null)[];
  /** Everybody is put on these. */
  mailingLists: string[];
  dryRun: boolean;
}

/** A CSV file on its way into the audience. */
export const imports = sqliteTable('imports', {
  id: text('id').primaryKey(),
  state: text('state').$type<'uploading' | 'queued' | 'running' | 'done' | 'failed'>().notNull(),
  plan: json<ImportPlan>('plan').notNull(),
  error: text('error'),
  bytes: time('bytes').notNull(),
  bytesDone: time('bytes_done').notNull(), // everything before is applied
  lines: integer('lines').notNull(), // rows read; the counts below add up to it
  created: integer('created').notNull(),
  updated: integer('updated').notNull(),
  unchanged: integer('unchanged').notNull(),
  failed: integer('failed').notNull(),
  createdAt: time('created_at').notNull(),
  finishedAt: time('finished_at'),
});

/** The file itself, until it is applied: bytes as Latin-1 text, NUL as U+0100. */
export const importChunks = sqliteTable(
  'import_chunks',
  { importId: text('import_id').notNull(), seq: integer('seq').notNull(), content: text('content').notNull() },
  t => [primaryKey({ columns: [t.importId, t.seq] })],
);

/** Rows that could not be applied. */
export const importFailures = sqliteTable(
  'import_failures',
  {
    importId: text('import_id').notNull(),
    line: integer('line').notNull(), // as a spreadsheet counts: the header is 1
    culprit: text('culprit'), // the column's name
    message: text('message').notNull(),
    cells: json<string[]>('cells').notNull(), // cut where they are long
  },
  t => [primaryKey({ columns: [t.importId, t.line] })],
);

/** Erased people: HMAC-SHA-256 of their ids and addresses, hex. */
export const tombstones = sqliteTable('tombstones', {
  hash: text('hash').primaryKey(),
  erasedAt: time('erased_at').notNull(),
});

/** What an erasure looks for (history/eraseSearch.ts). Before, it was an array of addresses. */
export interface Needles {
  /** Its contacts, former and merged ones too. */
  contacts: string[];
  /** Its identities, `stripe:cus_…`. */
  identities: string[];
  /** Addresses that are nobody else's. */
  emails: string[];
  /** Ids of it at providers. */
  persons: string[];
  /** User ids and payments: looked for only where nobody else is meant. */
  weak: string[];
  /** Identities of somebody else that claim one of the addresses without having it: their deliveries stay. */
  spared: string[];
}

/** Erasures whose search for copies is under way. */
export const erasures = sqliteTable('erasures', {
  id: text('id').primaryKey(),
  needles: json<Needles | string[]>('needles').notNull(),
  createdAt: time('created_at').notNull(),
});

/** What happened to contacts by the API, an import, a link or a back-fill: deliveries tell of the rest. */
export const contactChanges = sqliteTable(
  'contact_changes',
  {
    id: text('id').primaryKey(),
    contactId: text('contact_id').notNull(),
    kind: text('kind').notNull(),
    detail: json<Record<string, unknown>>('detail').notNull(),
    createdAt: time('created_at').notNull(),
  },
  t => [index('contact_changes_contact').on(t.contactId, t.id), index('contact_changes_created').on(t.createdAt)],
);

/** Who was behind a contact that was removed, so that its id goes on finding them. */
export const formerContacts = sqliteTable(
  'former_contacts',
  { contactId: text('contact_id').notNull(), identityId: text('identity_id').notNull() },
  t => [primaryKey({ columns: [t.contactId, t.identityId] }), index('former_contacts_identity').on(t.identityId)],
);
