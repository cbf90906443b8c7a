import { RULES } from '../../audience/rules.ts';
import * as example from './examples.ts';

const identity = {
  identityId: 'stripe:cus_example',
  provider: 'stripe',
  namespace: '',
  personId: 'cus_example',
  kind: 'payer',
};
const { id: deliveryId, endpointId, receivedAt: at, type } = example.delivery;
const claim = { at, ...identity, via: 'webhook', deliveryId, type, endpointId };

/** What one delivery says of a contact whose name the API set later. */
const fields = [
  {
    ...{ field: 'email', value: 'ada@example.com', rule: 'only', sentence: RULES.only, lost: [], omitted: 0 },
    won: { ...claim, value: 'ada@example.com', rule: null, sentence: null, own: true },
  },
  {
    ...{ field: 'firstName', value: 'Ada', rule: 'classOrder', sentence: RULES.classOrder, omitted: 0 },
    won: {
      ...claim,
      ...{ value: 'Ada', rule: null, sentence: null, own: false, identityId: 'api:@ada@example.com', provider: 'api' },
      ...{ personId: null, kind: 'api', via: 'api', deliveryId: null, type: null, endpointId: null },
    },
    lost: [{ ...claim, value: 'A.', rule: 'classOrder', sentence: RULES.classOrder, own: true }],
  },
];
const { chain } = example.deliveryWhole;
const contactId = example.contact.id;
const contact = {
  ...{ contactId, nowContactId: null, state: 'shown', sentence: 'The contact is listed.', email: 'ada@example.com' },
  fields,
};

export const deliveryExplained = {
  ...{ id: deliveryId, type, status: 'processed', message: example.delivery.message },
  received: {
    ...{ at, occurredAt: at, processedAt: at, endpointId, endpointName: 'Production', provider: 'stripe' },
    ...{ externalId: 'evt_example', duplicates: 0, attempts: 1 },
  },
  verified: {
    ...{ verified: true, secretId: example.delivery.secretId, secretHint: 'whsec_…a1b2' },
    sentence: 'Verified with the secret whsec_…a1b2.',
  },
  fact: {
    ...identity,
    ...{ state: 'live', sentence: 'Known, and what it says counts.', at, micros: 0, rank: 0, rankName: 'created' },
    ...{ authority: 'person', says: { email: 'ada@example.com', proven: false, firstName: 'A.' } },
  },
  contact,
  effects: example.delivery.effects,
  ...chain,
};

export const contactExplained = {
  ...contact,
  mergedFrom: null,
  identities: [
    {
      ...identity,
      ...{ state: 'live', sentence: 'Known, and what it says counts.', email: 'ada@example.com', proven: false },
      saidOfMail: { at, subscribed: true, reason: 'page' },
    },
  ],
  consent: {
    ...{ subscribed: true, rule: 'nobodyOut', sentence: RULES.nobodyOut },
    history: [{ at, subscribed: true, reason: 'page', email: 'ada@example.com', identityId: null }],
  },
  sharedAddress: false,
};
