import { z } from 'zod';
import packageJson from '../../../package.json' with { type: 'json' };
import { type Route, route } from '../route.ts';
import { backfillRoutes } from './backfills.ts';
import { contactRoutes } from './contacts.ts';
import { deliveryRoutes } from './deliveries.ts';
import { messageRoutes } from './emailMessages.ts';
import { endpointRoutes } from './endpoints.ts';
import * as example from './examples.ts';
import { importRoutes } from './imports.ts';
import { keyRoutes, listRoutes } from './lists.ts';
import { loopsContactRoutes } from './loopsContacts.ts';
import { loopsEventRoutes } from './loopsEvents.ts';
import { mailRoutes } from './mails.ts';
import { runRoutes } from './runs.ts';
import { transactionalRoutes } from './transactional.ts';
import { webhookSubscriptionRoutes } from './webhookSubscriptions.ts';
import { workflowRoutes } from './workflows.ts';

/** Every management route. `receive` is the real path of a webhook; `forget` drops cached keys. */
export const apiRoutes = (
  receive: (endpointId: string, request: Request) => Promise<Response>,
  forget: () => void,
): Route[] => [
  ...endpointRoutes(receive),
  ...backfillRoutes,
  ...deliveryRoutes,
  ...loopsContactRoutes,
  ...importRoutes,
  ...contactRoutes,
  ...loopsEventRoutes,
  ...listRoutes,
  ...messageRoutes,
  ...transactionalRoutes,
  ...mailRoutes,
  ...workflowRoutes,
  ...runRoutes,
  ...keyRoutes(forget),
  ...webhookSubscriptionRoutes,
];

export const healthRoute: Route = route('GET', '/health', {
  summary: 'Is it well?',
  description: 'Open. 503 while commits fail.',
  tag: 'Health',
  response: z.object({
    status: z.enum(['ok', 'trouble']),
    version: z.string(),
    storeTrouble: z.string().nullable(),
    clockSkewSeconds: z.number().nullable().describe('Our clock against the senders’: + ahead, - behind'),
    mailTrouble: z.string().nullable().describe('Why no mail goes out; says nothing against the rest'),
    backlog: z.number().describe('Deliveries due and not applied yet, counted up to 10,000'),
  }),
  answer: example.health,
  handle: async ({ ctx }) => {
    const { storeTrouble, clockSkewSeconds, mailTrouble } = ctx.health;
    const status = storeTrouble === null && clockSkewSeconds === null ? 'ok' : 'trouble';
    return {
      status,
      version: packageJson.version,
      storeTrouble,
      clockSkewSeconds,
      mailTrouble,
      backlog: await ctx.health.backlog(),
    };
  },
});
