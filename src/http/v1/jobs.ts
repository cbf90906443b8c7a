import { z } from 'zod';
import { jobs } from '../../db/schema.ts';
import { JOB_STATUSES, restartJob, searchJobs, viewJobs } from '../../jobs/jobViews.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { done, time } from './shapes.ts';

const tag = 'Jobs';
const PATH = '/api/v1/jobs';

const jobView = z.object({
  id: z.string(),
  kind: z.string().describe('contacts.erase, deliveries.replay, workflows.end, …'),
  status: z.enum(JOB_STATUSES),
  attempts: z.number().describe('Starts since the last step that worked'),
  error: z.string().nullable(),
  dueAt: time.nullable().describe('When it goes on; of those that ended null'),
  createdAt: time,
});

export const jobRoutes: Route[] = [
  route('GET', PATH, {
    summary: 'Bulk work under way, done and given up, newest first',
    description:
      'A dead one failed five times in a row, or the process died with it as often. What it was to do is not done.',
    tag,
    query: z.strictObject({
      ...pageQuery,
      status: z.enum(JOB_STATUSES).optional(),
      kind: z.string().max(60).optional(),
    }),
    response: describePage(jobView),
    answer: example.makePage(example.job),
    handle: ({ ctx, query: { perPage, cursor, ...filters } }) =>
      loadPage(
        ctx.store,
        jobs,
        searchJobs(filters),
        { perPage, cursor, url: ctx.config.publicUrl + PATH, filters },
        ids => ctx.store.read(tx => viewJobs(tx, ids)),
      ),
  }),
  route('POST', `${PATH}/:id/retry`, {
    summary: 'Run a dead job again, once the cause is mended',
    description: 'It goes on where it stopped.',
    tag,
    audit: { action: 'job.retry', subject: 'job' },
    errors: [404, 409],
    response: done,
    answer: example.done,
    handle: async ({ ctx, params }) => {
      await ctx.store.write(tx => restartJob(tx, params.id, ctx.now()));
      ctx.wake();
      return { success: true as const };
    },
  }),
];
