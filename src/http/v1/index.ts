import { z } from 'zod';
import packageJson from '../../../package.json' with { type: 'json' };
import { KEY_ID } from '../callers.ts';
import { type Route, route } from '../route.ts';
import { auditRoutes } from './audit.ts';
import { backfillRoutes } from './backfills.ts';
import { contactRoutes } from './contacts.ts';
import { deliveryRoutes } from './deliveries.ts';
import { messageRoutes } from './emailMessages.ts';
import { listEndpointRoutes } from './endpoints.ts';
import { endpointToolRoutes } from './endpointTools.ts';
import * as example from './examples.ts';
import { explainRoutes } from './explain.ts';
import { importRoutes } from './imports.ts';
import { jobRoutes } from './jobs.ts';
import { listKeyRoutes, listRoutes } from './lists.ts';
import { loopsContactRoutes } from './loopsContacts.ts';
import { loopsEventRoutes } from './loopsEvents.ts';
import { mailRoutes } from './mails.ts';
import { recipeRoutes } from './recipes.ts';
import { runRoutes } from './runs.ts';
import { makeSessionRoutes } from './sessions.ts';
import { statsRoutes } from './stats.ts';
import { makeStreamRoutes, type OpenStream } from './stream.ts';
import { transactionalRoutes } from './transactional.ts';
import { webhookSubscriptionRoutes } from './webhookSubscriptions.ts';
import { workflowRoutes } from './workflows.ts';

/** Every management route. `receive` is the real path of a webhook; `forget` drops cached keys and sessions; `openStream` the live log. */
export const listApiRoutes = (
  receive: (endpointId: string, request: Request) => Promise<Response>,
  forget: () => void,
  openStream: OpenStream,
): Route[] => [
  ...listEndpointRoutes(receive),
  ...endpointToolRoutes,
  ...backfillRoutes,
  ...deliveryRoutes,
  ...makeStreamRoutes(openStream),
  ...loopsContactRoutes,
  ...importRoutes,
  ...contactRoutes,
  ...explainRoutes,
  ...loopsEventRoutes,
  ...listRoutes,
  ...messageRoutes,
  ...transactionalRoutes,
  ...mailRoutes,
  ...workflowRoutes,
  ...recipeRoutes,
  ...runRoutes,
  ...listKeyRoutes(forget),
  ...makeSessionRoutes(forget),
  ...webhookSubscriptionRoutes,
  ...jobRoutes,
  ...statsRoutes,
  ...auditRoutes,
];

export const healthRoute: Route = route('GET', '/health', {
  summary: 'Is it well?',
  description: 'Open. 503 while commits fail. Without an API key it answers `status` alone.',
  tag: 'Health',
  response: z.object({
    status: z.enum(['ok', 'trouble']),
    version: z.string().optional(),
    storeTrouble: z.string().nullish(),
    clockSkewSeconds: z.number().nullish().describe('Our clock against the senders’: + ahead, - behind'),
    mailTrouble: z.string().nullish().describe('Why no mail goes out; says nothing against the rest'),
    backlog: z.number().optional().describe('Deliveries due and not applied yet, counted up to 10,000'),
    deadJobs: z
      .number()
      .optional()
      .describe('Jobs that were given up: GET /api/v1/jobs?status=dead; says nothing against the rest'),
  }),
  answer: example.health,
  handle: async ({ ctx, request }) => {
    const { storeTrouble, clockSkewSeconds, mailTrouble } = ctx.health;
    const status = storeTrouble === null && clockSkewSeconds === null ? 'ok' : 'trouble';
    if (!request.headers.get(KEY_ID)) return { status }; // a mail server's words may name users, hosts and plans
    return {
      status,
      version: packageJson.version,
      storeTrouble,
      clockSkewSeconds,
      mailTrouble,
      backlog: await ctx.health.backlog(),
      deadJobs: await ctx.health.deadJobs(),
    };
  },
});
