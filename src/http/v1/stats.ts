import { z } from 'zod';
import { invalid } from '../../errors.ts';
import { describeOverview, type Span } from '../../inbound/overview.ts';
import { HOUR_MS, MINUTE_MS } from '../../time.ts';
import { type Route, route } from '../route.ts';
import { moment, time } from './shapes.ts';
import * as example from './statsExamples.ts';

const MAX_SLOTS = { minute: 360, hour: 1488 };

const ms = z.number().nullable().describe('ms; null: nothing was answered');
const counts = {
  accepted: z.number(),
  duplicate: z.number(),
  ignored: z.number(),
  rejected: z.number().describe('Not verified'),
  refused: z.number().describe('Not taken: too large, too slow, or the database was away'),
  meanMs: ms,
  p50Ms: ms,
  p99Ms: ms,
  mailsSent: z.number(),
  mailsFailed: z.number().describe('Failed or bounced'),
};
const first = z.object({ id: z.string(), receivedAt: time }).nullable();
const capped = z.object({ count: z.number(), isCapped: z.boolean().describe('There are more than 10,000') });

const overview = z.object({
  since: time,
  until: time,
  resolution: z.enum(['minute', 'hour']),
  slots: z.array(
    z.object({
      at: time.describe('When the slot begins'),
      ...counts,
      contacts: z.number().nullable().describe('Counted once an hour; null: not in this slot'),
      subscribed: z.number().nullable(),
    }),
  ),
  totals: z.object(counts).describe('Of all slots'),
  waiting: z.object({
    backlog: z.number().describe('Deliveries due and not applied yet, counted up to 10,000'),
    oldestQueued: first.describe('Waits for its turn'),
    oldestFailed: first.describe('Will be tried again'),
    oldestWaiting: first.describe('Waits until its person is known'),
  }),
  contacts: z.object({
    total: z.number(),
    subscribed: z.number().nullable(),
    isExact: z.boolean(),
    asOf: time.nullable().describe('Beyond 10,000 they are counted once an hour'),
  }),
  mails: z.object({
    ...{ queued: capped, held: capped, sending: capped, failed: capped, bounced: capped, suppressed: capped },
  }),
  attention: z.array(
    z.object({ id: z.string(), name: z.string(), provider: z.string(), state: z.string(), nextStep: z.string() }),
  ),
  endpoints: z.object({ looked: z.number().describe('Endpoints that were looked at'), more: z.boolean() }),
  setup: z.object({
    done: z.boolean(),
    steps: z.array(z.object({ name: z.string(), done: z.boolean(), sentence: z.string() })),
  }),
});

/** The span that is asked for. @throws AppError invalid when it is too long or ends before it begins */
function chooseSpan(query: { since?: number; until?: number; resolution?: 'minute' | 'hour' }, now: number): Span {
  const until = query.until ?? now + MINUTE_MS;
  const since = query.since ?? until - HOUR_MS;
  const resolution = query.resolution ?? (until - since <= MAX_SLOTS.minute * MINUTE_MS ? 'minute' : 'hour');
  if (since >= until) throw invalid('since: must be before until.');
  const size = resolution === 'minute' ? MINUTE_MS : HOUR_MS;
  if ((until - since) / size > MAX_SLOTS[resolution] + 1)
    throw invalid(
      resolution === 'minute'
        ? 'since: at most 6 hours by the minute. Ask for resolution=hour.'
        : 'since: at most 62 days by the hour. Ask for less at a time.',
    );
  return { since, until, resolution };
}

export const statsRoutes: Route[] = [
  route('GET', '/api/v1/stats', {
    summary: 'What goes on, and what wants attention',
    description:
      'Webhooks by outcome and how fast they were answered, by the minute (the last two days) or by the hour (400 days); what waits, contacts, mails by state, endpoints with a next step, and what is left to set up. Counts are written down every five seconds; a process that is killed loses as much.',
    tag: 'Health',
    query: z.strictObject({
      since: moment.optional().describe('ISO 8601; an hour ago'),
      until: moment.optional().describe('ISO 8601; now'),
      resolution: z.enum(['minute', 'hour']).optional(),
    }),
    response: overview,
    answer: example.overview,
    handle: ({ ctx, query }) => describeOverview(ctx, chooseSpan(query, ctx.now())),
  }),
];
