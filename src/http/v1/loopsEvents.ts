import { z } from 'zod';
import { callPeople } from '../../audience/personCall.ts';
import { invalid } from '../../errors.ts';
import { getEventPattern, listPatterns } from '../../events/patterns.ts';
import { buildSendCall } from '../../events/send.ts';
import { makeId } from '../../id.ts';
import { decodeCursor, describePage, pageQuery, wrapPage } from '../page.ts';
import { type Route, route } from '../route.ts';
import * as example from './examples.ts';
import {
  collectEventProperties,
  contactFields,
  eventProperties,
  property,
  requireShort,
  writeOf,
} from './loopsShapes.ts';
import { done } from './shapes.ts';

const tag = 'Events';
const PATTERNS = '/api/v1/event-patterns';
const OWN = ['eventName', 'eventProperties'] as const;
const pattern = z.object({ id: z.string(), eventName: z.string(), incomingWebhookPlatform: z.string().nullable() });
const whole = pattern.extend({
  eventProperties: z.array(z.object({ name: z.string(), type: z.enum(['string', 'number', 'boolean', 'date']) })),
});

function parseEventName(name: string): string {
  if (!name.trim()) throw invalid('eventName: is required.');
  if (name.includes(':')) throw invalid('eventName: must not contain ":".');
  return name;
}

export const loopsEventRoutes: Route[] = [
  route('POST', '/api/v1/events/send', {
    summary: 'Send an event',
    description:
      'Creates or updates the contact (email or userId, lists, and contact properties as keys of their own), then fires the event, all in one transaction.',
    tag,
    errors: [409],
    idempotent: true,
    body: z.object({ eventName: z.string(), eventProperties, ...contactFields }).catchall(property),
    example: { email: 'ada@example.com', eventName: 'planUpgraded', eventProperties: { plan: 'team', seats: 5 } },
    response: done,
    answer: example.done,
    handle: async ({ ctx, body, idempotencyKey }) => {
      requireShort(body);
      const { eventName, eventProperties: given, ...rest } = body;
      const event = { name: parseEventName(eventName), properties: collectEventProperties(given) };
      const contact = writeOf(rest, OWN);
      const call = buildSendCall(contact, event, { key: makeId('req', ctx.now()) });
      const idempotency = idempotencyKey === null ? undefined : { scope: 'events/send', key: idempotencyKey };
      await callPeople(ctx.people, { ...call, idempotency });
      return { success: true };
    },
  }),
  route('GET', PATTERNS, {
    summary: 'Event names seen so far or triggered by an endpoint, newest first',
    tag,
    query: z.strictObject(pageQuery),
    response: describePage(pattern),
    answer: example.makePage(example.pattern),
    handle: async ({ ctx, query: { perPage, cursor } }) => {
      const after = decodeCursor(cursor);
      const { shown, total, last } = await ctx.store.read(tx => listPatterns(tx, after, perPage));
      const request = { perPage, url: ctx.config.publicUrl + PATTERNS, filters: {} };
      return wrapPage(request, shown, { total, capped: false }, last);
    },
  }),
  route('GET', `${PATTERNS}/by-name/:eventName`, {
    summary: 'One event pattern by its exact name, with its properties',
    tag,
    errors: [404],
    response: whole,
    answer: example.wholePattern,
    handle: ({ ctx, params }) => ctx.store.read(tx => getEventPattern(tx, { name: params.eventName })),
  }),
  route('GET', `${PATTERNS}/:id`, {
    summary: 'One event pattern, with its properties',
    tag,
    errors: [404],
    response: whole,
    answer: example.wholePattern,
    handle: ({ ctx, params }) => ctx.store.read(tx => getEventPattern(tx, { id: params.id })),
  }),
  route('GET', '/api/v1/dedicated-sending-ips', {
    summary: 'Dedicated sending addresses: none, mail leaves through your own server',
    tag: 'Mail',
    response: z.array(z.string()),
    answer: [],
    handle: async () => [],
  }),
];
