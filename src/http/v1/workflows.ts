import { z } from 'zod';
import type { Context } from '../../context.ts';
import { workflows } from '../../db/schema.ts';
import type { Tx } from '../../db/store.ts';
import { runDry } from '../../workflows/dryRun.ts';
import { expectedEvent } from '../../workflows/expected.ts';
import { describeNodeTypes } from '../../workflows/nodes/index.ts';
import {
  changeList,
  createWorkflow,
  deleteWorkflow,
  getWorkflow,
  pauseWorkflow,
  putGraph,
  resumeWorkflow,
  startWorkflow,
  stopWorkflow,
  updateWorkflow,
  type WorkflowRow,
} from '../../workflows/workflows.ts';
import { viewOneNode, viewWorkflow, viewWorkflows } from '../../workflows/workflowViews.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import { makePage } from './examples.ts';
import { example, graphExample, listChange, node, shortWorkflow, way, workflow } from './workflowShapes.ts';

const tag = 'Workflows';
const PATH = '/api/v1/workflows';
const expectedRevisionId = z
  .string()
  .max(64)
  .nullish()
  .describe('The workflowRevisionId last seen, null while there is none; left out: whichever there is');
const name = z.string().trim().min(1).max(255);
/** Any of these ends a run wherever it is; `filter` as in an AudienceFilter, its `eventProperty` being that event's. */
const exitOn = z.array(expectedEvent).max(10).describe('Events that end a run wherever it is');
const description = z.string().max(1000).nullable();
const queuedContactPolicy = z.enum(['fail', 'discard']).default('fail');
const scalars = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));

/** A change in one transaction, shown as it is afterwards; matching knows of it at once. */
async function changeWorkflow(ctx: Context, change: (tx: Tx, now: number) => Promise<WorkflowRow>) {
  const now = ctx.now();
  const shown = await ctx.store.write(async tx => viewWorkflow(tx, await change(tx, now), now));
  ctx.automation.invalidate();
  ctx.wake();
  return shown;
}

const switches = [
  ['start', startWorkflow, 'Start: from now on its trigger is heard', 'Answers 400 with everything that is missing.'],
  [
    'pause',
    pauseWorkflow,
    'Pause: everybody keeps their place',
    'Who enters within a day waits for the resume; later ones do not enter.',
  ],
  ['resume', resumeWorkflow, 'Resume: everybody goes on', 'Subscription and filters are checked again.'],
  ['stop', stopWorkflow, 'Stop: everybody leaves and nobody enters', 'Start it again for new ones.'],
] as const;

export const workflowRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Workflows, newest first',
    tag,
    query: z.strictObject(pageQuery),
    response: describePage(shortWorkflow),
    answer: makePage(example.short),
    handle: ({ ctx, query: { perPage, cursor } }) => {
      const request = { perPage, cursor, url: ctx.config.publicUrl + PATH, filters: {} };
      return loadPage(ctx.store, workflows, {}, request, ids =>
        ctx.store.read(tx => viewWorkflows(tx, ids, ctx.now())),
      );
    },
  }),
  route('POST', PATH, {
    summary: 'Make a workflow: a draft without a trigger',
    tag,
    audit: { action: 'workflow.create', subject: 'workflow' },
    body: z.strictObject({
      ...{ name, description: description.optional(), exitOn: exitOn.optional() },
      mailingListId: z.string().max(64).nullish(),
    }),
    example: { name: 'Thanks for paying' },
    response: workflow,
    answer: example.workflow,
    handle: ({ ctx, body }) => changeWorkflow(ctx, (tx, now) => createWorkflow(tx, body, now)),
  }),
  route('GET', `${PATH}/:id`, {
    summary: 'One workflow with its graph',
    tag,
    errors: [404],
    response: workflow,
    answer: example.workflow,
    handle: ({ ctx, params }) =>
      ctx.store.read(async tx => viewWorkflow(tx, await getWorkflow(tx, params.id), ctx.now())),
  }),
  route('POST', `${PATH}/:id`, {
    summary: 'Rename or describe a workflow, or say which events end its runs',
    tag,
    audit: { action: 'workflow.update', subject: 'workflow' },
    errors: [404, 409],
    body: z.strictObject({
      ...{ expectedRevisionId, name: name.optional() },
      ...{ description: description.optional(), exitOn: exitOn.optional() },
    }),
    example: { name: 'Thank you' },
    response: workflow,
    answer: { ...example.workflow, name: 'Thank you' },
    handle: ({ ctx, params, body: { expectedRevisionId: expected, ...fields } }) =>
      changeWorkflow(ctx, (tx, now) => updateWorkflow(tx, params.id, expected, fields, now)),
  }),
  route('DELETE', `${PATH}/:id`, {
    summary: 'Remove a workflow',
    description: 'One in use answers 409 once; send `confirmDelete` then. Its runs stay readable.',
    tag,
    audit: { action: 'workflow.delete', subject: 'workflow' },
    status: 204,
    errors: [404, 409],
    body: z.strictObject({ expectedRevisionId, confirmDelete: z.boolean().optional() }),
    example: { confirmDelete: true },
    response: z.null(),
    answer: null,
    handle: async ({ ctx, params, body }) => {
      await ctx.store.write(tx =>
        deleteWorkflow(tx, params.id, body.expectedRevisionId ?? undefined, body.confirmDelete === true, ctx.now()),
      );
      ctx.automation.invalidate();
      return null;
    },
  }),
  route('PUT', `${PATH}/:id/graph`, {
    summary: 'Put the whole graph in place',
    description: `Everything that is wrong is named with its node. Runs follow the new graph from the node they stand at. Types of nodes:\n\n${describeNodeTypes()}`,
    tag,
    audit: { action: 'workflow.graph', subject: 'workflow' },
    errors: [404, 409],
    body: z.strictObject({
      expectedRevisionId,
      rootNodeId: z.string().max(64),
      nodes: z.record(z.string().max(64), z.record(z.string(), z.unknown())),
      queuedContactPolicy,
    }),
    example: graphExample,
    response: workflow,
    answer: example.workflow,
    handle: ({ ctx, params, body }) => changeWorkflow(ctx, (tx, now) => putGraph(tx, params.id, body, now)),
  }),
  ...switches.map(([verb, change, summary, description]) =>
    route('POST', `${PATH}/:id/${verb}`, {
      summary,
      description,
      tag,
      audit: { action: `workflow.${verb}`, subject: 'workflow' },
      errors: [404, 409],
      response: workflow,
      answer: example.workflow,
      handle: ({ ctx, params }) => changeWorkflow(ctx, (tx, now) => change(tx, params.id, now)),
    }),
  ),
  route('POST', `${PATH}/:id/mailing-list`, {
    summary: 'Limit a workflow to the members of a list',
    tag,
    audit: { action: 'workflow.mailingList', subject: 'workflow' },
    errors: [404, 409],
    body: z.strictObject({
      expectedRevisionId,
      mailingListId: z.string().max(64).nullable(),
      dryRun: z.boolean().default(false),
      queuedContactPolicy,
    }),
    example: { mailingListId: null, dryRun: true },
    response: listChange,
    answer: { status: 'dryRun', mailingListId: null, queuedContactCount: 0 },
    handle: async ({ ctx, params, body }) => {
      const result = await ctx.store.write(async tx => {
        const told = await changeList(tx, params.id, body, ctx.now());
        if (told.status !== 'updated') return told;
        const { changed, ...rest } = told;
        return { ...rest, workflow: await viewWorkflow(tx, changed, ctx.now()) };
      });
      ctx.automation.invalidate();
      return result;
    },
  }),
  route('POST', `${PATH}/:id/dry-run`, {
    summary: 'The way a contact would take now, timers passed over',
    description: 'Of a contact (`contactId` or `email`) or a made-up one. Nothing is written or sent.',
    tag,
    errors: [404],
    body: z.strictObject({
      contactId: z.string().max(64).optional(),
      email: z.string().max(254).optional(),
      eventProperties: scalars.optional(),
    }),
    example: { eventProperties: { amount: 29 } },
    response: way,
    answer: example.way,
    handle: ({ ctx, params, body }) => ctx.store.read(tx => runDry(tx, params.id, body, ctx.now())),
  }),
  route('GET', `${PATH}/:id/nodes/:nodeId`, {
    summary: 'One node',
    tag,
    errors: [404],
    response: node,
    answer: example.node,
    handle: ({ ctx, params }) => ctx.store.read(tx => viewOneNode(tx, params.id, params.nodeId)),
  }),
];
