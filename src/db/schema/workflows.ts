import { sql } from 'drizzle-orm';
import { index, integer, primaryKey, sqliteTable, text, uniqueIndex } from 'drizzle-orm/sqlite-core';
import { json, time } from './columns.ts';

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
    epoch: integer('epoch').notNull().default(0), // raised by whatever ends runs
    stoppedEpoch: integer('stopped_epoch').notNull().default(0), // runs and mails of an earlier one are of before a stop
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
    epoch: integer('epoch').notNull().default(0), // the workflow's, when it started
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
    index('runs_status').on(t.workflowId, t.status, t.id).where(sql`status <> ''`), // see `matchStatus`
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
