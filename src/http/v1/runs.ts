import { z } from 'zod';
import { runs } from '../../db/schema.ts';
import { countOutcomes } from '../../workflows/counts.ts';
import { getRun, searchRuns, viewRuns } from '../../workflows/runViews.ts';
import { getWorkflow } from '../../workflows/workflows.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import { makePage } from './examples.ts';
import { counts, example, RUN_STATUSES, run, wholeRun } from './workflowShapes.ts';

const tag = 'Workflows';
const PATH = '/api/v1/workflows/:id';

export const runRoutes: Route[] = [
  route('GET', `${PATH}/runs`, {
    summary: 'Who went through a workflow, newest first',
    tag,
    errors: [404],
    query: z.strictObject({
      ...pageQuery,
      status: z.enum(RUN_STATUSES).optional(),
      contactId: z.string().max(64).optional(),
      nodeId: z.string().max(64).optional().describe('With outcome: who came to this node, and there to that'),
      outcome: z.string().max(20).optional(),
    }),
    response: describePage(run),
    answer: makePage(example.run),
    handle: async ({ ctx, params, query: { perPage, cursor, ...filters } }) => {
      const workflowId = params.id;
      const search = await ctx.store.read(async tx => {
        await getWorkflow(tx, workflowId);
        return searchRuns(tx, { workflowId, ...filters });
      });
      const url = `${ctx.config.publicUrl}/api/v1/workflows/${workflowId}/runs`;
      return loadPage(ctx.store, runs, search, { perPage, cursor, url, filters }, ids =>
        ctx.store.read(tx => viewRuns(tx, ids)),
      );
    },
  }),
  route('GET', `${PATH}/counts`, {
    summary: 'How often each node came to which outcome',
    tag,
    errors: [404],
    response: counts,
    answer: example.counts,
    handle: async ({ ctx, params }) => {
      const { id } = await ctx.store.read(tx => getWorkflow(tx, params.id));
      return countOutcomes(ctx.store, id);
    },
  }),
  route('GET', '/api/v1/runs/:id', {
    summary: 'One run with its steps, times, outcomes and mails',
    tag,
    errors: [404],
    response: wholeRun,
    answer: example.wholeRun,
    handle: ({ ctx, params }) => ctx.store.read(tx => getRun(tx, params.id)),
  }),
];
