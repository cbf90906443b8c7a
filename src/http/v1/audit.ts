import { z } from 'zod';
import { audits } from '../../db/schema.ts';
import { searchAudits, viewAudits } from '../../history/audit.ts';
import type { Route } from '../route.ts';
import { listRoute } from './listRoute.ts';
import { moment, time } from './shapes.ts';

const state = z.record(z.string(), z.unknown()).nullable();
const row = z.object({
  id: z.string(),
  at: time,
  actor: z.object({
    kind: z.enum(['key', 'session', 'cli']),
    id: z.string().nullable().describe('Of the key or the session; null: on the command line, or signing in'),
    name: z.string().nullable().describe('Of the key, as it was called then'),
  }),
  action: z.string().describe('endpoint.update, key.revoke, person.erase, …'),
  target: z.string().nullable().describe('What was changed; hash:… stands for a person'),
  before: state.describe('The fields that changed, as they were; null: it was not there'),
  after: state.describe('The same as they are since; null: it is gone'),
  detail: state,
});
const example = {
  id: 'aud_0mwt0c8w0000ca1b2c3d4e5f',
  at: '2026-11-01T12:00:00.000Z',
  actor: { kind: 'key', id: 'key_0mwt0c8w00005f6g7h8j9k0m', name: 'deploy' },
  action: 'endpoint.update',
  target: 'ep_k2n8x0q5v7c1m4z9b3j6h8d2f',
  before: { paused: false },
  after: { paused: true },
  detail: null,
};

export const auditRoutes: Route[] = [
  listRoute('/api/v1/audit', {
    summary: 'Who changed what, newest first',
    description:
      'Every change of configuration, from the API, the page and the command line, written in the transaction that makes it; kept 400 days. No secrets and no addresses of people. Contacts, events and transactional sends are not in it.',
    tag: 'Keys',
    table: audits,
    filters: {
      actor: z.string().max(64).optional().describe('Id of a key or session'),
      action: z.string().max(60).optional(),
      target: z.string().max(100).optional(),
      since: moment.optional(),
      until: moment.optional(),
    },
    row,
    example,
    search: (_, filters) => searchAudits(filters),
    view: viewAudits,
  }),
];
