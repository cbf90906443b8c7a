import { z } from 'zod';
import { time } from './shapes.ts';

const status = z.enum(['Draft', 'Sending', 'Paused', 'PausedAndQueueing']).describe("As Loops' clients know it");
const state = z.enum(['draft', 'running', 'paused', 'stopped']);

export const shortWorkflow = z.object({
  id: z.string(),
  name: z.string(),
  status,
  state,
  createdAt: time,
  updatedAt: time,
});
export const workflow = z.object({
  id: z.string(),
  workflowRevisionId: z.string().nullable(),
  status,
  state,
  name: z.string(),
  description: z.string().nullable(),
  mailingListId: z.string().nullable(),
  exitOn: z.array(z.looseObject({ eventName: z.string() })),
  rootNodeId: z.string(),
  nodes: z.record(z.string(), z.looseObject({ typeName: z.string(), nextNodeIds: z.array(z.string()) })),
  createdAt: time,
  updatedAt: time,
});
export const node = z.looseObject({
  id: z.string(),
  typeName: z.string(),
  nextNodeIds: z.array(z.string()),
  workflowId: z.string(),
  workflowRevisionId: z.string().nullable(),
});
export const listChange = z.object({
  status: z.enum(['dryRun', 'queuedContactsFound', 'updated']),
  mailingListId: z.string().nullable(),
  queuedContactCount: z.number(),
  workflowRevisionId: z.string().nullable().optional(),
  workflow: workflow.optional(),
});

const outcome = z
  .string()
  .describe(
    'entered, passed, stopped, waiting, waited, branched, noBranch, sent, updated, joined, left, skipped (done before the graph was changed, or not to be done: `detail.reason`), ended or exited',
  );
export const way = z.object({
  steps: z.array(z.object({ nodeId: z.string(), typeName: z.string(), outcome, at: time })),
  status: z.enum(['completed', 'exited']),
  reason: z.string().nullable(),
});

export const RUN_STATUSES = ['active', 'held', 'completed', 'exited', 'failed', 'cut'] as const;
export const run = z.object({
  id: z.string(),
  workflowId: z.string(),
  contactId: z.string(),
  status: z.enum(RUN_STATUSES),
  nodeId: z.string().describe('Where it stands, or stood last'),
  eventId: z.string().nullable(),
  deliveryId: z.string().nullable(),
  reason: z.string().nullable(),
  nextAt: time.nullable(),
  createdAt: time,
  endedAt: time.nullable(),
});
export const wholeRun = run.extend({
  steps: z.array(
    z.object({
      nodeId: z.string(),
      typeName: z.string(),
      outcome,
      at: time,
      doneAt: time.nullable(),
      detail: z.record(z.string(), z.unknown()),
    }),
  ),
});
export const counts = z.object({
  runs: z.record(z.string(), z.number()).describe('By status'),
  nodes: z.record(z.string(), z.record(z.string(), z.number())).describe('By node and outcome'),
});

const at = '2026-11-01T12:00:00.000Z';
const ids = {
  workflow: 'wf_0mwt0c8w0000aa1b2c3d4e5f',
  revision: 'rev_0mwt0c8w0000ba1b2c3d4e5f',
  run: 'run_0mwt0c8w0000ca1b2c3d4e5f',
};

/** Runs on any workflow: needs no list and no message. */
export const graphExample = {
  rootNodeId: 'trigger',
  nodes: {
    trigger: { typeName: 'EventTrigger', eventName: 'paid', reEligible: true, nextNodeIds: ['wait'] },
    wait: { typeName: 'TimerAction', amount: 1, unit: 'h', nextNodeIds: ['exit'] },
    exit: { typeName: 'ExitAction', nextNodeIds: [] },
  },
};
const shownRun = {
  id: ids.run,
  workflowId: ids.workflow,
  contactId: 'con_0mwt0c8w00002m1n2p3q4r5s',
  status: 'completed',
  nodeId: 'exit',
  eventId: 'evt_0mwt0c8w00003t6u7v8w9x0y',
  deliveryId: 'dlv_0mwt0c8w00001f6g7h8j9k0l',
  reason: null,
  nextAt: null,
  createdAt: at,
  endedAt: at,
};
export const example = {
  short: { id: ids.workflow, name: 'Thanks for paying', status: 'Draft', state: 'draft', createdAt: at, updatedAt: at },
  workflow: {
    id: ids.workflow,
    workflowRevisionId: ids.revision,
    status: 'Draft',
    state: 'draft',
    name: 'Thanks for paying',
    description: null,
    mailingListId: null,
    exitOn: [],
    rootNodeId: 'trigger',
    nodes: graphExample.nodes,
    createdAt: at,
    updatedAt: at,
  },
  node: { id: 'wait', ...graphExample.nodes.wait, workflowId: ids.workflow, workflowRevisionId: ids.revision },
  way: {
    steps: [{ nodeId: 'trigger', typeName: 'EventTrigger', outcome: 'entered', at }],
    status: 'completed',
    reason: null,
  },
  run: shownRun,
  wholeRun: {
    ...shownRun,
    steps: [{ nodeId: 'trigger', typeName: 'EventTrigger', outcome: 'entered', at, doneAt: at, detail: {} }],
  },
  counts: { runs: { completed: 1 }, nodes: { trigger: { entered: 1 } } },
};
