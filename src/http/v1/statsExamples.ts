import * as example from './examples.ts';

const { createdAt: at } = example.endpoint;
const counts = {
  ...{ accepted: 118, duplicate: 2, ignored: 31, rejected: 1, refused: 0, meanMs: 1.9, p50Ms: 1.4, p99Ms: 9.2 },
  ...{ mailsSent: 12, mailsFailed: 0 },
};
const none = { count: 0, isCapped: false };

export const overview = {
  ...{ since: at, until: '2026-11-01T13:00:00.000Z', resolution: 'minute' },
  slots: [{ at, ...counts, contacts: null, subscribed: null }],
  totals: counts,
  waiting: {
    backlog: 0,
    oldestQueued: null,
    oldestFailed: null,
    oldestWaiting: { id: example.delivery.id, receivedAt: at },
  },
  contacts: { total: 1204, subscribed: 1130, isExact: true, asOf: null },
  mails: {
    queued: none,
    held: none,
    sending: none,
    failed: { count: 1, isCapped: false },
    bounced: none,
    suppressed: none,
  },
  attention: [
    {
      ...{ id: example.fresh.id, name: example.fresh.name, provider: 'stripe', state: 'needsSecret' },
      nextStep: example.fresh.nextStep,
    },
  ],
  endpoints: { looked: 2, more: false },
  setup: {
    done: false,
    steps: [
      { name: 'endpoint', done: true, sentence: 'Make an endpoint for a provider.' },
      { name: 'secret', done: false, sentence: "Paste the provider's signing secret into the endpoint." },
    ],
  },
};
