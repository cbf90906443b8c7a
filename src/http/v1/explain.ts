import { z } from 'zod';
import { IDENTITY_STATES } from '../../audience/explain.ts';
import { RULES, type Rule } from '../../audience/rules.ts';
import { CONTACT_STATES, explainContact } from '../../history/explainContact.ts';
import { explainDelivery } from '../../inbound/explainDelivery.ts';
import { type Route, route } from '../route.ts';
import * as example from './explainExamples.ts';
import { deliveryDetail, effect, time } from './shapes.ts';

const scalar = z.union([z.string(), z.number(), z.boolean()]).nullable();
const rule = z.enum(Object.keys(RULES) as [Rule, ...Rule[]]);
const state = z.enum(Object.keys(CONTACT_STATES) as [keyof typeof CONTACT_STATES, ...(keyof typeof CONTACT_STATES)[]]);
const identityState = z.enum(
  Object.keys(IDENTITY_STATES) as [keyof typeof IDENTITY_STATES, ...(keyof typeof IDENTITY_STATES)[]],
);
const kind = z.enum(['user', 'payer', 'api', 'address']);

const identity = {
  identityId: z.string().describe('stripe:cus_…; of an address alone stripe:@ada@example.com'),
  provider: z.string(),
  namespace: z.string(),
  personId: z.string().nullable(),
  kind,
};
const claim = z.object({
  value: scalar,
  at: time.describe("The provider's time; of API writes the end of their second"),
  ...identity,
  via: z.enum(['webhook', 'api', 'import', 'link', 'backfill']),
  deliveryId: z.string().nullable().describe('Null: no webhook, or its row is past its retention'),
  type: z.string().nullable(),
  endpointId: z.string().nullable(),
  rule: rule.nullable().describe('Why it does not show; null: it does'),
  sentence: z.string().nullable(),
  own: z.boolean().describe('Said by the delivery that is explained'),
});
const field = z.object({
  field: z
    .string()
    .describe('email, firstName, lastName, userId, userGroup, source, subscribed, properties.<key>, lists.<id>'),
  value: scalar.describe('As it shows; of a list whether the contact is on it'),
  rule: rule.describe('By which rule'),
  sentence: z.string().describe('That rule in words'),
  won: claim.nullable(),
  lost: z.array(claim).describe('Up to 20, newest first'),
  omitted: z.number().describe('How many more there are'),
});
const chain = deliveryDetail.shape.chain.shape;

const contactExplained = z.object({
  contactId: z.string(),
  mergedFrom: z.string().nullable().describe('The id that was asked for, where it became part of this one'),
  nowContactId: z.string().nullable().describe('Where the people of a contact that was removed are now'),
  state,
  sentence: z.string(),
  email: z.string().nullable(),
  fields: z.array(field),
  identities: z.array(
    z.object({
      ...identity,
      state: identityState,
      sentence: z.string(),
      email: z.string().nullable().describe('Its own present address'),
      proven: z.boolean(),
      saidOfMail: z.object({ at: time, subscribed: z.boolean(), reason: z.string() }).nullable(),
    }),
  ),
  consent: z.object({
    subscribed: z.boolean(),
    rule,
    sentence: z.string(),
    history: z
      .array(
        z.object({
          at: time,
          subscribed: z.boolean(),
          reason: z.string().describe('link, api, import, complaint, bounce, page or manual'),
          email: z.string().nullable(),
          identityId: z.string().nullable(),
        }),
      )
      .describe('Changes of mind about mail, of its addresses and its people, newest first, up to 50'),
  }),
  sharedAddress: z.boolean().describe('50 persons of one provider are tied; further ones count as the address alone'),
});

const deliveryExplained = z.object({
  id: z.string(),
  type: z.string(),
  status: z.string(),
  message: z.string(),
  received: z.object({
    at: time,
    occurredAt: time.nullable(),
    processedAt: time.nullable(),
    endpointId: z.string(),
    endpointName: z.string().nullable().describe('Null: the endpoint was removed'),
    provider: z.string(),
    externalId: z.string().nullable(),
    duplicates: z.number(),
    attempts: z.number(),
  }),
  verified: z.object({
    verified: z.boolean(),
    secretId: z.string().nullable(),
    secretHint: z.string().nullable(),
    sentence: z.string(),
  }),
  fact: z
    .object({
      identityId: z.string().nullable(),
      provider: z.string().nullable(),
      namespace: z.string(),
      personId: z.string().nullable(),
      kind: kind.nullable(),
      state: identityState.nullable(),
      sentence: z.string().nullable(),
      at: time.describe('The time by which it is ordered'),
      micros: z.number(),
      rank: z.number(),
      rankName: z.string().describe('created, updated, other or deletion: decides at one time'),
      authority: z.enum(['person', 'copy']).describe("The person's own record, or a copy of it"),
      says: z.record(z.string(), z.unknown()),
    })
    .nullable()
    .describe('Null: nothing was applied, or neither payload nor person is there any more'),
  contact: z
    .object({
      contactId: z.string().nullable(),
      nowContactId: z.string().nullable(),
      state,
      sentence: z.string(),
      email: z.string().nullable(),
      fields: z.array(field),
    })
    .nullable()
    .describe('As it is now: what came since counts too'),
  effects: z.array(effect).describe('What the delivery did when it was applied'),
  ...chain,
});

export const explainRoutes: Route[] = [
  route('GET', '/api/v1/deliveries/:id/explain', {
    summary: 'Why a delivery did what it did',
    description:
      'Received → verified → the fact in it → the fields of the contact, each with what shows, what does not, and by which rule → events, workflow runs, mails and calls. Fields are those of now; `effects` tells of then.',
    tag: 'Deliveries',
    errors: [404],
    response: deliveryExplained,
    answer: example.deliveryExplained,
    handle: ({ ctx, params }) => explainDelivery(ctx, params.id),
  }),
  route('GET', '/api/v1/contacts/:id/explain', {
    summary: 'Where each field of a contact comes from, and why',
    description:
      'Also by the id of one that is parked, became part of another, or was removed. Who was erased is not known any more.',
    tag: 'Contacts',
    errors: [404],
    response: contactExplained,
    answer: example.contactExplained,
    handle: ({ ctx, params }) => explainContact(ctx, params.id),
  }),
];
