import type { EventType } from './provider.ts';

export const types: EventType[] = [
  { type: 'customer.created', description: 'A customer was made', carriesEmail: 'usually', deletion: false },
  {
    type: 'customer.updated',
    description: 'A property of a customer changed',
    carriesEmail: 'usually',
    deletion: false,
    silentWhenUnchanged: true,
  },
  { type: 'customer.deleted', description: 'A customer was deleted', carriesEmail: 'usually', deletion: true },
  {
    type: 'checkout.session.completed',
    description: 'A checkout was completed; payment may still be under way',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'checkout.session.async_payment_succeeded',
    description: 'A delayed payment of a checkout succeeded',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'checkout.session.async_payment_failed',
    description: 'A delayed payment of a checkout failed',
    carriesEmail: 'always',
    deletion: false,
  },
  {
    type: 'invoice.paid',
    description: 'An invoice was paid, zero amounts included',
    carriesEmail: 'usually',
    deletion: false,
  },
  { type: 'invoice.payment_failed', description: 'Paying an invoice failed', carriesEmail: 'usually', deletion: false },
  {
    type: 'invoice.upcoming',
    description: 'An invoice will be made in a few days',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'customer.subscription.created',
    description: 'A subscription began',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.paused',
    description: 'A subscription got the status paused',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.resumed',
    description: 'A paused subscription goes on',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.trial_will_end',
    description: 'A trial ends in three days, or ended at once',
    carriesEmail: 'never',
    deletion: false,
  },
  {
    type: 'customer.subscription.deleted',
    description: 'A subscription ended',
    carriesEmail: 'never',
    deletion: false,
  },
  { type: 'quote.finalized', description: 'A quote was finalised', carriesEmail: 'never', deletion: false },
  { type: 'quote.accepted', description: 'A quote was accepted', carriesEmail: 'never', deletion: false },
  { type: 'quote.canceled', description: 'A quote was cancelled', carriesEmail: 'never', deletion: false },
  { type: 'charge.dispute.created', description: 'A payment was disputed', carriesEmail: 'sometimes', deletion: false },
  {
    type: 'charge.dispute.closed',
    description: 'A dispute was won, lost or withdrawn',
    carriesEmail: 'sometimes',
    deletion: false,
  },
];

export const setup = [
  'In Stripe, open Workbench → Webhooks in the right mode (sandbox or live) and press "Create an event destination".',
  'Scope "Your account", payload style "Snapshot" (thin payloads hold no address), default API version.',
  'Tick the event types you want → Continue → "Webhook endpoint" → paste {url} → create.',
  "Reveal the signing secret (whsec_…) on the destination's page and bring it back to Inlet.",
  'Optional: make a restricted key with read access to Customers and Charges and set it as settings.apiKey, so that subscriptions, quotes and disputes are looked up at once, and a back-fill can read the customers you have already.',
];

/** What to tick instead of types that say the same, or nearly. */
export const SIBLINGS: Record<string, string> = {
  'invoice.payment_succeeded': 'invoice.paid',
  'invoice.finalized': 'invoice.paid',
  'invoice.payment_action_required': 'invoice.payment_failed',
  'charge.succeeded': 'invoice.paid or checkout.session.completed',
  'payment_intent.succeeded': 'invoice.paid or checkout.session.completed',
  'charge.failed': 'invoice.payment_failed',
  'payment_intent.payment_failed': 'invoice.payment_failed or checkout.session.async_payment_failed',
  'customer.subscription.updated': 'customer.subscription.created, .paused, .resumed or .deleted',
  'charge.dispute.updated': 'charge.dispute.created or .closed',
  'charge.dispute.funds_withdrawn': 'charge.dispute.created',
  'charge.dispute.funds_reinstated': 'charge.dispute.closed',
  'quote.created': 'quote.finalized',
};
