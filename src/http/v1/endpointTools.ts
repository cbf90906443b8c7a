import { z } from 'zod';
import { previewSettings } from '../../inbound/previewSettings.ts';
import { describeSample, listIgnored } from '../../inbound/samples.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import { effect, time } from './shapes.ts';

const tag = 'Endpoints';
const PATH = '/api/v1/endpoints/:id';
const { delivery } = example;

const sample = z.object({
  type: z.string(),
  source: z
    .enum(['delivery', 'sample'])
    .describe('sample: nothing of this type is stored, so these are of the provider’s sample'),
  deliveryId: z.string().nullable(),
  receivedAt: time.nullable(),
  paths: z
    .array(
      z.object({
        path: z.string().describe('As contactProperties and eventProperties take it'),
        type: z.enum(['string', 'number', 'boolean']),
        example: z.union([z.string(), z.number(), z.boolean()]).nullable(),
        withheld: z.boolean().describe('Its name says that it holds a secret: it is never stored'),
      }),
    )
    .describe('In the order of the payload; of arrays the first three items'),
  isCut: z.boolean().describe('There are more than 500'),
});

const state = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]).nullable()).nullable();
const preview = z.object({
  summary: z.object({
    deliveries: z.number(),
    changing: z.number().describe('That would change their contact'),
    ignored: z.number(),
    waiting: z.number(),
    events: z.number().describe('That would fire an event'),
  }),
  deliveries: z.array(
    z.object({
      deliveryId: z.string(),
      type: z.string(),
      receivedAt: time,
      wasStatus: z.string().describe('What became of it when it came'),
      status: z.enum(['processed', 'waiting', 'ignored', 'skipped']),
      message: z.string(),
      contactId: z.string().nullable().describe('Null: nobody so far'),
      before: state.describe('The fields of the contact that differ, as they are; null: none, or no contact'),
      after: state.describe('The same as they would be'),
      effects: z.array(effect),
    }),
  ),
});

const ignored = z.array(
  z.object({
    type: z.string(),
    count: z.number(),
    lastAt: time,
    lastDeliveryId: z.string(),
    message: z.string().describe('Why the last one was not applied'),
    canBeApplied: z.boolean(),
    isOff: z.boolean().describe('Switched off in the events of the endpoint'),
    advice: z.string(),
  }),
);

const settings = z.record(z.string().max(60), z.unknown());
const events = z.record(z.string().max(100), z.record(z.string().max(60), z.unknown()).nullable());

export const endpointToolRoutes: Route[] = [
  route('GET', `${PATH}/samples`, {
    summary: 'What a mapping can pick: the paths of the last payload of a type',
    tag,
    errors: [404],
    query: z.strictObject({ type: z.string().max(100).optional().describe('Left out: the first one of the provider') }),
    withheld: { paths: [] },
    response: sample,
    answer: {
      ...{ type: delivery.type, source: 'delivery', deliveryId: delivery.id, receivedAt: delivery.receivedAt },
      paths: [{ path: 'data.object.metadata.plan', type: 'string', example: 'pro', withheld: false }],
      isCut: false,
    },
    handle: ({ ctx, params, query }) => describeSample(ctx, params.id, query.type),
  }),
  route('POST', `${PATH}/preview`, {
    summary: 'What the last deliveries would do with other settings',
    description:
      'Takes settings and events as PATCH does, and writes nothing. Each of the last deliveries is applied in memory to the contacts as they are now, by itself.',
    tag,
    errors: [404],
    body: z.strictObject({
      settings: settings.optional(),
      events: events.optional(),
      limit: z.number().int().min(1).max(200).default(50).describe('How many of the last deliveries'),
    }),
    example: { events: { 'customer.created': { userGroup: 'Customers' } }, limit: 20 },
    response: preview,
    answer: {
      summary: { deliveries: 1, changing: 1, ignored: 0, waiting: 0, events: 0 },
      deliveries: [
        {
          ...{ deliveryId: delivery.id, type: delivery.type, receivedAt: delivery.receivedAt },
          ...{ wasStatus: 'processed', status: 'processed', message: 'Updated contact ada@example.com' },
          contactId: example.contact.id,
          before: { userGroup: '' },
          after: { userGroup: 'Customers' },
          effects: [{ kind: 'contact.updated', changed: ['userGroup'] }],
        },
      ],
    },
    handle: ({ ctx, params, body }) => previewSettings(ctx, params.id, body),
  }),
  route('GET', `${PATH}/ignored`, {
    summary: 'Which types come in and are not applied, and what to do about it',
    description: 'Counted since this release, written down every five seconds.',
    tag,
    errors: [404],
    response: ignored,
    answer: [
      {
        ...{ type: 'product.created', count: 31, lastAt: delivery.receivedAt, lastDeliveryId: delivery.id },
        message: 'Ignored: product.created is not an event type Inlet applies.',
        ...{ canBeApplied: false, isOff: false },
        advice:
          'Inlet has no use for product.created. Untick it at Stripe to save traffic, or leave it: nothing of it is stored.',
      },
    ],
    handle: ({ ctx, params }) => listIgnored(ctx, params.id),
  }),
];
